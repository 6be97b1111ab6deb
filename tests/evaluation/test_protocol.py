"""What a model is measured under: size, junctions and rotation, in the library and by `hawp evaluate`."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image
from places import TINY

from hawp_core.errors import UserError
from hawp_core.evaluation.protocol import PAIR_VIEW, conditions, network_detector, pair_homography, under
from hawp_core.evaluation.results import Evaluation
from hawp_core.geometry.homography import name_number, sample_homography, warp_points
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.workflow import settings

CHOSEN = settings.complete({}).evaluate


@pytest.fixture(scope="module")
def network():
    from torch import manual_seed

    manual_seed(0)
    small = Architecture(
        image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16,
        max_junctions=40,
    )  # fmt: skip
    return WireframeNetwork(small).eval()


def test_without_a_wish_the_networks_own_size_and_limit_hold(network):
    about = conditions(CHOSEN, network)
    assert (about.size, about.max_junctions, about.rotation) == (64, 40, 45.0)
    with pytest.raises(UserError, match=r"evaluate\.size is 100, which is no multiple of 16.* set it to 96, or to 0"):
        conditions(replace(CHOSEN, size=100), network)


def test_the_same_weights_read_another_size_with_another_limit(network):
    image = np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)
    about = conditions(replace(CHOSEN, size=128, max_junctions=5), network)
    changed = under(network, about)
    assert network.architecture.image_size == 64 and next(changed.parameters()) is next(network.parameters())
    few = network_detector(network, about)(image)
    assert (few.width, few.height) == (128, 96) and 0 < len(few.junctions) <= 5
    more = network_detector(network, conditions(replace(CHOSEN, size=128), network))(image)
    assert len(more.junctions) > 5


def test_copies_are_turned_as_far_as_asked_and_by_default_as_ever():
    by_default = pair_homography("a#0", 300, 200, 7, 45)
    rng = np.random.default_rng([7, name_number("a#0")])
    assert (by_default == sample_homography(rng, 300, 200, artifacts=True, max_angle=np.pi / 4, **PAIR_VIEW)).all()

    def turns(rotation):
        steps = [
            np.diff(
                warp_points(pair_homography(f"{k}#0", 200, 200, 0, rotation), [[95.0, 100.0], [105.0, 100.0]]), axis=0
            )
            for k in range(60)
        ]
        return np.abs(np.degrees([np.arctan2(y, x) for ((x, y),) in steps]))

    # What is left without a rotation is the perspective's.
    assert turns(0).max() < 30 < turns(45).max() < 75 < turns(90).max()


def test_the_command_prints_and_keeps_equal_counts_beside_lsd_at_the_size_asked_for(
    network, workplace, photographs, hawp
):
    save_checkpoint(workplace / "m.pth", network, epoch=1, recipe={"name": "a-round0"})
    words = ("evaluate", "-c", "m.pth", "--config", TINY, "--images", photographs, "--device", "cpu", "--limit", 2)
    code, printed = hawp(
        *words, "--size", 128, "--max-junctions", 60, "--rotation", 90, "--min-score", 0, "--dest", "e.json"
    )
    assert code == 0, printed
    assert "128 px, 2 pairs, copies turned by up to 90 degrees, at most 60 junctions" in printed
    assert "50 longest, LSD" in printed and "The model is" in printed
    found = Evaluation.read("e.json")
    assert found.conditions is not None and found.conditions.size == 128
    for measured in found.repeatability.values():
        assert [each.lines for each in measured.at_counts] == [25, 50, 100, None]
    model, lsd = (found.repeatability[who].at(None) for who in ("model", "LSD"))
    assert lsd.lines_per_image <= model.lines_per_image == found.repeatability["model"].lines_per_image
    assert json.loads((workplace / "e.json").read_text())["repeatability"]["LSD"]["at_counts"][1]["lines"] == 50
    code, printed = hawp(*words, "--views", 2, "--whole-lines", "--scales", "1,1.5", "--dest", "e.json")
    assert code == 0 and "lines by 2 views each, at scales 1, 1.5, whole lines:" in printed
    found = Evaluation.read("e.json")
    about = found.conditions
    assert about is not None and (about.views, about.whole_lines, about.scales) == (2, True, (1.0, 1.5))
    code, printed = hawp(*words, "--size", 100)
    assert code == 2 and "evaluate.size is 100" in printed
    code, printed = hawp(*words, "--rotation", 200)
    assert code == 2 and "--rotation: '200' is not a number from 0 to 180" in printed


def test_labelled_photographs_of_a_configuration_are_measured_and_their_content_enters_the_address(
    network, workplace, photographs, hawp
):
    save_checkpoint(workplace / "m.pth", network, epoch=1, recipe={"name": "a-round0"})
    with Image.open(photographs / "a.jpg") as image:
        width, height = image.size
    labelled = {"filename": "a.jpg", "width": width, "height": height, "lines": [[1, 1, 30, 1], [30, 1, 30, 40]]}
    (workplace / "truth.json").write_text(json.dumps([labelled]))
    chosen = settings.load(TINY)
    measured = {"photographs": 0, "truth": "truth.json", "truth_images": str(photographs)}
    chosen = settings.to_dict(settings.changed(chosen, {"evaluate": measured}, ""))
    (workplace / "mine.yaml").write_text(yaml.safe_dump(chosen))
    words = ("evaluate", "-c", "m.pth", "--images", photographs, "--device", "cpu")
    code, printed = hawp(*words, "--config", "mine.yaml")
    assert code == 0, printed
    (first,) = workplace.glob("evaluation-????????????????.json")
    found = Evaluation.read(first)
    assert found.labelled["model"].sAP10 is not None and found.labelled["LSD"].APH is not None
    assert "LSD, labelled photographs" in printed
    labelled["lines"] = labelled["lines"][:1]
    (workplace / "truth.json").write_text(json.dumps([labelled]))
    # By hand the annotated photographs are those of --images.
    assert hawp(*words, "--config", TINY, "--limit", 1, "--truth", "truth.json")[0] == 0
    assert hawp(*words, "--config", "mine.yaml")[0] == 0
    assert len(list(workplace.glob("evaluation-????????????????.json"))) == 3


def test_a_photograph_is_looked_at_once_however_often_it_is_measured(network):
    images = np.random.default_rng(0).integers(0, 255, (2, 64, 64), np.uint8)
    detector = network_detector(network, conditions(CHOSEN, network))
    looks = []
    hook = network.backbone.register_forward_hook(lambda *_: looks.append(1))
    first, other, again = (detector(image) for image in (images[0], images[1], images[0]))
    hook.remove()
    assert len(looks) == 2 and len(first.lines) and (again.lines == first.lines).all()
    assert first.lines.shape != other.lines.shape or (first.lines != other.lines).any()
