"""One builder for the recipe of each stage, for the planned chain and for a command given by hand."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hawp_core.data.shapes.primitives import image_count
from hawp_core.errors import UserError
from hawp_core.model.shipped import SHIPPED
from hawp_core.runtime.files import sha256
from hawp_core.runtime.names import is_address
from hawp_core.runtime.setting_types import Section, Settings
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed
from hawp_core.workflow.places import (
    EvaluatePlaces,
    ExportPlaces,
    ImportPlaces,
    PhotographPlaces,
    SplitShards,
    SynthesizePlaces,
    TrainPlaces,
)
from hawp_core.workflow.recipe import (
    ADDRESSED,
    OWN_NAME,
    SHAPES_NAME,
    EvaluateRecipe,
    ExportRecipe,
    ImportRecipe,
    SynthesizeRecipe,
    TrainRecipe,
)
from hawp_core.workflow.recipe_file import KEY_LENGTH
from hawp_core.workflow.settings import Nested, to_dict, without_later_defaults
from hawp_core.workflow.sharding import shard_count

if TYPE_CHECKING:
    from hawp_core.model.checkpoint import CheckpointInfo


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        key: of the training that made it; of an imported model, the digest of its file.
        name: folder of its round.
        epoch: how many epochs it was trained for.
        shapes: data config of the shapes that it was validated on; None for an imported model.
    """

    key: str
    name: str
    epoch: int
    shapes: Path | None

    @classmethod
    def of(cls, info: "CheckpointInfo", model: Path) -> "Origin":
        """The origin of a model's file, from what `load_checkpoint` tells of it.

        Raises:
            UserError: it says what makes no sense.
        """
        try:
            made = typed(_Made, info.recipe)
            if made.key and not is_address(made.key):
                raise ValueError("key is no address")
        except ValueError as error:
            raise UserError(
                f"{shown(model)} does not say what it was trained with ({error}): it is damaged; train or copy it again."
            ) from error
        # A model that several runs share lies under each one's name, and says who trained it.
        folder = model.parent.parent.name
        name = folder if made.key and model.parent.name == made.key and folder not in ("", "..") else made.name
        return cls(made.key or sha256(model)[:KEY_LENGTH], name or model.stem, info.epoch, made.shapes)


@dataclass(frozen=True)
class _Made:
    """What a model's file says of its training, as far as it is used; imported models say less."""

    key: str | None = None
    name: str | None = None
    shapes: Path | None = None


def shipped_key() -> str:
    """The key of the weights that come with the package, as `Origin` has it."""
    return sha256(SHIPPED)[:KEY_LENGTH]


def pick(settings: Settings, *paths: str) -> Nested:
    """The part of the settings that dotted `paths` name, nested as in a file, as it enters an address."""
    everything, picked = to_dict(settings), Nested()
    for path in paths:
        _copy(everything, picked, path.split("."))
    return without_later_defaults(picked)


def _copy(source: Nested, target: Nested, path: list[str]) -> None:
    name, *rest = path
    inner, below = source[name], target.setdefault(name, {})
    if rest and isinstance(inner, dict) and isinstance(below, dict):
        _copy(inner, below, rest)
    else:
        target[name] = inner


def shape_images(settings: Settings) -> dict[str, int]:
    """Split -> how many synthetic images it holds."""
    return {"train": image_count(settings.shapes.train), "validation": image_count(settings.shapes.validation)}


def synthesize_recipe(settings: Settings) -> SynthesizeRecipe:
    """The synthetic shapes."""
    size = settings.compute.shape_shard_size
    shards = SplitShards(**{split: shard_count(images, size) for split, images in shape_images(settings).items()})
    chosen = pick(settings, *ADDRESSED["synthesize"])
    return SynthesizeRecipe(chosen, {}, SHAPES_NAME, SynthesizePlaces(shards, size))


def import_recipe(settings: Settings, labels: str, photographs: str, places: ImportPlaces) -> ImportRecipe:
    """The taking in of own labels with the key `labels`, drawn on the photographs with this fingerprint."""
    inputs: dict[str, str | None] = {"labels": labels[:KEY_LENGTH], "photographs": photographs}
    return ImportRecipe(pick(settings, *ADDRESSED["import"]), inputs, OWN_NAME, places)


def train_recipe(
    settings: Settings,
    section: Section,
    name: str,
    *,
    data: str,
    shapes: str,
    start: str | None,
    places: TrainPlaces,
    labels: str | None = None,
) -> TrainRecipe:
    """A training.

    Args:
        section: what it learns from.
        name: of its round's folder.
        data, shapes, start: keys of what it learns from, is validated on, and begins from (None: new weights).
        places: where these lie.
        labels: key of own labels that are mixed in.
    """
    mixed = {} if labels is None else {"labels": labels}
    chosen = pick(settings, *ADDRESSED["train"], f"train.{section}", *(["labels.share"] if mixed else []))
    return TrainRecipe(chosen, {"data": data, "shapes": shapes, "start": start, **mixed}, name, places)


def export_recipe(
    settings: Settings, origin: Origin, photographs: str, at: PhotographPlaces, model: Path
) -> ExportRecipe:
    """The labelling of the photographs with this fingerprint, which are `at` these places, by the model of `origin`."""
    inputs: dict[str, str | None] = {"model": origin.key, "photographs": photographs}
    places = ExportPlaces(at.folder, at.manifest, at.photographs, at.shards, model, origin.epoch, origin.shapes)
    return ExportRecipe(pick(settings, *ADDRESSED["export"]), inputs, origin.name, places)


def truth_folder(settings: Settings) -> str:
    """Where the photographs of `evaluate.truth` lie."""
    return settings.evaluate.truth_images or str(Path(settings.evaluate.truth).parent / "images")


def evaluate_recipe(
    settings: Settings,
    origin: Origin,
    photographs: str,
    shapes: str | None,
    at: PhotographPlaces,
    model: Path,
    shapes_at: Path | None,
) -> EvaluateRecipe:
    """The measurement of the model of `origin` on photographs, on the shapes with the key `shapes`, on labelled ones.

    Args:
        at, model, shapes_at: where the photographs, the model and the shapes lie.

    Raises:
        UserError: the annotations that the settings name cannot be read.
    """
    inputs = {"model": origin.key, "photographs": photographs, "shapes": shapes}
    truth = settings.evaluate.truth
    # Their content enters the address, not their place.
    unplaced = replace(settings, evaluate=replace(settings.evaluate, truth="", truth_images=""))
    chosen = pick(unplaced, *ADDRESSED["evaluate"])
    places = EvaluatePlaces(at.folder, at.manifest, at.photographs, at.shards, model, shapes_at)
    if truth:
        try:
            inputs["truth"] = sha256(truth)
        except OSError as error:
            raise UserError(
                f"{truth} cannot be read ({error.strerror}): give existing annotations as evaluate.truth, or none."
            ) from error
        places = replace(places, truth=truth, truth_images=truth_folder(settings))
    return EvaluateRecipe(chosen, inputs, origin.name, places)
