"""The weights that come with the package: small, known, and good on real photographs from the first call on."""

import argparse
import importlib
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from places import PHOTOGRAPHS as PLACES
from places import ROOT

from hawp_core import load
from hawp_core.commands.common import find_model
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.model.shipped import SHIPPED
from hawp_core.runtime.files import sha256
from hawp_core.workflow import chain, recipe_builders
from hawp_core.workflow.settings import load as load_settings

CARD = SHIPPED.with_name("README.md")
MOST_BYTES = 4_000_000


@pytest.fixture(scope="module")
def model():
    return load(device="cpu")


def test_they_are_small_and_their_card_is_theirs():
    assert SHIPPED.stat().st_size <= MOST_BYTES
    assert re.search(r"SHA-256 `([0-9a-f]{64})`", CARD.read_text())[1] == sha256(SHIPPED)


def test_they_fit_the_presets_that_go_on_from_them(model):
    for name in ("config.yaml", "compact.yaml"):
        wanted = Architecture.from_dict(asdict(load_settings(ROOT / "config" / name).model))
        assert wanted == model.network.architecture


@pytest.mark.parametrize("command", ["predict", "homoadp", "evaluate"])
def test_commands_know_them_by_one_word(command):
    """As `--pretrained shipped` does: where they lie differs from machine to machine."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"hawp_core.commands.{command}").configure(parser)
    words = {"predict": ["a.jpg"], "homoadp": ["--datacfg", "config.yaml"], "evaluate": []}[command]
    assert find_model(parser.parse_args([*words, "--ckpt", "shipped"])) == SHIPPED


def test_they_leave_under_the_published_names(hawp, tmp_path):
    assert hawp("export-checkpoint", "shipped", tmp_path / "plain.pth")[0] == 0
    plain = torch.load(tmp_path / "plain.pth", weights_only=True)
    for name, value in load_checkpoint(SHIPPED, "cpu")[0].state_dict().items():
        assert torch.equal(value, plain[name]), name


def test_other_weights_are_another_address(monkeypatch, tmp_path):
    settings = load_settings(ROOT / "config" / "config.yaml")
    before = chain.plan(settings, "f" * 64, PLACES, 0).rounds[0].train
    assert before.inputs["start"] == sha256(SHIPPED)[:16] and before.places.start == "shipped"
    other = tmp_path / "other.pth"
    other.write_bytes(SHIPPED.read_bytes() + b"x")
    monkeypatch.setattr(recipe_builders, "SHIPPED", other)
    assert chain.plan(settings, "f" * 64, PLACES, 0).rounds[0].train.key != before.key


def test_the_first_call_finds_the_lines_of_a_photograph(model):
    """A photograph of a man-made scene has its long straight edges found, and a face has no web over it."""
    found = {name: model(read_gray(Path(bundled_folder(), name))[0]) for name in BUNDLED}
    for wireframe in found.values():
        lengths = np.hypot(*(wireframe.lines[:, 2:] - wireframe.lines[:, :2]).T)
        assert len(lengths) == len(wireframe.scores) and (lengths > 0).all()
        assert ((wireframe.scores >= 0.5) & (wireframe.scores <= 1)).all()
    assert sum(len(wireframe.edges) for wireframe in found.values()) > 20 * len(found)
