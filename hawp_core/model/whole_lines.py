"""Whole lines before their pieces, and lines of the scene's directions before others: what people would draw comes first.

A network scores each candidate for itself, so a piece of an edge scores like the edge, and a twig like a cornice. Two rules tell
them apart that hold under every homography and need no label. A line within a longer one that is nearly as sure is a piece of it. And
a line that points at none of the scene's vanishing points is less likely an edge of what was built.

Shape legend: M lines.
"""

from dataclasses import replace

import numpy as np
import torch

from hawp_core.geometry.vanishing_points import angles_to, vanishing_points
from hawp_core.model.detection import Detection

# Pairs of junctions of an image that are candidates because the heatmap is bright between them (`bright_pairs`).
PAIRS = 512
# What a piece's score is multiplied by, and least what a line's is that points nowhere.
_OF_PIECE, _OF_STRAY = 0.5, 0.5
# A piece lies within a line that is so much longer and scores at least this share of its own; its ends are off by at most so many pixels.
_LONGER, _LEAST_SHARE, _OFF = 1.2, 0.8, 4.0
# Directions of a scene; a line that misses one by an angle of this size, radians, is worth what a deviation of one sigma is worth. Ends are
# known to a few pixels, so a short line's direction to less: at this length, pixels, twice as badly.
_DIRECTIONS, _SIGMA, _SHORT = 4, np.deg2rad(4.0), 20.0
# The directions are taken from longer lines, pixels.
_LEAST_LENGTH = 16.0
_ROWS_AT_ONCE = 512


def whole_first(detection: Detection, min_score: float) -> Detection:
    """A detection with the scores of pieces and strays lowered, of lines above `min_score`, the best first.

    Scores of whole lines that point at a vanishing point stay as they are; none rises.
    """
    lines, scores = detection.lines.numpy().astype(np.float64), detection.scores.numpy().astype(np.float64)
    lowered = scores * worth_of_direction(lines, scores)
    lowered[pieces(lines, scores)] *= _OF_PIECE
    above = np.flatnonzero(lowered > min_score)
    order = torch.from_numpy(above[np.argsort(-lowered[above], kind="stable")])
    kept = torch.from_numpy(lowered.astype(np.float32))[order]
    return replace(detection, lines=detection.lines[order], edges=detection.edges[order], scores=kept)


def worth_of_direction(lines: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(M,) from a half to 1: how well each line (M, 4), pixels, points at one of the vanishing points that all of them have."""
    length = np.hypot(*(lines[:, 2:] - lines[:, :2]).T)
    points = vanishing_points(lines, scores**2 * length * (length > _LEAST_LENGTH), count=_DIRECTIONS)
    if not len(points):
        return np.ones(len(lines))
    missed = angles_to(lines, points).min(axis=1) / (_SIGMA * (1 + _SHORT / np.maximum(length, 1e-9)))
    return _OF_STRAY + (1 - _OF_STRAY) * np.exp(-(missed**2) / 2)


def pieces(lines: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(M,) bool: lines (M, 4), pixels, that lie within a longer one that scores nearly as much."""
    length = np.hypot(*(lines[:, 2:] - lines[:, :2]).T)
    middle = (lines[:, :2] + lines[:, 2:]) / 2
    reach = np.abs(lines[:, 2:] - lines[:, :2]) / 2 + _OFF
    found = np.zeros(len(lines), bool)
    for start in range(0, len(lines), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        longer = length > _LONGER * length[part, None]
        longer &= scores > _LEAST_SHARE * scores[part, None]
        for axis in (0, 1):  # The middle of what lies within a line is in the line's box.
            longer &= np.abs(middle[part, None, axis] - middle[:, axis]) < reach[:, axis]
        row, column = np.nonzero(longer)
        row += start
        off = [_distance(lines[row, end : end + 2], lines[column]) for end in (0, 2)]
        found[row[np.maximum(*off) < _OFF]] = True
    return found


def _distance(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """(N,) of each point (N, 2) from its segment (N, 4)."""
    along = segments[:, 2:] - segments[:, :2]
    share = ((points - segments[:, :2]) * along).sum(1) / np.maximum((along**2).sum(1), 1e-12)
    nearest = segments[:, :2] + np.clip(share, 0, 1)[:, None] * along
    return np.hypot(*(points - nearest).T)
