"""Checkpoints: round trips, foreign and damaged files, and files that would like to run code."""

import os
import pickle

import pytest
import torch

from hawp_core.errors import UserError
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import (
    CheckpointInfo,
    export_published,
    import_published,
    load_checkpoint,
    load_state,
    save_checkpoint,
    save_state,
)
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.files import sha256
from hawp_core.workflow.recipe_builders import Origin

TINY = Architecture(
    image_size=64, width=16, depth=2, stacks=1, junction_features=6, verification_width=24, lineness_widths=(8, 4)
)
READERS = [load_checkpoint, import_published, load_state]


class Malicious:
    """Its unpickling makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def sentence(caught: pytest.ExceptionInfo) -> str:
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = WireframeNetwork(TINY).to(memory_format=torch.channels_last)
    path = tmp_path / "model.pth"
    save_checkpoint(path, network, epoch=3, recipe={"lr": 0.1, "stage": ["a", None]})
    return path, network


def test_round_trip(saved):
    path, network = saved
    loaded, info = load_checkpoint(path, expect=TINY)
    assert info == CheckpointInfo(TINY, 3, {"lr": 0.1, "stage": ["a", None]})
    assert loaded.architecture == TINY
    assert not loaded.training
    for (name, value), other in zip(network.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(value, other), name
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_weights_changed_by_hand_are_known_by_their_content(saved):
    """What was made with the model before the change is not taken for theirs: its labels had the same address."""
    path, network = saved
    trained = {"key": "0123456789abcdef", "name": "round1"}
    save_checkpoint(path, network, epoch=3, recipe=trained)
    content = torch.load(path, weights_only=True)
    copy = path.with_name("copy.pth")
    torch.save(content, copy)
    assert Origin.of(load_checkpoint(copy)[1], copy).key == trained["key"]
    content["state"]["backbone.conv1.weight"] *= 0.5
    mean = path.with_name("mean.pth")
    torch.save(content, mean)
    loaded, info = load_checkpoint(mean)
    assert torch.equal(loaded.state_dict()["backbone.conv1.weight"], network.state_dict()["backbone.conv1.weight"] / 2)
    origin = Origin.of(info, mean)
    assert (origin.key, origin.name, origin.epoch) == (sha256(mean)[: len(trained["key"])], "mean", 3)
    content["state"]["backbone.conv1.weight"] *= 2
    content["architecture"]["junction_threshold"] = 0.5
    torch.save(content, mean)
    assert Origin.of(load_checkpoint(mean)[1], mean).key == sha256(mean)[: len(trained["key"])]
    del content["digest"]  # a file of an earlier version
    torch.save(content, mean)
    assert Origin.of(load_checkpoint(mean)[1], mean).key == trained["key"]


def test_another_architecture_is_named(saved):
    with pytest.raises(UserError) as caught:
        load_checkpoint(saved[0], expect=Architecture.from_dict({**TINY.to_dict(), "width": 32, "residual": False}))
    message = sentence(caught)
    assert "width 16, residual True" in message
    assert "width 32, residual False" in message
    assert "depth" not in message


def test_published_names_go_out_and_come_back(tmp_path):
    torch.manual_seed(1)
    network = WireframeNetwork()
    export_published(network, tmp_path / "published.pth")
    plain = torch.load(tmp_path / "published.pth", weights_only=True)
    assert list(plain) == list(network.state_dict())
    again = import_published(tmp_path / "published.pth")
    assert not again.training
    for name, value in again.state_dict().items():
        assert torch.equal(value, plain[name]), name
    with pytest.raises(UserError, match="import-checkpoint"):
        load_checkpoint(tmp_path / "published.pth")

    wrong = dict(plain, stray=torch.zeros(2), **{"fc1.bias": torch.zeros(7)})
    del wrong["tspan"]
    torch.save(wrong, tmp_path / "wrong.pth")
    with pytest.raises(UserError) as caught:
        import_published(tmp_path / "wrong.pth")
    message = sentence(caught)
    assert "1 missing: tspan" in message
    assert "1 unexpected: stray" in message
    assert "fc1.bias ((7,) instead of (128,))" in message


def test_an_own_checkpoint_needs_no_import(saved):
    with pytest.raises(UserError, match="already"):
        import_published(saved[0])


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_reading_runs_no_code(tmp_path, read, writer):
    path, folder = tmp_path / "evil.pth", tmp_path / "made-by-the-file"
    writer({"format": "hawp-rounds checkpoint 1", "state": Malicious(folder)}, path)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(path) in sentence(caught)
    assert not folder.exists()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"\x80", b"PK\x03\x04 short", bytes(range(256)) * 9, None],
    ids=["empty", "text", "byte", "zip head", "noise", "missing"],
)
def test_foreign_files(tmp_path, read, content):
    path = tmp_path / "model.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(path) in sentence(caught)


def test_damage_anywhere_is_noticed(saved):
    path, _ = saved
    whole = path.read_bytes()
    for length in (len(whole) // 3, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError) as caught:
            load_checkpoint(path)
        sentence(caught)
    weights = whole.index(load_bytes(whole))
    path.write_bytes(whole[: weights + 5] + bytes([whole[weights + 5] ^ 1]) + whole[weights + 6 :])
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(path)


def load_bytes(whole: bytes) -> bytes:
    """The bytes of one weight tensor, as they lie in the uncompressed archive."""
    import io

    state = torch.load(io.BytesIO(whole), weights_only=True)["state"]
    return state["fc1.weight"].numpy().tobytes()


@pytest.mark.parametrize("value", [torch.zeros(3), [1, 2], {"weights": 1}], ids=["tensor", "list", "dictionary"])
def test_files_of_something_else(tmp_path, value):
    torch.save(value, tmp_path / "other.pth")
    for read in READERS:
        with pytest.raises(UserError) as caught:
            read(tmp_path / "other.pth")
        sentence(caught)


def test_diverged_weights_are_refused(tmp_path, saved):
    path, network = saved
    with torch.no_grad():
        network.fc1.bias[0] = float("nan")
    save_checkpoint(path, network, epoch=1, recipe={})
    with pytest.raises(UserError, match=r"fc1\.bias"):
        load_checkpoint(path)


def test_weights_that_float32_cannot_hold_are_refused(saved):
    path, _ = saved
    content = torch.load(path, weights_only=True)
    content["state"]["backbone.conv1.weight"] = content["state"]["backbone.conv1.weight"].double() + 1e300
    torch.save(content, path)
    with pytest.raises(UserError, match=r"backbone\.conv1\.weight") as caught:
        load_checkpoint(path)
    sentence(caught)


@pytest.mark.parametrize(("name", "value"), [("backbone.conv1.weight", 3e38), ("backbone.bn1.running_var", -1.0)])
def test_finite_weights_that_compute_nothing_finite_are_refused(saved, name, value):
    path, network = saved
    network.state_dict()[name].fill_(value)
    save_checkpoint(path, network, epoch=1, recipe={})
    with pytest.raises(UserError, match="computes values that are not finite from any image") as caught:
        load_checkpoint(path)
    sentence(caught)


def test_a_folded_network_is_not_saved(tmp_path, saved):
    folded = fold_batch_norm(saved[1])
    with pytest.raises(ValueError, match="folded"):
        save_checkpoint(tmp_path / "folded.pth", folded, epoch=1, recipe={})
    with pytest.raises(ValueError, match="folded"):
        export_published(folded, tmp_path / "folded.pth")
    assert not (tmp_path / "folded.pth").exists()


def test_a_failed_write_leaves_the_old_file(saved):
    path, network = saved
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(path, network, epoch=1, recipe={"function": print})
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_training_state_round_trip(tmp_path):
    network = WireframeNetwork(TINY)
    optimiser = torch.optim.Adam(network.parameters())
    network.fc1.weight.sum().backward()
    optimiser.step()
    state = {"key": "abc", "at": {"epoch": 1}, "optimiser": optimiser.state_dict()}
    save_state(tmp_path / "resume.pth", state)
    loaded = load_state(tmp_path / "resume.pth")
    assert loaded["key"] == "abc"
    assert loaded["at"] == {"epoch": 1}
    assert set(loaded) == set(state)
    optimiser.load_state_dict(loaded["optimiser"])
