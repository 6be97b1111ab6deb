"""The whole workflow, as a user runs it: rounds, nothing to do twice, labels that no division of the work changes; and killed
at any moment, the same command carries on and ends in the same bits."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from checkouts import checkout, configure, labels, snakemake

from hawp_core.model.checkpoint import load_checkpoint

# `make test-faults` kills twenty times.
KILLS = int(os.environ.get("HAWP_TEST_KILLS", 6))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, photographs) -> Path:
    """A run of two real rounds; what it said is in said.txt, and how many seconds it took in seconds.txt."""
    folder = checkout(tmp_path_factory.mktemp("run"))
    configure(folder, photographs)
    began = time.monotonic()
    finish(folder)
    (folder / "seconds.txt").write_text(str(time.monotonic() - began))
    return folder


@pytest.mark.slow
def test_two_rounds_leave_models_labels_and_measurements(finished):
    for n in range(3):
        assert len(list(finished.glob(f"exp-ssl/tiny-round{n}/*/model-*.pth"))) == 1
        assert len(list(finished.glob(f"exp-ssl/tiny-round{n}/*/evaluation-????????????????.json"))) == 1
        for suffix in ("h5", "yaml", "log"):
            assert len(list(finished.glob(f"data-ssl/tiny-round{n}/*-model-*.{suffix}"))) == 1
    assert all(len(rows) == 6 for rows in labels(finished).values())
    assert not list(finished.glob("data-ssl/*/*-shards/*"))


@pytest.mark.slow
def test_the_second_run_has_nothing_to_do(finished):
    for words in (["rounds=2"], []):
        run = snakemake(finished, *words)
        assert run.returncode == 0, run.stderr
        assert "Nothing to be done" in run.stderr + run.stdout


@pytest.mark.slow
def test_rounds_as_a_setting_means_the_same(finished):
    def planned(*words: str) -> set[str]:
        run = snakemake(finished, "-n", *words)
        assert run.returncode == 0, run.stdout + run.stderr
        return set(re.findall(r"^([a-z_]+) +\d+$", run.stdout + run.stderr, re.MULTILINE)) - {"all", "total"}

    # Of the run of one round, only its own report is missing.
    assert planned("--config", "rounds=1") == planned("rounds=1") == {"report"}
    assert (
        planned("--config", "rounds=3")
        == planned("rounds=3")
        == {"train", "export_shard", "export", "evaluate", "report"}
    )


@pytest.mark.slow
def test_a_run_of_another_name_on_other_photographs_does_not_train_round_0_again(finished, photographs, tmp_path):
    shutil.copytree(photographs / "sub", tmp_path / "others")
    run = snakemake(
        finished, "-n", "rounds=0", "--config", "name=other", f"photographs={{folder: {tmp_path / 'others'}}}"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    jobs = dict(re.findall(r"^([a-z_]+) +(\d+)$", run.stdout, re.MULTILINE))
    assert {name: jobs.get(name) for name in ("synthesize", "train", "export_shard", "evaluate")} == {
        "synthesize": None, "train": None, "export_shard": "1", "evaluate": "1",
    }  # fmt: skip
    [model], [other] = (list(finished.glob(f"exp-ssl/{name}-round0/*/model-*.pth")) for name in ("tiny", "other"))
    assert other.samefile(model)


@pytest.mark.slow
def test_other_shards_and_batches_give_the_same_labels(finished, tmp_path, photographs):
    folder = checkout(tmp_path / "again")
    shutil.copytree(photographs, tmp_path / "moved")
    changed = {"shard_size": 6, "export_batch": 3, "shape_shard_size": 16, "workers": 1}
    configure(folder, tmp_path / "moved", compute=changed, rounds=1)
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    again, before = labels(folder), labels(finished)
    assert len(again) == 2
    assert all(before[name] == rows for name, rows in again.items())


@pytest.mark.slow
def test_a_mistake_in_the_configuration_is_one_sentence(tmp_path, photographs):
    folder = checkout(tmp_path / "bad")
    configure(folder, photographs, export={"veiws": 3})
    run = snakemake(folder, "-n")
    assert run.returncode != 0
    assert "export.veiws is not a setting" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_kills_lose_nothing(finished, tmp_path, photographs):
    usual = float((finished / "seconds.txt").read_text())
    choose = random.Random(4)
    kills, runs = 0, []
    while kills < KILLS:
        killed = checkout(tmp_path / f"killed-{len(runs)}")
        configure(killed, photographs)
        runs.append(killed)
        # Short runs and long ones: the early stages are hit, and the late ones are reached.
        while kills < KILLS and kill_once(killed, usual * choose.uniform(0.03, 0.2), choose.random() < 0.7):
            kills += 1
        finish(killed)

    usual_jobs = ended(finished)
    for killed in runs:
        one, other = weights(finished), weights(killed)
        assert one.keys() == other.keys()
        for key in one:
            assert all(torch.equal(one[key][name], other[key][name]) for name in one[key]), key
        assert labels(finished) == labels(killed)
        jobs = ended(killed)
        for rule, count in usual_jobs.items():
            # A job whose end the killed driver did not live to see finds its result, and ends once more. How often at least
            # is not asked: a driver may be killed after it has noted an end and before it says so.
            assert jobs.get(rule, 0) <= count + 2, (rule, jobs, usual_jobs)


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


def ended(folder: Path) -> dict[str, int]:
    """How often jobs of each rule ended, over all attempts."""
    counts: dict[str, int] = {}
    for rule in re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", (folder / "said.txt").read_text()):
        counts[rule] = counts.get(rule, 0) + 1
    return counts
