"""How far line segments lie from each other, as SOLD2 takes it (Pautrat et al. 2021, arXiv 2104.03362, section 4.1).

Shape legend: M and N lines.
"""

import numpy as np

THRESHOLD = 5.0  # pixels: nearer lines are the same one; Rep-5 and Loc-5
# Pixels. Lines that end on a warped image's border are as a rule cut there, and do not count.
BORDER = 2


def structural_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(M, N): sum of the distances of both ends, the smaller over the swap, of lines (M, 4) and (N, 4); pixels."""
    (a, b), (c, d) = ((lines[:, :2], lines[:, 2:]) for lines in (first, second))
    return np.minimum(_apart(a, c) + _apart(b, d), _apart(a, d) + _apart(b, c))


def _apart(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(M, N) distances of points (M, 2) and (N, 2)."""
    across = points[:, None, 0] - others[None, :, 0]
    down = points[:, None, 1] - others[None, :, 1]
    return np.sqrt(np.add(np.square(across, out=across), np.square(down, out=down), out=across), out=across)


def near_pairs(first: np.ndarray, second: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows (P,) of lines (M, 4) and rows (P,) of lines (N, 4) whose structural distance is at most `reach` pixels.

    Ordered by the first, then the second. Work and memory grow with the lines that are near, not with M N. A line that is not
    finite is near to none.
    """
    middle, other = ((lines[:, :2] + lines[:, 2:]) / 2 for lines in (first, second))
    # The middles of two lines are no farther apart than half of the sum of their ends' distances; NaN is sorted last.
    order = np.argsort(other[:, 0], kind="stable")
    across = other[order, 0]
    low = np.searchsorted(across, middle[:, 0] - reach / 2, "left")
    high = np.searchsorted(across, middle[:, 0] + reach / 2, "right")
    count = np.where(np.isfinite(middle[:, 0]), high - low, 0)
    rows = np.repeat(np.arange(len(first)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    columns = order[np.repeat(low, count) + within]
    kept = np.abs(middle[rows, 1] - other[columns, 1]) <= reach / 2
    rows, columns = rows[kept], columns[kept]
    (a, b), (c, d) = ((lines[:, :2], lines[:, 2:]) for lines in (first[rows], second[columns]))
    apart = np.minimum(
        np.hypot(*(a - c).T) + np.hypot(*(b - d).T),
        np.hypot(*(a - d).T) + np.hypot(*(b - c).T),
    )
    kept = apart <= reach
    rows, columns = rows[kept], columns[kept]
    sorted_pairs = np.lexsort((columns, rows))
    return rows[sorted_pairs], columns[sorted_pairs]
