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
