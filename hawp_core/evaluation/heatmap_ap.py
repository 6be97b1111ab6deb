"""How well the pixels of drawn lines agree with those of true lines: AP^H and F^H.

The definition is that of L-CNN (arXiv 1905.03246, section 5.2). Values are points, 0 to 100.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from hawp_core.evaluation.precision_recall import PrecisionRecall
from hawp_core.evaluation.structural_ap import PIXEL_TOLERANCE
from hawp_core.geometry.wireframe import Wireframe


def heatmap_ap(predictions: Sequence[Wireframe], truths: Sequence[Wireframe]) -> PrecisionRecall:
    """AP^H and F^H (L-CNN, section 5.2): `.ap` and `.f` of the pixels that lines pass through.

    Lines are drawn one pixel wide, predicted pixels are paired with true ones within 1 % of the diagonal, one to one
    and as many as possible, and paired pixels are right. Pixels are those of the true image.

    The published programs draw and pair anew at 12 (L-CNN) or 100 (HAWP) fixed scores, with Berkeley's
    correspondPixels, an approximate pairing. Here a pixel has the score of its best line and pixels are paired in the
    order of scores, which is largest at every score at once; so the curve has all its points. F hardly differs;
    AP is larger by what a step function loses between few fixed scores, easily some points.

    Raises:
        ValueError: as many predictions as truths are needed.
    """
    scores, hits, positives = [], [], 0
    for predicted, true in zip(predictions, truths, strict=True):
        drawn = _draw(predicted.resized(true.width, true.height))
        expected = _draw(true) > -np.inf
        pixels = np.argwhere(drawn > -np.inf)
        levels = drawn[tuple(pixels.T)]
        order = np.argsort(-levels, kind="stable")
        scores.append(levels[order])
        hits.append(_pair(pixels[order], expected, PIXEL_TOLERANCE * math.hypot(true.width, true.height)))
        positives += int(expected.sum())
    return PrecisionRecall.of(scores, hits, positives)


def _draw(wireframe: Wireframe) -> np.ndarray:
    """(H, W) float64: the best score of the lines through each pixel, -inf where there is none.

    A line of length n marks the pixels nearest to its ceil(n) equidistant points, ends included, as L-CNN draws; now
    and then one pixel of a long line stays unmarked.
    """
    canvas = np.full((wireframe.height, wireframe.width), -np.inf)
    lines = wireframe.lines.astype(np.float64)
    counts = np.maximum(2, np.ceil(np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1]))).astype(np.int64)
    row = np.repeat(np.arange(len(lines)), counts)
    step = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = (step / (counts[row] - 1))[:, None]
    x, y = np.rint(lines[row, :2] * (1.0 - along) + lines[row, 2:] * along).astype(np.int64).T
    inside = (x >= 0) & (x < wireframe.width) & (y >= 0) & (y < wireframe.height)
    np.maximum.at(canvas, (y[inside], x[inside]), wireframe.scores[row[inside]])
    return canvas


def _pair(pixels: np.ndarray, expected: np.ndarray, tolerance: float) -> np.ndarray:
    """Pair `pixels` (P, 2 row and column) one to one with the true pixels of `expected` (H, W) within `tolerance`.

    Augmenting paths (Kuhn 1955), in the order of the pixels: a pixel once paired stays so, though its partner may
    change, hence the pairing is largest for every prefix. SciPy's matching has no such order and takes seconds here.

    Returns:
        (P,) bool: which are paired. For every k, as many of the first k pixels are paired as can be.
    """
    first, neighbours, count = _neighbours(pixels, expected, tolerance)
    owner, partner = [-1] * count, [-1] * len(pixels)
    reached_for, reached_from = [-1] * count, [-1] * count
    exhausted = [False] * count
    for pixel in range(len(pixels)):
        # Breadth first: a true pixel that is taken leads on to what else its owner could have instead.
        queue, reached, free = [pixel], [], -1
        for asking in queue:
            for true in neighbours[first[asking] : first[asking + 1]]:
                if exhausted[true] or reached_for[true] == pixel:
                    continue
                reached_for[true], reached_from[true] = pixel, asking
                if owner[true] < 0:
                    free = true
                    break
                reached.append(true)
                queue.append(owner[true])
            if free >= 0:
                break
        else:
            # What a failed search reached never leads to a free pixel later, so no search repeats it.
            for true in reached:
                exhausted[true] = True
        while free >= 0:
            asking = reached_from[free]
            owner[free], partner[asking], free = asking, free, partner[asking]
    return np.array(partner, np.int64) >= 0


def _neighbours(pixels: np.ndarray, expected: np.ndarray, tolerance: float) -> tuple[list[int], list[int], int]:
    """True pixels within `tolerance` of each pixel: those of pixel p are neighbours[first[p] : first[p + 1]].

    Returns: first (P + 1), neighbours, and the number of true pixels.
    """
    reach = int(tolerance)
    index = np.full((expected.shape[0] + 2 * reach, expected.shape[1] + 2 * reach), -1)
    inner = index[reach : reach + expected.shape[0], reach : reach + expected.shape[1]]
    inner[expected] = np.arange(int(expected.sum()))
    steps = [(v, u) for v, u in itertools.product(range(-reach, reach + 1), repeat=2) if v * v + u * u <= tolerance**2]
    # Nearest first, so that most pixels find a partner at once.
    near_first = np.array(sorted(steps, key=lambda step: (step[0] ** 2 + step[1] ** 2, step)))
    at = pixels[:, None] + near_first + reach
    found = index[at[..., 0], at[..., 1]]
    first = np.concatenate([[0], np.cumsum((found >= 0).sum(axis=1))])
    return first.tolist(), found[found >= 0].tolist(), int(expected.sum())
