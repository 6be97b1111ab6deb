"""Tiles cover a picture, and what they show comes together: a line across seams is one line."""

import itertools

import numpy as np
import pytest

from hawp_core.geometry.homography import clip_lines
from hawp_core.geometry.tile_merging import _covered, merge
from hawp_core.geometry.tiles import cut
from hawp_core.geometry.wireframe import Wireframe


@pytest.mark.parametrize(
    ("width", "height", "side"), [(100, 80, 128), (129, 40, 128), (1000, 700, 128), (257, 513, 64)]
)
def test_tiles_cover_the_picture_and_overlap(width, height, side):
    seen = np.zeros((height, width), int)
    for tile in cut(width, height, side):
        assert (tile.width, tile.height) == (min(side, width), min(side, height))
        assert tile.left >= 0 and tile.left + tile.width <= width and tile.top >= 0 and tile.top + tile.height <= height
        seen[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
    assert seen.min() == 1
    lefts = sorted({tile.left for tile in cut(width, height, side)})
    assert all(first + side - second >= side / 8 for first, second in itertools.pairwise(lefts))


def apart(lines, line):
    """Distance of each of `lines` (M, 4) to `line`: the larger of both ends', the better way round."""
    ends, other = lines.reshape(-1, 2, 2), np.reshape(line, (2, 2))
    return np.minimum(*(np.hypot(*(ends - way).transpose(2, 0, 1)).max(axis=1) for way in (other, other[::-1])))


def looked_at(lines, width, height, side, rng):
    """Tiles, and what a parser that ends lines at borders and is off by half a pixel finds in them, short pieces left out."""
    tiles, found = cut(width, height, side), []
    for tile in tiles:
        pieces, _ = clip_lines(lines - np.array([tile.left, tile.top] * 2), tile.width, tile.height, min_length=12)
        pieces = pieces + rng.normal(0, 0.25, pieces.shape).clip(-0.5, 0.5)
        found.append(Wireframe.from_lines(pieces, tile.width, tile.height, rng.uniform(0.5, 1, len(pieces))))
    return tiles, found


@pytest.mark.parametrize("side", [128, 256])
@pytest.mark.parametrize("seed", range(5))
def test_each_of_twenty_random_lines_over_any_number_of_tiles_is_found_once_within_a_pixel(seed, side):
    rng, (width, height), lines = np.random.default_rng(seed), (900, 700), np.zeros((0, 4))
    while len(lines) < 20:
        start, turn = rng.uniform(0, (width, height)), rng.uniform(0, 2 * np.pi)
        end = start + rng.uniform(40, 900) * np.array([np.cos(turn), np.sin(turn)])
        lines = np.concatenate([lines, clip_lines(np.hstack([start, end])[None], width, height, min_length=40)[0]])
    tiles, found = looked_at(lines, width, height, side, rng)
    whole = merge(tiles, found, width, height)
    assert sum(len(each.edges) for each in found) > 2 * len(lines)
    assert len(whole.edges) == len(lines)
    assert [int((apart(whole.lines, line) < 1).sum()) for line in lines] == [1] * len(lines)
    assert ((whole.scores >= 0.5) & (whole.scores <= 1)).all()


def test_scores_are_means_by_length_and_junctions_are_the_deeper_tiles():
    tiles = cut(240, 128, 128)
    assert [tile.left for tile in tiles] == [0, 112]
    left = Wireframe([[20, 60], [127, 60]], [[0, 1]], [0.9], 128, 128)
    right = Wireframe([[0, 60], [100, 60], [100, 90]], [[0, 1], [1, 2]], [0.5, 0.7], 128, 128)
    whole = merge(tiles, [left, right], 240, 128)
    assert sorted(map(tuple, whole.lines.tolist())) == [(20, 60, 212, 60), (212, 60, 212, 90)]
    joined = int(np.ptp(whole.lines[:, [0, 2]], axis=1).argmax())
    assert whole.scores[joined] == pytest.approx((107 * 0.9 + 100 * 0.5) / 207)
    # Both see the junction at 118: in the left tile it is 10 pixels from the border, in the right one 6, which made it.
    left = Wireframe([[20, 30], [118, 30]], [[0, 1]], [0.9], 128, 128)
    right = Wireframe([[0, 30], [6.5, 31], [90, 60]], [[0, 1], [1, 2]], [0.6, 0.8], 128, 128)
    whole = merge(tiles, [left, right], 240, 128)
    assert [20, 30, 118, 30] in whole.lines.tolist()


def test_lines_that_one_tile_tells_apart_stay_apart():
    tiles = cut(240, 128, 128)
    close = Wireframe(
        [[20, 60], [100, 60], [20, 62], [100, 62], [60, 60]], [[0, 1], [2, 3], [0, 4]], [0.9, 0.8, 0.7], 128, 128
    )
    whole = merge(tiles, [close, Wireframe.empty(128, 128)], 240, 128)
    assert sorted(whole.scores) == pytest.approx([0.7, 0.8, 0.9])


def test_a_gap_between_two_lines_stays_a_gap():
    tiles = cut(240, 128, 128)
    left = Wireframe([[20, 60], [100, 60]], [[0, 1]], [0.9], 128, 128)
    right = Wireframe([[20, 60], [100, 60]], [[0, 1]], [0.8], 128, 128)
    assert sorted(map(tuple, merge(tiles, [left, right], 240, 128).lines.tolist())) == [
        (20, 60, 100, 60),
        (132, 60, 212, 60),
    ]


def test_a_line_that_a_border_cut_beside_a_junction_ends_at_it():
    tiles = cut(240, 128, 128)
    left = Wireframe([[20, 60], [126, 63]], [[0, 1]], [0.9], 128, 128)
    right = Wireframe([[12, 60], [12, 20]], [[0, 1]], [0.8], 128, 128)
    whole = merge(tiles, [left, right], 240, 128)
    assert sorted(map(tuple, whole.lines.tolist())) == [(20, 60, 124, 60), (124, 60, 124, 20)]


def test_a_line_that_leaves_another_ones_end_at_a_right_angle_does_not_lie_on_it():
    rng = np.random.default_rng(0)
    for start, end in rng.uniform(0, 200, (200, 2, 2)):
        way = (end - start) / np.hypot(*(end - start))
        # It is beside the other by less than rounding takes away.
        other = end + rng.uniform(0, 6) * way + 60 * np.array([-way[1], way[0]])
        assert not _covered(np.stack([end, other]), np.stack([start, end])[None]).any()


def test_a_junction_of_two_tiles_lies_in_the_middle_of_where_they_see_it():
    tiles = cut(240, 128, 128)
    left = Wireframe([[20, 60], [118, 60]], [[0, 1]], [0.9], 128, 128)
    right = Wireframe([[8, 62], [90, 20]], [[0, 1]], [0.8], 128, 128)
    whole = merge(tiles, [left, right], 240, 128)
    assert len(whole.junctions) == 3 and [119, 61] in whole.junctions.tolist()
