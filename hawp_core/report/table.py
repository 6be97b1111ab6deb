"""The table of rounds: one row a round, beside the baseline; to read, and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from hawp_core.evaluation.results import BASELINE, MODEL, Evaluation
from hawp_core.report.finished import Finished


@dataclass(frozen=True)
class Row:
    """One round, or the baseline, in the table; None where a number is not defined. The fields are the CSV's columns.

    Attributes:
        round: number of the round, or "LSD".
        training: key of its training; empty for the baseline.
        sAP5, sAP10, sAP15, mAPJ: points; junction_recall in [0, 1].
        lines_per_image: of the detector on the photographs; it stands beside every repeatability, for a detector that
            finds little repeats it easily.
        structural_rep5, orthogonal_rep5: in [0, 1]; structural_loc5, orthogonal_loc5: pixels.
        label_lines_per_image: of the round's labels.
        agreement: mean share of lines in common with the labels of the round before.
        rep5_at_25, rep5_at_50, rep5_at_100: Rep-5 (structural, nearest) of so many of the best lines of each image.
        loc5_at_50: pixels, of 50 lines.
        paired_rep5_at_25, ...: the same with lines paired one to one.
        lsd_rep5_as_many: Rep-5 of as many of LSD's longest lines as `lines_per_image` counts; None in LSD's own row.
        photograph_sAP5, ... photograph_APH: points, on labelled photographs.
        size: of the square that photographs were measured at, pixels.
    """

    round: str
    training: str
    sAP5: float | None = None
    sAP10: float | None = None
    sAP15: float | None = None
    mAPJ: float | None = None
    junction_recall: float | None = None
    lines_per_image: float | None = None
    structural_rep5: float | None = None
    structural_loc5: float | None = None
    orthogonal_rep5: float | None = None
    orthogonal_loc5: float | None = None
    label_lines_per_image: float | None = None
    agreement: float | None = None
    train_seconds: float | None = None
    rep5_at_25: float | None = None
    rep5_at_50: float | None = None
    rep5_at_100: float | None = None
    loc5_at_50: float | None = None
    paired_rep5_at_25: float | None = None
    paired_rep5_at_50: float | None = None
    paired_rep5_at_100: float | None = None
    lsd_rep5_as_many: float | None = None
    photograph_sAP5: float | None = None
    photograph_sAP10: float | None = None
    photograph_sAP15: float | None = None
    photograph_APH: float | None = None
    size: int | None = None


def rows(rounds: Sequence[Finished]) -> list[Row]:
    """The table of rounds, one row a round and the last one for LSD."""
    table = [_row(each) for each in rounds]
    return [*table, _with_photographs(Row(BASELINE, ""), rounds[-1].evaluation, BASELINE)]


def _row(each: Finished) -> Row:
    row = Row(
        str(each.number),
        each.train.key,
        label_lines_per_image=each.labels.lines_per_image,
        agreement=float(np.mean(list(each.agreement.values()))) if each.agreement else None,
        train_seconds=each.train_seconds,
    )
    shapes = each.evaluation.shapes
    if shapes:
        row = replace(
            row, sAP5=shapes.sAP5, sAP10=shapes.sAP10, sAP15=shapes.sAP15, mAPJ=shapes.mAPJ,
            junction_recall=shapes.junction_recall,
        )  # fmt: skip
    row = _with_photographs(row, each.evaluation, MODEL)
    as_many = baseline.at(None) if (baseline := each.measured(BASELINE)) else None
    return replace(row, lsd_rep5_as_many=as_many.nearest.structural.repeatability if as_many else None)


def _with_photographs(row: Row, evaluation: Evaluation, who: str) -> Row:
    """The row with what was measured on photographs, of the model or of LSD."""
    if labelled := evaluation.labelled.get(who):
        row = replace(
            row, photograph_sAP5=labelled.sAP5, photograph_sAP10=labelled.sAP10, photograph_sAP15=labelled.sAP15,
            photograph_APH=labelled.APH,
        )  # fmt: skip
    measured = evaluation.repeatability.get(who)
    if measured is None:
        return row
    at_25, at_50, at_100 = (measured.at(lines) for lines in (25, 50, 100))
    return replace(
        row,
        size=evaluation.conditions.size if evaluation.conditions else None,
        lines_per_image=measured.lines_per_image,
        structural_rep5=measured.structural.repeatability,
        structural_loc5=measured.structural.localisation,
        orthogonal_rep5=measured.orthogonal.repeatability,
        orthogonal_loc5=measured.orthogonal.localisation,
        loc5_at_50=at_50.nearest.structural.localisation if at_50 else None,
        rep5_at_25=at_25.nearest.structural.repeatability if at_25 else None,
        rep5_at_50=at_50.nearest.structural.repeatability if at_50 else None,
        rep5_at_100=at_100.nearest.structural.repeatability if at_100 else None,
        paired_rep5_at_25=at_25.one_to_one.structural.repeatability if at_25 else None,
        paired_rep5_at_50=at_50.one_to_one.structural.repeatability if at_50 else None,
        paired_rep5_at_100=at_100.one_to_one.structural.repeatability if at_100 else None,
    )


class Column(NamedTuple):
    """A column of the table that people read; the CSV file has all of them.

    Attributes:
        field: of `Row`.
        write: the value as text.
        meaning: for the lines below the table; empty where the column before says it too.
    """

    heading: str
    field: str
    write: Callable[[float], str]
    meaning: str


COLUMNS = (
    Column("sAP10 on shapes", "sAP10", "{:.1f}".format, "structural AP on held-out shapes, points"),
    Column("junction recall", "junction_recall", "{:.1%}".format, "share of the shapes' junctions that are found"),
    Column("lines/image", "lines_per_image", "{:.1f}".format, "lines of a photograph that are sure enough to count (evaluate.min_score)"),
    Column("Rep-5", "structural_rep5", "{:.3f}".format, "share of these lines that are found again in a warped copy, their ends within 5 px"),
    Column("LSD's of as many", "lsd_rep5_as_many", "{:.3f}".format, "Rep-5 of as many of LSD's longest lines"),
    Column("Loc-5 (px)", "structural_loc5", "{:.2f}".format, "how far apart the ends of lines are that are found again"),
    Column("Rep-5 at 25", "rep5_at_25", "{:.3f}".format, "Rep-5 of the 25, 50 and 100 best lines alone, by which detectors compare"),
    Column("Rep-5 at 50", "rep5_at_50", "{:.3f}".format, ""),
    Column("Rep-5 at 100", "rep5_at_100", "{:.3f}".format, ""),
    Column("one to one at 50", "paired_rep5_at_50", "{:.3f}".format, "the same of 50 lines, none with two partners"),
    Column("sAP10 on photographs", "photograph_sAP10", "{:.1f}".format, "structural AP by the lines that people drew (evaluate.truth), points"),
    Column("AP^H", "photograph_APH", "{:.1f}".format, "the same, pixel by pixel"),
    Column("label lines/image", "label_lines_per_image", "{:.1f}".format, "lines of a photograph in the labels that the round made"),
    Column("agreement", "agreement", "{:.3f}".format, "share of lines that these and the labels of the round before have in common"),
)  # fmt: skip


def _shown(table: Sequence[Row]) -> list[Column]:
    return [column for column in COLUMNS if any(getattr(row, column.field) is not None for row in table)]


def readable(table: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table as people read it, without columns that are empty; the first is the round."""
    columns = _shown(table)
    lines = [
        [row.round, *("" if (value := getattr(row, c.field)) is None else c.write(value) for c in columns)]
        for row in table
    ]
    return ["round", *(column.heading for column in columns)], lines


def meanings(table: Sequence[Row]) -> list[str]:
    """What the columns of the table mean that people read, a line each."""
    return [f"{column.heading}: {column.meaning}." for column in _shown(table) if column.meaning]


def as_text(table: Sequence[Row]) -> str:
    """The table of rounds for a terminal, which is narrow: rounds side by side, and below what the numbers mean."""
    from tabulate import tabulate

    heads, lines = readable(table)
    beside = [row.round if row.round == BASELINE else f"round {row.round}" for row in table]
    turned = list(zip(heads[1:], *(line[1:] for line in lines), strict=True))
    drawn = tabulate(turned, ["", *beside], disable_numparse=True, colalign=("left", *["right"] * len(table)))
    return "\n".join([drawn, "", *meanings(table), ""])


def as_csv(table: Sequence[Row]) -> str:
    """The table of rounds with every column, numbers in full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in table)
    return text.getvalue()
