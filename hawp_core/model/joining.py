"""Lines that several looks at one image found, as one detection: of near ones the best stays, and near ends become one junction.

Shape legend: C candidates, M lines, N lines of a look.
"""

import numpy as np
import torch

from hawp_core.geometry.line_distances import THRESHOLD, near_pairs
from hawp_core.model.detection import Detection

# Of lines this near to a better one, structural distance in pixels, none stays beside it.
SAME_LINE = 2 * THRESHOLD
# Ends this near to a better line's, pixels, are the same junction.
_SAME_JUNCTION = 3.0


def nothing_found(size: tuple[int, int]) -> Detection:
    """A detection without lines, in an input of this width and height."""
    none = torch.zeros(0)
    return Detection(none.reshape(0, 2), none, none.reshape(0, 4), torch.zeros(0, 2, dtype=torch.int64), none, size)


def best_match(
    lines: np.ndarray, theirs: np.ndarray, scores: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (P,) of lines (C, 4) that a look found, each once, and of its lines (N, 4) with scores (N,) the best one near to each.

    Args:
        reach: structural distance, pixels, within which lines are near.
    """
    rows, columns = near_pairs(lines, theirs, reach)
    order = np.lexsort((-scores[columns], rows))
    rows, columns = rows[order], columns[order]
    first = np.r_[True, rows[1:] != rows[:-1]] if len(rows) else np.zeros(0, bool)
    return rows[first], columns[first]


def turned(lines: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Lines (C, 4) with their ends in the order of those of `like` (C, 4): a line's ends have none of their own."""
    other = lines[:, [2, 3, 0, 1]]
    nearer = np.abs(lines - like).sum(1) <= np.abs(other - like).sum(1)
    return np.where(nearer[:, None], lines, other)


def best_of_near(lines: np.ndarray, scores: np.ndarray, above: float) -> np.ndarray:
    """Rows of lines (C, 4) with scores (C,) above a least one, the best first, without those near to a better one."""
    order = np.flatnonzero(scores > above)
    order = order[np.argsort(-scores[order], kind="stable")]
    rows, columns = near_pairs(lines[order], lines[order], SAME_LINE)
    start = np.searchsorted(rows, np.arange(len(order) + 1))
    taken = np.zeros(len(order), bool)
    kept = []
    for place in range(len(order)):
        if not taken[place]:
            kept.append(place)
            taken[columns[start[place] : start[place + 1]]] = True
    return order[kept]


def joined(lines: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> Detection:
    """A detection of lines (M, 4), the best first: an end lies at the junction of a better line where one is near."""
    ends = lines.reshape(-1, 2)
    junctions, count = np.empty_like(ends), 0
    certainty: list[float] = []
    edges: dict[tuple[int, int], int] = {}
    for row, score in enumerate(scores):
        pair = []
        for end in ends[2 * row : 2 * row + 2]:
            apart = np.hypot(*(junctions[:count] - end).T)
            if count and apart.min() < _SAME_JUNCTION:
                pair.append(int(apart.argmin()))
                continue
            junctions[count] = end
            certainty.append(float(score))
            pair.append(count)
            count += 1
        edges.setdefault((min(pair), max(pair)), row)
    edges = {pair: row for pair, row in edges.items() if pair[0] != pair[1]}
    points = torch.from_numpy(junctions[:count].astype(np.float32))
    pairs = torch.tensor(list(edges), dtype=torch.int64).reshape(-1, 2)
    return Detection(
        points,
        torch.tensor(certainty),
        points[pairs].reshape(-1, 4),
        pairs,
        torch.from_numpy(scores[list(edges.values())].astype(np.float32)),
        size,
    )
