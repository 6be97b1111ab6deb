"""Two processes train as one does: the same gradients, the same statistics, the same curve; killed, one carries on."""

import contextlib
import errno
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from unittest import mock

import pytest
import torch
from first_steps import BATCHES, CURVE, check_first_step, first_step, make_trainer
from places import TINY

from hawp_core.commands import cli
from hawp_core.data.loader import Loader
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.errors import Interrupted, UserError
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.training import distributed, launch
from hawp_core.training import trainer as training
from hawp_core.training.metrics import StepRow, ValidationRow, read_metrics

PATIENCE = 150


def train(folder: Path, shapes: Path) -> None:
    """A short training, each step with its line of metrics."""
    data = {split: ShapeSet(sorted(shapes.rglob(f"{split}-*.h5"))) for split in ("train", "validation")}
    loader = Loader(data["train"], CURVE["batch_size"], rank=distributed.rank(), world=distributed.world())
    with mock.patch.object(training, "LOG_STEPS", 1):
        make_trainer(folder, loader, data["validation"]).run()


def report(folder: Path, shapes: Path) -> None:
    """All that is compared, from one process or from each of several."""
    torch.set_num_threads(1)
    steps = {name: first_step(name) for name in BATCHES}
    folder.mkdir(exist_ok=True)
    torch.save(steps, folder / f"steps-{distributed.rank()}.pth")
    train(folder, shapes)
    torch.save(distributed.on_main(lambda: "from the main one"), folder / f"told-{distributed.rank()}.pth")
    largest = distributed.largest(distributed.rank(), 7 - distributed.rank())
    (folder / f"largest-{distributed.rank()}.json").write_text(json.dumps(largest))


def one_of_two(rank: int, port: int, folder: Path, shapes: Path) -> None:
    where = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in where.items()})
    os.chdir(folder.parent)
    with distributed.joined(torch.device("cpu")):
        report(folder, shapes)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory, drawn) -> Path:
    """A working folder with the tiny run's shapes."""
    return Path(shutil.copytree(drawn, tmp_path_factory.mktemp("place"), dirs_exist_ok=True))


@pytest.fixture(scope="module")
def reports(shapes) -> tuple[Path, Path]:
    """What one process reports, and what two do."""
    one, two = shapes / "one", shapes / "two"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    processes = [context.Process(target=one_of_two, args=(rank, port, two, shapes)) for rank in range(2)]
    for process in processes:
        process.start()
    with contextlib.chdir(shapes):
        report(one, shapes)
    for process in processes:
        process.join(PATIENCE)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    return one, two


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_step_is_that_of_one_process(reports, name, rank):
    one, two = reports
    check_first_step(torch.load(two / f"steps-{rank}.pth")[name], torch.load(one / "steps-0.pth")[name])


def test_the_loss_curve_is_that_of_one_process(reports):
    one, two = (read_metrics(folder / "metrics.jsonl") for folder in reports)
    curves = [[row.loss for row in rows if isinstance(row, StepRow)] for rows in (one, two)]
    assert len(curves[0]) == 4
    assert curves[1] == pytest.approx(curves[0], rel=5e-3)
    assert [row.epoch for row in two if isinstance(row, ValidationRow)] == [0, 2]
    models = [load_checkpoint(folder / ".model.pth")[0].state_dict() for folder in reports]
    assert models[0].keys() == models[1].keys()


def test_what_the_main_process_finds_and_the_largest_is_everyones(reports):
    _, two = reports
    assert [torch.load(two / f"told-{rank}.pth") for rank in (0, 1)] == ["from the main one"] * 2
    assert [json.loads((two / f"largest-{rank}.json").read_text()) for rank in (0, 1)] == [[1, 7]] * 2


def command(shapes: Path, name: str, *options: object) -> list[str]:
    config = next(shapes.glob("data-ssl/synthetic-shapes/*.yaml")).relative_to(shapes)
    words = ["train", "--datacfg", config, "--modelcfg", TINY, "--epochs", 4, "--name", name, *options]
    return [str(word) for word in words]


def start(shapes: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "hawp_core.commands.cli", *words], cwd=shapes, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("whom", "number", "code"),
    [
        ("started", signal.SIGTERM, 75),
        ("main", signal.SIGKILL, 75),
        pytest.param("started", signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_two_are_killed_and_one_carries_on(shapes, capsys, monkeypatch, whom, number, code):
    """The one that the user started is killed, or the main one of those that train."""
    name = f"{whom}-{number.name}"
    begun = start(shapes, *command(shapes, name, "--gpus", 2, "--save-minutes", 1e-6))
    try:
        until = time.monotonic() + PATIENCE
        while not any(
            isinstance(row, StepRow) for f in shapes.glob(f"exp-ssl/{name}/*/metrics.jsonl") for row in read_metrics(f)
        ):
            assert begun.poll() is None, begun.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.05)
        folder = next(shapes.glob(f"exp-ssl/{name}/*"))
        main = json.loads((folder / "lease.json").read_text())["pid"]
        os.kill(begun.pid if whom == "started" else main, number)
        # Ends only when all processes have: they hold the other end of the pipe.
        _, said = begun.communicate(timeout=PATIENCE)
    finally:
        begun.kill()
    assert begun.returncode == code, said
    assert (folder / "resume.pth").exists()
    assert not list(folder.glob("model-*.pth"))
    if code > 0:
        reason = "stopped by SIGTERM; step" if number == signal.SIGTERM else "was killed from outside"
        assert said.count(reason) == 1
        assert "Traceback" not in said

    monkeypatch.chdir(shapes)
    assert cli.main(command(shapes, name)) == 0
    assert "carrying on after step" in capsys.readouterr().err
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row.epoch for row in rows if isinstance(row, ValidationRow)] == [0, 4]
    assert rows[-1].step == 16
    assert list(folder.glob("model-00004.pth"))
    # Or the next one would find it, and be done.
    shutil.rmtree(folder)


def cause(folder: Path, code: int, said: str, *errors: Exception, nodes: int = 1) -> Exception:
    (folder / "torchrun").write_text(said)
    for rank, error in enumerate(errors):
        (folder / f"error-{rank:05d}").write_bytes(pickle.dumps(error))
    return launch._cause(folder, code, nodes)


def test_why_processes_ended_is_told_apart(tmp_path):
    assert isinstance(cause(tmp_path, 1, "  exitcode  : -9 (pid: 5)"), Interrupted)
    assert isinstance(cause(tmp_path, -9, ""), Interrupted)
    defect = cause(tmp_path, 1, "  exitcode  : 1 (pid: 5)\nTraceback")
    assert isinstance(defect, RuntimeError)
    assert "Traceback" in str(defect)
    lost = cause(tmp_path, 1, "srun: error: Node failure on node2\nexitcode  : 1", nodes=2)
    assert isinstance(lost, Interrupted) and "Node failure on node2" in str(lost)
    full = OSError(errno.ENOSPC, "full", "a.pth")
    found = cause(tmp_path, 1, "", RuntimeError("follows"), full)
    assert (found.errno, found.filename) == (errno.ENOSPC, "a.pth")
    assert str(cause(tmp_path, 1, "", RuntimeError("follows"), full, UserError("mistake"))) == "mistake"


def refuse(args: Namespace) -> None:
    raise args.error


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (UserError("a mistake"), UserError),
        (ValueError("a defect"), RuntimeError),
        (RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"), None),
    ],
)
def test_a_process_leaves_its_error_for_the_one_that_speaks(tmp_path, monkeypatch, capfd, error, left):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    (tmp_path / "args").write_bytes(pickle.dumps(Namespace(log=None, run=refuse, error=error)))
    assert launch._work(tmp_path) == 1
    assert capfd.readouterr() == ("", "")
    kept = [pickle.loads(file.read_bytes()) for file in tmp_path.glob("error-*")]
    assert [type(each) for each in kept] == [left] * (left is not None)
    assert all(str(error) in str(each) for each in kept)


def test_several_nodes_need_a_slurm_job(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match=r"--nodes 2 .* outside of a Slurm job"):
        launch.run_in_processes(Namespace(), 1, 2, tmp_path)


def test_a_machine_with_too_few_gpus_is_named(monkeypatch):
    for name, value in {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "LOCAL_RANK": 1, "RANK": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="--gpus 2 was asked for and PyTorch sees 1"), \
            distributed.joined(torch.device("cuda")):  # fmt: skip
        pass
