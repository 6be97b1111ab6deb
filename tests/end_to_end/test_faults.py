"""Kill anything at any moment: the same command carries on, and ends in the same bits."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from checkouts import checkout, configure, labels

from hawp_core.model.checkpoint import load_checkpoint

# `make test-faults` kills twenty times.
KILLS = int(os.environ.get("HAWP_TEST_KILLS", 6))


def start(folder: Path) -> subprocess.Popen:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with open(folder / "said.txt", "a") as said:
        return subprocess.Popen(
            ["snakemake", "rounds=2", "--profile", "profiles/local", "--configfile", "tiny.yaml"],
            cwd=folder, env={**os.environ, "PATH": path}, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
        except OSError:
            continue
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def finish(folder: Path) -> None:
    driver = start(folder)
    assert driver.wait(timeout=600) == 0, (folder / "said.txt").read_text()[-4000:]


def weights(folder: Path) -> dict:
    found = {}
    for path in sorted(folder.glob("exp-ssl/*/*/model-*.pth")):
        found[path.parent.name] = load_checkpoint(path)[0].state_dict()
    return found


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_kills_lose_nothing(tmp_path, photographs):
    changes = {"train": {"real": {"epochs": 2, "batch_size": 4, "flips": 1}}}
    whole = checkout(tmp_path / "whole")
    configure(whole, photographs, **changes)
    began = time.monotonic()
    finish(whole)
    usual = time.monotonic() - began

    choose = random.Random(4)
    kills, runs = 0, []
    while kills < KILLS:
        killed = checkout(tmp_path / f"killed-{len(runs)}")
        configure(killed, photographs, **changes)
        runs.append(killed)
        # Short runs and long ones: the early stages are hit, and the late ones are reached.
        while kills < KILLS and kill_once(killed, usual * choose.uniform(0.03, 0.2), choose.random() < 0.7):
            kills += 1
        finish(killed)

    usual_jobs = finished(whole)
    for killed in runs:
        one, other = weights(whole), weights(killed)
        assert one.keys() == other.keys()
        for key in one:
            assert all(torch.equal(one[key][name], other[key][name]) for name in one[key]), key
        assert labels(whole) == labels(killed)
        jobs = finished(killed)
        for rule, count in usual_jobs.items():
            # A job whose end the killed driver did not live to see finds its result, and ends once more.
            assert count <= jobs[rule] <= count + 2, (rule, jobs, usual_jobs)


def kill_once(folder: Path, seconds: float, everything: bool) -> bool:
    """Start a run and kill it after a while; whether it was still running.

    Everything at once, as when a machine goes down; or the driver alone, whose jobs go on without it.
    """
    driver = start(folder)
    time.sleep(seconds)
    if driver.poll() is not None:
        assert driver.returncode == 0, (folder / "said.txt").read_text()[-4000:]
        return False
    kill(family(driver.pid) if everything else [driver.pid])
    driver.wait()
    return True


def finished(folder: Path) -> dict[str, int]:
    """How often jobs of each rule ended, over all attempts."""
    counts: dict[str, int] = {}
    for rule in re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", (folder / "said.txt").read_text()):
        counts[rule] = counts.get(rule, 0) + 1
    return counts
