"""The table of rounds: one row a round, beside the baseline; to read, and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from hawp_core.evaluation.results import BASELINE, DetectorRepeatability
from hawp_core.report.rounds import Finished


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


def rows(rounds: Sequence[Finished]) -> list[Row]:
    """The table of rounds, one row a round and the last one for LSD."""
    table = [_row(each) for each in rounds]
    return [*table, _with_repeatability(Row(BASELINE, ""), rounds[-1].measured(BASELINE))]


def _row(each: Finished) -> Row:
    row = Row(
        str(each.number),
        each.train.key,
        label_lines_per_image=each.counts["lines"] / max(1, each.counts["images"]),
        agreement=float(np.mean(list(each.agreement.values()))) if each.agreement else None,
        train_seconds=each.train_seconds,
    )
    shapes = each.evaluation.shapes
    if shapes:
        row = replace(
            row, sAP5=shapes.sAP5, sAP10=shapes.sAP10, sAP15=shapes.sAP15, mAPJ=shapes.mAPJ,
            junction_recall=shapes.junction_recall,
        )  # fmt: skip
    return _with_repeatability(row, each.measured())


def _with_repeatability(row: Row, measured: DetectorRepeatability | None) -> Row:
    if measured is None:
        return row
    return replace(
        row,
        lines_per_image=measured.lines_per_image,
        structural_rep5=measured.structural.repeatability,
        structural_loc5=measured.structural.localisation,
        orthogonal_rep5=measured.orthogonal.repeatability,
        orthogonal_loc5=measured.orthogonal.localisation,
    )


# Heading, field of `Row`, and how the value is written, of the table that people read; the CSV file has all columns.
COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("sAP10 on shapes", "sAP10", "{:.1f}".format),
    ("junction recall", "junction_recall", "{:.1%}".format),
    ("lines/image", "lines_per_image", "{:.1f}".format),
    ("Rep-5", "structural_rep5", "{:.3f}".format),
    ("Loc-5 (px)", "structural_loc5", "{:.2f}".format),
    ("label lines/image", "label_lines_per_image", "{:.1f}".format),
    ("agreement", "agreement", "{:.3f}".format),
)


def readable(table: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table as people read it; the first column is the round."""
    heads = ["round", *(head for head, _, _ in COLUMNS)]
    lines = [
        [row.round, *("" if (value := getattr(row, name)) is None else write(value) for _, name, write in COLUMNS)]
        for row in table
    ]
    return heads, lines


def as_text(table: Sequence[Row]) -> str:
    """The table of rounds for a terminal."""
    from tabulate import tabulate

    heads, lines = readable(table)
    return tabulate(lines, heads, disable_numparse=True, colalign=("left", *["right"] * len(COLUMNS)))


def as_csv(table: Sequence[Row]) -> str:
    """The table of rounds with every column, numbers in full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [each.name for each in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in table)
    return text.getvalue()
