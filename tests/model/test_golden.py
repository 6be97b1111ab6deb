"""Numbers of the reference implementation, computed once on a CPU with the weights of golden/weights.py (seed 1).

The network's outputs, the targets and the detections must agree whatever the device; the arrays are strided to stay
small, as their names say.
"""

import json

import numpy as np
import pytest
import torch
from golden.weights import fill
from kornia.geometry.transform import warp_perspective
from places import GOLDEN

from hawp_core.model import attraction_field
from hawp_core.model.detection import Detection, detect
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork

FOLDER = GOLDEN
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("full_precision")]
CLOSE = {"rtol": 0, "atol": 1e-4}
# Grid units: lines whose distances to a point differ by less are equally near, as float32 knows positions to 1e-5 here.
EQUALLY_NEAR = 1e-4
# Quarter turns: an endpoint seen at less is the nearest point itself.
STRAIGHT_AHEAD = 1e-6
# Grid units beyond every distance on the grid.
OPEN = 256.0


@pytest.fixture(scope="module", params=DEVICES)
def device(request) -> torch.device:
    return torch.device(request.param)


@pytest.fixture(scope="module")
def full_precision():
    """TensorFloat-32 convolutions, CUDA's default, keep three digits only."""
    allowed, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "reference.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def network(device) -> WireframeNetwork:
    made = WireframeNetwork()
    fill(made, seed=1)
    return made.eval().to(device)


@pytest.fixture(scope="module")
def image(golden, device) -> torch.Tensor:
    return torch.from_numpy(golden["image_u8"]).to(device)[None, None] / 255


@pytest.fixture(scope="module")
def outputs(network, image) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        prediction = network(image)
        heatmap = network.heatmap_logits(prediction.features).softmax(1)[:, 1]
    return {
        "first": prediction.heads[0],
        "last": prediction.heads[-1],
        "features": prediction.features,
        "heat": heatmap,
    }


def assert_relative(found: torch.Tensor, expected: np.ndarray) -> None:
    expected = torch.from_numpy(expected)
    assert found.shape == expected.shape
    assert (found.cpu() - expected).abs().max() <= 1e-4 * expected.abs().max()


def assert_same_lines(found: Detection, lines: np.ndarray, scores: np.ndarray) -> None:
    """Equal as sets: every line has one partner within 0.01 px, with the same score.

    Of the 64 samples of a heatmap score one may lie halfway between two pixels and round with the last bit of a
    junction's position: one line in two hundred may differ by one sample's share (the reference differs from itself
    by as much when a line moves by 3e-5 px).
    """
    lines, scores = torch.from_numpy(lines), torch.from_numpy(scores)
    assert len(found.lines) == len(lines)
    distance = (found.lines[:, None] - lines).abs().amax(-1)
    nearest, partner = distance.min(1)
    assert nearest.max() < 0.01
    assert len(set(partner.tolist())) == len(lines)
    difference = (found.scores - scores[partner]).abs()
    assert difference.max() < 1 / 64
    assert (difference > 1e-4).sum() <= len(lines) / 200


def test_state_dict_has_the_published_names_shapes_and_order(network):
    published = json.loads((FOLDER / "state_dict.json").read_text())
    assert len(published) == 761
    assert list({n: list(v.shape) for n, v in network.state_dict().items()}.items()) == list(published.items())


def test_score_maps_of_both_stacks(outputs, golden):
    assert_relative(outputs["first"][0, :, ::4, ::4], golden["head_out_first_every4"])
    assert_relative(outputs["last"][0, :, ::4, ::4], golden["head_out_last_every4"])


def test_features(outputs, golden):
    assert_relative(outputs["features"][0, ::4, ::8, ::8], golden["features_every4_every8"])


def test_line_heatmap(outputs, golden):
    assert_relative(outputs["heat"][0, ::4, ::4], golden["heatmap_every4"])


def test_decoded_lines(outputs, golden):
    values = outputs["last"][:, :5].sigmoid()
    lines = attraction_field.decode(values[:, :3], values[:, 3:4], values[:, 4:], 2.0)
    assert_relative(lines[0, :, ::4, ::4], golden["decoded_lines_every4"])


@pytest.fixture(scope="module")
def truth(golden, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Junctions (1, N, 2) and lines (1, M, 4) behind the targets, in grid units."""
    junctions = torch.from_numpy(golden["gt_junctions_rowcol"]).flip(1)[None].to(device) / 4
    return junctions, junctions[0, torch.from_numpy(golden["gt_edges"]).to(device)].reshape(1, -1, 4)


def angle_to_the_far_endpoint(lines: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """(M, h, w) slope in quarter turns from the way to the nearest point, `turn`, to each line's farther endpoint."""
    rows, columns = torch.meshgrid(torch.arange(0.0, 128, 2), torch.arange(0.0, 128, 2), indexing="ij")
    ends = lines.cpu().reshape(-1, 2, 2, 1, 1) - torch.stack((columns, rows))
    far = ends.gather(1, ends.norm(dim=2, keepdim=True).argmax(1, keepdim=True).expand(-1, 1, 2, -1, -1))[:, 0]
    off = torch.atan2(far[:, 1], far[:, 0]) / (2 * torch.pi) + 0.5 - turn
    return 4 * (off - off.round()).abs()


def cells_decided_otherwise(found: torch.Tensor, expected: torch.Tensor, lines: torch.Tensor) -> int:
    """Cells (of every second row and column) whose angles are not the expected ones. Both sides must be the angles that
    one of the lines nearest to the cell gives by itself.

    Two things are not defined, as the last bit, which differs between processors, decides them. A point before a shared
    endpoint is as far from both lines. And for a point beyond a line's end the nearer endpoint, straight ahead, counts
    as left or as right, so that either slope is zero or the one to the farther endpoint.
    """
    one = torch.ones(lines.shape[1], dtype=torch.int64, device=lines.device)
    # A threshold beyond the grid: the distance is clamped nowhere.
    alone = attraction_field.encode(lines.transpose(0, 1), one, 128, 128, OPEN)
    angles, distance = alone.angles[..., ::2, ::2].cpu(), OPEN * alone.distance[:, 0, ::2, ::2].cpu()
    near = distance <= distance.amin(0) + EQUALLY_NEAR
    beyond_an_end = angles[:, 1:].amin(1) < STRAIGHT_AHEAD
    slopes = torch.stack((torch.zeros_like(distance), angle_to_the_far_endpoint(lines, angles[:, 0]).clamp(max=1)), 1)
    for side in (found, expected):
        difference = (angles - side).abs()
        either = (slopes[:, None] - side[1:, None]).abs().amin(2).amax(1)
        slope = torch.where(beyond_an_end, either, difference[:, 1:].amax(1))
        of_a_near_line = near & (difference[:, 0] <= CLOSE["atol"]) & (slope <= CLOSE["atol"])
        assert of_a_near_line.any(0).all()
    return int(((found - expected).abs().amax(0) > CLOSE["atol"]).sum())


def test_targets(golden, device, truth):
    junctions, lines = truth
    made = attraction_field.encode(lines, torch.tensor([lines.shape[1]], device=device), 128, 128, 2.0)
    location, offset = attraction_field.encode_junctions(
        junctions, torch.tensor([junctions.shape[1]], device=device), 128, 128
    )
    angles, expected = made.angles[0, :, ::2, ::2].cpu(), torch.from_numpy(golden["target_md_every2"])
    assert cells_decided_otherwise(angles, expected, lines) <= expected[0].numel() / 100
    torch.testing.assert_close(
        made.distance[0, :, ::2, ::2].cpu(), torch.from_numpy(golden["target_dis_every2"]), **CLOSE
    )
    torch.testing.assert_close(made.mask[0].cpu(), torch.from_numpy(golden["target_mask"]).float())
    torch.testing.assert_close(location[0].cpu(), torch.from_numpy(golden["target_jloc"]).float())
    torch.testing.assert_close(offset[0].cpu(), torch.from_numpy(golden["target_joff"]), **CLOSE)


def test_targets_change_with_the_order_of_the_lines_in_ties_alone(golden, device, truth):
    """Every tie decided the other way at once: more than any processor's rounding does."""
    lines = truth[1].flip(1)
    made = attraction_field.encode(lines, torch.tensor([lines.shape[1]], device=device), 128, 128, 2.0)
    angles, expected = made.angles[0, :, ::2, ::2].cpu(), torch.from_numpy(golden["target_md_every2"])
    assert cells_decided_otherwise(angles, expected, lines) > 100
    wrong = angles.clone()
    wrong[0, 5, 7] += 2e-4
    with pytest.raises(AssertionError):
        cells_decided_otherwise(wrong, expected, lines)


def test_detection(network, image, golden):
    found = detect(network, image, min_score=-1)[0]
    assert_same_lines(found, golden["det_lines"], golden["det_scores"])
    expected = torch.from_numpy(golden["det_junctions"])
    assert found.junctions.shape == expected.shape
    assert (found.junctions[:, None] - expected).abs().amax(-1).amin(1).max() < 0.01
    torch.testing.assert_close(
        found.junction_scores, torch.from_numpy(golden["det_junction_scores"]), rtol=0, atol=1e-4
    )


def test_detection_with_folded_batch_norm(network, image, golden):
    found = detect(fold_batch_norm(network), image, min_score=-1)[0]
    assert_same_lines(found, golden["det_lines"], golden["det_scores"])


def test_detection_with_adapted_heatmap(network, image, golden, device):
    """The reference's arithmetic of homographic adaptation: black borders, no identity view, a bare mean."""
    there = torch.from_numpy(golden["homographies"]).to(device)
    back = torch.inverse(there)
    size = image.shape[-2:]
    source = image.expand(len(there), -1, -1, -1)
    with torch.no_grad():
        heat = network.line_heatmap(warp_perspective(source, there, size))
    total = warp_perspective(heat[:, None], back, size).sum(0)
    seen = warp_perspective(torch.ones_like(source), there, size, mode="nearest")
    count = warp_perspective(seen, back, size, mode="nearest").sum(0)
    heatmap = torch.where(count > 0, total / count.clamp(min=1), 0)
    assert np.array_equal(count[0, ::4, ::4].cpu().numpy(), golden["adapt_counts_every4"])
    assert_relative(heatmap[0, ::4, ::4], golden["adapt_heatmap_every4"])
    found = detect(network, image, heatmap=heatmap, min_score=-1)[0]
    assert_same_lines(found, golden["adapt_lines"], golden["adapt_scores"])
