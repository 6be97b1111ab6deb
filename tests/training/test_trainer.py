"""The training loop: it learns, carries on to the bit, and stops where it should."""

import itertools
import json
import math
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from places import PHOTOGRAPHS, TINY

import hawp_core.commands.train
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.runtime import devices, free_cores
from hawp_core.training import trainer
from hawp_core.training.metrics import StepRow, ValidationRow, read_metrics, to_line
from hawp_core.training.schedule import Schedule
from hawp_core.training.trainer import Trainer
from hawp_core.workflow.chain import plan
from hawp_core.workflow.paths import epochs
from hawp_core.workflow.settings import changed, to_dict


@pytest.fixture
def whole(shapes, trained) -> Path:
    """The folder of the training that ran to its end, copied into the working folder."""
    return shutil.copytree(trained, Path("exp-ssl/whole", trained.name))


def train(hawp, shapes, name, *options) -> tuple[int, str, Path]:
    code, printed = hawp("train", "--datacfg", shapes, "--modelcfg", TINY, "--name", name, *options)
    folders = sorted(Path("exp-ssl", name).iterdir()) if Path("exp-ssl", name).exists() else []
    return code, printed, folders[0] if folders else Path()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(next(folder.glob("model-*.pth")))[0].state_dict()


def test_a_training_leaves_a_model_its_metrics_and_its_lineage(hawp, shapes, whole):
    folder = whole
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row.epoch for row in rows if isinstance(row, ValidationRow)] == [0, 2]
    assert [row.step for row in rows if isinstance(row, StepRow)] == [4, 8]
    assert "".join(map(to_line, rows)) == (folder / "metrics.jsonl").read_text()
    assert list((folder / "tensorboard").iterdir())
    record = json.loads((folder / "lineage.json").read_text())
    assert record["key"] == folder.name
    assert yaml.safe_load(shapes.read_text())["key"] in record["ancestry"]
    _, info = load_checkpoint(folder / "model-00002.pth")
    assert (info.epoch, info.recipe["key"], info.recipe["name"]) == (2, folder.name, "whole")
    assert not (folder / "resume.pth").exists()
    assert not (folder / "lease.json").exists()
    again, printed, _ = train(hawp, shapes, "whole")
    assert again == 0
    assert "nothing to do" in printed


def test_a_finished_model_that_was_deleted_comes_back(hawp, shapes, whole, monkeypatch):
    before = (whole / "model-00002.pth").read_bytes()
    (whole / "model-00002.pth").unlink()
    monkeypatch.setattr(Trainer, "step", None)
    code, printed, _ = train(hawp, shapes, "whole")
    assert code == 0, printed
    assert (whole / "model-00002.pth").read_bytes() == before


def test_a_damaged_second_name_does_not_come_back_as_the_model(hawp, shapes, whole, trained):
    os.truncate(whole / ".model-00002.pth", 5000)
    (whole / "model-00002.pth").unlink()
    code, printed, _ = train(hawp, shapes, "whole")
    assert code == 0, printed
    expected = weights(trained)
    assert all(torch.equal(value, expected[name]) for name, value in weights(whole).items())


# After the first step, at the end of an epoch, and in the middle of the next one, with candidates drawn.
@pytest.mark.parametrize(("steps", "candidates"), [(1, 0), (4, 0), (6, 20)])
def test_an_interrupted_training_ends_in_the_same_bits(hawp, shapes, whole, monkeypatch, steps, candidates):
    drawn = ()
    if candidates:
        settings = yaml.safe_load(TINY.read_text())
        settings["train"]["candidates"] = candidates
        Path("drawn.yaml").write_text(yaml.safe_dump(settings))
        drawn = ("--modelcfg", "drawn.yaml")
        _, _, whole = train(hawp, shapes, "other", *drawn)
    # Away from where the interrupted one would find it, and be done.
    whole = whole.rename("away")
    taken = 0
    step = Trainer.step

    def counted(self, batch):
        nonlocal taken
        taken += 1
        if taken == steps:
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", counted)
    code, printed, cut = train(hawp, shapes, "cut", *drawn)
    assert code == 75, printed
    assert f"step {steps} of 8 is saved" in printed
    assert not list(cut.glob("model-*.pth"))
    code, printed, _ = train(hawp, shapes, "cut", *drawn)
    assert code == 0, printed
    assert f"carrying on after step {steps}" in printed
    assert taken == 8
    one, other = weights(whole), weights(cut)
    assert all(torch.equal(one[name], other[name]) for name in one)

    def told(folder: Path) -> list:
        return [row for row in read_metrics(folder / "metrics.jsonl") if isinstance(row, ValidationRow)]

    # Rows of steps may be cut differently; validations must be the same, each once.
    assert told(whole) == told(cut)


def test_threads_follow_free_cores_where_nobody_said_how_many(hawp, shapes, monkeypatch):
    """What others leave is made up: two cores, then one."""
    left = itertools.chain([2], itertools.repeat(1))
    monkeypatch.setattr(free_cores, "_FOLLOW_SECONDS", 0)
    monkeypatch.setattr(free_cores, "followed", lambda *_: next(left))
    monkeypatch.setattr(devices, "free_cores", lambda: 1)
    code, printed, folder = train(hawp, shapes, "following", "--threads", 0, "--epochs", 1)
    assert code == 0, printed
    assert re.findall(r"step (\d+): going on with (\d) thread", printed) == [("1", "2"), ("2", "1")]
    assert torch.get_num_threads() == 1
    assert json.loads((folder / "lineage.json").read_text())["device"] == "CPU (float32, 1 to 2 threads)"


def test_a_loss_that_is_not_finite_stops_and_names_the_images(hawp, shapes, monkeypatch):
    step = Trainer.step

    def poisoned(self, batch):
        found = step(self, batch)
        if self.at.step == 5:
            found["aux"] = found["aux"] * float("nan")
        return found

    monkeypatch.setattr(Trainer, "step", poisoned)
    code, printed, folder = train(hawp, shapes, "nan")
    assert code == 2
    assert "'aux' is not finite" in printed
    assert "train/" in printed
    assert "Traceback" not in printed
    assert not list(folder.glob("model-*.pth"))


def test_validations_wait_for_so_much_to_be_learned_and_one_ends_it(hawp, shapes, monkeypatch):
    # 16 images an epoch, 8 that a validation looks at.
    monkeypatch.setattr(trainer, "LEARNED_FOR_EACH_VALIDATED", 3)
    code, printed, folder = train(hawp, shapes, "seldom", "--epochs", "5")
    assert code == 0, printed
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row.epoch for row in rows if isinstance(row, ValidationRow)] == [0, 2, 4, 5]


def test_a_state_of_another_training_is_refused(hawp, shapes, monkeypatch):
    from hawp_core.model.checkpoint import load_state, save_state

    step = Trainer.step
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", lambda self, batch: os.kill(os.getpid(), signal.SIGTERM) or step(self, batch))
        _, _, folder = train(hawp, shapes, "a")
    state = load_state(folder / "resume.pth")
    save_state(folder / "resume.pth", state | {"key": "0" * 16})
    code, printed, _ = train(hawp, shapes, "a")
    assert code == 2
    assert "belongs to the training 0000000000000000" in printed


def test_fine_tuning_needs_the_model_it_starts_from(hawp, shapes, whole, tiny):
    tuned = Path("tuned.yaml")
    tuned.write_text(yaml.safe_dump(to_dict(changed(tiny, {"train": {"synthetic": {"base_lr": 1e-12}}}, ""))))
    code, printed = hawp(
        "train", "--datacfg", shapes, "--modelcfg", tuned, "--name", "second", "--epochs", 1,
        "--pretrained", whole / "model-00002.pth",
    )  # fmt: skip
    assert code == 0, printed
    one, other = weights(whole), weights(next(Path("exp-ssl/second").iterdir()))
    assert torch.allclose(one["fc1.weight"], other["fc1.weight"], atol=1e-6)
    assert (
        json.loads((next(Path("exp-ssl/second").iterdir()) / "lineage.json").read_text())["inputs"]["start"]
        == whole.name
    )


def test_two_trainings_of_one_address_do_not_write_together(hawp, shapes, monkeypatch):
    """The second waits for the first, and finds its work done."""
    import subprocess
    import sys

    command = [
        sys.executable,
        "-m",
        "hawp_core.commands.cli",
        "train",
        "--datacfg",
        str(shapes),
        "--modelcfg",
        str(TINY),
        "--name",
        "x",
    ]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=180)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sum("nothing to do" in text for text in said) == 1, said


def test_the_schedule_falls_after_its_steps(tiny):
    schedule = Schedule.from_settings(tiny, "synthetic")
    assert [schedule.rate(step, 4) for step in (0, 3, 4, 7)] == [0.001, 0.001, *[pytest.approx(0.0001)] * 2]
    assert epochs(plan(tiny, "f" * 16, PHOTOGRAPHS, 0).rounds[0].train) == schedule.epochs


def test_a_cosine_begins_at_the_rate_and_ends_at_a_hundredth_of_it(tiny):
    changes = {"train": {"synthetic": {"decay": "cosine", "epochs": 10}}}
    schedule = Schedule.from_settings(changed(tiny, changes, ""), "synthetic")
    rates = [schedule.rate(step, 100) for step in range(1000)]
    assert rates[0] == 0.001 and rates == sorted(rates, reverse=True)
    assert rates[500] == pytest.approx(0.505 * 0.001) and rates[-1] == pytest.approx(0.01 * 0.001, rel=0.01)


def test_a_warm_up_rises_step_by_step(tiny):
    schedule = Schedule.from_settings(changed(tiny, {"train": {"synthetic": {"warmup": 4}}}, ""), "synthetic")
    assert [schedule.rate(step, 4) for step in range(4)] == pytest.approx([0.00025, 0.0005, 0.00075, 0.001])
    assert schedule.rate(4, 4) == pytest.approx(0.0001)


@pytest.fixture
def modern(tmp_path, tiny) -> Path:
    """The tiny recipe with pieces of images, a cosine, and an average of the weights."""
    changes = {"train": {"average": 0.9, "synthetic": {"decay": "cosine", "warmup": 2, "crop": 32}}}
    path = tmp_path / "modern.yaml"
    path.write_text(yaml.safe_dump(to_dict(changed(tiny, changes, ""))))
    return path


def test_the_average_of_the_weights_is_kept_and_survives_a_stop(hawp, shapes, modern, monkeypatch):
    """What is kept lies between the first weights and the last, and is the same whether or not the training was stopped."""
    last: dict[str, torch.Tensor] = {}
    step = Trainer.step

    def noted(self, batch):
        if self.at.step == 4 and self.place.folder.parent.name == "cut":
            os.kill(os.getpid(), signal.SIGUSR1)
        found = step(self, batch)
        last.update({name: value.clone() for name, value in self.network.state_dict().items()})
        return found

    monkeypatch.setattr(Trainer, "step", noted)
    options = ("--modelcfg", modern)
    code, printed, whole = train(hawp, shapes, "whole", *options)
    assert code == 0, printed
    kept = weights(whole)
    changed = [name for name in kept if kept[name].is_floating_point() and not torch.equal(kept[name], last[name])]
    assert len(changed) > len(kept) / 2
    # Out of the second one's sight.
    whole.rename("whole")
    assert train(hawp, shapes, "cut", *options)[0] == 75
    code, printed, cut = train(hawp, shapes, "cut", *options)
    assert code == 0, printed
    found = weights(cut)
    assert all(torch.equal(kept[name], found[name]) for name in kept)


def test_a_share_of_the_first_weights_stays(hawp, shapes, whole, modern, monkeypatch):
    """What is kept is the mean of the weights before and after, also where the training was stopped between."""
    first = whole.resolve() / "model-00002.pth"
    monkeypatch.setattr(hawp_core.commands.train, "SHIPPED", first)
    asked = yaml.safe_load(modern.read_text())
    step, stopping = Trainer.step, False

    def stopped(self, batch):
        if self.at.step == 4 and stopping:
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", stopped)
    found = {}
    for name, blend in (("none", 0.0), ("some", 0.25), ("cut", 0.25)):
        asked["train"]["synthetic"] |= {"start": "shipped", "blend": blend}
        modern.write_text(yaml.safe_dump(asked))
        stopping = name == "cut"
        code, printed, folder = train(hawp, shapes, name, "--modelcfg", modern)
        if stopping:
            assert code == 75, printed
            stopping = False
            code, printed, folder = train(hawp, shapes, name, "--modelcfg", modern)
        assert code == 0, printed
        found[name] = weights(folder)
        # Out of the next one's sight.
        folder.rename(name)
    begun = load_checkpoint(first)[0].state_dict()
    for name, after in found["none"].items():
        if after.is_floating_point():
            assert torch.equal(found["some"][name], after.lerp(begun[name], 0.25)), name
    assert not torch.equal(found["none"]["fc1.weight"], begun["fc1.weight"])
    assert all(torch.equal(value, found["cut"][name]) for name, value in found["some"].items())

    asked["train"]["synthetic"]["start"] = "scratch"
    modern.write_text(yaml.safe_dump(asked))
    code, printed, _ = train(hawp, shapes, "x", "--modelcfg", modern)
    assert code == 2 and "train.synthetic.blend is 0.25" in printed and "set start to shipped" in printed


def test_no_epoch_leaves_the_weights_as_they_are(hawp, shapes, whole, modern, monkeypatch):
    first = whole.resolve() / "model-00002.pth"
    monkeypatch.setattr(hawp_core.commands.train, "SHIPPED", first)
    asked = yaml.safe_load(modern.read_text())
    asked["train"]["synthetic"] |= {"start": "shipped", "epochs": 0}
    modern.write_text(yaml.safe_dump(asked))
    code, printed, folder = train(hawp, shapes, "none", "--modelcfg", modern)
    assert code == 0, printed
    kept, info = load_checkpoint(folder.resolve() / "model-00000.pth")
    begun = load_checkpoint(first)[0].state_dict()
    assert info.epoch == 0 and all(torch.equal(value, begun[name]) for name, value in kept.state_dict().items())
    # Its one validation is also the last.
    assert [row.step for row in read_metrics(folder / "metrics.jsonl")] == [0]

    asked["train"]["synthetic"]["start"] = "scratch"
    modern.write_text(yaml.safe_dump(asked))
    code, printed, _ = train(hawp, shapes, "x", "--modelcfg", modern)
    assert code == 2 and "train.synthetic.epochs is 0" in printed and "set start to shipped" in printed


def test_a_piece_that_the_network_cannot_take_is_named(hawp, shapes, modern):
    modern.write_text(modern.read_text().replace("crop: 32", "crop: 33"))
    code, printed, _ = train(hawp, shapes, "x", "--modelcfg", modern)
    assert code == 2 and "train.synthetic.crop is 33: give a multiple of 16" in printed


def test_a_compiled_training_carries_on_where_it_was_stopped(hawp, shapes, monkeypatch):
    torch._dynamo.reset()
    step = Trainer.step

    def stopped(self, batch):
        if self.at.step == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stopped)
        code, printed, cut = train(hawp, shapes, "cut", "--compile")
    assert code == 75 and "step 3 of 8 is saved" in printed
    code, printed, cut = train(hawp, shapes, "cut", "--compile")
    assert code == 0 and "carrying on after step 3" in printed, printed
    rows = read_metrics(cut / "metrics.jsonl")
    assert [row.step for row in rows if isinstance(row, ValidationRow)] == [0, 8]
    assert all(math.isfinite(row.loss) for row in rows if isinstance(row, StepRow))


@pytest.mark.parametrize("compiler", [None, "/bin/false"])
def test_a_compiled_network_learns_the_same_and_does_without_a_compiler(hawp, shapes, monkeypatch, tmp_path, compiler):
    torch._dynamo.reset()
    if compiler:
        monkeypatch.setattr("torch._inductor.config.cpp.cxx", (compiler,))
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "empty"))
    _, _, plain = train(hawp, shapes, "plain", "--epochs", 1)
    code, printed, fused = train(hawp, shapes, "fused", "--epochs", 1, "--compile")
    assert code == 0, printed
    assert weights(plain).keys() == weights(fused).keys()
    losses = [
        [row.loss for row in read_metrics(folder / "metrics.jsonl") if isinstance(row, StepRow)]
        for folder in (plain, fused)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_a_training_carries_on_in_the_precision_that_it_began_with(hawp, shapes, monkeypatch):
    step, used = Trainer.step, []

    def stopped(self, batch):
        used.append(self.precision)
        if len(used) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", stopped)
    monkeypatch.setattr(trainer, "usual_precision", lambda device: torch.bfloat16)
    code, printed, folder = train(hawp, shapes, "begun", "--precision", "auto")
    assert code == 75, printed
    assert "computing in bfloat16" in printed
    # Another machine, or another answer of this one.
    monkeypatch.setattr(trainer, "usual_precision", lambda device: torch.float32)
    code, printed, _ = train(hawp, shapes, "begun", "--precision", "auto")
    assert code == 0, printed
    assert used == [torch.bfloat16] * 8
    assert json.loads((folder / "lineage.json").read_text())["device"] == "CPU (bfloat16)"
