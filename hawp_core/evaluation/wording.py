"""How an evaluation reads: one line for the table of steps, tables and a sentence for a terminal."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from tabulate import tabulate

from hawp_core.evaluation.comparison import DECIDING, difference, repeated
from hawp_core.evaluation.results import (
    BASELINE,
    MODEL,
    DetectorRepeatability,
    Evaluation,
    LabelledMetrics,
    MatchedScores,
    ShapeMetrics,
)

Measured = TypeVar("Measured")

# By structural distance, and by orthogonal distance.
HEADS = ("lines/image", "Rep-5", "Loc-5", "orth. Rep-5", "orth. Loc-5")
# There the error is that of the 50 nearest pairs.
HEADS_OF_PAIRED = ("lines/image", "Rep-5", "Loc-50", "orth. Rep-5", "orth. Loc-50")


def headline(evaluation: Evaluation) -> str:
    """One line for the table of steps."""
    parts = []
    if evaluation.shapes:
        parts.append(f"sAP10 {evaluation.shapes.sAP10:.1f}")
    if found := evaluation.repeatability.get(MODEL):
        parts.append(_repeated(found, evaluation.repeatability.get(BASELINE)))
    return ", ".join(parts)


def _repeated(found: DetectorRepeatability, baseline: DetectorRepeatability | None) -> str:
    if scores := found.at(DECIDING):
        beside = baseline.at(DECIDING) if baseline else None
        return f"Rep-5 {repeated(scores)} at {DECIDING} lines" + (f", LSD {repeated(beside)}" if beside else "")
    value = found.structural.repeatability
    lines = "" if found.lines_per_image is None else f" at {found.lines_per_image:.0f} lines"
    return f"Rep-5 {'none' if value is None else f'{value:.3f}'}{lines}"


def as_text(evaluation: Evaluation) -> str:
    """The numbers as tables for a terminal."""
    parts = [_all_lines(evaluation), _equal_counts(evaluation), verdict(evaluation), _with_truth(evaluation)]
    return "\n\n".join(part for part in parts if part)


def _model_first(found: dict[str, Measured]) -> list[tuple[str, Measured]]:
    """The detectors with what was measured of them; a file has them in the order of the alphabet."""
    return sorted(found.items(), key=lambda item: item[0] != MODEL)


def _all_lines(evaluation: Evaluation) -> str:
    rows = [
        [title, found.lines_per_image, *_matched(MatchedScores(found.structural, found.orthogonal))]
        for title, found in _model_first(evaluation.repeatability)
    ]
    return _table(rows, ["all lines, nearest", *HEADS])


def _equal_counts(evaluation: Evaluation) -> str:
    """A table for each protocol, a row for each count and detector."""
    found, about = evaluation.repeatability, evaluation.conditions
    counts = [each.lines for each in found[MODEL].at_counts] if MODEL in found else []
    if not counts or about is None:
        return ""
    rows = [
        (_counted(count, title), scores)
        for count in counts
        for title, measured in _model_first(found)
        if (scores := measured.at(count))
    ]
    said = (
        f"At equal line counts, {about.size} px, {found[MODEL].pairs} pairs, copies turned by up to {about.rotation:g} "
        f"degrees, at most {about.max_junctions} junctions"
        + (f", lines by {about.views} views each" if about.views else "")
        + (f", at scales {', '.join(f'{scale:g}' for scale in about.scales)}" if about.scales != (1.0,) else "")
        + (", whole lines:" if about.whole_lines else ":")
    )
    nearest = [[title, each.lines_per_image, *_matched(each.nearest)] for title, each in rows]
    paired = [[title, each.lines_per_image, *_matched(each.one_to_one)] for title, each in rows]
    return "\n\n".join(
        (
            said,
            _table(nearest, ["nearest (SOLD2, HAWP)", *HEADS]),
            _table(paired, ["one to one (DeepLSD)", *HEADS_OF_PAIRED]),
        )
    )


def _counted(count: int | None, title: str) -> str:
    if count is not None:
        return f"{count} {'longest' if title == BASELINE else 'best'}, {title}"
    return f"as many, {title}" if title == BASELINE else f"all, {title}"


def _matched(scores: MatchedScores) -> list[float | None]:
    return [
        value for each in (scores.structural, scores.orthogonal) for value in (each.repeatability, each.localisation)
    ]


def verdict(evaluation: Evaluation) -> str:
    """Whether the model is better than LSD, in a sentence; empty where it was not measured at equal counts."""
    model, baseline = (evaluation.repeatability.get(who) for who in (MODEL, BASELINE))
    apart = difference(model, baseline)
    scores, beside = (each.at(DECIDING) if each else None for each in (model, baseline))
    if apart is None or scores is None or beside is None:
        return ""
    return (
        f"The model is {apart.word} {BASELINE}: Rep-5 at {DECIDING} lines {repeated(scores)} against {repeated(beside)} "
        f"({apart.amount})."
    )


def _with_truth(evaluation: Evaluation) -> str:
    """A row for each set that has a truth."""
    found: dict[str, ShapeMetrics | LabelledMetrics] = {}
    if evaluation.shapes:
        found["model, held-out shapes"] = evaluation.shapes
    found |= {f"{title}, labelled photographs": values for title, values in _model_first(evaluation.labelled)}
    numbers = {title: dataclasses.asdict(values) for title, values in found.items()}
    names = list(dict.fromkeys(name for values in numbers.values() for name in values))
    rows = [[title, *(values.get(name) for name in names)] for title, values in numbers.items()]
    return _table(rows, ["with truth", *names], "", ".2f")


def _table(rows: Sequence[Sequence[object]], heads: Sequence[str], missing: str = "none", form: str = ".3f") -> str:
    return tabulate(rows, heads, floatfmt=form, missingval=missing) if rows else ""
