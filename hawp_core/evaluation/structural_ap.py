"""How well predicted wireframes agree with labelled ones, line by line and junction by junction.

The definitions are those of L-CNN (Zhou, Qi, Ma 2019, arXiv 1905.03246, section 5.2), which the field's tables use.
Average precisions and F measures are points, 0 to 100, as papers print them; precision, recall and other shares are
in [0, 1]. What has no true line or junction at all has no score: NaN.

A pair of wireframes may come at different sizes: each is scaled from its own.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from hawp_core.evaluation.precision_recall import PrecisionRecall
from hawp_core.geometry.wireframe import Wireframe

GRID = 128  # pixels: lines and junctions are compared in an image scaled to this square (L-CNN)
JUNCTION_RADII = (0.5, 1.0, 2.0)  # grid pixels, of mAP^J (L-CNN, section 5.2)
PIXEL_TOLERANCE = 0.01  # share of the image diagonal within which two pixels match (Martin, Fowlkes, Malik 2004)


def structural_ap(
    predictions: Sequence[Wireframe], truths: Sequence[Wireframe], threshold: float = 10.0
) -> PrecisionRecall:
    """sAP^threshold (L-CNN, section 5.2): its value is `.ap`.

    Lines are scaled to the 128 x 128 grid. A predicted line stands for the true line nearest to it, by the sum of the
    squared distances of both ends, the smaller over the two ways to pair them; it is right when this is below
    `threshold` (5, 10 or 15 by custom) and no better-scored line of the image is right for the same true line.
    Lines in an image without true lines are wrong.

    Raises:
        ValueError: as many predictions as truths are needed.
    """
    scores, hits = [], []
    for predicted, true in zip(predictions, truths, strict=True):
        scores.append(predicted.scores)
        hits.append(_hits(predicted.scores, _squared_distances(predicted, true), threshold))
    return PrecisionRecall.of(scores, hits, sum(len(true.edges) for true in truths))


def junction_ap(predictions: Sequence[Wireframe], truths: Sequence[Wireframe]) -> float:
    """mAP^J (L-CNN, section 5.2): the mean AP of junctions within 0.5, 1 and 2 pixels of the 128 x 128 grid, points.

    A junction stands for the nearest true one, as lines do for `structural_ap`. L-CNN scores junctions by its junction
    heatmap; wireframes keep no such score, so a junction scores as its best line, and 0 where it has none.
    Junctions in an image without true junctions are wrong (L-CNN's program leaves them out). Both ends of a line score
    alike; L-CNN's program leaves the order of equals to the sorting, which moves its result a little.

    Raises:
        ValueError: as many predictions as truths are needed.
    """
    scores = [_junction_scores(predicted) for predicted in predictions]
    distances = [cdist(_on_grid(p), _on_grid(t)) for p, t in zip(predictions, truths, strict=True)]
    positives = sum(len(true.junctions) for true in truths)
    hits = [[_hits(s, d, radius) for s, d in zip(scores, distances, strict=True)] for radius in JUNCTION_RADII]
    return float(np.mean([PrecisionRecall.of(scores, within, positives).ap for within in hits]))


def junction_recall(predictions: Sequence[Wireframe], truths: Sequence[Wireframe], radius: float) -> float:
    """Share of the true junctions with a predicted one, of any score, within `radius` pixels of the 128 x 128 grid.

    Returns: in [0, 1]; NaN without true junctions.

    Raises:
        ValueError: as many predictions as truths are needed.
    """
    found = total = 0
    for predicted, true in zip(predictions, truths, strict=True):
        total += len(true.junctions)
        if len(predicted.junctions) and len(true.junctions):
            nearest, _ = cKDTree(_on_grid(predicted)).query(_on_grid(true))
            found += int((nearest <= radius).sum())
    return found / total if total else math.nan


def _on_grid(wireframe: Wireframe) -> np.ndarray:
    """(N, 2) float64: the junctions in the image scaled to 128 x 128, each axis by itself."""
    return wireframe.junctions * np.array([GRID / wireframe.width, GRID / wireframe.height])


def _squared_distances(predicted: Wireframe, true: Wireframe) -> np.ndarray:
    """(M predicted, M true): sum of both ends' squared grid distances, the smaller over the swap."""
    ends, true_ends = (_on_grid(w)[w.edges].reshape(-1, 2, 2) for w in (predicted, true))
    between = [[cdist(ends[:, i], true_ends[:, j], "sqeuclidean") for j in (0, 1)] for i in (0, 1)]
    return np.minimum(between[0][0] + between[1][1], between[0][1] + between[1][0])


def _hits(scores: np.ndarray, distances: np.ndarray, threshold: float) -> np.ndarray:
    """(P,) bool: which predictions are right, of `distances` (P predicted, T true).

    Each stands for its nearest truth only; of those near enough to the same truth, the best-scored one is right.
    """
    hits = np.zeros(len(scores), bool)
    if distances.size == 0:
        return hits
    order = np.argsort(-scores, kind="stable")
    order = order[distances.min(axis=1)[order] < threshold]
    _, first = np.unique(distances.argmin(axis=1)[order], return_index=True)
    hits[order[first]] = True
    return hits


def _junction_scores(wireframe: Wireframe) -> np.ndarray:
    scores = np.zeros(len(wireframe.junctions))
    np.maximum.at(scores, wireframe.edges, wireframe.scores[:, None])
    return scores
