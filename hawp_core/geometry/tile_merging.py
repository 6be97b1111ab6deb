"""The wireframe of a picture from those of its overlapping tiles.

A network ends a line where its image ends. In the overlap of two tiles both see such a line, each with a false end at
its own border and without it at the other's: the false end gives way to where the neighbour's line leads, as often as
there are borders on the way.

Coordinates are (x, y) in pixels of the whole picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hawp_core.geometry.tiles import Tile, depth_in, holds, overlap
from hawp_core.geometry.wireframe import Wireframe

# Pixels. An end this near to a border between tiles was made by it.
_AT_BORDER = 8.0
# Two junctions of different tiles this near are one; a false end, which lies less exactly, may be a little farther from its own.
_SAME_JUNCTION, _FALSE_END = 3.0, 5.0
# Two pieces are of one line if they are nowhere farther apart than this, along a common stretch of at least that; and
# what is joined is nowhere farther from straight.
_ASIDE, _COMMON = 5.0, 10.0
# A line is the same as another tile's if neither of its ends lies farther beyond the other than this.
_BEYOND = 8.0


@dataclass(eq=False)
class _Part:
    """What one tile shows, in the whole picture.

    Attributes:
        lines: (M, 2, 2) float64, the two ends of each line.
        edges: (M, 2) junctions of those ends, counted over all tiles.
        cut: (M, 2) bool, whether an end was made by a border.
        scores: (M,).
        near: the tiles that overlap this one.
    """

    tile: Tile
    lines: np.ndarray
    edges: np.ndarray
    cut: np.ndarray
    scores: np.ndarray
    near: list[int] = field(default_factory=list)


# Tile, row and end of a line.
_Place = tuple[int, int, int]


class _Run(NamedTuple):
    """A line that was followed: its two junctions, the pieces (tile, row) that it was made of, and its score."""

    edge: tuple[int, int]
    pieces: frozenset[tuple[int, int]]
    score: float


def merge(tiles: Sequence[Tile], found: Sequence[Wireframe], width: int, height: int) -> Wireframe:
    """The wireframe of a picture of `width` x `height` pixels from those of its tiles.

    Junctions that two tiles have in common become one, in the middle of where they see it. Lines
    that go on in the next tile become one line, with the mean of their scores weighted by length. A line that two tiles
    found is kept once. Junctions that no line uses are left out.

    Args:
        tiles: from `cut`.
        found: one wireframe a tile, in the tile's own pixels.
    """
    if len(tiles) == 1:
        return found[0].without_lone_junctions()
    junctions = np.concatenate(
        [
            wireframe.junctions + np.array([tile.left, tile.top], np.float64)
            for tile, wireframe in zip(tiles, found, strict=True)
        ]
    )
    first = np.cumsum([0, *(len(wireframe.junctions) for wireframe in found)])
    depth = np.concatenate(
        [depth_in(tile, junctions[first[i] : first[i + 1]], width, height) for i, tile in enumerate(tiles)]
    )
    parts = []
    for i, (tile, wireframe) in enumerate(zip(tiles, found, strict=True)):
        edges = wireframe.edges + int(first[i])
        parts.append(
            _Part(tile, junctions[edges], edges, depth[edges] < _AT_BORDER, wireframe.scores.astype(np.float64))
        )
        parts[-1].near = [j for j, other in enumerate(tiles) if j != i and overlap(tile, other)]
    stands_for = _common_junctions(parts, first, junctions, depth)
    junctions = _means(stands_for, junctions)
    _take_false_ends_for_true(stands_for, parts, junctions, depth)
    runs = _followed(parts, junctions, stands_for)
    kept = _once(runs, parts, junctions, depth)
    edges = np.array([run.edge for run in kept]).reshape(-1, 2)
    return Wireframe(junctions, edges, np.array([run.score for run in kept]), width, height).without_lone_junctions()


def _common_junctions(parts: list[_Part], first: np.ndarray, junctions: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(N,) the junction that stands for each one: of those that tiles see at one place, the farthest from a border."""
    stands_for = np.arange(len(junctions))
    for i, part in enumerate(parts):
        for j in (j for j in part.near if j > i):
            a, b = np.arange(first[i], first[i + 1]), np.arange(first[j], first[j + 1])
            a, b = (rows[depth[rows] >= _AT_BORDER] for rows in (a, b))
            if not len(a) or not len(b):
                continue
            apart = np.hypot(*(junctions[a][:, None] - junctions[b][None]).T).T
            nearest = apart.argmin(axis=1)
            mutual = apart.argmin(axis=0)[nearest] == np.arange(len(a))
            for row in np.flatnonzero(mutual & (apart.min(axis=1) < _SAME_JUNCTION)):
                one, other = _root(stands_for, a[row]), _root(stands_for, b[nearest[row]])
                shallow, deep = sorted((one, other), key=lambda each: (depth[each], -each))
                stands_for[shallow] = deep
    return np.array([_root(stands_for, each) for each in range(len(junctions))], int)


def _means(stands_for: np.ndarray, junctions: np.ndarray) -> np.ndarray:
    """(N, 2) junctions; one that stands for several lies in their middle."""
    count = np.bincount(stands_for, minlength=len(junctions))
    sums = np.stack([np.bincount(stands_for, each, minlength=len(junctions)) for each in junctions.T], axis=1)
    return np.where(count[:, None] > 1, sums / np.maximum(count, 1)[:, None], junctions)


def _take_false_ends_for_true(
    stands_for: np.ndarray, parts: list[_Part], junctions: np.ndarray, depth: np.ndarray
) -> None:
    """Where a border passes by a junction, lines that lead there end beside it: they end at what a neighbour sees of it."""
    true = [np.unique(part.edges[~part.cut]) for part in parts]
    for part in parts:
        others = np.concatenate([np.zeros(0, int), *(true[j] for j in part.near)])
        false = np.unique(part.edges[part.cut])
        if not len(others) or not len(false):
            continue
        apart = np.hypot(*(junctions[false][:, None] - junctions[others][None]).T).T
        near = apart.min(axis=1) < _FALSE_END
        stands_for[false[near]] = stands_for[others[apart.argmin(axis=1)[near]]]


def _root(stands_for: np.ndarray, junction: int) -> int:
    while stands_for[junction] != junction:
        junction = stands_for[junction]
    return int(junction)


def _followed(parts: list[_Part], junctions: np.ndarray, stands_for: np.ndarray) -> list[_Run]:
    """Every line, its false ends followed into the tiles beyond; of those between the same junctions the best."""
    best: dict[tuple[int, int], _Run] = {}
    steps: dict[_Place, _Place | None] = {}

    def lead(place: _Place, other: np.ndarray, pieces: set[tuple[int, int]]) -> int:
        """The junction to which a line leads at one end, straight from its `other` (2,); adds the pieces on the way."""
        passed = {place[:2]}
        while parts[place[0]].cut[place[1:]]:
            if place not in steps:
                steps[place] = _next_piece(parts, *place)
            step = steps[place]
            if step is None or step[:2] in passed:
                break
            along = np.concatenate([parts[j].lines[k] for j, k in pieces | passed | {step[:2]}])
            if _bend(other, parts[step[0]].lines[step[1:]], along) > _ASIDE:
                break
            place = step
            passed.add(place[:2])
        pieces |= passed
        return int(stands_for[parts[place[0]].edges[place[1:]]])

    for i, part in enumerate(parts):
        for row in range(len(part.lines)):
            pieces = {(i, row)}
            one = lead((i, row, 0), part.lines[row, 1], pieces)
            two = lead((i, row, 1), junctions[one], pieces)
            if one == two:
                continue
            edge = (min(one, two), max(one, two))
            run = _Run(edge, frozenset(pieces), _score(parts, pieces))
            known = best.get(edge)
            if known is None or (len(run.pieces), run.score) > (len(known.pieces), known.score):
                best[edge] = run
    return list(best.values())


def _bend(start: np.ndarray, end: np.ndarray, points: np.ndarray) -> float:
    """The largest distance of points (N, 2) from the straight line through two others."""
    way = (end - start) / max(math.dist(start, end), 1e-9)
    return float(np.abs((points - start) @ np.array([-way[1], way[0]])).max())


def _score(parts: list[_Part], pieces: set[tuple[int, int]]) -> float:
    lengths = [math.dist(*parts[i].lines[row]) for i, row in pieces]
    scores = [parts[i].scores[row] for i, row in pieces]
    return float(np.average(scores, weights=lengths)) if sum(lengths) else float(max(scores))


def _next_piece(parts: list[_Part], i: int, row: int, side: int) -> _Place | None:
    """Tile, row and end of the line that goes on beyond a false end: the one that has most in common."""
    end, start = parts[i].lines[row, side], parts[i].lines[row, 1 - side]
    length = math.dist(start, end)
    way = (end - start) / max(length, 1e-9)
    best, most = None, 0.0
    for j in parts[i].near:
        other = parts[j]
        if not len(other.lines) or not holds(other.tile, *end.tolist()):
            continue
        along = (other.lines - start) @ way
        aside = (other.lines - start) @ np.array([-way[1], way[0]])
        low, high = along.min(axis=1), along.max(axis=1)
        common = np.minimum(high, length) - np.maximum(low, 0.0)
        apart = _apart(along, aside, np.maximum(low, 0.0), np.minimum(high, length))
        # It covers the false end, or nearly: a dash farther inside is no continuation, nor what ends at the same border.
        false = other.cut[np.arange(len(along)), along.argmax(axis=1)]
        leads = high > length + np.where(false, _AT_BORDER, -2 * _AT_BORDER)
        good = leads & (common >= _COMMON) & (apart < _ASIDE)
        weight = np.where(good, common * (1.0 - apart / _ASIDE), 0.0)
        if weight.max() > most:
            most = float(weight.max())
            # Of pieces that have as much in common, the one that leads farthest.
            equal = np.flatnonzero(weight >= 0.9 * most)
            chosen = int(equal[high[equal].argmax()])
            best = (j, chosen, int(along[chosen].argmax()))
    return best


def _apart(along: np.ndarray, aside: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(M,) how far each line, given by (M, 2) `along` and `aside`, is from the axis between `low` and `high` at most."""
    span = along[:, 1] - along[:, 0]
    slope = (aside[:, 1] - aside[:, 0]) / np.where(np.abs(span) < 1e-9, 1e-9, span)
    at = [aside[:, 0] + slope * (place - along[:, 0]) for place in (low, high)]
    return np.abs(at).max(axis=0)


def _once(runs: list[_Run], parts: list[_Part], junctions: np.ndarray, depth: np.ndarray) -> list[_Run]:
    """The lines without those that another tile found too, though with other ends.

    Two lines are one if no tile tells them apart (shows both, by different pieces) and one covers the other. The one
    whose ends no border made stays, then the one of more pieces, then the one whose ends are farther from borders.
    """
    ends = junctions[[run.edge for run in runs]].reshape(-1, 2, 2)
    lengths = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    trust = [
        (
            bool((depth[list(run.edge)] >= _AT_BORDER).all()),
            len(run.pieces),
            min(_AT_BORDER * 8, *depth[list(run.edge)]),
            length,
        )
        for run, length in zip(runs, lengths, strict=True)
    ]
    order = sorted(range(len(runs)), key=lambda k: trust[k], reverse=True)
    shown: list[dict[int, int]] = [dict(run.pieces) for run in runs]
    by_tile: list[list[int]] = [[] for _ in parts]
    kept = []
    for k in order:
        near = sorted({other for i in shown[k] for j in (i, *parts[i].near) for other in by_tile[j]})
        rivals = np.array(near)[_covered(ends[k], ends[near])] if near else []
        if any(all(shown[m].get(i, row) == row for i, row in shown[k].items()) for m in rivals):
            continue
        kept.append(k)
        for i in shown[k]:
            by_tile[i].append(k)
    return [runs[k] for k in sorted(kept)]


def _covered(line: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) whether a line (2, 2) lies on each of `others` (N, 2, 2), or one of them on it."""
    span = others[:, 1] - others[:, 0]
    length = np.maximum(np.hypot(*span.T), 1e-9)
    way = span / length[:, None]
    offset = line[None] - others[:, :1]
    along = np.einsum("nij,nj->ni", offset, way)
    aside = np.einsum("nij,nj->ni", offset, np.stack([-way[:, 1], way[:, 0]], axis=1))
    low, high = along.min(axis=1), along.max(axis=1)
    # Of one that leaves a common junction at a right angle, what lies beside the other is a point.
    within = (low > -_BEYOND) & (high < length + _BEYOND) & (np.abs(aside).max(axis=1) < _ASIDE)
    apart = _apart(along, aside, np.maximum(low, 0.0), np.minimum(high, length))
    around = (low < _BEYOND) & (high > length - _BEYOND) & (apart < _ASIDE)
    return (within | around) & (np.minimum(high, length) > np.maximum(low, 0.0))
