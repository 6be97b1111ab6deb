"""What a run has to tell: its finished rounds with their metrics and labels, the table of rounds, the cost of each step.

Everything is read from what the steps left behind (recipes, lineage records, metrics, label files, benchmark files);
nothing is measured anew but the agreement of two rounds' labels.
"""

import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hawp_core import lineage
from hawp_core.errors import UserError
from hawp_core.files import read_json
from hawp_core.lineage import Recipe, Round
from hawp_core.planning import artifact
from hawp_core.provenance import record_file
from hawp_core.repeatability import THRESHOLD, repeatability
from hawp_core.wireframe import LabelFile

# Photographs whose labels are compared between rounds; a mean over so many is known to about a hundredth.
MOST_COMPARED = 2000

# Which files hold the runtime and memory of a step's jobs, in logs/NAME/.
BENCHMARKS = {
    "synthesize": "{key}-*.benchmark.tsv",
    "train": "train-{key}-*.benchmark.tsv",
    "export": "export-{key}-*.benchmark.tsv",
    "evaluate": "evaluate-*-{key}.benchmark.tsv",
}


@dataclass(frozen=True)
class Finished:
    """A round whose model, labels and metrics are there.

    Attributes:
        number: 0 is the round on shapes.
        train, export, evaluate: its recipes.
        evaluation: content of `evaluation-KEY.json`.
        counts: what the export reports: images, junctions, lines, rejected.
        train_seconds: how long the training took, as its record has it.
        agreement: photograph -> share of the lines that this round's labels and the previous round's have in common.
    """

    number: int
    train: Recipe
    export: Recipe
    evaluate: Recipe
    evaluation: dict
    counts: dict
    train_seconds: float | None
    agreement: dict[str, float] = field(default_factory=dict)

    @property
    def metrics_file(self) -> Path:
        """Losses and validations of the training."""
        return artifact(self.train).with_name("metrics.jsonl")

    def measured(self, who: str = "model") -> dict:
        """Repeatability of "model" or "LSD", as `evaluate_repeatability` gives it; empty where it was not measured."""
        return self.evaluation.get("repeatability", {}).get(who, {})


@dataclass(frozen=True)
class Cost:
    """What the jobs of one step took: seconds together and of the longest, memory (MB) of the largest; None: unknown."""

    stage: str
    round: int | None
    jobs: int | None
    seconds: float
    longest: float | None
    memory: float | None

    @property
    def title(self) -> str:
        """Name of the step for a reader."""
        names = {"synthesize": "draw shapes", "train": "train", "export": "label", "evaluate": "measure"}
        return names[self.stage] + ("" if self.round is None else f", round {self.round}")


def planned(recipe: Recipe) -> tuple[Recipe, list[Round]]:
    """The shapes and the rounds that a report's recipe names.

    Raises:
        UserError: one of their recipes is missing or altered.
    """
    shapes, *rest = [lineage.read_recipe(path) for path in recipe.places["recipes"]]
    return shapes, [Round(i // 3, *rest[i : i + 3]) for i in range(0, len(rest), 3)]


def finished(rounds: Sequence[Round]) -> list[Finished]:
    """The rounds, from 0, of which everything is there, with the agreement of their labels.

    Raises:
        UserError: not one is, or a file is damaged.
    """
    found: list[Finished] = []
    before: LabelFile | None = None
    for each in rounds:
        if not all(artifact(recipe).is_file() for recipe in (each.train, each.export, each.evaluate)):
            break
        records = {recipe.stage: _record(recipe) for recipe in (each.train, each.export, each.evaluate)}
        labels = LabelFile(artifact(each.export))
        found.append(
            Finished(
                each.number, each.train, each.export, each.evaluate,
                evaluation=read_json(artifact(each.evaluate)),
                counts=records["export"].get("counts") or _counts(labels),
                train_seconds=records["train"].get("seconds"),
                agreement=agreement(before, labels, side(each.train)) if before else {},
            )
        )  # fmt: skip
        before = labels
    if not found:
        raise UserError(
            f"no round of {rounds[0].train.name.removesuffix('-round0')} is finished: run the workflow, such as "
            "`snakemake --profile profiles/local`, and look with `hawp status`."
        )
    return found


def side(train: Recipe) -> int:
    """Side of the network's square input, pixels: what 5 pixels are measured in."""
    return train.settings["model"]["image_size"]


def _record(recipe: Recipe) -> dict:
    file = record_file(artifact(recipe))
    return read_json(file) if file.is_file() else {}


def _counts(labels: LabelFile) -> dict:
    return {"images": len(labels), "lines": labels.line_count, "rejected": len(labels.about.get("rejected", []))}


def chosen(names: Iterable[str], most: int) -> list[str]:
    """At most `most` of the names: always the same ones, spread over all."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:most]


def agreement(first: LabelFile, second: LabelFile, size: int) -> dict[str, float]:
    """The share of lines that two label files have in common, by photograph.

    A line is common to both when the other file has one within 5 pixels of the network's input (structural distance),
    so the number means what repeatability means. Photographs without a line in either are left out.

    Args:
        size: side of the network's square input, pixels.
    """
    common = {}
    for name in chosen(set(first.names) & set(second.names), MOST_COMPARED):
        lines = [labels[name].resized(size, size).lines for labels in (first, second)]
        share, _ = repeatability(*lines, np.eye(3), (size, size), THRESHOLD, "structural")
        if not math.isnan(share):
            common[name] = share
    return common


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


def costs(shapes: Recipe, rounds: Sequence[Finished]) -> list[Cost]:
    """What each step took, from the benchmark files of its jobs, or from its lineage record where they are gone."""
    steps = [(shapes, None)]
    steps += [(recipe, each.number) for each in rounds for recipe in (each.train, each.export, each.evaluate)]
    return [cost for recipe, number in steps if (cost := _cost(recipe, number)) is not None]


def _cost(recipe: Recipe, number: int | None) -> Cost | None:
    jobs = [
        job
        for file in sorted(Path("logs", recipe.name).glob(BENCHMARKS[recipe.stage].format(key=recipe.key)))
        for job in csv.DictReader(file.open(encoding="utf-8"), delimiter="\t")
    ]
    if not jobs:
        seconds = _record(recipe).get("seconds")
        return None if seconds is None else Cost(recipe.stage, number, None, seconds, None, None)
    seconds = [float(job["s"]) for job in jobs]
    memory = [value for job in jobs if (value := _number(job["max_rss"])) is not None]
    return Cost(recipe.stage, number, len(jobs), sum(seconds), max(seconds), max(memory, default=None))


def _number(text: str) -> float | None:
    """Snakemake writes NA for what it had no time to see."""
    try:
        return float(text)
    except ValueError:
        return None
