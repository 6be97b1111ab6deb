"""Files of models that are damaged or made to harm: one sentence, before anything large is built."""

import dataclasses
import zipfile

import pytest
import torch

from hawp_core.errors import UserError
from hawp_core.model.architecture import LARGEST, Architecture
from hawp_core.model.checkpoint import load_checkpoint, save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.workflow.schema import schema

TINY = Architecture(
    image_size=64, width=16, depth=2, stacks=1, junction_features=6, verification_width=24, lineness_widths=(8, 4)
)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pth"
    save_checkpoint(path, WireframeNetwork(TINY), epoch=1, recipe={"key": "0123456789abcdef"})
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stacks", 10**7), ("width", 2**20), ("verification_width", 10**9), ("depth", 64), ("image_size", 2**30),
        ("lineness_widths", [10**9, 32]), ("line_points", 10**9), ("max_junctions", 10**9), ("junction_features", 10**9),
        ("line_features", 10**9), ("distance_threshold", float("nan")), ("binding_distance2", float("inf")),
    ],
)  # fmt: skip
def test_a_network_beyond_every_machine_is_refused_at_once(content, tmp_path, name, value):
    torch.save(content | {"architecture": content["architecture"] | {name: value}}, tmp_path / "m.pth")
    with pytest.raises(UserError, match=f"m.pth.*model.{name} is"):
        load_checkpoint(tmp_path / "m.pth", "cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": None},
        {"recipe": [1]},
        {"recipe": "x"},
        {"epoch": "5"},
        {"epoch": None},
        {"epoch": -1},
        {"epoch": True},
    ],
)
def test_a_model_that_does_not_say_what_it_is_is_refused(content, tmp_path, change):
    torch.save(content | change, tmp_path / "m.pth")
    with pytest.raises(UserError, match="does not say what it was trained with"):
        load_checkpoint(tmp_path / "m.pth", "cpu")


def test_a_format_that_is_a_tensor_is_one_sentence(content, tmp_path):
    torch.save(content | {"format": torch.full((9, 9), float("nan"))}, tmp_path / "m.pth")
    with pytest.raises(UserError, match="has the checkpoint format tensor") as said:
        load_checkpoint(tmp_path / "m.pth", "cpu")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("kind", ["sparse", "meta", "complex", "a list"])
def test_weights_that_are_no_plain_tensors_are_named(content, tmp_path, kind):
    name = "backbone.conv1.weight"
    made = {
        "sparse": lambda value: value.to_sparse(), "meta": lambda value: value.to("meta"),
        "complex": lambda value: value.to(torch.complex64), "a list": lambda value: value.tolist(),
    }[kind](content["state"][name])  # fmt: skip
    torch.save(content | {"state": content["state"] | {name: made}}, tmp_path / "m.pth")
    with pytest.raises(UserError, match=r"m\.pth"):
        load_checkpoint(tmp_path / "m.pth", "cpu")


def test_a_packed_archive_that_is_larger_than_its_file_is_not_unpacked(content, tmp_path, monkeypatch):
    torch.save(content, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, \
            zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb:  # fmt: skip
        for record in plain.infolist():
            bomb.writestr(record.filename, plain.read(record))
        bomb.writestr("plain/data/999", bytes(2**20))
    assert load_checkpoint(tmp_path / "plain.pth")
    monkeypatch.setattr(torch, "load", None)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", None)
    with pytest.raises(UserError, match=r"bomb\.pth is no checkpoint that can be read safely") as caught:
        load_checkpoint(tmp_path / "bomb.pth")
    assert "larger than itself" in str(caught.value.__cause__)


def test_settings_and_files_of_models_have_the_same_limits():
    rules = schema()["properties"]["model"]["properties"]
    assert {name: rule["maximum"] for name, rule in rules.items() if rule["type"] == "integer"} == {
        name: most for name, most in LARGEST.items() if name in rules
    }
    sizes = {field.name for field in dataclasses.fields(Architecture) if isinstance(field.default, (int, tuple))}
    assert sizes - {"residual"} == set(LARGEST)
