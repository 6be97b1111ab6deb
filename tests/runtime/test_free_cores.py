"""A job takes the cores that others leave it."""

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hawp_core.runtime.free_cores import (
    FreeCores,
    _cores,
    _Look,
    followed,
    free_cores,
    granted_cores,
    idle_cores,
    quota,
)

# user nice system idle iowait irq softirq steal guest guest_nice
BEFORE = "cpu  20 0 0 40 0 0 0 0 0 0\ncpu0 10 0 0 20 0 0 0 0 0 0\ncpu1 10 0 0 20 0 0 0 0 0 0\nintr 7\n"
AFTER = "cpu  30 0 0 50 0 0 0 0 0 0\ncpu0 20 0 0 20 0 0 0 0 0 0\ncpu1 10 0 0 28 2 0 0 0 0 0\nintr 9\n"


def test_a_busy_core_is_not_free():
    before, after = _cores(BEFORE), _cores(AFTER)
    assert idle_cores(before, after, {0, 1}) == 1
    assert idle_cores(before, after, {0}) == 0
    assert idle_cores(before, before, {0, 1}) == 2


def test_the_tightest_limit_of_the_control_groups_counts(tmp_path):
    inner = tmp_path / "job" / "step"
    inner.mkdir(parents=True)
    assert quota(tmp_path, "0::/job/step\n") == math.inf
    (inner / "cpu.max").write_text("max 100000\n")
    (tmp_path / "job" / "cpu.max").write_text("250000 100000\n")
    assert quota(tmp_path, "1:cpu:/elsewhere\n0::/job/step\n") == 2.5
    assert quota(tmp_path, "0::/\n") == math.inf


def test_there_is_always_a_core():
    assert 1 <= free_cores() <= len(granted_cores())


def looks(own: float, others: float, *, cores: int = 2, limit: float = 64) -> tuple[_Look, _Look]:
    """Two looks a second apart, between which this process and the others used so many cores' time."""
    hundredths = round(100 * (own + others) / cores)
    spent = [hundredths, 0, 0, 100 - hundredths, 0, 0, 0, 0]
    return tuple(
        _Look(
            seconds,
            own * seconds,
            set(range(cores)),
            min(limit, cores),
            {i: [n * seconds for n in spent] for i in range(cores)},
        )
        for seconds in (0, 1)
    )


@pytest.mark.parametrize(
    ("threads", "own", "others", "then"),
    [
        (2, 2.0, 0.0, 2),
        (2, 1.1, 0.2, 2),  # its own threads wait for each other, or a loader works a little
        (2, 1.3, 0.7, 1),  # one neighbour, which both its cores share
        (2, 1.0, 1.0, 1),
        (1, 1.0, 1.0, 1),
        (1, 0.6, 1.4, 1),  # two neighbours
        (1, 1.0, 0.5, 1),  # in between nothing changes
        (2, 1.5, 0.5, 2),
        (1, 1.0, 0.1, 2),  # they have gone
    ],
)
def test_threads_follow_what_others_leave(threads, own, others, then):
    assert followed(threads, *looks(own, others)) == then


def test_threads_do_not_outgrow_what_is_granted():
    assert followed(1, *looks(1.0, 0.0, cores=8, limit=2.5)) == 2


@pytest.mark.skipif(
    len(granted_cores()) == 1 or not Path("/proc/stat").exists(), reason="nothing to give up, or to see"
)
def test_a_neighbour_that_joins_is_noticed():
    cores = len(granted_cores())
    room = FreeCores(cores)
    busy = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(cores)]
    try:
        while (found := room.changed()) is None:
            time.sleep(0.1)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert 1 <= found < cores
    assert room.said == f"{found} to {cores} threads"
