"""Detection by views: what the looks agree on, where they found it, whichever found it first."""

import numpy as np
import pytest
import torch

from hawp_core.geometry.homography import sample_views, warp_points
from hawp_core.geometry.line_distances import structural_distances
from hawp_core.model.architecture import Architecture
from hawp_core.model.detection import Detection, detect
from hawp_core.model.looks import Seen
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.views import detect_by_views, unite

pytestmark = pytest.mark.numeric

SIZE = 256
HOUSE = np.array([[60.0, 90], [190, 94], [186, 170], [64, 168], [125, 50]])
WALLS = [(0, 1), (1, 2), (2, 3), (0, 3), (0, 4), (1, 4)]


def look(points, edges, score) -> Detection:
    """A detection of lines with one score."""
    junctions = torch.tensor(np.asarray(points), dtype=torch.float32).reshape(-1, 2)
    pairs = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2)
    lines = junctions[pairs].reshape(-1, 4)
    return Detection(
        junctions, torch.ones(len(junctions)), lines, pairs, torch.full((len(pairs),), score), (SIZE, SIZE)
    )


@pytest.fixture
def homographies() -> np.ndarray:
    """The image itself and eight views of it."""
    return np.stack([np.eye(3), *sample_views([[3, number] for number in range(8)], SIZE)])


def united(looks, homographies, min_score) -> Detection:
    return unite([Seen((found,), homography=h) for found, h in zip(looks, homographies, strict=True)], min_score)


def lines_of(points, edges) -> np.ndarray:
    return np.array([[*points[a], *points[b]] for a, b in edges])


def test_lines_that_the_image_itself_does_not_show_are_found_and_share_junctions(homographies):
    """Every look finds the lines but for two of its own choice, an end up to a pixel away, in either order of its ends."""
    rng = np.random.default_rng(0)
    looks = []
    for homography in homographies:
        edges = [WALLS[i] for i in rng.permutation(6)[:4]]
        turned = [pair[::-1] if rng.random() < 0.5 else pair for pair in edges]
        looks.append(look(warp_points(homography, HOUSE + rng.uniform(-1, 1, HOUSE.shape)), turned, 0.8))
    found = united(looks, homographies, 0.1)
    assert found.edges.shape == (6, 2) and len(found.junctions) == 5
    nearest = structural_distances(lines_of(HOUSE, WALLS), found.lines.numpy().astype(float)).min(axis=1)
    assert nearest.max() < 2.0 and nearest.mean() < 1.2
    assert bool((found.scores.diff() <= 0).all()) and bool((found.edges[:, 0] < found.edges[:, 1]).all())


def test_a_score_is_the_mean_over_the_looks_that_show_the_line_whole(homographies):
    line = [(0, 1)]
    whole = [
        number == 0 or bool(((there >= 2) & (there <= SIZE - 3)).all())
        for number, there in enumerate(warp_points(h, HOUSE[:2]) for h in homographies)
    ]
    assert 3 <= sum(whole) < len(whole)
    looks = [look(warp_points(h, HOUSE), line if number < 4 else [], 0.6) for number, h in enumerate(homographies)]
    assert united(looks, homographies, 0.0).scores.tolist() == pytest.approx([0.6 * sum(whole[:4]) / sum(whole)])
    assert not len(united(looks, homographies, 0.6).edges)


def test_of_lines_that_are_nearly_the_same_the_best_stays(homographies):
    beside = np.add(HOUSE[:2], (0, 4))
    points = np.concatenate((HOUSE, beside))
    looks = [
        look(warp_points(h, points), [(0, 1), *([(5, 6)] if number % 2 else [])], 0.7)
        for number, h in enumerate(homographies)
    ]
    found = united(looks, homographies, 0.0)
    assert len(found.edges) == 1 and np.abs(found.lines.numpy() - HOUSE[:2].reshape(-1)).max() < 0.1


def test_looks_that_find_nothing_find_nothing(homographies):
    nothing = look([], [], 0.5)
    assert not len(united([nothing] * 9, homographies, 0.0).edges)
    alone = united([look(HOUSE, [(0, 1)], 0.5), *[nothing] * 8], homographies, 0.0)
    assert len(alone.edges) == 1 and float(alone.scores) < 0.2


def test_detection_by_views_follows_from_each_image_alone_and_orders_its_lines():
    torch.manual_seed(0)
    small = Architecture(
        image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16
    )
    network = WireframeNetwork(small).eval()
    images = torch.rand(2, 1, 64, 64)
    both = detect_by_views(network, images, views=4, min_score=0.0)
    for image, together in zip(images, both, strict=True):
        (alone,) = detect_by_views(network, image[None], views=4, min_score=0.0)
        assert len(alone.edges) and torch.equal(alone.edges, together.edges)
        torch.testing.assert_close(alone.scores, together.scores, atol=1e-4, rtol=0)
        assert bool((alone.scores.diff() <= 0).all())
        assert torch.equal(alone.lines, alone.junctions[alone.edges].reshape(-1, 4))
    one_look = detect(network, images, min_score=0.3)
    for none, plain in zip(detect_by_views(network, images, views=0, min_score=0.3), one_look, strict=True):
        assert torch.equal(none.lines, plain.lines)
