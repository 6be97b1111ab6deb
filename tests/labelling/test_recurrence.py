"""Labels that recur: a line is worth what the views find of it again, and lies where they found it."""

import numpy as np
import pytest
import torch

from hawp_core.geometry.homography import sample_views, warp_points
from hawp_core.labelling.recurrence import count_views
from hawp_core.model.detection import Detection

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
    return sample_views([[3, number] for number in range(12)], SIZE)


def test_lines_that_views_find_again_count_and_others_do_not(homographies):
    image = found(TRUE + ALONE, [[0, 1], [1, 2], [3, 4]])
    looks = [seen(h, TRUE, [[0, 1], [1, 2]], 0.0) for h in homographies]
    counts = count_views(image, homographies, looks)
    assert counts.share.tolist() == [1.0, 1.0, 0.0]


def test_the_share_is_of_the_views_that_show_the_line_whole(homographies):
    image = found(TRUE, [[0, 1]])
    looks = [seen(h, TRUE, [[0, 1]] if number % 2 else [], 0.0) for number, h in enumerate(homographies)]
    there = np.stack([warp_points(h, np.array(TRUE[:2])) for h in homographies])
    whole = ((there >= 2) & (there <= SIZE - 3)).all(axis=(1, 2))
    counts = count_views(image, homographies, looks)
    assert counts.shown.tolist() == [whole.sum()]
    assert counts.share.tolist() == pytest.approx([whole[1::2].sum() / whole.sum()])


def test_junctions_move_to_where_the_views_found_them(homographies):
    """Each view is wrong by a pixel or two; the mean of them is nearer than the image's own look."""
    rng = np.random.default_rng(0)
    image = found(TRUE, [[0, 1], [1, 2]], shift=1.5)
    looks = [seen(h, TRUE, [[0, 1], [1, 2]], rng.normal(0, 0.5, (3, 2))) for h in homographies]
    counts = count_views(image, homographies, looks)
    assert np.abs(counts.junctions - TRUE).max() < 0.75
    assert (counts.share >= 0.5).all()


def test_an_image_or_a_view_without_lines_finds_none(homographies):
    nothing = found(np.zeros((0, 2)), [])
    image = found(TRUE, [[0, 1]])
    assert not len(count_views(nothing, homographies, [image] * 12).share)
    assert count_views(image, homographies, [nothing] * 12).share.tolist() == [0.0]
