"""Repeatability with lines paired one to one, as DeepLSD measures it.

The definitions are those of DeepLSD (Pautrat et al. 2023, arXiv 2212.07766, section 4.1) and of its program
(`deeplsd/evaluation/ls_evaluation.py`). Against `repeatability.py`: lines are cut to what both images show instead of
left out, no line is the partner of two, the structural distance is the mean of both ends' distances and not their
sum, and repeated lines are counted against the image that has fewer.
"""

import math

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hawp_core.evaluation.repeatability import DISTANCES, ROWS, beside
from hawp_core.geometry.homography import clip_lines, warp_lines
from hawp_core.geometry.line_distances import THRESHOLD

MIN_LENGTH = 10.0  # pixels; what is shorter after cutting shows no line
MAX_ANGLE = math.radians(30)  # between the lines of a pair
MIN_OVERLAP = 0.5  # share of a line's length that the other runs beside
MOST_LOCATED = 50  # nearest pairs of which the localisation error is the mean (LE-50)


def one_to_one(
    lines: np.ndarray,
    warped_lines: np.ndarray,
    homography: np.ndarray,
    shape: tuple[int, int],
    threshold: float = THRESHOLD,
    distance: str = "structural",
) -> tuple[float, float]:
    """Repeatability and localisation error between an image and its warped copy of the same size, paired one to one.

    Lines are paired within `threshold` pixels, less than 30 degrees apart and beside each other for more than half
    of their lengths: as many as can be, and of those pairings the one with the smallest sum of distances.

    Args:
        lines: (M, 4) found in the image.
        warped_lines: (N, 4) found in the warped image.
        homography: (3, 3) takes the image to the warped image.
        shape: height and width of both images.
        threshold: pixels of the image.
        distance: "structural" (mean of the distances of both ends) or "orthogonal" (beside each other).

    Returns:
        repeatability: pairs over the lines of the image that has fewer, in [0, 1]; 0 where one image has lines and
            the other has none, NaN where neither has (the published program has 0).
        localisation error: mean distance of the 50 nearest pairs, pixels; NaN without a pair.

    Raises:
        ValueError: no such distance.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance is {distance!r}, not one of {', '.join(DISTANCES)}")
    first, second = _common(lines, warped_lines, homography, shape)
    if not len(first) or not len(second):
        return (0.0 if len(first) + len(second) else math.nan), math.nan
    distances = np.sort(_assigned(*_partners(first, second, threshold, distance), (len(first), len(second))))
    near = distances[:MOST_LOCATED]
    return len(distances) / min(len(first), len(second)), float(near.mean()) if len(near) else math.nan


def _common(
    lines: np.ndarray, warped_lines: np.ndarray, homography: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(M', 4) and (N', 4): the parts of the lines that both images show, in the first image's coordinates."""
    height, width = shape
    back = np.linalg.inv(homography)
    shown, _ = clip_lines(warp_lines(homography, lines), width, height, min_length=MIN_LENGTH)
    warped_shown, _ = clip_lines(warp_lines(back, warped_lines), width, height, min_length=MIN_LENGTH)
    return warp_lines(back, shown), warped_shown


def _partners(
    first: np.ndarray, second: np.ndarray, threshold: float, distance: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P,) each: rows of the lines `first` and `second` that may be paired, and their distances."""
    found = []
    for start in range(0, len(first), ROWS):
        block = first[start : start + ROWS]
        distances = DISTANCES[distance](block, second)
        if distance == "structural":
            distances = distances / 2.0
        _, of_first = beside(block, second)
        _, of_second = beside(second, block)
        overlap = np.stack((of_first, of_second.T))
        allowed = (distances <= threshold) & (overlap.mean(axis=0) > MIN_OVERLAP)
        if distance == "orthogonal":
            allowed &= overlap.min(axis=0) >= MIN_OVERLAP
        allowed &= np.abs(_directions(block) @ _directions(second).T) >= math.cos(MAX_ANGLE)
        row, column = np.nonzero(allowed)
        found.append((row + start, column, distances[row, column]))
    rows, columns, near = zip(*found, strict=True)
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(near)


def _directions(lines: np.ndarray) -> np.ndarray:
    """(M, 2) of length 1."""
    step = lines[:, 2:] - lines[:, :2]
    return step / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), np.finfo(float).tiny)


def _assigned(rows: np.ndarray, columns: np.ndarray, distances: np.ndarray, counts: tuple[int, int]) -> np.ndarray:
    """(K,) the distances of the pairs chosen among (P,) candidates: as many as can be, then the nearest.

    Lines that no chain of candidates joins are assigned apart: the whole matrix of thousands of lines takes minutes.
    """
    # Two lines with no other candidate are a pair; as a rule these are most.
    alone = (np.bincount(rows, minlength=counts[0])[rows] == 1) & (
        np.bincount(columns, minlength=counts[1])[columns] == 1
    )
    chosen = [distances[alone]]
    rows, columns, distances = rows[~alone], columns[~alone], distances[~alone]
    graph = coo_array((np.ones(len(rows)), (rows, columns + counts[0])), shape=(sum(counts), sum(counts)))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[rows], kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[rows][order])) + 1):
        if not len(members):
            continue
        _, row = np.unique(rows[members], return_inverse=True)
        _, column = np.unique(columns[members], return_inverse=True)
        # Dearer than all candidates together, so that no candidate is given up for nearer ones.
        missing = float(distances[members].sum()) + 1.0
        costs = np.full((row.max() + 1, column.max() + 1), missing)
        costs[row, column] = distances[members]
        taken = costs[linear_sum_assignment(costs)]
        chosen.append(taken[taken < missing])
    return np.concatenate(chosen)
