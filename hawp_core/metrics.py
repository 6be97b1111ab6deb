"""How well predicted wireframes agree with labelled ones: structural AP, junction AP, heatmap AP.

The definitions are those of L-CNN (Zhou, Qi, Ma 2019, arXiv 1905.03246, section 5.2), which the field's tables use.
Average precisions and F measures are points, 0 to 100, as papers print them; precision, recall and other shares are
in [0, 1]. What has no true line or junction at all has no score: NaN.

A pair of wireframes may come at different sizes: each is scaled from its own.
"""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from hawp_core.errors import UserError
from hawp_core.wireframe import Wireframe

GRID = 128  # pixels: lines and junctions are compared in an image scaled to this square (L-CNN)
JUNCTION_RADII = (0.5, 1.0, 2.0)  # grid pixels, of mAP^J (L-CNN, section 5.2)
PIXEL_TOLERANCE = 0.01  # share of the image diagonal within which two pixels match (Martin, Fowlkes, Malik 2004)


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """A precision-recall curve, one point for every distinct score.

    Attributes:
        scores: (K,) the distinct scores, falling; at point k everything that scores at least scores[k] is taken.
        precision: (K,) in [0, 1].
        recall: (K,) in [0, 1].
        positives: how many there are to find.
    """

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    positives: int

    @classmethod
    def of(cls, scores: Sequence[np.ndarray], hits: Sequence[np.ndarray], positives: int) -> "PrecisionRecall":
        """The curve of predictions with `scores`, of which `hits` (bool) are right; one array an image.

        Equal scores make one point, so that the curve does not depend on the order of the predictions.
        """
        scores, hits = np.concatenate([np.zeros(0), *scores]), np.concatenate([np.zeros(0, bool), *hits])
        order = np.argsort(-scores, kind="stable")
        scores, found = scores[order], np.cumsum(hits[order])
        last = np.flatnonzero(np.diff(scores, append=np.nan) != 0)
        return cls(scores[last], found[last] / (last + 1), found[last] / max(positives, 1), positives)

    @property
    def ap(self) -> float:
        """Area under the curve, its precision made monotone from the right (VOC 2010), points.

        0 without predictions, NaN with nothing to find.
        """
        if not self.positives:
            return math.nan
        envelope = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float(100.0 * np.sum(np.diff(self.recall, prepend=0.0) * envelope))

    @property
    def f(self) -> float:
        """The best F measure on the curve, points; 0 without predictions, NaN with nothing to find."""
        if not self.positives:
            return math.nan
        total = self.precision + self.recall
        values = 2.0 * self.precision * self.recall / np.where(total == 0.0, 1.0, total)
        return float(100.0 * values.max(initial=0.0))


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


def read_annotations(path: Path | str, *, origin: float = 0.0) -> list[tuple[str, Wireframe]]:
    """Read labelled images in the JSON layout of L-CNN and HAWP (Wireframe, York Urban).

    A list of objects with `filename`, `width`, `height`, and either `lines` (x1 y1 x2 y2 each) or `junctions` (x y
    each) with `edges_positive` (junction indices); other keys are left alone. Junctions without a line, lines of zero
    length and repeated lines are left out; every score is 1.

    Args:
        origin: what the file calls the centre of the top-left pixel, in x and in y. York Urban's lines count from 1,
            as Matlab does (they lie 0.8 pixels right of and below the image's edges); the published programs take
            them as they stand, so 0 compares with published numbers, and 1 adds about 0.1 points.

    Returns: file names and wireframes, in the file's order.

    Raises:
        UserError: no such file, not JSON, or not in this layout.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give an existing annotation file.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): give an annotation file as of HAWP or L-CNN.") from error
    if not isinstance(entries, list):
        raise UserError(f"{path} holds a {type(entries).__name__}, not a list of images: give an annotation file.")
    return [_annotated(path, number, entry, origin) for number, entry in enumerate(entries)]


def _annotated(path: Path | str, number: int, entry: object, origin: float) -> tuple[str, Wireframe]:
    try:
        name, width, height = entry["filename"], int(entry["width"]), int(entry["height"])
        if not isinstance(name, str) or min(width, height) < 1:
            raise ValueError("filename, width or height is not one")
        if "lines" in entry:
            lines = np.asarray(entry["lines"], np.float64).reshape(-1, 4)
        else:
            junctions = np.asarray(entry["junctions"], np.float64).reshape(-1, 2)
            edges = np.asarray(entry["edges_positive"], np.int64).reshape(-1, 2)
            if (edges < 0).any():
                raise ValueError("an edge names a negative junction")
            lines = junctions[edges].reshape(-1, 4)
        if not np.isfinite(lines).all():
            raise ValueError("a coordinate is not a number")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: image {number} is not annotated as HAWP and L-CNN do ({reason}): give filename, width, height "
            "and lines, or junctions and edges_positive."
        ) from error
    return name, Wireframe.from_lines(lines - origin, width, height)


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
    steps = np.array(sorted(steps, key=lambda step: (step[0] ** 2 + step[1] ** 2, step)))
    at = pixels[:, None] + steps + reach
    found = index[at[..., 0], at[..., 1]]
    first = np.concatenate([[0], np.cumsum((found >= 0).sum(axis=1))])
    return first.tolist(), found[found >= 0].tolist(), int(expected.sum())
