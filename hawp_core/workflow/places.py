"""Where the inputs of a step lie and how its work is divided, a class a stage: what a recipe holds beside its key's content.

Fields are written to recipes under their own names; docs/formats.md describes the file. Paths are relative to the working
folder; what the user has may lie anywhere, and is text as the user wrote it.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from hawp_core.workflow.settings import Nested


@dataclass(frozen=True)
class SplitShards:
    """Shards of each split of the shapes."""

    train: int
    validation: int


@dataclass(frozen=True)
class SynthesizePlaces:
    """Of synthetic shapes.

    Attributes:
        shard_size: most images of a shard.
    """

    shards: SplitShards
    shard_size: int


@dataclass(frozen=True)
class ImportPlaces:
    """Of own labels.

    Attributes:
        files: a label file of the user, or a folder of them.
        folder: of the photographs, of the user, or "bundled".
        manifest: the list of those in the folder.
        photographs: how many are labelled.
    """

    files: str
    folder: str
    manifest: Path
    photographs: int


@dataclass(frozen=True)
class TrainPlaces:
    """Of a training.

    Attributes:
        data, shapes: data configs of what is learned from, and of the shapes that it is validated on.
        start: the model to begin from; None for new weights, "shipped" for those that come with the package.
        labels: data config of own labels that are mixed in; None for none.
    """

    data: Path
    shapes: Path
    start: str | None
    labels: Path | None = None


@dataclass(frozen=True)
class PhotographPlaces:
    """Of the photographs that a run looks at.

    Attributes:
        folder: of the user, or "bundled".
        manifest: their list.
        photographs: how many there are.
        shards: into how many parts their labelling is divided.
    """

    folder: str
    manifest: Path
    photographs: int
    shards: int


@dataclass(frozen=True)
class ExportPlaces(PhotographPlaces):
    """Of a labelling.

    Attributes:
        model: that labels.
        epoch: epochs of training behind it.
        shapes: data config of those that it was validated on; None where it names none.
    """

    model: Path
    epoch: int
    shapes: Path | None


@dataclass(frozen=True)
class EvaluatePlaces(PhotographPlaces):
    """Of a measurement.

    Attributes:
        model: that is measured.
        shapes: data config of those that it is measured on; None for none.
        truth, truth_images: the user's annotations, and the folder of the annotated photographs; None for none.
    """

    model: Path
    shapes: Path | None
    truth: str | None = None
    truth_images: str | None = None


@dataclass(frozen=True)
class ReportPlaces:
    """Of a report: the recipes of the shapes, and of the steps of each round."""

    recipes: tuple[Path, ...]


Places = SynthesizePlaces | ImportPlaces | TrainPlaces | ExportPlaces | EvaluatePlaces | ReportPlaces


def to_dict(places: Places) -> Nested:
    """The places as a recipe's file has them; what is None by default is left out."""
    found: Nested = {}
    for field in dataclasses.fields(places):
        value = getattr(places, field.name)
        if value is not None or field.default is dataclasses.MISSING:
            found[field.name] = _plain(value)
    return found


def _plain(value: object) -> object:
    if isinstance(value, SplitShards):
        return dataclasses.asdict(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
