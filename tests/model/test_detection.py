"""Detection against plain loops, on maps that say exactly what is in the image, and at its edges."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hawp_core.model import attraction_field, binding, detection
from hawp_core.model.architecture import Architecture
from hawp_core.model.backbone import Prediction
from hawp_core.model.binding import bind, propose_junctions
from hawp_core.model.detection import detect, detect_votes
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.line_scores import heatmap_scores, refine_heatmap
from hawp_core.model.network import WireframeNetwork

pytestmark = pytest.mark.numeric

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
SIZE = 128
GRID = SIZE // 4
TINY = Architecture(
    image_size=SIZE, width=16, depth=2, stacks=1, junction_features=6, verification_width=24, lineness_widths=(8, 4)
)
# Two triangles and a lone segment, input pixels; no end on a cell's border.
JUNCTIONS = np.array(
    [[10.3, 12.6], [90.9, 15.3], [50.6, 70.2], [30.1, 110.7], [110.3, 100.9], [118.6, 20.2], [122.1, 60.5]], np.float32
)
EDGES = [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4), (5, 6)]


class Maps(nn.Module):
    """A backbone that has seen everything: its maps are given."""

    def __init__(self, heads: torch.Tensor, features: torch.Tensor) -> None:
        super().__init__()
        self.prediction = Prediction([heads], features)

    def forward(self, images: torch.Tensor) -> Prediction:
        return self.prediction


def logit(probability: torch.Tensor) -> torch.Tensor:
    return torch.logit(probability.clamp(1e-6, 1 - 1e-6))


def perfect_heads(scenes: list[tuple[np.ndarray, list]], residual: float = 1e-6) -> torch.Tensor:
    """(B, 9, h, w) score maps of a network that knows the wireframes `scenes` (junctions in pixels, edges)."""
    heads = []
    for junctions, edges in scenes:
        points = torch.tensor(np.asarray(junctions, np.float32).reshape(1, -1, 2)) / 4
        ends = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2)
        lines, count = points[:, ends].reshape(1, -1, 4), torch.tensor([len(ends)])
        made = attraction_field.encode(lines, count, GRID, GRID, TINY.distance_threshold)
        location, offset = attraction_field.encode_junctions(points, torch.tensor([points.shape[1]]), GRID, GRID)
        # Without a line, cells propose points at their own place, which bind to no pair.
        spread = torch.full_like(made.distance, residual)
        junction = torch.cat((6 - 20 * location, 20 * location - 6), dim=1)
        parts = (logit(made.angles), logit(made.distance), logit(spread), junction, logit(offset + 0.5))
        heads.append(torch.cat(parts, dim=1))
    return torch.cat(heads)


def seeing(scenes, device="cpu", residual: float = 1e-6) -> tuple[WireframeNetwork, torch.Tensor]:
    """A network whose maps show `scenes` and whose verification believes every line, and images for it."""
    torch.manual_seed(0)
    network = WireframeNetwork(TINY).eval()
    network.fc2_head.weight.data.zero_()
    network.fc2_head.bias.data = torch.tensor([-10.0, 10.0])
    heads = perfect_heads(scenes, residual)
    features = torch.randn(len(heads), TINY.width, GRID, GRID, generator=torch.Generator().manual_seed(1))
    network.backbone = Maps(heads.to(device), features.to(device))
    return network.to(device), torch.zeros(len(heads), 1, SIZE, SIZE, device=device)


def edge_set(found: detection.Detection) -> dict[tuple, float]:
    """Each line as a pair of points rounded to a tenth of a pixel, in either direction, with its score."""
    lines = (sorted(map(tuple, np.round(line.reshape(2, 2).numpy().astype(float), 1))) for line in found.lines)
    return {tuple(line): float(score) for line, score in zip(lines, found.scores, strict=True)}


def truth(junctions: np.ndarray, edges: list) -> set:
    points = np.round(np.asarray(junctions, float), 1)
    return {tuple(sorted((tuple(points[i]), tuple(points[j])))) for i, j in edges}


@pytest.mark.parametrize("device", DEVICES)
def test_perfect_maps_give_the_wireframe(device):
    network, images = seeing([(JUNCTIONS, EDGES)], device)
    found = detect(network, images, heatmap=torch.ones(1, SIZE, SIZE, device=device))[0]
    assert set(edge_set(found)) == truth(JUNCTIONS, EDGES)
    assert len(found.junctions) == len(JUNCTIONS)
    assert torch.equal(found.lines, found.junctions[found.edges].flatten(1))
    assert (found.edges[:, 0] < found.edges[:, 1]).all()
    assert (found.scores > 0.99).all()


def test_wireframe_in_the_original_image():
    lone = np.array([[12.2, 84.1]], np.float32)
    network, images = seeing([(np.concatenate([JUNCTIONS, lone]), EDGES)])
    found = detect(network, images, heatmap=torch.ones(1, SIZE, SIZE))[0]
    assert len(found.junctions) == len(JUNCTIONS) + 1
    wireframe = found.to_wireframe(2 * SIZE, SIZE // 2)
    assert (wireframe.width, wireframe.height) == (2 * SIZE, SIZE // 2)
    assert len(wireframe.junctions) == len(JUNCTIONS)
    expected = (JUNCTIONS + 0.5) * (2, 0.5) - 0.5
    distance = np.abs(wireframe.junctions[:, None] - expected).max(-1)
    assert distance.min(0).max() < 0.05
    assert len(wireframe.lines) == len(EDGES)


def test_junctions_beyond_the_edge_move_onto_it():
    found = detection.Detection(
        torch.tensor([[128.0, 3.0], [20.0, -2.0]]), torch.ones(2), torch.tensor([[128.0, 3.0, 20.0, -2.0]]),
        torch.tensor([[0, 1]]), torch.tensor([0.9]), (SIZE, SIZE),
    )  # fmt: skip
    np.testing.assert_allclose(found.to_wireframe(SIZE, SIZE).junctions, [[127.5, 3.0], [20.0, -0.5]])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("run", [detect, detect_votes])
def test_images_without_junctions_or_lines(run, device):
    nothing, one, points = ([], []), (JUNCTIONS[:1], []), (JUNCTIONS, [])
    network, images = seeing([nothing, one, points, (JUNCTIONS, EDGES)], device)
    found = run(network, images)
    assert [len(f.junctions) for f in found[:3]] == [0, 1, len(JUNCTIONS)]
    for i in range(3):
        assert found[i].lines.shape == (0, 4)
        assert found[i].edges.shape == (0, 2)
        assert found[i].scores.shape == (0,)
        assert len(found[i].to_wireframe(SIZE, SIZE).lines) == 0
    alone = run(*seeing([nothing], device))
    assert len(alone[0].lines) == 0


@pytest.mark.parametrize("value", [0.0, 0.05, 0.1])
def test_a_dark_heatmap_stays_as_it_is(value):
    heatmap = torch.full((1, SIZE, SIZE), value)
    assert torch.equal(refine_heatmap(heatmap), heatmap)
    network, images = seeing([(JUNCTIONS, EDGES)])
    assert len(detect(network, images, heatmap=heatmap)[0].lines) == 0
    scores = detect(network, images, heatmap=heatmap, min_score=-1)[0].scores
    assert len(scores) == len(EDGES)
    torch.testing.assert_close(scores, torch.full_like(scores, value**0.5), rtol=1e-3, atol=1e-6)


def test_more_junctions_than_slots_keep_the_most_probable():
    generator = torch.Generator().manual_seed(4)
    location = torch.zeros(1, 1, 64, 64)
    location[:, :, ::3, ::3] = 0.1 + 0.9 * torch.rand(22, 22, generator=generator)
    offset = torch.rand(1, 2, 64, 64, generator=generator) - 0.5
    junctions, scores, valid = propose_junctions(location, offset, 300, 0.008)
    assert junctions.shape == (1, 300, 2)
    assert valid.all()
    torch.testing.assert_close(scores[0], location.flatten().sort(descending=True).values[:300])
    for (x, y), score in itertools.islice(zip(junctions[0].tolist(), scores[0], strict=True), 20):
        row, column = (location[0, 0] == score).nonzero()[0].tolist()
        assert x == pytest.approx(column + offset[0, 0, row, column].item() + 0.5, abs=1e-5)
        assert y == pytest.approx(row + offset[0, 1, row, column].item() + 0.5, abs=1e-5)


def test_only_local_maxima_above_the_threshold_are_junctions():
    location = torch.full((2, 1, 8, 8), 0.001)
    location[0, 0, 2, 2], location[0, 0, 2, 3], location[0, 0, 7, 7] = 0.9, 0.8, 0.3
    junctions, scores, valid = propose_junctions(location, torch.zeros(2, 2, 8, 8), 100, 0.008)
    assert valid.sum(1).tolist() == [2, 0]
    assert junctions[0, :2].tolist() == [[2.5, 2.5], [7.5, 7.5]]
    assert scores.shape == (2, 64)


def brute_force_bind(proposals, junctions, radius2) -> dict:
    """First proposal of every junction pair, by loops."""
    pairs = {}
    for p, (x1, y1, x2, y2) in enumerate(proposals.tolist()):
        ends = []
        for x, y in ((x1, y1), (x2, y2)):
            distances = [(x - a) ** 2 + (y - b) ** 2 for a, b in junctions.tolist()]
            if distances and min(distances) < radius2:
                ends.append(distances.index(min(distances)))
        if len(ends) == 2 and ends[0] != ends[1]:
            pairs.setdefault((min(ends), max(ends)), []).append(p)
    return pairs


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(1, 60))
def test_binding_is_that_of_plain_loops(seed, count, proposals):
    generator = torch.Generator().manual_seed(seed)
    # Whole and half coordinates keep the two computations' rounding apart from the question.
    junctions = torch.randint(0, 40, (2, 6, 2), generator=generator) / 2 + torch.rand(2, 6, 2, generator=generator) / 8
    lines = torch.randint(0, 40, (2, proposals, 4), generator=generator) / 2
    valid = torch.arange(6).expand(2, 6) < torch.tensor([count, 6])[:, None]
    image, pair, proposal = bind(lines, junctions, valid, 10.0)
    found = {(i, *p): q for i, p, q in zip(image.tolist(), pair.tolist(), proposal.tolist(), strict=True)}
    expected = {
        (i, *p): q[0]
        for i, used in enumerate((count, 6))
        for p, q in brute_force_bind(lines[i].double(), junctions[i, :used].double(), 10.0).items()
    }
    assert found == expected
    assert list(found) == sorted(found)


def test_binding_in_parts_changes_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    junctions, lines = torch.rand(2, 9, 2, generator=generator) * 20, torch.rand(2, 500, 4, generator=generator) * 20
    valid = torch.ones(2, 9, dtype=torch.bool)
    whole = bind(lines, junctions, valid, 10.0)
    monkeypatch.setitem(binding._ELEMENTS_AT_ONCE, "cpu", 100)
    assert all(torch.equal(a, b) for a, b in zip(whole, bind(lines, junctions, valid, 10.0), strict=True))


def naive_heatmap_score(heatmap: np.ndarray, line: np.ndarray) -> float:
    """Section 4.3 by loops over samples and pixels."""
    height, width = heatmap.shape
    (x1, y1), (x2, y2) = line.reshape(2, 2)
    reach = 0.5 * 2**0.5 + 2 * np.hypot(x1 - x2, y1 - y2) / np.hypot(height, width)
    total = 0.0
    for t in np.linspace(0, 1, 64):
        x, y = np.clip(x1 * t + x2 * (1 - t), 0, width - 1), np.clip(y1 * t + y2 * (1 - t), 0, height - 1)
        best = 0.0
        for dy, dx in itertools.product(range(-3, 4), repeat=2):
            column, row = np.round(x) + dx, np.round(y) + dy
            if dx**2 + dy**2 <= 9 and np.hypot(x - column, y - row) < reach:
                column, row = (int(np.clip(v, 0, n - 1)) for v, n in ((column, width), (row, height)))
                best = max(best, heatmap[row, column])
        total += best / 64
    return total


@pytest.mark.parametrize("device", DEVICES)
def test_heatmap_scores_follow_the_definition(device, monkeypatch):
    generator = torch.Generator().manual_seed(7)
    heatmap = torch.rand(2, 40, 56, generator=generator) ** 4
    lines = torch.rand(24, 4, generator=generator) * torch.tensor([64.0, 48.0, 64.0, 48.0]) - 4
    index = torch.randint(0, 2, (24,), generator=generator)
    expected = [naive_heatmap_score(heatmap[i].numpy(), line.numpy()) for i, line in zip(index, lines, strict=True)]
    found = heatmap_scores(heatmap.to(device), index.to(device), lines.to(device))
    np.testing.assert_allclose(found.cpu().numpy(), expected, atol=1e-5)
    monkeypatch.setitem(binding._ELEMENTS_AT_ONCE, "cpu", 1)
    monkeypatch.setitem(binding._ELEMENTS_AT_ONCE, "cuda", 1)
    assert torch.equal(heatmap_scores(heatmap.to(device), index.to(device), lines.to(device)), found)


def test_a_bright_line_scores_one_and_its_neighbour_nothing():
    heatmap = torch.zeros(1, 32, 32)
    heatmap[0, 10, :] = 1
    lines = torch.tensor([[2.0, 10.0, 29.0, 10.0], [2.0, 20.0, 29.0, 20.0]])
    assert heatmap_scores(heatmap, torch.zeros(2, dtype=torch.int64), lines).tolist() == [1.0, 0.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1))
def test_refining_divides_by_the_brightest_fifth(seed, brightness):
    heatmap = brightness * torch.rand(2, 9, 11, generator=torch.Generator().manual_seed(seed)) ** 3
    refined = refine_heatmap(heatmap)
    for one, result in zip(heatmap.numpy(), refined.numpy(), strict=True):
        bright = np.sort(one[one > np.float32(0.1)])[::-1]
        top = bright[: int(np.ceil(len(bright) * 0.2))]
        expected = np.clip(one / top.mean(), 0, 1) if len(top) else one
        np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_gives_what_its_images_give_alone(device):
    torch.manual_seed(3)
    network = fold_batch_norm(WireframeNetwork(TINY).eval()).to(device)
    images = torch.rand(4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2)).to(device)
    for run in (lambda x: detect(network, x, min_score=-1), lambda x: detect_votes(network, x, min_votes=1)):
        together = run(images)
        assert sum(len(found.lines) for found in together) > 20
        for i, found in enumerate(together):
            alone = run(images[i : i + 1])[0]
            assert len(alone.junctions) == len(found.junctions)
            ours, theirs = edge_set(found), edge_set(alone)
            assert set(ours) == set(theirs)
            assert all(score == pytest.approx(theirs[line], abs=1e-4) for line, score in ours.items())


def test_lines_ruled_out_early_are_those_ruled_out_late():
    torch.manual_seed(3)
    network = WireframeNetwork(TINY).eval()
    images = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    ramp = torch.linspace(0, 1, SIZE).expand(2, SIZE, SIZE)
    late = detect(network, images, heatmap=ramp, min_score=-1)
    early = detect(network, images, heatmap=ramp, min_score=0.6)
    for everything, some in zip(late, early, strict=True):
        kept = everything.scores > 0.6
        assert 0 < kept.sum() < len(kept)
        assert torch.equal(some.lines, everything.lines[kept])
        torch.testing.assert_close(some.scores, everything.scores[kept])


@pytest.mark.parametrize("weight", [0.0, 0.2, 0.5])
def test_the_score_weighs_verification_against_the_heatmap(weight):
    torch.manual_seed(3)
    network = WireframeNetwork(dataclasses.replace(TINY, heat_weight=weight)).eval()
    images = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    dim, bright = (
        detect(network, images, heatmap=torch.full((1, SIZE, SIZE), v), min_score=-1)[0] for v in (0.05, 1.0)
    )
    assert len(bright.scores) == len(dim.scores) > 0
    torch.testing.assert_close(dim.scores, bright.scores * 0.05**weight)
    least = float(bright.scores.median())
    kept = detect(network, images, heatmap=torch.ones(1, SIZE, SIZE), min_score=least)[0]
    torch.testing.assert_close(kept.scores, bright.scores[bright.scores > least])


def test_given_junction_probabilities_replace_the_networks_own():
    network, images = seeing([(JUNCTIONS, EDGES)])
    location = network.backbone.prediction.scores.junction_probability()
    heatmap = torch.ones(1, SIZE, SIZE)
    usual = detect(network, images, heatmap=heatmap)[0]
    same = detect(network, images, heatmap=heatmap, junction_map=location)[0]
    assert torch.equal(usual.lines, same.lines)
    nothing = detect(network, images, heatmap=heatmap, junction_map=torch.zeros_like(location))[0]
    assert len(nothing.junctions) == len(nothing.lines) == 0


def test_three_hypotheses_forgive_a_wrong_distance_that_the_residual_knows_of():
    network, images = seeing([(JUNCTIONS, EDGES)], residual=0.5)
    distance = network.backbone.prediction.scores.distance
    distance.copy_(logit(distance.sigmoid() - 0.5))
    heatmap = torch.ones(1, SIZE, SIZE)
    assert truth(JUNCTIONS, EDGES) <= set(edge_set(detect(network, images, heatmap=heatmap)[0]))
    network.architecture = dataclasses.replace(TINY, residual=False)
    assert not truth(JUNCTIONS, EDGES) <= set(edge_set(detect(network, images, heatmap=heatmap)[0]))


@pytest.mark.parametrize("device", DEVICES)
def test_votes_count_the_grid_points_of_a_pair(device):
    network, images = seeing([(JUNCTIONS, EDGES), ([], [])], device)
    found = detect_votes(network, images, min_votes=10)[0]
    assert set(edge_set(found)) == truth(JUNCTIONS, EDGES)
    with torch.no_grad():
        field = network(images).scores.field()
        proposals = field.proposals(network.architecture.distance_threshold, residual=False)[0].cpu()
    support = brute_force_bind(proposals, found.junctions / 4, TINY.binding_distance2)
    votes = [len(support[tuple(edge)]) for edge in found.edges.tolist()]
    torch.testing.assert_close(found.scores, torch.tensor([v / (v + 10) for v in votes]))
    threshold = sorted(votes)[3]
    fewer = detect_votes(network, images, min_votes=threshold)[0]
    assert len(fewer.lines) == sum(v >= threshold for v in votes) < len(votes)
    assert fewer.scores.min() == 0.5


def test_images_may_be_oblong():
    torch.manual_seed(0)
    network = WireframeNetwork(TINY).eval()
    found = detect(network, torch.rand(1, 1, 64, 192), min_score=-1)[0]
    assert found.input_size == (192, 64)
    assert found.junctions[:, 0].max() > 64
    assert found.junctions[:, 1].max() <= 64


def test_an_architecture_with_votes_scores_lines_by_them():
    """`detect`, and with it every measurement and prediction, takes the votes and keeps those with the asked score."""
    torch.manual_seed(1)
    network = WireframeNetwork(dataclasses.replace(TINY, votes=2, residual=False)).eval()
    images = torch.rand(2, 1, SIZE, SIZE)
    found = detect(network, images, min_score=0.0)
    counted = detect_votes(network, images, 2, max_junctions=TINY.max_junctions, min_score=0.0)
    assert 0 < sum((each.scores < 0.5).sum() for each in found) < sum(len(each.scores) for each in found)
    for one, other in zip(found, counted, strict=True):
        assert torch.equal(one.lines, other.lines)
    for least in (0.3, 0.5, 0.6, 0.75, 1.0):
        kept = detect(network, images, min_score=least)
        for one, all_ in zip(kept, counted, strict=True):
            assert len(one.scores) == int((all_.scores >= least).sum())
