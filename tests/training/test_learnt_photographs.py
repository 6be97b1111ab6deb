"""A training learns from the photographs that were labelled, or from none."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from places import TINY

from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork


@pytest.fixture
def train(workplace, photographs, hawp, tiny):
    """Train on labels of six photographs in photos/; the training's folder is emptied first."""
    shutil.copytree(photographs, "photos")
    assert hawp("synthesize", "--config", TINY)[0] == 0
    shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
    torch.manual_seed(0)
    network = WireframeNetwork(Architecture.from_dict(asdict(tiny.model)))
    save_checkpoint("model.pth", network, epoch=1, recipe={"name": "m", "shapes": str(shapes)})
    code, printed = hawp("homoadp", "--datacfg", TINY, "--ckpt", "model.pth", "--images", "photos")
    assert code == 0, printed
    config = next(Path("data-ssl/m").glob("*.yaml"))

    def run(*options):
        shutil.rmtree("exp-ssl", ignore_errors=True)
        return hawp("train", "--datacfg", config, "--modelcfg", TINY, "--name", "n", *options)

    return run


def replace(name: str) -> None:
    """Another picture of the same size in pixels under an old name."""
    with Image.open(name) as image:
        other = ImageOps.invert(image.convert("RGB"))
    other.save(name)


@pytest.mark.parametrize("listed", [True, False], ids=["with its list", "without its list"])
@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not cached"])
def test_a_photograph_that_was_replaced_after_labelling_stops_the_training(train, listed, cached):
    if cached:
        assert train()[0] == 0
    if not listed:
        for listing in Path("recipes").glob("photographs-*"):
            listing.unlink()
    replace("photos/a.jpg")
    code, printed = train()
    assert code == 2 and "Traceback" not in printed, printed
    said = printed.splitlines()[-1]
    assert "export the labels again" in said and ("photos/a.jpg changed since it was labelled" in said or not listed)
    assert not list(Path("exp-ssl").rglob("*.pth"))


def test_a_photograph_that_is_gone_stops_the_training(train):
    Path("photos/b.png").unlink()
    code, printed = train()
    assert code == 2 and "b.png was readable when it was labelled" in printed


def test_copied_and_added_photographs_do_not_stop_the_training(train):
    for path in Path("photos").rglob("*.*"):
        os.utime(path, (1, 1))
    shutil.copy("photos/a.jpg", "photos/new.jpg")
    code, printed = train()
    assert code == 0, printed


def test_the_list_of_other_photographs_is_refused(train):
    listing = next(Path("recipes").glob("photographs-*.jsonl"))
    from hawp_core.data.photographs.manifest import Manifest

    found = Manifest.read(listing)
    Manifest(found.folder, found.entries[:-1]).write(listing)
    code, printed = train()
    assert code == 2 and "is not the list of photographs" in printed and listing.name in printed
