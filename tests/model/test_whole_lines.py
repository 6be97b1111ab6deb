"""What people would draw comes first: whole lines before their pieces, lines of the scene's directions before others."""

import cv2
import numpy as np
import pytest
import torch

from hawp_core import load
from hawp_core.geometry.line_distances import structural_distances
from hawp_core.model.bright_pairs import bright_pairs
from hawp_core.model.detection import Detection
from hawp_core.model.whole_lines import pieces, whole_first, worth_of_direction

pytestmark = pytest.mark.numeric

EDGE = [100.0, 100, 400, 110]


def along(start: float, end: float, aside: float = 0.0) -> list[float]:
    """A part of EDGE, moved aside by some pixels."""
    (x1, y1, x2, y2) = EDGE
    return [x1 + start * (x2 - x1), y1 + start * (y2 - y1) + aside, x1 + end * (x2 - x1), y1 + end * (y2 - y1) + aside]


def test_what_lies_within_a_longer_line_that_is_nearly_as_sure_is_a_piece():
    lines = np.array(
        [EDGE, along(0, 0.5), along(0.5, 1, 2.0), along(0.2, 0.4, 9.0), along(0.02, 0.98), [250, 105, 260, 300]]
    )
    scores = np.array([0.8, 0.9, 0.3, 0.9, 0.9, 0.9])
    assert pieces(lines, scores).tolist() == [False, True, True, False, False, False]
    # A piece that is surer than the long line is no piece of it.
    assert not pieces(lines[:2], np.array([0.6, 0.9])).any()
    assert pieces(np.zeros((0, 4)), np.zeros(0)).shape == (0,)


def grid(number: int) -> list[list[float]]:
    """A wall of bricks under a roof: lines of four directions."""
    across = [[20.0, 30 + 40 * i, 480, 30 + 40 * i] for i in range(number)]
    down = [[30.0 + 40 * i, 20, 30 + 40 * i, 480] for i in range(number)]
    roof = [[30.0 + 40 * i, 250, 130 + 40 * i, 250 + slope] for i in range(number) for slope in (60, -60)]
    return across + down + roof


def test_lines_that_point_nowhere_are_worth_half_and_scores_never_rise():
    rng = np.random.default_rng(1)
    strays = [
        [x, y, x + 40 * np.cos(a), y + 40 * np.sin(a)]
        for x, y, a in rng.uniform([60, 60, 0.3], [400, 400, 1.3], (40, 3))
    ]
    lines, scores = np.array(grid(8) + strays), np.r_[np.full(32, 0.6), np.full(40, 0.65)]
    worth = worth_of_direction(lines, scores)
    assert worth[:32].min() > 0.99 and np.median(worth[32:]) < 0.7 and worth.max() <= 1
    points = torch.from_numpy(lines.reshape(-1, 2).astype(np.float32))
    edges = torch.arange(len(points)).reshape(-1, 2)
    given = Detection(
        points,
        torch.ones(len(points)),
        points[edges].reshape(-1, 4),
        edges,
        torch.from_numpy(scores).float(),
        (512, 512),
    )
    found = whole_first(given, 0.5)
    assert len(found.scores) > 32 and bool((found.scores.diff() <= 0).all()) and bool((found.scores > 0.5).all())
    assert torch.equal(found.lines, found.junctions[found.edges].reshape(-1, 4))
    # Every stray scored more than the lines of the scene.
    assert (found.edges[:32, 0] < 64).sum() >= 20


def test_no_lines_are_none():
    nothing = torch.zeros(0)
    none = Detection(
        nothing.reshape(0, 2), nothing, nothing.reshape(0, 4), nothing.reshape(0, 2).long(), nothing, (64, 64)
    )
    assert len(whole_first(none, 0.1).lines) == 0


def test_pairs_of_junctions_are_candidates_where_the_heatmap_is_bright_all_along():
    heatmap = np.zeros((128, 128), np.float32)
    cv2.line(heatmap, (10, 20), (110, 20), 1, 2)
    cv2.line(heatmap, (10, 90), (50, 90), 1, 2)
    cv2.line(heatmap, (80, 90), (110, 90), 1, 2)
    at = torch.tensor([[[10.0, 20], [110, 20], [10, 90], [110, 90], [60, 60], [0, 0]]]) / 4
    valid = torch.tensor([[True] * 5 + [False]])
    found = bright_pairs(torch.from_numpy(heatmap)[None], at, valid, 8)
    assert found.shape == (1, 8, 4)
    real = found[0][found[0, :, 0] > -1]
    # The lower line has a gap of a quarter of its length.
    assert real.tolist() == [[2.5, 5.0, 27.5, 5.0]]
    assert bright_pairs(torch.zeros(1, 128, 128), at, torch.zeros_like(valid), 8).max() < 0


def test_the_sides_of_a_large_frame_are_found_whole():
    image = np.full((512, 512), 200, np.uint8)
    corners = np.array([[70, 90], [440, 70], [450, 430], [60, 440]])
    cv2.fillPoly(image, [corners], 80, cv2.LINE_AA)
    sides = np.hstack([corners, np.roll(corners, -1, axis=0)]).astype(float)
    for views in (0, 4):
        whole = load(device="cpu", threshold=0.1, views=views, whole_lines=True)(image)
        assert (structural_distances(sides, whole.lines[:8]).min(axis=1) < 8).all()
