"""What an artifact is made from, and the address that follows from it.

A recipe names the stage, its version, the settings that change the result and the keys of what it consumes;
its key is the digest of those four. Where things lie, how many shards there are and what device computes them are
written beside them as `places`, outside the digest. Recipes are known before anything runs.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar, get_type_hints

from hawp_core.errors import UserError
from hawp_core.runtime.setting_types import RealSettings, Settings, SyntheticSettings
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed
from hawp_core.workflow.places import (
    EvaluatePlaces,
    ExportPlaces,
    ImportPlaces,
    Places,
    ReportPlaces,
    SynthesizePlaces,
    TrainPlaces,
    to_dict,
)
from hawp_core.workflow.recipe_check import check_settings
from hawp_core.workflow.recipe_file import RecipeFile, read_recipe_file
from hawp_core.workflow.settings import Nested, with_defaults

# Raise a stage's number when its result for the same settings changes: everything made by it, and all that follows,
# is then made again. tests/end_to_end/test_versions.py compares a tiny run of each stage with what its number promised.
STAGE_VERSIONS = {"synthesize": 1, "train": 1, "export": 2, "evaluate": 2, "report": 1, "import": 1}

# What enters the address of a stage's result, as paths into the settings; a training takes its own section of `train` besides,
# and the share of own labels where it has some.
# Everything else is `places` or `compute`.
ADDRESSED = {
    "synthesize": ("seed", "shapes", "model.image_size"),
    "train": (
        "seed", "model", "train.weight_decay", "train.clip_norm", "train.average", "train.candidates", "train.losses",
    ),
    "export": ("seed", "export"),
    "evaluate": ("seed", "evaluate"),
    "import": ("labels.join",),
}  # fmt: skip

# What the folders of the shapes and of own labels are named: they belong to no round.
SHAPES_NAME, OWN_NAME = "synthetic-shapes", "own-labels"


@dataclass(frozen=True)
class Recipe:
    """How one artifact is made; each stage has a class of its own.

    Attributes:
        settings: those that change the result, nested as in the configuration.
        inputs: role -> key of what is consumed (None where nothing is).
        name: folder of the run's round, such as hawpv3-round0.
        places: where the inputs lie and how the work is divided; not part of the key.
        version: the stage's version.

    Raises:
        UserError: the name is no folder, or an input no address.
    """

    settings: Nested
    inputs: dict[str, str | None]
    name: str
    places: Places
    version: int = 0

    stage: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.version:
            object.__setattr__(self, "version", STAGE_VERSIONS[self.stage])
        _ = self.as_file  # which checks the name and the inputs

    @functools.cached_property
    def completed(self) -> Settings:
        """The settings as they are worked with; those that the recipe does not name have their defaults."""
        return with_defaults(self.settings)

    @functools.cached_property
    def as_file(self) -> RecipeFile:
        """The recipe as it is written."""
        return RecipeFile(self.stage, self.version, self.settings, self.inputs, self.name, to_dict(self.places))

    def consumed(self, role: str) -> str:
        """The key of what is consumed in a role that is never empty.

        Raises:
            UserError: it is empty all the same, as in a file that was written by hand.
        """
        key = self.inputs.get(role)
        if key is None:
            raise UserError(f"the recipe {self.file} lacks inputs.{role}: delete it and run the workflow again.")
        return key

    @property
    def identity(self) -> Nested:
        """What the key is the digest of."""
        return self.as_file.identity

    @property
    def key(self) -> str:
        """The artifact's address: hexadecimal."""
        return self.as_file.key

    @property
    def file(self) -> Path:
        """Where the recipe is written."""
        return self.as_file.path

    def write(self) -> Path:
        """Write the recipe, unless the same is there."""
        return self.as_file.write()


@dataclass(frozen=True)
class SynthesizeRecipe(Recipe):
    """How the synthetic shapes are made."""

    places: SynthesizePlaces
    stage: ClassVar[str] = "synthesize"


@dataclass(frozen=True)
class ImportRecipe(Recipe):
    """How own labels are taken in."""

    places: ImportPlaces
    stage: ClassVar[str] = "import"


@dataclass(frozen=True)
class TrainRecipe(Recipe):
    """How a model is made."""

    places: TrainPlaces
    stage: ClassVar[str] = "train"

    @property
    def real(self) -> RealSettings | None:
        """How a training on labelled photographs goes; None for one on shapes."""
        stages = self.settings.get("train")
        return self.completed.train.real if isinstance(stages, dict) and "real" in stages else None

    @property
    def training(self) -> SyntheticSettings | RealSettings:
        """The part of the settings that says how the training goes: `train.real`, or `train.synthetic`."""
        return self.real or self.completed.train.synthetic


@dataclass(frozen=True)
class ExportRecipe(Recipe):
    """How the labels of photographs are made."""

    places: ExportPlaces
    stage: ClassVar[str] = "export"


@dataclass(frozen=True)
class EvaluateRecipe(Recipe):
    """How a model is measured."""

    places: EvaluatePlaces
    stage: ClassVar[str] = "evaluate"


@dataclass(frozen=True)
class ReportRecipe(Recipe):
    """How the report on finished rounds is made."""

    places: ReportPlaces
    stage: ClassVar[str] = "report"


Step = SynthesizeRecipe | ImportRecipe | TrainRecipe | ExportRecipe | EvaluateRecipe  # of the chain of rounds
KINDS: dict[str, type[Step | ReportRecipe]] = {
    kind.stage: kind
    for kind in (SynthesizeRecipe, ImportRecipe, TrainRecipe, ExportRecipe, EvaluateRecipe, ReportRecipe)
}
Kind = TypeVar("Kind", bound=Recipe)


def roles(kind: type[Recipe]) -> type[Places]:
    """The class of the places of a stage's recipes."""
    found: type[Places] = get_type_hints(kind)["places"]
    return found


def read_recipe(path: Path | str) -> Step | ReportRecipe:
    """Read a recipe.

    Raises:
        UserError: unreadable, altered since it was written, or of another version of this tool.
    """
    found = read_recipe_file(path)
    if found.version != STAGE_VERSIONS[found.stage]:
        raise UserError(
            f"{shown(path)} asks for version {found.version} of the stage '{found.stage}', and this is version "
            f"{STAGE_VERSIONS[found.stage]}: run the workflow again, which plans with the present version."
        )
    kind = KINDS[found.stage]
    try:
        places = typed(roles(kind), found.places)
    except ValueError as error:
        raise UserError(f"{shown(path)}: of its places, {error}: delete it and run the workflow again.") from error
    check_settings(path, found.stage, found.settings)
    made: Callable[..., Step | ReportRecipe] = kind
    return made(found.settings, found.inputs, found.name, places, found.version)


def read_recipe_of(kind: type[Kind], path: Path | str) -> Kind:
    """Read a recipe of one stage.

    Raises:
        UserError: as `read_recipe`, or of another stage.
    """
    return of_stage(kind, read_recipe(path), path)


def of_stage(kind: type[Kind], recipe: Recipe, path: Path | str) -> Kind:
    """The recipe of a file, which must be of this stage.

    Raises:
        UserError: it is of another.
    """
    if not isinstance(recipe, kind):
        raise UserError(
            f"{shown(path)} is a recipe of the stage '{recipe.stage}', where one of '{kind.stage}' is needed: run the workflow again."
        )
    return recipe
