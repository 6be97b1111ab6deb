"""A lease against two writers: the right to make an artifact, taken over only from the dead."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock
import psutil

from hawp_core.runtime.files import parse_json, read_limited, write_text
from hawp_core.runtime.signals import StopRequest
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed

BEAT_SECONDS = 20  # how often a lease's holder shows that it lives
LARGEST = 2**16  # bytes of a lease
_PROCESSES = Path("/proc")  # Linux has it
SILENCE_SECONDS = 180  # a holder on another machine that Slurm cannot vouch for is dead after this


def _process_start(pid: int) -> str | None:
    """When process `pid` of this machine started: tells a reused number apart. None: no such."""
    try:
        if _PROCESSES.is_dir():
            # In kernel ticks since the machine started, which setting the clock does not change.
            return (_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
        return str(psutil.Process(pid).create_time())
    except (OSError, IndexError, psutil.Error):
        return None


@dataclass(frozen=True)
class _Holder:
    """Who holds a lease: a process by its number and its start, and the Slurm job that it belongs to."""

    host: str
    pid: int
    started: str | None
    slurm_job: str | None

    @classmethod
    def this(cls) -> "_Holder":
        """This process."""
        return cls(socket.gethostname(), os.getpid(), _process_start(os.getpid()), os.environ.get("SLURM_JOB_ID"))

    @classmethod
    def read(cls, lease: Path) -> "_Holder | None":
        """Who wrote `lease`; None where there is none, or it is damaged: leases appear whole, so no living process's is.

        Raises:
            OSError: it is there and cannot be read.
        """
        try:
            return typed(cls, parse_json(read_limited(lease, LARGEST)))
        except (FileNotFoundError, ValueError):
            return None

    def __str__(self) -> str:
        job = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return shown(f"process {self.pid} on {self.host}{job}")


def _slurm_alive(job: str) -> bool | None:
    """Whether Slurm still runs (or is ending) the job; None where Slurm cannot be asked."""
    if shutil.which("squeue") is None or not re.fullmatch(r"\d+(_\d+)?", job):
        return None
    try:
        answer = subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return None
    return answer.stdout.strip() in {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"}


def _alive(lease: Path, holder: _Holder) -> bool:
    """Whether the process that wrote `lease` still works."""
    if holder.host == socket.gethostname():
        return holder.started is not None and _process_start(holder.pid) == holder.started
    # Of this very job, requeued from a node that was cut off, Slurm cannot tell: the earlier run may still write.
    if holder.slurm_job and holder.slurm_job != os.environ.get("SLURM_JOB_ID"):
        alive = _slurm_alive(holder.slurm_job)
        if alive is not None:
            return alive
    try:
        return time.time() - lease.stat().st_mtime < SILENCE_SECONDS
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def lease(
    folder: Path,
    *,
    stop: StopRequest | None = None,
    say: Callable[[str], None] | None = None,
    poll: float = 2.0,
    passing: bool = False,
) -> Iterator[None]:
    """Hold the right to write an artifact whose working state lies in `folder`.

    Waits while another living process holds it, and takes it over when its holder is dead: its process is gone,
    Slurm no longer runs its job, or (on another machine that Slurm does not know) it fell silent.

    Args:
        passing: the folder is there for the lease alone, and goes with it.

    Raises:
        Interrupted: asked to stop while waiting.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lease.json"
    told = False
    while not _take(path):
        if not told:
            (say or (lambda text: print(text, file=sys.stderr)))(
                f"waiting for {_Holder.read(path) or 'another process'}, which works on {folder}"
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
        with contextlib.suppress(OSError):
            _give_back(path, passing)


def _take(path: Path) -> bool:
    """Write the lease if it is free or its holder is dead. The check and the write are one step under a file lock."""
    # The holder that was waited for may have removed the folder, with all that it no longer needed.
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_suffix(".lock")):
        holder, mine = _Holder.read(path), _Holder.this()
        if holder and (holder.pid, holder.host) != (mine.pid, mine.host) and _alive(path, holder):
            return False
        write_text(path, json.dumps(asdict(mine)))
    return True


def _give_back(path: Path, passing: bool) -> None:
    """Remove the lease, unless another process took it over, thinking that this one was dead."""
    # Who holds it may have removed the folder, which a lock would make anew.
    if not path.exists():
        return
    with filelock.FileLock(path.with_suffix(".lock")):
        if _Holder.read(path) == _Holder.this():
            path.unlink()
            if passing:
                # While it is held: whoever waits for it sees that it is gone, and makes a new one.
                path.with_suffix(".lock").unlink()
                path.parent.rmdir()


def worker(folder: Path) -> str | None:
    """Who works in `folder`, in words; None where nobody does, or only a dead process's lease is left."""
    path = folder / "lease.json"
    try:
        holder = _Holder.read(path)
    except OSError:
        return None
    return str(holder) if holder and _alive(path, holder) else None
