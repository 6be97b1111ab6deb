"""Carrying on after a kill: a journal of finished images, a lease against two writers, and signals that ask to stop."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from hawp_core.errors import Interrupted, UserError
from hawp_core.files import write_text

# Signals that schedulers send before they kill: Slurm at the time limit, on preemption and on scancel.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

BEAT_SECONDS = 20  # how often a lease's holder shows that it lives
SILENCE_SECONDS = 180  # a holder on another machine that Slurm cannot vouch for is dead after this


class StopRequest:
    """Whether a signal has asked this process to save its state and stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def check(self, saved: str) -> None:
        """Raise `Interrupted` once a signal came; `saved` says what the next run carries on from."""
        if self.signal is not None:
            raise Interrupted(
                f"stopped by {signal.Signals(self.signal).name}; {saved}: the same command carries on from there."
            )


@contextlib.contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the stop signals into a request that the work looks at between two steps."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _frame: object) -> None:
        request.signal = number

    previous = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Journal:
    """Append-only JSON lines, each with its checksum: what was finished stays finished, whatever is killed.

    A line cut short by a kill or a full disk is dropped when the journal is opened again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records: list[dict] = []
        whole = 0
        if path.exists():
            data = path.read_bytes()
            for line in data.splitlines(keepends=True):
                record = _checked(line)
                if record is None:
                    break
                self.records.append(record)
                whole += len(line)
            if whole < len(data):
                os.truncate(path, whole)
        self._stream = open(path, "ab")  # noqa: SIM115 (closed by close())
        self._whole = whole

    def extend(self, records: list[dict]) -> None:
        """Add records; they are on the disk when this returns.

        Raises:
            UserError: the disk is full or the folder cannot be written; nothing earlier is lost.
        """
        bodies = [json.dumps(record, separators=(",", ":")) for record in records]
        lines = "".join(f"{zlib.crc32(body.encode()):08x} {body}\n" for body in bodies).encode()
        try:
            self._stream.write(lines)
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self.path, self._whole)
            raise UserError(
                f"{self.path} could not be written ({error.strerror}): free space or permission there, then run the "
                f"same command again; {len(self.records)} finished images are kept."
            ) from error
        self._whole += len(lines)
        self.records.extend(records)

    def close(self) -> None:
        """Close the file; the journal stays on the disk."""
        with contextlib.suppress(OSError):
            self._stream.close()


def _checked(line: bytes) -> dict | None:
    """The record of a whole, unaltered journal line; None otherwise."""
    if not line.endswith(b"\n") or len(line) < 10:
        return None
    if line[:9] != f"{zlib.crc32(line[9:-1]):08x} ".encode():
        return None
    try:
        return json.loads(line[9:-1])
    except ValueError:
        return None


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
