"""A job takes the cores that others leave it."""

import math

from hawp_core.runtime.free_cores import _cores, free_cores, granted_cores, idle_cores, quota

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
