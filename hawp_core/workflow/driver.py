"""One living driver, and nothing left of dead ones: what Snakemake's own process needs on a cluster.

The driver is the `snakemake` process that submits jobs. Killed with SIGKILL or by a lost terminal, it leaves its lock,
which would stop the next one, and its Slurm jobs, which would go on and keep the next one's jobs waiting for them.
"""

import base64
import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import IO, Protocol, TypeVar

from hawp_core.errors import UserError
from hawp_core.runtime.machine_errors import MACHINE_ERRORS, in_words

R = TypeVar("R")

# Slurm's names for ends that snakemake-executor-plugin-slurm 2.8.0 does not take for ends, as ends that it knows:
# PREEMPTED, where preemption cancels, and NODE_FAIL, where Slurm does not start the job again. (A job that Slurm will
# start again is PENDING.) The plugin leaves both to Slurm, for ever.
ENDS = {"PREEMPTED": "CANCELLED", "NODE_FAIL": "FAILED"}

# How long cancelled jobs may take to go: KillWait, 30 s by default, after the signal on which they save their state.
CANCEL_SECONDS = 90
ANSWER_SECONDS = 30  # a Slurm that does not answer by then is not waited for

# Locks that this process holds until it ends, however it ends: the kernel releases them.
_held: list[IO[str]] = []


class CommonSettings(Protocol):
    """What an executor says of itself."""

    dryrun_exec: bool


class ExecutorPlugin(Protocol):
    """What carries out the jobs, as Snakemake hands it to `execute`."""

    common_settings: CommonSettings


def before_execution(execute: Callable[..., R], prepare: Callable[[ExecutorPlugin, object], None]) -> Callable[..., R]:
    """Wrap Snakemake's `Workflow.execute` so that `prepare(executor plugin, its settings)` is called first.

    While the Snakefile is read, Snakemake does not know yet whether this is a dry run (`workflow.dryrun` is False
    then), `--unlock`, `--report` or a run; `execute` is called by runs and dry runs only, before the lock is set.

    Raises:
        UserError: of `execute`, which would end in a traceback, what the machine refuses Snakemake itself.
    """

    def wrapped(*args: object, executor_plugin: ExecutorPlugin, executor_settings: object, **others: object) -> R:
        prepare(executor_plugin, executor_settings)
        try:
            return execute(*args, executor_plugin=executor_plugin, executor_settings=executor_settings, **others)
        except OSError as error:
            if error.errno in MACHINE_ERRORS:
                raise UserError(in_words(error)) from error
            raise

    return wrapped


def claim(folder: Path, job_name: str | None = None) -> list[str]:
    """Make this process a driver of the run in the working folder, and clear what dead drivers left behind.

    Every driver holds a shared lock on a file as long as it lives; who gets that lock alone knows that no other
    driver lives, on this machine or, where the file system shares locks, on another. Then Snakemake's lock files are
    removed, jobs that a dead driver submitted from this folder are cancelled and waited for, and results whose end it
    did not see are removed (`unfinished`). With another driver alive nothing is touched, and Snakemake's own lock decides.

    Args:
        folder: Snakemake's folder of state, `.snakemake`.
        job_name: how the names of the driver's Slurm jobs begin; None where jobs are not submitted to Slurm.

    Returns: what was cleared, in words; empty where there was nothing.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        lock = open(folder / "driver.lock", "a")  # noqa: SIM115 (held until the process ends)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}): run in a folder of your own.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError:
        alone = False
    except OSError:
        # A file system without locks: nobody can be known to be dead.
        lock.close()
        return []
    _held.append(lock)
    try:
        return _clear(folder, job_name) if alone else []
    finally:
        # Where another driver is clearing just now, this waits for it.
        fcntl.flock(lock, fcntl.LOCK_SH)


def _clear(folder: Path, job_name: str | None) -> list[str]:
    cleared = []
    locks = list((folder / "locks").glob("*"))
    for lock in locks:
        lock.unlink(missing_ok=True)
    if locks:
        cleared.append("its lock is removed")
    if job_name is not None and (orphans := _submitted(job_name)):
        _ask("scancel", *orphans)
        end = time.monotonic() + CANCEL_SECONDS
        while time.monotonic() < end and set(orphans) & set(_submitted(job_name)):
            time.sleep(1)
        cleared.append(f"its Slurm jobs {', '.join(orphans)} are cancelled")
    # After the jobs have ended: one of them may have put its result into place just now.
    for path in unfinished(folder):
        path.unlink(missing_ok=True)
    return cleared


def unfinished(folder: Path) -> list[Path]:
    """Files of the working folder that Snakemake began and, being killed, did not see finished.

    Snakemake makes such files anew, but where their readers take them as `ancient`, it plans nothing after them
    (version 9.27.1: a forced job hides the missing outputs downstream, and an ancient input that exists brings no
    reader back). Once they are removed, they are missing, and all is planned. What they were made from is kept.
    """
    found = []
    for marker in (folder / "incomplete").rglob("*"):
        if marker.is_file():
            # Snakemake's name of a marker: the path in URL-safe base64, in parts that a file system takes.
            encoded = "".join(part.removeprefix("@") for part in marker.relative_to(folder / "incomplete").parts)
            with contextlib.suppress(ValueError):
                path = Path(base64.urlsafe_b64decode(encoded).decode())
                if not path.is_absolute() and ".." not in path.parts and path.is_file():
                    found.append(path)
    return found


def _submitted(job_name: str) -> list[str]:
    """This user's Slurm jobs, waiting or running, that a driver submitted from the working folder."""
    # The plugin names the jobs of a run: prefix, underscore, a UUID.
    named = re.compile(re.escape(job_name) + r"_?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    jobs = []
    for line in _ask("squeue", "--noheader", f"--user={os.getuid()}", "--format=%i|%j|%Z").splitlines():
        job, name, place = line.strip().split("|", 2)
        if named.fullmatch(name) and Path(place).resolve() == Path.cwd():
            jobs.append(job)
    return jobs


def _ask(*command: str) -> str:
    """What a Slurm command prints; nothing where there is no Slurm, or it does not answer."""
    if shutil.which(command[0]) is None:
        return ""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS).stdout
    return ""


def understand_every_end(plugin: ModuleType | None = None) -> None:
    """Make the Slurm plugin take every end of a job for one, so that the driver does not wait for it for ever.

    Adds to its query of states (seen in version 2.8.0) the meaning of `ENDS`, and of sacct's `CANCELLED by 1000`,
    which the plugin compares with `CANCELLED`. Without the plugin there is nothing to do.
    """
    plugin = plugin or sys.modules.get("snakemake_executor_plugin_slurm")
    ask = getattr(plugin, "query_job_status", None)
    if plugin is None or ask is None:
        return

    async def query_job_status(*args: object, **others: object) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask(*args, **others)
        if states is not None:
            words = {job: state.split()[0] if state else state for job, state in states.items()}
            states = {job: ENDS.get(word, word) for job, word in words.items()}
        return states, seconds

    setattr(plugin, "query_job_status", query_job_status)  # noqa: B010 (the attribute of a module that is known at run time)
