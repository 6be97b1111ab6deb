"""Labels that recur: a line is one where the views find it again, and lies where they found it."""

import numpy as np
import pytest
import torch
from looks import looks

from hawp_core.geometry.homography import warp_points
from hawp_core.labelling.homographic_adaptation import label_images, view_homographies
from hawp_core.labelling.recurrence import count_views
from hawp_core.model.architecture import Architecture
from hawp_core.model.detection import Detection
from hawp_core.model.network import WireframeNetwork

pytestmark = pytest.mark.numeric

SIZE = 256
TRUE = [[40.0, 40], [120, 44], [118, 130]]
ALONE = [[200.0, 60], [210, 150]]  # what only the image itself shows


def found(points, edges, shift=0.0) -> Detection:
    """A detection of these lines."""
    junctions = torch.tensor(points, dtype=torch.float32) + shift
    pairs = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2)
    lines = junctions[pairs].reshape(-1, 4)
    return Detection(junctions, torch.ones(len(junctions)), lines, pairs, torch.full((len(pairs),), 0.6), (SIZE, SIZE))


def seen(homography, points, edges, noise) -> Detection:
    """The same lines as a view shows them, found with an error of `noise` pixels, ends in the other order."""
    return found(warp_points(homography, np.array(points) + noise), [pair[::-1] for pair in edges])


@pytest.fixture
def homographies() -> np.ndarray:
    return view_homographies("a.png", SIZE, looks(views=12), seed=3)


def test_lines_that_views_find_again_stay_and_others_go(homographies):
    image = found(TRUE + ALONE, [[0, 1], [1, 2], [3, 4]])
    looks = [seen(h, TRUE, [[0, 1], [1, 2]], 0.0) for h in homographies]
    kept = count_views(image, homographies, looks, min_score=0.5, min_counts=3)
    assert sorted(map(tuple, kept.edges.tolist())) == [(0, 1), (1, 2)]
    assert kept.scores.tolist() == [1.0, 1.0]
    assert torch.equal(kept.lines, kept.junctions[kept.edges].reshape(-1, 4))


def test_a_score_is_the_share_of_the_views_that_show_the_line_whole(homographies):
    image = found(TRUE, [[0, 1]])
    looks = [seen(h, TRUE, [[0, 1]] if number % 2 else [], 0.0) for number, h in enumerate(homographies)]
    there = np.stack([warp_points(h, np.array(TRUE[:2])) for h in homographies])
    whole = ((there >= 2) & (there <= SIZE - 3)).all(axis=(1, 2))
    expected = whole[1::2].sum() / whole.sum()
    kept = count_views(image, homographies, looks, min_score=0.0, min_counts=1)
    assert kept.scores.tolist() == pytest.approx([expected])
    assert not len(count_views(image, homographies, looks, min_score=0.0, min_counts=int(whole.sum()) + 1).edges)


def test_junctions_move_to_where_the_views_found_them(homographies):
    """Each view is wrong by a pixel or two; the mean of them is nearer than the image's own look."""
    rng = np.random.default_rng(0)
    image = found(TRUE, [[0, 1], [1, 2]], shift=1.5)
    looks = [seen(h, TRUE, [[0, 1], [1, 2]], rng.normal(0, 0.5, (3, 2))) for h in homographies]
    kept = count_views(image, homographies, looks, min_score=0.5, min_counts=3)
    assert np.abs(kept.junctions.numpy() - TRUE).max() < 0.75
    assert len(kept.edges) == 2


def test_an_image_or_a_view_without_lines_leaves_none(homographies):
    nothing = found(np.zeros((0, 2)), [])
    image = found(TRUE, [[0, 1]])
    assert not len(count_views(nothing, homographies, [image] * 12, 0.5, 3).edges)
    assert not len(count_views(image, homographies, [nothing] * 12, 0.5, 3).edges)


def test_a_network_labels_so_and_chunks_change_nothing():
    torch.manual_seed(0)
    small = Architecture(
        image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16
    )
    network = WireframeNetwork(small).eval()
    images = torch.rand(2, 1, 64, 64)
    adaptation = looks(labels="recurring", views=6, view_score=0.0, min_score=0.2, min_counts=1)
    views = torch.from_numpy(np.stack([view_homographies(name, 64, adaptation, 0) for name in "ab"]))
    one, other = (label_images(network, images, views, adaptation, chunk=chunk) for chunk in (1, 6))
    for a, b in zip(one, other, strict=True):
        assert len(a.edges) and torch.equal(a.edges, b.edges)
        torch.testing.assert_close(a.junctions, b.junctions, atol=1e-3, rtol=0)
        assert bool((a.scores >= 0.2).all())
