"""`snakemake --profile slurm rounds=N` on a real Slurm: two rounds, and a run that everything happens to.

The profile is the committed one but for the seconds between two questions to Slurm, and the published recipe is
replaced by the tiny one, as users put theirs there: the command is the literal one.
"""

import asyncio
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from checkouts import checkout, configure
from cluster import NODES, Cluster, wait_until
from snakemake_executor_plugin_slurm import job_status_query

from hawp_core.model.checkpoint import load_state
from hawp_core.runtime.files import read_json
from hawp_core.workflow import driver

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
BIN = Path(sys.executable).parent
FEW_JOBS = {"shard_size": 2, "shape_shard_size": 100}
# The plugin asks Slurm after so many seconds, and then waits 10 longer each time: a job of these tests, 9 to 16 seconds of
# starting Python, has ended by its second question.
SECONDS = 4
PATIENCE = 240  # seconds that a job may take to be submitted, to start and to get to work on a busy machine

# Long enough to be hit again and again, also where Slurm takes half a minute to notice that the time is over: 24 steps
# an epoch; photographs with 401 views.
PER_SHARD = 120
SHAPES = {"train": 12, "validation": 1, "canvas": [120, 160]}
STEPS = 24 * 60
LONG = {"synthetic": {"epochs": 60, "batch_size": 4, "base_lr": 0.001, "steps": [40]}}
SLOW = {"views": 400, "min_score": 0.0}


class Run:
    """A checkout whose workflow runs on the cluster."""

    def __init__(self, cluster: Cluster, folder: Path, rounds: int, photographs: Path, **changes: object) -> None:
        self.cluster, self.folder = cluster, folder
        self.command = ["snakemake", "--profile", "slurm", f"rounds={rounds}"]
        self.driver: subprocess.Popen | None = None
        self.kept: dict[str, int] = {}
        checkout(folder)
        for name in ("config", "profiles", "slurm"):
            original = (folder / name).resolve()
            (folder / name).unlink()
            if name != "slurm":
                shutil.copytree(original, folder / name)
        (folder / "slurm").symlink_to("profiles/slurm")
        profile = folder / "profiles" / "slurm" / "config.yaml"
        often = re.sub(r"(?m)^(slurm-init-seconds-before-status-checks:) \d+$", rf"\1 {SECONDS}", profile.read_text())
        assert often != profile.read_text()
        profile.write_text(often)
        configure(folder, photographs, shapes=SHAPES, **changes).rename(folder / "config" / "hawpv3.yaml")

    def start(self) -> None:
        """Start the driver unless it is running."""
        if self.driver is None or self.driver.poll() is not None:
            env = self.cluster.env | {"PATH": f"{BIN}{os.pathsep}{self.cluster.env['PATH']}"}
            with open(self.folder / "said.txt", "a") as said:
                self.driver = subprocess.Popen(
                    self.command, cwd=self.folder, env=env, stdout=said, stderr=said, start_new_session=True,
                    preexec_fn=_mind_the_terminal,
                )  # fmt: skip

    def finish(self) -> None:
        """Let the driver come to its end, which is a good one."""
        self.start()
        assert self.driver.wait(timeout=800) == 0, self.said[-6000:]

    def stop(self) -> None:
        """Kill the driver, if it runs."""
        if self.driver is not None:
            self.driver.kill()
            self.driver.wait()

    @property
    def said(self) -> str:
        """What the drivers have printed."""
        return (self.folder / "said.txt").read_text()

    def running(self, rule: str) -> dict[str, str]:
        """The node of each running job of a rule."""
        lines = self.cluster.run("squeue", "--noheader", "--states=R", "--format=%i|%N|%k|%Z").splitlines()
        rows = [line.split("|") for line in lines]
        return {job: node for job, node, what, where in rows if what.startswith(f"rule_{rule}_") and where == self.at}

    def minutes(self, job: str) -> int:
        """The time limit of a job, below an hour."""
        return int(self.cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%l").partition(":")[0])

    @property
    def at(self) -> str:
        return str(self.folder)

    def wait(self, condition, what: str):
        """Wait for what only a living driver brings about; returns what `condition` then says."""

        def met() -> bool:
            assert self.driver.poll() is None, f"the driver ended before {what}:\n{self.said[-6000:]}"
            return bool(condition())

        wait_until(met, what, PATIENCE)
        return condition()

    def training(self) -> tuple[str, str, int]:
        """Wait for a training at work that has saved its state; returns its job, its node and the step saved last."""
        self.start()
        job, node = next(iter(self.wait(lambda: self.running("train"), "a running training").items()))
        state = next(iter(self.folder.glob("exp-ssl/*/*/resume.pth")), None)
        before = state.stat().st_mtime_ns if state else 0

        def saved() -> bool:
            return any(file.stat().st_mtime_ns > before for file in self.folder.glob("exp-ssl/*/*/resume.pth"))

        self.wait(saved, "a saved state")
        return job, node, load_state(next(self.folder.glob("exp-ssl/*/*/resume.pth")))["at"]["step"]

    def labelling(self, count: int) -> dict[str, tuple[str, str]]:
        """Wait for so many shards to be at work at once; returns each job's node and shard."""
        self.start()
        before = self.labelled()
        at_work: dict[str, tuple[str, str]] = {}

        def met() -> bool:
            now, running = self.labelled(), self.running("export_shard")
            for job, node in running.items():
                for log in self.folder.glob(f"logs/slurm/rule_export_shard/*/{job}.log"):
                    shard = "-of-".join(log.parent.name.split("_")[-2:])
                    if now.get(shard, 0) > before.get(shard, 0):
                        at_work[job] = (node, shard)
            for job in at_work.keys() - running.keys():
                del at_work[job]
            return len(at_work) >= count

        self.wait(met, f"{count} shards at work")
        return at_work

    def labelled(self) -> dict[str, int]:
        """Photographs in the journal of each shard."""
        journals = self.folder.glob("data-ssl/*/*-shards/*.h5.work/*.jsonl")
        return {path.parent.name.removesuffix(".h5.work"): path.read_bytes().count(b"\n") for path in journals}

    def logs(self, rule: str) -> dict[str, str]:
        """The text of each job's log, by job."""
        found = sorted(self.folder.glob(f"logs/slurm/rule_{rule}/*/*.log"), key=lambda path: int(path.stem))
        return {path.stem: path.read_text() for path in found}

    def resumed(self) -> list[int]:
        """The steps after which trainings have carried on, in order."""
        return [
            int(n) for text in self.logs("train").values() for n in re.findall(r"carrying on after step (\d+)", text)
        ]

    def wait_until_resumed(self, times: int) -> int:
        """Wait until a training carries on for the n-th time; returns the step after which it does."""
        return self.wait(lambda: len(self.resumed()) >= times and self.resumed(), "a training that carries on")[-1]


def _mind_the_terminal() -> None:
    """Let SIGHUP end the driver, also where the tests themselves were started with nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module")
def many(photographs, tmp_path_factory) -> Path:
    """A folder of photographs for two shards."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(2 * PER_SHARD):
        shutil.copy(photographs / "a.jpg", folder / f"{i:02d}.jpg")
    return folder


@pytest.fixture(scope="module")
def calm(cluster: Cluster, photographs, tmp_path_factory) -> Iterator[Run]:
    """Two rounds that nothing happens to."""
    run = Run(cluster, tmp_path_factory.mktemp("calm") / "run", 2, photographs, compute=FEW_JOBS)
    run.finish()
    yield run
    run.stop()


def test_two_rounds_run_with_a_gpu_for_each_job_that_computes(calm: Run):
    for n in range(3):
        assert len(list(calm.folder.glob(f"exp-ssl/tiny-round{n}/*/model-*.pth"))) == 1
        assert len(list(calm.folder.glob(f"exp-ssl/tiny-round{n}/*/evaluation-????????????????.json"))) == 1
        assert len(list(calm.folder.glob(f"data-ssl/tiny-round{n}/*-model-*.h5"))) == 1
    assert len(list(calm.folder.glob("reports/tiny/*/rounds.html"))) == 1
    jobs = {
        "train": 3,
        "export_shard": 9,
        "evaluate": 3,
        "export": 3,
        "synthesize_shard": 2,
        "synthesize": 1,
        "report": 1,
    }
    for rule, count in jobs.items():
        assert len(calm.logs(rule)) == count, rule
        for job in calm.logs(rule):
            [row] = calm.cluster.record(job)
            assert row["State"] == "COMPLETED"
            assert ("gres/gpu=1" in row["AllocTRES"].split(",")) == (rule in ("train", "export_shard", "evaluate"))


def test_shards_run_on_both_nodes(calm: Run):
    assert {calm.cluster.record(job)[-1]["NodeList"] for job in calm.logs("export_shard")} == set(NODES)


def test_the_second_call_has_nothing_to_do(calm: Run):
    before = len(calm.said)
    calm.finish()
    assert "Nothing to be done" in calm.said[before:]
    assert "the last run was killed" not in calm.said


@pytest.mark.slow
def test_a_run_of_another_name_on_other_photographs_does_not_train_round_0_again(calm: Run, photographs, tmp_path):
    before = {rule: len(calm.logs(rule)) for rule in ("synthesize_shard", "synthesize", "train", "export_shard")}
    configure(calm.folder, photographs / "sub", shapes=SHAPES, name="other", compute=FEW_JOBS).rename(
        calm.folder / "config" / "hawpv3.yaml"
    )
    calm.command[-1] = "rounds=0"
    calm.finish()
    after = {rule: len(calm.logs(rule)) - count for rule, count in before.items()}
    assert after == {"synthesize_shard": 0, "synthesize": 0, "train": 0, "export_shard": 2}
    [model] = calm.folder.glob("exp-ssl/other-round0/*/model-*.pth")
    assert any(model.samefile(each) for each in calm.folder.glob("exp-ssl/tiny-round0/*/model-*.pth"))


@pytest.fixture(scope="module")
def rough(cluster: Cluster, calm: Run, many: Path, tmp_path_factory) -> Iterator[Run]:
    """A run that everything happens to: each of the tests below takes it as it is and lets it go on.

    It has the shapes of the calm one, a long training, and two shards of photographs.
    """
    compute = {"shard_size": PER_SHARD, "shape_shard_size": 100}
    folder = tmp_path_factory.mktemp("rough") / "run"
    run = Run(cluster, folder, 0, many, compute=compute, train=LONG, export=SLOW)
    for name in ("recipes", "data-ssl"):
        shutil.copytree(calm.folder / name / "synthetic-shapes", folder / name / "synthetic-shapes")
    yield run
    run.stop()


@pytest.mark.slow
def test_a_training_that_is_asked_to_stop_loses_no_step(rough: Run):
    job, _, _ = rough.training()
    before = len(rough.resumed())
    rough.cluster.run("scancel", "--signal=TERM", job)
    step = rough.wait_until_resumed(before + 1)
    assert f"stopped by SIGTERM; step {step} of {STEPS} is saved" in rough.logs("train")[job]
    assert rough.cluster.record(job)[-1]["State"] == "FAILED"


@pytest.mark.slow
def test_a_preempted_training_carries_on_under_its_number(rough: Run):
    job, node, saved = rough.training()
    before = len(rough.resumed())
    rough.cluster.sbatch("true", "--gpus=1", f"--nodelist={node}", "--partition=urgent")
    assert rough.wait_until_resumed(before + 1) >= saved
    assert "carrying on" in rough.logs("train")[job].rpartition("stopped by")[2]
    assert [row["State"] for row in rough.cluster.sacct(f"--jobs={job}")] == ["PREEMPTED", "RUNNING"]


@pytest.mark.slow
def test_a_killed_driver_is_followed_by_one_that_ends_its_jobs(rough: Run):
    job, _, saved = rough.training()
    before = len(rough.resumed())
    rough.driver.kill()
    rough.driver.wait()
    assert rough.cluster.state(job) == "RUNNING"
    assert list((rough.folder / ".snakemake" / "locks").iterdir())
    said = len(rough.said)
    rough.start()
    assert rough.wait_until_resumed(before + 1) >= saved
    assert f"the last run was killed (its lock is removed; its Slurm jobs {job} are cancelled)" in rough.said[said:]
    assert rough.cluster.record(job)[-1]["State"].startswith("CANCELLED")


@pytest.mark.slow
def test_a_training_that_runs_out_of_time_gets_more(rough: Run):
    job, _, saved = rough.training()
    before = len(rough.resumed())
    granted = rough.minutes(job)
    # Slurm's shortest limit is a minute; this is how its owner lets a job run out of time earlier.
    soon = datetime.now() + timedelta(seconds=2)
    rough.cluster.run("scontrol", "update", f"JobId={job}", f"EndTime={soon:%Y-%m-%dT%H:%M:%S}")
    assert rough.wait_until_resumed(before + 1) >= saved
    assert rough.cluster.record(job)[-1]["State"] == "TIMEOUT"
    [again] = rough.running("train")
    assert rough.minutes(again) > granted


@pytest.mark.slow
def test_a_cancelled_shard_and_one_whose_node_went_down_begin_again(rough: Run):
    (cancelled, _), (lost, (node, _)) = rough.labelling(2).items()
    rough.kept = rough.labelled()
    rough.cluster.run("scancel", cancelled)
    rough.cluster.set_node(node, "down")
    rough.cluster.wait(cancelled, "CANCELLED")
    rough.cluster.wait(lost, "PENDING", "RUNNING")
    rough.cluster.set_node(node, "resume")
    rough.wait(lambda: len(rough.logs("export_shard")) == 3, "a new job for the cancelled one")
    assert "NODE_FAIL" in [row["State"] for row in rough.cluster.sacct(f"--jobs={lost}")]


@pytest.mark.slow
def test_a_lost_terminal_is_followed_by_a_run_that_finishes(rough: Run):
    rough.labelling(1)
    rough.driver.send_signal(signal.SIGHUP)
    rough.driver.wait(timeout=60)
    said = len(rough.said)
    rough.finish()
    assert "the last run was killed" in rough.said[said:]


@pytest.mark.slow
def test_no_photograph_was_labelled_twice(rough: Run):
    logs = "\n".join(rough.logs("export_shard").values())
    assert len(rough.kept) == 2
    for shard, count in rough.kept.items():
        ends = re.findall(rf"{shard}\.h5: (\d+) photographs labelled \((\d+) of them earlier\)", logs)
        labelled, earlier = map(int, ends[-1])
        assert labelled == PER_SHARD
        assert 0 < count <= earlier


@pytest.mark.slow
def test_in_the_end_all_is_there_once(rough: Run):
    rough.finish()
    assert "Nothing to be done" in rough.said[-2000:]
    [record] = rough.folder.glob("exp-ssl/tiny-round0/*/lineage.json")
    assert read_json(record)["counts"]["steps"] == STEPS
    [config] = rough.folder.glob("data-ssl/tiny-round0/*-model-*.yaml")
    assert yaml.safe_load(config.read_text())["kind"] == "photographs"
    assert rough.resumed() == sorted(rough.resumed())


@pytest.mark.slow
def test_no_two_trainings_ever_ran_at_once(rough: Run):
    rows = rough.cluster.sacct(f"--jobs={','.join(rough.logs('train'))}")
    spans = sorted((row["Start"], row["End"]) for row in rows)
    assert len(spans) >= 5
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    # What a process says of another that holds its folder; Slurm waits for much else.
    assert "which works on" not in "".join(rough.logs("train").values())


def test_ends_that_the_plugin_waits_for_are_ends(cluster: Cluster, monkeypatch):
    spot = cluster.sbatch(
        "sleep 600", "--gpus=1", "--nodelist=node1", "--partition=spot", "--requeue", "--job-name=run"
    )
    cancelled = cluster.sbatch("sleep 600", "--job-name=run")
    for job in (spot, cancelled):
        cluster.wait(job, "RUNNING")
    cluster.sbatch("true", "--gpus=1", "--nodelist=node1", "--partition=urgent")
    cluster.run("scancel", cancelled)
    cluster.wait(spot, "PREEMPTED")
    cluster.record(cancelled)
    plugin = ModuleType("plugin")
    plugin.query_job_status = job_status_query.query_job_status
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, cluster.env[name])
    ask = {
        "squeue": job_status_query.query_job_status_squeue("run"),
        "sacct": job_status_query.query_job_status_sacct("run"),
    }

    def answer(command: str) -> dict[str, str]:
        return asyncio.run(plugin.query_job_status(command, None))[0]

    # Accounting leaves out what began in the present second.
    wait_until(lambda: len(answer(ask["sacct"])) == 2, "both jobs in accounting")
    assert answer(ask["squeue"]) == {spot: "PREEMPTED", cancelled: "CANCELLED"}
    assert answer(ask["sacct"]) == {spot: "PREEMPTED", cancelled: "CANCELLED by 0"}
    driver.understand_every_end(plugin)
    for command in ask.values():
        assert answer(command) == {spot: "CANCELLED", cancelled: "CANCELLED"}
