"""How many CPU cores a process may take without getting in the way of the others: threads that share a core wait for each other."""

import math
import os
import time
from pathlib import Path

_LOOK_SECONDS = 0.1  # between two looks at what the cores do; the kernel counts in hundredths
_IDLE = (3, 4)  # of the numbers of a core in /proc/stat: idle, and idle while a disk is waited for (proc_stat(5))
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def granted_cores() -> set[int]:
    """Numbers of the cores that this process may use: those granted to it where the system says so, else all."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def free_cores() -> int:
    """At least one, of the cores that this process may use (affinity, control group) those that nobody uses just now."""
    granted = granted_cores()
    try:
        before = _cores(Path("/proc/stat").read_text())
        time.sleep(_LOOK_SECONDS)
        idle = idle_cores(before, _cores(Path("/proc/stat").read_text()), granted)
        limit = quota(_CONTROL_GROUPS, Path("/proc/self/cgroup").read_text())
    except OSError:  # another system than Linux, or a sandbox that hides them
        return len(granted)
    return max(1, int(min(round(idle), limit)))


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
