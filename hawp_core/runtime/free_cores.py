"""How many CPU cores a process may take without getting in the way of the others: threads that share a core wait for each other."""

import math
import os
import time
from pathlib import Path
from typing import NamedTuple

_LOOK_SECONDS = 0.1  # between two looks at what the cores do; the kernel counts in hundredths
_FOLLOW_SECONDS = 1.0  # between two looks of a computation that follows what is free
# Of a core's time that others use: more, and it is theirs; less, and it is free again. In between nothing changes.
_TAKEN, _GIVEN_BACK = 0.5, 0.25
_IDLE = (3, 4)  # of the numbers of a core in /proc/stat: idle, and idle while a disk is waited for (proc_stat(5))
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def granted_cores() -> set[int]:
    """Numbers of the cores that this process may use: those granted to it where the system says so, else all."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def free_cores() -> int:
    """At least one, of the cores that this process may use (affinity, control group) those that nobody uses just now."""
    try:
        before = _look()
        time.sleep(_LOOK_SECONDS)
        idle = idle_cores(before.cores, _look().cores, before.granted)
        return max(1, int(min(round(idle), before.limit)))
    except OSError:  # another system than Linux, or a sandbox that hides them
        return len(granted_cores())


class FreeCores:
    """The cores that others leave this process while it computes, its own loaders being others.

    Threads that share a core with another program keep the rest waiting at every operation (benchmarks/RESULTS.md).

    Args:
        threads: that it computes with at first.
    """

    def __init__(self, threads: int) -> None:
        self._threads = self._least = self._most = threads
        try:
            self._before: _Look | None = _look()
        except OSError:  # as in `free_cores`: there is nothing to follow
            self._before = None

    def changed(self) -> int | None:
        """How many threads it should have from now on, where that is another number than before; cheap to ask."""
        if self._before is None or time.monotonic() - self._before.time < _FOLLOW_SECONDS:
            return None
        try:
            before, self._before = self._before, _look()
        except OSError:
            return None
        threads = followed(self._threads, before, self._before)
        if threads == self._threads:
            return None
        self._threads, self._least, self._most = threads, min(threads, self._least), max(threads, self._most)
        return threads

    @property
    def said(self) -> str:
        """How many threads there were, in words."""
        return f"{self._least} to {self._most} threads" if self._least < self._most else f"{self._threads} thread(s)"


class _Look(NamedTuple):
    """What the cores have done so far, and this process on them.

    Attributes:
        time: of the clock, seconds.
        own: CPU seconds of this process, over all its threads.
        granted: numbers of the cores that it may use.
        limit: how many of them at a time.
        cores: from `_cores`.
    """

    time: float
    own: float
    granted: set[int]
    limit: float
    cores: dict[int, list[int]]


def _look() -> _Look:
    """Raises OSError where the system does not show it."""
    granted = granted_cores()
    limit = min(len(granted), quota(_CONTROL_GROUPS, Path("/proc/self/cgroup").read_text()))
    return _Look(time.monotonic(), time.process_time(), granted, limit, _cores(Path("/proc/stat").read_text()))


def followed(threads: int, before: _Look, after: _Look) -> int:
    """How many threads to compute with, of `threads` so far: at least one, and as many as had room between two looks."""
    # What this process had, and what nobody wanted.
    room = (after.own - before.own) / (after.time - before.time)
    room += idle_cores(before.cores, after.cores, after.granted)
    most = int(min(room + _TAKEN, after.limit))
    least = int(min(room + _GIVEN_BACK, after.limit))
    return max(1, min(max(threads, least), most))


def idle_cores(before: dict[int, list[int]], after: dict[int, list[int]], among: set[int]) -> float:
    """How many of the cores `among` went unused between two readings of `_cores`."""
    shares = []
    for core in among & before.keys() & after.keys():
        spent = [new - old for old, new in zip(before[core], after[core], strict=True)]
        shares.append(sum(spent[i] for i in _IDLE) / sum(spent) if sum(spent) else 1.0)
    return sum(shares) + len(among - before.keys())


def quota(groups: Path, own: str) -> float:
    """Cores' worth of time that the control groups of a process allow it (cgroup v2, `cpu.max`); infinite without a limit.

    Args:
        groups: where they are mounted.
        own: what /proc/self/cgroup says.
    """
    place = next((line[3:] for line in own.splitlines() if line.startswith("0::")), "/").lstrip("/")
    least = math.inf
    for folder in (groups / place, *(groups / place).parents):
        if not folder.is_relative_to(groups):
            break
        if (file := folder / "cpu.max").is_file():
            most, period = file.read_text().split()
            least = min(least, math.inf if most == "max" else int(most) / int(period))
    return least


def _cores(text: str) -> dict[int, list[int]]:
    """From /proc/stat, what each core spent its time on, hundredths of seconds; guests' time is in the users' already."""
    rows = [line.split() for line in text.splitlines() if line.startswith("cpu") and line[3].isdigit()]
    return {int(row[0][3:]): [int(number) for number in row[1:9]] for row in rows}
