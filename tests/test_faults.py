"""Kill anything at any moment: the same command carries on, and ends in the same bits."""

import json
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
from test_workflow import checkout, configure, labels

from hawp_core.checkpoint import load_checkpoint

KILLS = 20
# A run of two rounds takes this many jobs; a killed driver may miss that the last one was done.
PATIENCE = 60


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
def test_twenty_kills_lose_nothing(tmp_path, photographs):
    whole, killed = checkout(tmp_path / "whole"), checkout(tmp_path / "killed")
    for folder in (whole, killed):
        configure(folder, photographs, train={"real": {"epochs": 2, "batch_size": 4, "flips": 1}})
    began = time.monotonic()
    finish(whole)
    usual = time.monotonic() - began

    choose = random.Random(4)
    kills = 0
    while kills < KILLS:
        driver = start(killed)
        # Moments are drawn over the whole run, so that every stage is hit; what is done makes each run shorter.
        time.sleep(choose.uniform(0.05, 0.25) * usual)
        if driver.poll() is not None:
            assert driver.returncode == 0
            break
        members = family(driver.pid)
        # All at once, as when a machine goes down; or the driver alone, whose job goes on without it.
        kill(members if choose.random() < 0.7 else [driver.pid])
        driver.wait()
        kills += 1
    finish(killed)

    one, other = weights(whole), weights(killed)
    assert one.keys() == other.keys()
    for key in one:
        assert all(torch.equal(one[key][name], other[key][name]) for name in one[key]), key
    assert labels(whole) == labels(killed)
    assert kills >= KILLS // 2, f"only {kills} kills fell into the run"

    def finished(folder: Path) -> dict[str, int]:
        counts: dict[str, int] = {}
        for rule in re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", (folder / "said.txt").read_text()):
            counts[rule] = counts.get(rule, 0) + 1
        return counts

    usual_jobs, jobs = finished(whole), finished(killed)
    for rule, count in usual_jobs.items():
        # A job whose end the driver did not live to see finds its result and ends again.
        assert jobs[rule] <= count + 1, (rule, jobs, usual_jobs)
    for record in killed.glob("exp-ssl/*/*/lineage.json"):
        assert json.loads(record.read_text())["counts"]["steps"] > 0
