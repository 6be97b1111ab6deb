"""Precision and recall over falling scores, and the average precision that follows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
        score, hit = np.concatenate([np.zeros(0), *scores]), np.concatenate([np.zeros(0, bool), *hits])
        order = np.argsort(-score, kind="stable")
        falling, found = score[order], np.cumsum(hit[order])
        last = np.flatnonzero(np.diff(falling, append=np.nan) != 0)
        return cls(falling[last], found[last] / (last + 1), found[last] / max(positives, 1), positives)

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
