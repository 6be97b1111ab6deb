"""A lease against two writers: the right to make an artifact, taken over only from the dead."""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hawp_core.runtime.files import write_text
from hawp_core.runtime.signals import StopRequest

BEAT_SECONDS = 20  # how often a lease's holder shows that it lives
SILENCE_SECONDS = 180  # a holder on another machine that Slurm cannot vouch for is dead after this


def _process_start(pid: int) -> str | None:
    """When process `pid` of this machine started, in kernel ticks: tells a reused number apart. None: no such."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _holder() -> dict:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _process_start(os.getpid()),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


def _slurm_alive(job: str) -> bool | None:
    """Whether Slurm still runs (or is ending) the job; None where Slurm cannot be asked."""
    if shutil.which("squeue") is None:
        return None
    try:
        answer = subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return None
    return answer.stdout.strip() in {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"}


def _alive(lease: Path, holder: dict) -> bool:
    """Whether the process that wrote `lease` still works."""
    if holder.get("host") == socket.gethostname():
        return holder.get("started") is not None and _process_start(holder["pid"]) == holder["started"]
    # Of this very job, requeued from a node that was cut off, Slurm cannot tell: the earlier run may still write.
    if holder.get("slurm_job") and holder["slurm_job"] != os.environ.get("SLURM_JOB_ID"):
        alive = _slurm_alive(holder["slurm_job"])
        if alive is not None:
            return alive
    try:
        return time.time() - lease.stat().st_mtime < SILENCE_SECONDS
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def lease(
    folder: Path, *, stop: StopRequest | None = None, say: Callable[[str], None] | None = None, poll: float = 2.0
) -> Iterator[None]:
    """Hold the right to write an artifact whose working state lies in `folder`.

    Waits while another living process holds it, and takes it over when its holder is dead: its process is gone,
    Slurm no longer runs its job, or (on another machine that Slurm does not know) it fell silent.

    Raises:
        Interrupted: asked to stop while waiting.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lease.json"
    told = False
    while not _take(path):
        if not told:
            (say or (lambda text: print(text, file=sys.stderr)))(
                f"waiting for {_describe(path)}, which works on {folder}"
            )
            told = True
        if stop is not None:
            stop.check("nothing was begun")
        time.sleep(poll)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        # Not if another process took it over, thinking that this one was dead.
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text()) == _holder():
                path.unlink()


def _take(path: Path) -> bool:
    """Write the lease if it is free or its holder is dead. The check and the write are one step under a file lock."""
    # The holder that was waited for may have removed the folder, with all that it no longer needed.
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            holder = json.loads(path.read_text())
        except FileNotFoundError:
            holder = None
        except ValueError:
            holder = {}
        mine = _holder()
        if holder and (holder["pid"], holder["host"]) != (mine["pid"], mine["host"]) and _alive(path, holder):
            return False
        write_text(path, json.dumps(mine))
    return True


def worker(folder: Path) -> str | None:
    """Who works in `folder`, in words; None where nobody does, or only a dead process's lease is left."""
    path = folder / "lease.json"
    try:
        holder = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return _describe(path) if _alive(path, holder) else None


def _describe(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
    except (OSError, ValueError):
        return "another process"
    job = f", Slurm job {holder['slurm_job']}" if holder.get("slurm_job") else ""
    return f"process {holder['pid']} on {holder['host']}{job}"
