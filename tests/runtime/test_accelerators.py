"""What a machine computes with, by what it says of itself."""

import glob
import os
import sys

import pytest

from hawp_core.runtime.accelerators import accelerators


@pytest.mark.parametrize(
    ("named", "devices", "platform", "count"),
    [
        (None, ["/dev/nvidia0", "/dev/nvidia1"], "linux", 2),
        ("1", ["/dev/nvidia0", "/dev/nvidia1"], "linux", 1),
        ("", ["/dev/nvidia0"], "linux", 0),
        (None, [], "darwin", 1),
        (None, [], "win32", 0),
    ],
)
def test_gpus_are_those_that_a_job_may_use(monkeypatch, named, devices, platform, count):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    monkeypatch.setattr(glob, "glob", lambda pattern: devices)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setattr(sys, "platform", platform)
    assert accelerators() == count
