"""A training learns from the photographs that were labelled, or from none."""

import contextlib
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from places import TINY

from hawp_core.commands import cli
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.workflow import settings


def training(place: Path) -> list[str]:
    config = next(place.glob("data-ssl/m/*.yaml")).relative_to(place)
    return ["train", "--datacfg", str(config), "--modelcfg", str(TINY), "--name", "n"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, drawn, photographs) -> Path:
    """A working folder with labels of six photographs in photos/."""
    place = Path(shutil.copytree(drawn, tmp_path_factory.mktemp("labelled"), dirs_exist_ok=True))
    shutil.copytree(photographs, place / "photos")
    with contextlib.chdir(place):
        torch.manual_seed(0)
        network = WireframeNetwork(Architecture.from_dict(asdict(settings.load(TINY).model)))
        shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
        save_checkpoint("model.pth", network, epoch=1, recipe={"name": "m", "shapes": str(shapes)})
        assert cli.main(["homoadp", "--datacfg", str(TINY), "--ckpt", "model.pth", "--images", "photos"]) == 0
    return place


@pytest.fixture(scope="module")
def learnt(tmp_path_factory, labelled) -> Path:
    """The same after a training, which leaves the pixels in a cache; the training itself is deleted."""
    place = Path(shutil.copytree(labelled, tmp_path_factory.mktemp("learnt"), dirs_exist_ok=True))
    with contextlib.chdir(place):
        assert cli.main(training(place)) == 0
        assert list(Path("data-ssl/cache").iterdir())
        shutil.rmtree("exp-ssl")
    return place


@pytest.fixture
def train(labelled, workplace, hawp):
    """Train on the labels, in a copy of the working folder."""
    shutil.copytree(labelled, workplace, dirs_exist_ok=True)
    return lambda: hawp(*training(workplace))


def replace(name: str) -> None:
    """Another picture of the same size in pixels under an old name."""
    with Image.open(name) as image:
        other = ImageOps.invert(image.convert("RGB"))
    other.save(name)


@pytest.mark.parametrize("listed", [True, False], ids=["with its list", "without its list"])
@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not cached"])
def test_a_photograph_that_was_replaced_after_labelling_stops_the_training(train, learnt, listed, cached):
    if cached:
        shutil.copytree(learnt / "data-ssl" / "cache", "data-ssl/cache")
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
