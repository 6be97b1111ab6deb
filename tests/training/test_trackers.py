"""The curves of a training in TensorBoard and in MLflow: every point once, whatever becomes of the training or of MLflow."""

import os
import signal
import socket
import threading
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from places import TINY

from hawp_core.errors import UserError
from hawp_core.training import mlflow_runs
from hawp_core.training.metrics import ValidationRow, read_metrics
from hawp_core.training.mlflow_runs import ENVIRONMENT, MlflowRun
from hawp_core.training.trackers import Tracked, curves
from hawp_core.training.trainer import Trainer
from hawp_core.workflow.settings import complete


@pytest.fixture
def store(tmp_path):
    """Where MLflow keeps its runs, a folder that is not there yet."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with patch.dict(os.environ, others | {"MLFLOW_TRACKING_URI": (tmp_path / "store").as_uri()}, clear=True):
        yield tmp_path / "store"


def train(hawp, shapes) -> tuple[int, str]:
    return hawp("train", "--datacfg", shapes, "--modelcfg", TINY, "--name", "a", "--trackers", "tensorboard", "mlflow")


def client(store: Path):
    from mlflow import MlflowClient

    with patch.dict(os.environ, ENVIRONMENT):
        return MlflowClient(tracking_uri=store.as_uri())


def runs(store: Path) -> list:
    mlflow = client(store)
    return mlflow.search_runs([each.experiment_id for each in mlflow.search_experiments()])


def points(store: Path, run: str, curve: str) -> dict[int, float]:
    """Step -> value of one curve; each step once."""
    found = client(store).get_metric_history(run, curve)
    assert max(Counter(point.step for point in found).values(), default=1) == 1, curve
    return {point.step: point.value for point in found}


def test_tensorboard_has_the_curves_to_their_end(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = EventAccumulator(str(trained / "tensorboard")).Reload()
    for row in read_metrics(trained / "metrics.jsonl"):
        for curve, value in curves(row).items():
            assert [each.value for each in seen.Scalars(curve) if each.step == row.step] == [pytest.approx(value)], (
                curve
            )


def test_a_training_killed_and_stopped_goes_on_in_one_run_with_each_point_once(hawp, shapes, store, monkeypatch):
    monkeypatch.setattr(mlflow_runs, "SECONDS_WHEN_STOPPED", 60)  # a busy machine
    taken = 0
    step = Trainer.step

    def disturbed(self, batch):
        nonlocal taken
        taken += 1
        if taken == 6:
            raise KeyboardInterrupt  # as a kill: no state is saved
        if taken == 6 + 7:
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", disturbed)
    assert train(hawp, shapes)[0] == 75
    (run,) = runs(store)
    assert run.info.status == "KILLED" and list(points(store, run.info.run_id, "training/loss")) == [4]
    code, printed = train(hawp, shapes)
    assert code == 75 and "step 7 of 8 is saved" in printed
    code, printed = train(hawp, shapes)
    assert code == 0, printed

    (run,) = runs(store)
    (folder,) = Path("exp-ssl/a").iterdir()
    assert (run.info.status, run.info.run_name, run.data.tags["hawp.key"]) == ("FINISHED", "a", folder.name)
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row.step for row in rows if isinstance(row, ValidationRow)] == [0, 8]
    for row in rows:
        for curve, value in curves(row).items():
            there = points(store, run.info.run_id, curve)[row.step]
            # What an attempt told before it was killed stays; the speed is that attempt's.
            assert there == value or curve in ("training/images_per_second", "training/waiting"), curve
    config = yaml.safe_load((folder / "model.yaml").read_text())
    assert run.data.params["model.width"] == str(config["model"]["width"]) == "16"
    assert run.data.params["train.synthetic.base_lr"] == "0.001"
    assert run.data.params["train.losses.jloc"] == str(config["train"]["losses"]["jloc"])
    assert len(run.data.params) == sum(1 for _ in leaves(config))


def leaves(settings):
    for value in settings.values():
        yield from leaves(value) if isinstance(value, dict) else [value]


def test_a_server_that_does_not_answer_is_told_of_once_and_ends_nothing(hawp, shapes, store, monkeypatch):
    monkeypatch.setattr(mlflow_runs, "SECONDS_AT_THE_END", 1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{silent.getsockname()[1]}")
        code, printed = train(hawp, shapes)
    assert code == 0, printed
    assert printed.count("MLflow at http://127.0.0.1:") == 1 and "secret" not in printed
    assert "Traceback" not in printed and "Retry" not in printed
    assert len(read_metrics(next(Path("exp-ssl/a").glob("*/metrics.jsonl")))) == 4


def test_what_was_not_taken_is_sent_when_mlflow_is_back(trained, store, tmp_path, monkeypatch):
    told = threading.Event()
    monkeypatch.setattr(mlflow_runs.log, "warning", lambda *_: told.set())
    store.write_text("in the way of the folder")
    first, *others = read_metrics(trained / "metrics.jsonl")
    tracker = MlflowRun(Tracked(tmp_path, "a", "0" * 16, {"seed": 1}))
    tracker.begin([first])
    tracker.add(others[0])
    assert told.wait(60)
    store.unlink()
    for row in others[1:]:
        tracker.add(row)
    tracker.close(None)
    (run,) = runs(store)
    assert (run.info.status, run.data.params) == ("FINISHED", {"seed": "1"})
    assert list(points(store, run.info.run_id, "validation/sAP10")) == [0, 8]
    assert list(points(store, run.info.run_id, "training/loss")) == [4, 8]


def test_trackers_are_chosen_by_their_names():
    assert complete({}).compute.trackers == ("tensorboard",)
    assert complete({"compute": {"trackers": "[mlflow]"}}).compute.trackers == ("mlflow",)
    with pytest.raises(UserError, match=r"compute\.trackers\.0 is 'wandb': choose one of tensorboard, mlflow"):
        complete({"compute": {"trackers": ["wandb"]}})
