"""What a run has to tell: its finished rounds with their metrics and labels.

Everything is read from what the steps left behind (recipes, lineage records, metrics, label files); nothing is measured
anew but the agreement of two rounds' labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hawp_core.data.label_file import LabelFile
from hawp_core.errors import UserError
from hawp_core.evaluation.results import MODEL, DetectorRepeatability, Evaluation
from hawp_core.report.agreement import agreement
from hawp_core.workflow.chain import Round
from hawp_core.workflow.paths import artifact
from hawp_core.workflow.progress import metrics_file
from hawp_core.workflow.recipe import EvaluateRecipe, ExportRecipe, Step, TrainRecipe
from hawp_core.workflow.record import Record, read_record, record_file


@dataclass(frozen=True)
class LabelCounts:
    """How many photographs a round labelled, and the lines on all of them."""

    images: int
    lines: int

    @property
    def lines_per_image(self) -> float:
        """The mean; 0 where nothing is labelled."""
        return self.lines / max(1, self.images)


@dataclass(frozen=True)
class Finished:
    """A round whose model, labels and metrics are there.

    Attributes:
        number: 0 is the round on shapes.
        train, export, evaluate: its recipes.
        evaluation: content of `evaluation-KEY.json`.
        labels: what the label file holds.
        train_seconds: how long the training took, as its record has it.
        precision: of the training's arithmetic; empty where nothing was trained, or nobody noted it.
        agreement: photograph -> share of the lines that this round's labels and the previous round's have in common.
    """

    number: int
    train: TrainRecipe
    export: ExportRecipe
    evaluate: EvaluateRecipe
    evaluation: Evaluation
    labels: LabelCounts
    train_seconds: float | None
    precision: str
    agreement: dict[str, float] = field(default_factory=dict)

    @property
    def metrics_file(self) -> Path:
        """Losses and validations of the training."""
        return metrics_file(self.train)

    def measured(self, who: str = MODEL) -> DetectorRepeatability | None:
        """Repeatability of the model or of the baseline; None where it was not measured."""
        return self.evaluation.repeatability.get(who)


def finished(rounds: Sequence[Round]) -> list[Finished]:
    """The rounds, from 0, of which everything is there, with the agreement of their labels.

    Raises:
        UserError: not one is, or a file is damaged.
    """
    found: list[Finished] = []
    before: LabelFile | None = None
    for each in rounds:
        if not all(artifact(recipe).is_file() for recipe in each.steps):
            break
        labels = LabelFile(artifact(each.export))
        found.append(
            Finished(
                each.number, each.train, each.export, each.evaluate,
                evaluation=Evaluation.read(artifact(each.evaluate)),
                labels=LabelCounts(len(labels), labels.line_count),
                train_seconds=seconds_of(record_of(each.train)),
                precision=_precision(record_of(each.train)),
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


def side(train: TrainRecipe) -> int:
    """Side of the network's square input, pixels: what 5 pixels are measured in."""
    return train.completed.model.image_size


def record_of(recipe: Step) -> Record | None:
    """The lineage record of a recipe's result; None where there is none."""
    file = record_file(artifact(recipe))
    return read_record(file) if file.is_file() else None


def _precision(record: Record | None) -> str:
    return str(record.counts.get("precision", "")) if record and record.count("steps") else ""


def seconds_of(record: Record | None) -> float | None:
    """How long the work took; None where that is not known."""
    return None if record is None else record.seconds
