"""How far a step of a run is, from what it leaves on the disk while it works."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hawp_core.runtime.journal import journal_file
from hawp_core.training.metrics import MetricsRow, last_metrics
from hawp_core.training.place import METRICS
from hawp_core.workflow.paths import label_shards, shape_shards, trained_model
from hawp_core.workflow.recipe import ExportRecipe, Step, SynthesizeRecipe, TrainRecipe
from hawp_core.workflow.recipe_builders import shape_images
from hawp_core.workflow.sharding import shard_range


@dataclass(frozen=True)
class Progress:
    """How far a step is.

    Attributes:
        done, total: of what is counted; None where nothing is yet known.
        unit: images, steps or photographs.
        begun: whether anything is there.
    """

    done: int | None
    total: int | None
    unit: str
    begun: bool

    def __str__(self) -> str:
        if not self.begun:
            return ""
        return "begun" if self.done is None else f"{self.done}/{self.total} {self.unit}"


@dataclass(frozen=True)
class ShardProgress:
    """How far a shard of labels is.

    Attributes:
        file: the shard.
        done: photographs of it that are labelled.
        finished: whether the shard is there.
        journal: its finished photographs, where the shard is not there yet.
    """

    file: Path
    done: int
    finished: bool
    journal: Path


def progress(recipe: Step) -> Progress:
    """How far the step of a recipe is whose result is not there yet."""
    if isinstance(recipe, SynthesizeRecipe):
        return _shapes(recipe)
    if isinstance(recipe, TrainRecipe):
        return _training(recipe)
    if isinstance(recipe, ExportRecipe):
        done = sum(shard.done for shard in shards(recipe))
        return Progress(done, recipe.places.photographs, "photographs", done > 0)
    return Progress(None, None, "", False)


def _shapes(recipe: SynthesizeRecipe) -> Progress:
    images = shape_images(recipe.completed)
    done = 0
    for split, files in shape_shards(recipe).items():
        for shard, file in enumerate(files):
            done += len(shard_range(images[split], shard, len(files))) if file.is_file() else 0
    return Progress(done, sum(images.values()), "images", done > 0)


def metrics_file(train: TrainRecipe) -> Path:
    """The metrics of a training, a row each."""
    return trained_model(train).with_name(METRICS)


def latest_metrics(train: TrainRecipe) -> list[MetricsRow]:
    """The last rows of a training's metrics."""
    return last_metrics(metrics_file(train))


def _training(recipe: TrainRecipe) -> Progress:
    if rows := latest_metrics(recipe):
        return Progress(rows[-1].step, rows[-1].of, "steps", True)
    return Progress(None, None, "steps", metrics_file(recipe).is_file())


def shards(export: ExportRecipe) -> Iterator[ShardProgress]:
    """How far each shard of an export is."""
    files = label_shards(export)
    for number, file in enumerate(files):
        journal = journal_file(file, export.key)
        if file.is_file():
            wanted = shard_range(export.places.photographs, number, len(files))
            yield ShardProgress(file, len(wanted), True, journal)
        else:
            done = journal.read_bytes().count(b"\n") if journal.is_file() else 0
            yield ShardProgress(file, done, False, journal)
