"""Repeatability at equal line counts: a detector that finds little, or its surest lines only, repeats them easily.

So every detector is held to its 25, 50 and 100 best lines of each image, by both protocols of the field, and LSD also
to as many of its longest lines as the model finds.
"""

from collections.abc import Sequence

from hawp_core.evaluation.one_to_one import one_to_one
from hawp_core.evaluation.repeatability import FoundPair, compare_pairs, mean_scores, pair_scores
from hawp_core.evaluation.results import CountScores, MatchedScores, PairScores
from hawp_core.geometry.line_distances import THRESHOLD

COUNTS = (25, 50, 100)


def at_counts(pairs: Sequence[FoundPair], whole: Sequence[tuple[int, int]]) -> tuple[CountScores, ...]:
    """The scores of a detector's 25, 50 and 100 best lines of every image, and of `whole`.

    Args:
        pairs: what was found, the best lines first.
        whole: how many lines of each image and copy stand for all: of the model those above its least score, of the
            baseline as many.
    """
    held = [(count, [(count, count)] * len(pairs)) for count in COUNTS]
    return tuple(_at(pairs, lines, counts) for lines, counts in [*held, (None, list(whole))])


def lines_above(pair: FoundPair, least: float) -> tuple[int, int]:
    """How many lines of image and copy score above `least`; they are the first of the pair's, whose best stand first."""
    return int((pair.scores > least).sum()), int((pair.warped_scores > least).sum())


def _at(pairs: Sequence[FoundPair], lines: int | None, counts: Sequence[tuple[int, int]]) -> CountScores:
    nearest = compare_pairs(pairs, counts)
    return CountScores(
        lines=lines,
        lines_per_image=nearest.lines_per_image,
        nearest=MatchedScores(nearest.structural, nearest.orthogonal),
        one_to_one=MatchedScores(*(mean_scores(_one_to_one(pairs, counts, d)) for d in ("structural", "orthogonal"))),
        each=tuple(pair.structural.repeatability for pair in nearest.images),
    )


def _one_to_one(pairs: Sequence[FoundPair], counts: Sequence[tuple[int, int]], distance: str) -> list[PairScores]:
    return [
        pair_scores(
            *one_to_one(
                pair.lines[:first], pair.warped_lines[:second], pair.homography, pair.shape, THRESHOLD, distance
            )
        )
        for pair, (first, second) in zip(pairs, counts, strict=True)
    ]
