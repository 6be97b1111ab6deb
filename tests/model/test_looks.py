"""One look at several sizes: lines lie where they are, each is found once, and no size asks more than the network can read."""

import cv2
import numpy as np
import pytest
import torch

from hawp_core import load
from hawp_core.errors import UserError
from hawp_core.geometry.line_distances import structural_distances
from hawp_core.model.architecture import Architecture
from hawp_core.model.detection import Detection
from hawp_core.model.looks import LEAST_SCALE, MOST_SCALE, MOST_SCALES, Look, Seen
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.views import alone
from hawp_core.workflow.schema import schema

pytestmark = pytest.mark.numeric

BOXES = ((60, 50, 200, 190), (280, 60, 450, 220), (110, 280, 240, 440), (310, 260, 430, 450))


@pytest.fixture(scope="module")
def boxes() -> tuple[np.ndarray, np.ndarray]:
    """A picture of four boxes, and their sides (16, 4)."""
    picture, sides = np.full((512, 512), 230, np.uint8), []
    for left, top, right, bottom in BOXES:
        cv2.rectangle(picture, (left, top), (right, bottom), 20 + left // 2, -1)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        sides += [(*corners[i - 1], *corners[i]) for i in range(4)]
    return picture, np.array(sides, float)


@pytest.fixture(scope="module")
def small() -> WireframeNetwork:
    torch.manual_seed(0)
    made = Architecture(
        image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16
    )
    return WireframeNetwork(made).eval()


def _lines(lines: list[list[float]], score: float) -> Detection:
    ends = torch.tensor(lines, dtype=torch.float32).reshape(-1, 2)
    pairs = torch.arange(len(ends)).reshape(-1, 2)
    return Detection(
        ends, torch.ones(len(ends)), ends.reshape(-1, 4), pairs, torch.full((len(lines),), score), (128, 128)
    )


@pytest.mark.parametrize("scales", [(1.5,), (0.75,), (1, 1.5), (1.5, 1, 0.75)])
def test_lines_lie_where_they_are_at_every_scale_and_each_is_found_once(boxes, scales):
    picture, sides = boxes
    found = load(device="cpu", scales=scales)(picture)
    apart = structural_distances(sides, found.lines)
    near = apart.min(1) < 6
    assert near.sum() >= 12
    ours, theirs = found.lines[apart.argmin(1)][near], sides[near]
    # The ends of a line have no order of their own; a wrong shift between sizes would move all of them the same way.
    ours = np.where((np.abs(ours - theirs).sum(1) < 20)[:, None], ours, ours[:, [2, 3, 0, 1]])
    assert np.abs((ours - theirs).reshape(-1, 2).mean(0)).max() < 0.7
    if len(scales) > 1:
        among = structural_distances(found.lines, found.lines) + 100 * np.eye(len(found.lines))
        assert among.min() > 5


def test_a_score_is_the_root_mean_square_over_the_scales(boxes):
    picture, sides = boxes
    small, large, both = (load(device="cpu", threshold=0.1, scales=s)(picture) for s in ((1,), (1.5,), (1, 1.5)))
    near = [structural_distances(sides, found.lines) < 5 for found in (small, large, both)]
    one, other, together = (
        (close * found.scores).max(1) for close, found in zip(near, (small, large, both), strict=True)
    )
    assert (np.abs(together - np.sqrt((one**2 + other**2) / 2)) < 0.05).sum() >= 12


def test_scales_that_disagree_are_weighed_and_the_finer_says_where():
    places = ([10.0, 10, 90, 10], [10.0, 14, 90, 14])
    seen = Seen((_lines([places[0]], 0.3), _lines([places[1]], 0.9)), (0.5, 1.5))
    found = alone(seen, 0.1)
    assert found.scores.tolist() == pytest.approx([np.sqrt((0.3**2 + 0.9**2) / 2)])
    across = (0.3 * 0.25 * 10 + 0.9 * 2.25 * 14) / (0.3 * 0.25 + 0.9 * 2.25)
    np.testing.assert_allclose(found.lines.numpy(), [[10, across, 90, across]], atol=1e-4)
    assert not len(alone(seen, 0.7).lines)


@pytest.mark.parametrize(
    ("scale", "apart", "together"),
    [(0.5, 4.9, True), (0.5, 5.1, False), (0.25, 5.1, False), (1.5, 2.4, True), (1.5, 2.6, False)],
)
def test_a_reduced_scale_is_off_by_more_but_never_by_another_line(scale, apart, together):
    """Distances are sums over both ends."""
    line, other = [10.0, 10, 90, 10], [10.0, 10 + apart, 90, 10 + apart]
    seen = Seen((_lines([line], 0.6), _lines([other], 0.6)), (scale, 2.0))
    (best, *_) = alone(seen, 0.1).scores.tolist()
    # The finer scale's line is where both are looked for; the coarser one's line is matched within its own reach alone.
    assert best == pytest.approx(0.6 if together else 0.6 / np.sqrt(2))


def test_an_image_passes_at_sizes_that_the_network_can_read(small):
    passes = []
    hook = small.backbone.register_forward_hook(lambda _module, inputs, _output: passes.append(inputs[0].shape))
    Look((1, 1.4, 0.25, 3))(small, torch.rand(3, 1, 64, 64), 0.1)
    hook.remove()
    # The larger, the fewer at a time: memory does not grow with the size until one image alone takes more.
    assert [(shape[0], shape[-1]) for shape in passes] == [(3, 64), (1, 96), (1, 96), (1, 96), (3, 16), *[(1, 192)] * 3]


@pytest.mark.parametrize("views", [0, 2])
def test_a_look_at_scales_follows_from_each_image_alone(boxes, views):
    picture, _ = boxes
    model = load(device="cpu", threshold=0.4, views=views, whole_lines=True, scales=(1, 1.5))
    pictures = [picture, np.ascontiguousarray(picture.T)]
    for each, among in zip(pictures, model.many(pictures), strict=True):
        alone = model(each)
        # Lines with all but equal scores may change places: a batch adds in another order.
        assert 8 <= len(alone.lines) == len(among.lines)
        assert structural_distances(alone.lines, among.lines).min(1).max() < 0.1
        np.testing.assert_allclose(np.sort(alone.scores), np.sort(among.scores), atol=1e-3)
        assert (alone.scores > 0.4).all() and (alone.lines >= -0.5).all() and (alone.lines <= 511.5).all()


def test_scales_are_those_of_the_settings():
    rule = schema()["properties"]["evaluate"]["properties"]["scales"]
    assert rule == schema()["properties"]["export"]["properties"]["scales"] | {"description": rule["description"]}
    assert (rule["items"]["minimum"], rule["items"]["maximum"], rule["maxItems"]) == (
        LEAST_SCALE,
        MOST_SCALE,
        MOST_SCALES,
    )


@pytest.mark.parametrize("scales", [(), (0,), (-1, 1), (9,), (float("nan"),), ("1",), "1,1.5", 1.5, None, (1,) * 9])
def test_other_scales_are_refused_at_once(scales):
    with pytest.raises(ValueError, match=r"scales are .*numbers .*such as \(1, 1.5\)"):
        load(device="cpu", scales=scales)


@pytest.mark.parametrize("given", [{"views": -1}, {"views": 1.5}, {"threshold": 5}, {"threshold": float("nan")}])
def test_other_numbers_are_refused_at_once(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))} is "):
        load(device="cpu", **given)


def test_no_image_is_enlarged_beyond_what_a_network_reads(small):
    with pytest.raises(UserError, match="4608, and the network looks at 4096 at most"):
        Look((4,))(small, torch.zeros(1, 1, 1152, 1152), 0.5)
