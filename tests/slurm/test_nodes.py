"""Training over two nodes of a real Slurm: the steps of one process, each reading its share; a node lost, one carries on."""

import contextlib
import os
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cluster import Cluster, wait_until
from first_steps import check_first_step, first_step
from places import ROOT, SUPPORT, TINY
from test_rounds import FEW_JOBS, Run

from hawp_core.commands import cli
from hawp_core.training import distributed, launch
from hawp_core.training.metrics import StepRow, ValidationRow, read_metrics

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(500)]
PATIENCE = 240
DRAWN = "drawn"


def take_a_step(args: Namespace) -> None:
    """What each process does: torchrun starts one on each node."""
    with distributed.joined(torch.device("cpu")):
        torch.set_num_threads(1)
        step = first_step(DRAWN)
        step["node"] = os.environ["SLURMD_NODENAME"]
        torch.save(step, args.folder / f"steps-{distributed.rank()}.pth")


def over_two_nodes(folder: str) -> None:
    """What the job does, on its first node."""
    launch.run_in_processes(Namespace(run=take_a_step, log=None, folder=Path(folder)), 1, 2, Path(folder))


@pytest.fixture(scope="module")
def submit(cluster: Cluster) -> Callable[..., str]:
    """Submit a script of words of Python's to two nodes."""
    path = os.pathsep.join(map(str, (ROOT, SUPPORT, Path(__file__).parent)))

    def submitted(script: str, folder: Path, *options: str) -> str:
        script = f"export PYTHONPATH={path} OMP_NUM_THREADS=1; {script}"
        return cluster.sbatch(script, "--nodes=2", "--ntasks-per-node=1", "--mem=4000", f"--chdir={folder}", *options)

    return submitted


def test_the_first_step_over_two_nodes_is_that_of_one_process(cluster: Cluster, submit, tmp_path):
    job = submit(f"{sys.executable} -c \"import test_nodes; test_nodes.over_two_nodes('{tmp_path}')\"", tmp_path)
    expected = first_step(DRAWN)
    assert cluster.wait(job, "COMPLETED", "FAILED", seconds=PATIENCE) == "COMPLETED", cluster.output(job)
    found = [torch.load(tmp_path / f"steps-{rank}.pth") for rank in (0, 1)]
    assert [step.pop("node") for step in found] == ["node1", "node2"]
    for step in found:
        check_first_step(step, expected)
    assert not list(tmp_path.glob(".hawp-*"))


def test_a_training_of_the_workflow_takes_two_nodes(cluster: Cluster, photographs, tmp_path):
    train = {"nodes": 2, "synthetic": {"epochs": 2, "batch_size": 4, "base_lr": 0.001, "steps": [1]}}
    run = Run(cluster, tmp_path / "run", 0, photographs, train=train, compute=FEW_JOBS)
    run.command += ["--until", "train"]
    try:
        run.finish()
    finally:
        run.stop()
    (said,) = run.logs("train").values()
    assert re.search(r"images on 2 x ", said), said
    assert len(list(run.folder.glob("exp-ssl/tiny-round0/*/model-00002.pth"))) == 1


def test_a_node_is_lost_and_one_carries_on(cluster: Cluster, submit, tmp_path):
    with contextlib.chdir(tmp_path):
        (tmp_path / "config").symlink_to(ROOT / "config")
        assert cli.main(["synthesize", "--config", str(TINY)]) == 0
    (config,) = tmp_path.glob("data-ssl/synthetic-shapes/*.yaml")
    train = (
        f"{sys.executable} -m hawp_core.commands.cli train --datacfg {config.relative_to(tmp_path)} --modelcfg {TINY}"
    )
    train += " --name a --epochs 8 --num-workers 0 --save-minutes 0.000001"
    job = submit(f"{train} --nodes 2; echo ended=$?; {train} --nodes 1; echo ended=$?", tmp_path, "--no-kill")

    def steps() -> list[StepRow]:
        return [
            row
            for f in tmp_path.glob("exp-ssl/a/*/metrics.jsonl")
            for row in read_metrics(f)
            if isinstance(row, StepRow)
        ]

    wait_until(lambda: steps() or "ended" in cluster.output(job), "a step over two nodes", PATIENCE)
    assert "ended" not in cluster.output(job), cluster.output(job)
    try:
        cluster.lose_node("node2")
        kill_all_on("node2", cluster)
        cluster.wait(job, "COMPLETED", "FAILED", seconds=PATIENCE)
    finally:
        cluster.return_node("node2")
    said = cluster.output(job)
    assert said.count("ended=75") == 1 and said.count("ended=0") == 1, said
    assert "2 nodes no longer work together" in said and "carrying on after step" in said and "Traceback" not in said
    (metrics,) = tmp_path.glob("exp-ssl/a/*/metrics.jsonl")
    assert [row.epoch for row in read_metrics(metrics) if isinstance(row, ValidationRow)] == [0, 8]
    assert list(tmp_path.glob("exp-ssl/a/*/model-00008.pth"))


def kill_all_on(node: str, cluster: Cluster) -> None:
    """End the jobs' processes of a node, as its power cord would."""
    marks = {f"SLURMD_NODENAME={node}".encode(), f"SLURM_CONF={cluster.env['SLURM_CONF']}".encode()}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marks <= set((process / "environ").read_bytes().split(b"\0")):
                os.kill(int(process.name), signal.SIGKILL)
