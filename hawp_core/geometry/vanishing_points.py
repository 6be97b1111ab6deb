"""Vanishing points: where the images of parallel edges meet, found from line segments by trying the pairs of the best of them.

Edges of what people build have few directions, so that most of a scene's edges point at one of few points, wherever it was
photographed from; texture and foliage point anywhere. Source: the consensus of pairs is Rother 2002 ("A new approach to vanishing
point detection in architectural environments"), one point after the other as RANSAC finds several models.

Shape legend: M lines, V points, H pairs that are tried.
"""

import numpy as np

# Lines whose pairs are tried, and lines that vote: the heaviest.
_TRIED, _VOTING = 80, 300
# A line that misses a point by less than this, radians, votes for it; within twice as much it belongs to it and votes for no other.
_NEAR = np.deg2rad(1.5)
_REFINEMENTS = 3


def vanishing_points(lines: np.ndarray, weights: np.ndarray, *, count: int) -> np.ndarray:
    """(V, 3) homogeneous vanishing points of an image's lines, the one with the most weight first; V is at most `count`.

    Args:
        lines: (M, 4) x1, y1, x2, y2 in pixels.
        weights: (M,) how much each line counts, at least 0.
        count: most points.
    """
    heaviest = np.argsort(-weights, kind="stable")[:_VOTING]
    heaviest = heaviest[weights[heaviest] > 0]
    lines, weights = lines[heaviest], weights[heaviest].copy()
    if len(lines) < 2:
        return np.zeros((0, 3))
    ends = lines.reshape(-1, 2)
    centre, scale = ends.mean(axis=0), max(float(np.ptp(ends, axis=0).max()), 1e-9)
    to_unit = np.array([[1 / scale, 0, -centre[0] / scale], [0, 1 / scale, -centre[1] / scale], [0, 0, 1]])
    to_pixels = np.linalg.inv(to_unit)
    unit = (lines - np.tile(centre, 2)) / scale
    through = _through(unit)
    first, second = np.triu_indices(min(_TRIED, len(lines)), 1)
    meetings = _normed(np.cross(through[first], through[second]))
    missed = angles_to(unit, meetings)
    votes = np.maximum(0.0, 1 - (missed / _NEAR) ** 2)
    points: list[np.ndarray] = []
    for _ in range(count):
        support = weights @ votes
        best = int(support.argmax())
        # One line votes for every pair it is part of: a point is where at least two lines meet.
        if np.count_nonzero((missed[:, best] < _NEAR) & (weights > 0)) < 2:
            break
        point = meetings[best]
        for _ in range(_REFINEMENTS):
            inside = (angles_to(unit, point[None])[:, 0] < _NEAR) & (weights > 0)
            if np.count_nonzero(inside) < 2:
                break
            # The point that the lines nearly pass through: least squares.
            point = np.linalg.svd(through[inside] * np.sqrt(weights[inside])[:, None])[2][-1]
        points.append(_normed((to_pixels @ point)[None])[0])
        weights[angles_to(unit, point[None])[:, 0] < 2 * _NEAR] = 0
    return np.array(points).reshape(-1, 3)


def angles_to(lines: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(M, V) by how much, radians in [0, pi / 2], each line's direction misses the one from its middle to each homogeneous point."""
    direction = lines[:, 2:] - lines[:, :2]
    middle = (lines[:, :2] + lines[:, 2:]) / 2
    towards = points[None, :, :2] - middle[:, None] * points[None, :, 2:]
    across = direction[:, None, 0] * towards[..., 1] - direction[:, None, 1] * towards[..., 0]
    along = (direction[:, None] * towards).sum(axis=-1)
    return np.arctan2(np.abs(across), np.abs(along))


def _through(lines: np.ndarray) -> np.ndarray:
    """(M, 3) the infinite line through each segment, so that its product with a point is their distance."""
    ends = np.concatenate([lines.reshape(-1, 2, 2), np.ones((len(lines), 2, 1))], axis=2)
    line = np.cross(ends[:, 0], ends[:, 1])
    return line / np.maximum(np.hypot(line[:, 0], line[:, 1]), 1e-12)[:, None]


def _normed(points: np.ndarray) -> np.ndarray:
    return points / np.maximum(np.linalg.norm(points, axis=1), 1e-12)[:, None]
