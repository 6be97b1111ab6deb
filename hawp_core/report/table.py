"""The table of rounds: one row a round, beside the baseline; to read, and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence

import numpy as np

from hawp_core.report.rounds import Finished


def rows(rounds: Sequence[Finished]) -> list[dict]:
    """The table of rounds, one row a round and the last one for LSD; None where a number is not defined.

    Lines an image stand beside every repeatability: a detector that finds little repeats it easily.
    """
    table = []
    for each in rounds:
        shapes = each.evaluation.get("shapes", {})
        table.append(
            {"round": str(each.number), "training": each.train.key}
            | {name: shapes.get(name) for name in ("sAP5", "sAP10", "sAP15", "mAPJ", "junction_recall")}
            | _repeatability(each.measured())
            | {
                "label_lines_per_image": each.counts["lines"] / max(1, each.counts["images"]),
                "agreement": float(np.mean(list(each.agreement.values()))) if each.agreement else None,
                "train_seconds": each.train_seconds,
            }
        )
    baseline = _repeatability(rounds[-1].measured("LSD"))
    blank = dict.fromkeys(table[0])
    return [*table, blank | {"round": "LSD", "training": ""} | baseline]


def _repeatability(measured: dict) -> dict:
    row = {"lines_per_image": measured.get("lines_per_image")}
    for kind in ("structural", "orthogonal"):
        values = measured.get(kind, {})
        row |= {f"{kind}_rep5": values.get("repeatability"), f"{kind}_loc5": values.get("localisation")}
    return row


# Heading, key in `rows`, and how the value is written, of the table that people read; the CSV file has all columns.
COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("sAP10 on shapes", "sAP10", "{:.1f}".format),
    ("junction recall", "junction_recall", "{:.1%}".format),
    ("lines/image", "lines_per_image", "{:.1f}".format),
    ("Rep-5", "structural_rep5", "{:.3f}".format),
    ("Loc-5 (px)", "structural_loc5", "{:.2f}".format),
    ("label lines/image", "label_lines_per_image", "{:.1f}".format),
    ("agreement", "agreement", "{:.3f}".format),
)


def readable(table: list[dict]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table as people read it; the first column is the round."""
    heads = ["round", *(head for head, _, _ in COLUMNS)]
    lines = [
        [row["round"], *("" if row[key] is None else write(row[key]) for _, key, write in COLUMNS)] for row in table
    ]
    return heads, lines


def as_text(table: list[dict]) -> str:
    """The table of rounds for a terminal."""
    from tabulate import tabulate

    heads, lines = readable(table)
    return tabulate(lines, heads, disable_numparse=True, colalign=("left", *["right"] * len(COLUMNS)))


def as_csv(table: list[dict]) -> str:
    """The table of rounds with every column, numbers in full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
