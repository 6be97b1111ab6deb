"""Whether each round is better than the one before and than LSD, in words."""

from collections.abc import Sequence

from hawp_core.evaluation.comparison import DECIDING, difference, repeated
from hawp_core.evaluation.results import BASELINE, DetectorRepeatability
from hawp_core.report.finished import Finished


def verdicts(rounds: Sequence[Finished]) -> list[str]:
    """A sentence a round, by Rep-5 at 50 lines; none for a round that was not measured at equal line counts. One more where
    the rounds' trainings were not computed alike."""
    said = []
    for before, each in zip([None, *rounds], rounds, strict=False):
        sentence = _verdict(each, before)
        if sentence:
            said.append(sentence)
    if len({each.precision for each in rounds} - {""}) > 1:
        which = ", ".join(f"{each.number}: {each.precision}" for each in rounds if each.precision)
        said.append(
            f"Rounds were trained in different precisions ({which}), which moves them as another seed does: compute.precision sets one."
        )
    return said


def _verdict(each: Finished, before: Finished | None) -> str:
    measured = each.measured()
    own = measured.at(DECIDING) if measured else None
    if own is None:
        return ""
    told = f"Rep-5 at {DECIDING} lines {repeated(own)}"
    beside = _beside(measured, each.measured(BASELINE))
    since = _beside(measured, before.measured()) if before else None
    if since and before:
        word, against = since
        sentence = f"Round {each.number} is {word} round {before.number}: {told} against {against}"
        return f"{sentence}; it is {beside[0]} {BASELINE}, {beside[1]}." if beside else f"{sentence}."
    if beside:
        return f"Round {each.number} is {beside[0]} {BASELINE}: {told} against {beside[1]}."
    return f"Round {each.number}: {told}."


def _beside(one: DetectorRepeatability | None, other: DetectorRepeatability | None) -> tuple[str, str] | None:
    """What `one` is beside `other`, and the other's value with the difference; None where they cannot be compared."""
    apart, scores = difference(one, other), other.at(DECIDING) if other else None
    if apart is None or scores is None:
        return None
    return apart.word, f"{repeated(scores)} ({apart.amount})"
