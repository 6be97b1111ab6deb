"""Whether one detector finds lines again better than another, and how surely: in numbers and in words."""

import math
from dataclasses import dataclass

import numpy as np

from hawp_core.evaluation.results import CountScores, DetectorRepeatability

DECIDING = 50  # lines of an image: the count by which detectors are judged
SURE = 2.0  # standard errors beyond which a difference is one, in about 19 of 20 cases
FEWEST = 2  # photographs without which there is no standard error
SHORT = 0.9  # share of the lines below which a detector is said to have fewer


@dataclass(frozen=True)
class Difference:
    """How much more one detector repeats than another, Rep-5 at the same number of lines.

    Attributes:
        mean: over the photographs that both were measured on.
        error: two standard errors of it; infinite with a single photograph.
        photographs: how many.
    """

    mean: float
    error: float
    photographs: int

    @property
    def word(self) -> str:
        """What one detector is, beside the other."""
        if abs(self.mean) <= self.error:
            return "neither better nor worse than"
        return "better than" if self.mean > 0 else "worse than"

    @property
    def amount(self) -> str:
        """The difference and what it is known to."""
        if self.photographs < FEWEST:
            return f"{self.mean:+.3f}, one photograph"
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def difference(
    one: DetectorRepeatability | None, other: DetectorRepeatability | None, lines: int | None = DECIDING
) -> Difference | None:
    """How much more `one` repeats than `other` on the same pairs; None where they share none, or were not measured.

    Pairs are compared one by one, and copies of the same photograph count as one: the error is that of the difference,
    much smaller than that of either value, for photographs differ more than detectors do.
    """
    values = [_by_pair(each, lines) for each in (one, other)]
    apart: dict[str, list[float]] = {}
    for name in values[0].keys() & values[1].keys():
        apart.setdefault(name.rpartition("#")[0], []).append(values[0][name] - values[1][name])
    means = [float(np.mean(each)) for _, each in sorted(apart.items())]
    if not means:
        return None
    error = SURE * float(np.std(means, ddof=1)) / math.sqrt(len(means)) if len(means) >= FEWEST else math.inf
    return Difference(float(np.mean(means)), error, len(means))


def _by_pair(measured: DetectorRepeatability | None, lines: int | None) -> dict[str, float]:
    scores = measured.at(lines) if measured else None
    if measured is None or scores is None:
        return {}
    return {pair.name: value for pair, value in zip(measured.images, scores.each, strict=True) if value is not None}


def repeated(scores: CountScores) -> str:
    """Rep-5 in words, with how many lines there were where they are fewer than asked for."""
    value = scores.nearest.structural.repeatability
    said = "undefined" if value is None else f"{value:.3f}"
    found = scores.lines_per_image
    if scores.lines and found is not None and found < SHORT * scores.lines:
        said += f" (of {found:.0f} lines only)"
    return said
