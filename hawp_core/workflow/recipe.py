"""What an artifact is made from, and the address that follows from it.

A recipe names the stage, its version, the settings that change the result and the keys of what it consumes;
its key is the digest of those four. Where things lie, how many shards there are and what device computes them are
written beside them as `places`, outside the digest. Recipes are known before anything runs.
"""

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, write_json
from hawp_core.runtime.names import check_name, is_address, named_folder
from hawp_core.runtime.setting_types import RealSettings, Settings, SyntheticSettings
from hawp_core.runtime.text import shown
from hawp_core.workflow.recipe_check import check_complete, check_places
from hawp_core.workflow.settings import Nested, with_defaults

RECIPE_FORMAT = "hawp-rounds recipe 1"

# Raise a stage's number when its result for the same settings changes: everything made by it, and all that follows,
# is then made again. tests/end_to_end/test_versions.py compares a tiny run of each stage with what its number promised.
STAGE_VERSIONS = {"synthesize": 1, "train": 1, "export": 2, "evaluate": 1, "report": 1}

KEY_LENGTH = 16  # hexadecimal digits: 64 bits, far beyond the number of artifacts of any run

# What enters the address of a stage's result, as paths into the settings; a training takes its own section of `train` besides.
# Everything else is `places` or `compute`.
ADDRESSED = {
    "synthesize": ("seed", "shapes", "model.image_size"),
    "train": (
        "seed", "model", "train.weight_decay", "train.clip_norm", "train.average", "train.candidates", "train.losses",
    ),
    "export": ("seed", "export"),
    "evaluate": ("seed", "evaluate"),
}  # fmt: skip

RECIPES = Path("recipes")
SHAPES_NAME = "synthetic-shapes"  # what the folder of the shapes is named: they belong to no round


def digest(value: object) -> str:
    """Hexadecimal SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def recipe_file(stage: str, name: str, key: str) -> Path:
    """Where a recipe is written, relative to the working folder."""
    return named_folder(RECIPES, name) / f"{stage}-{key}.json"


@dataclass(frozen=True)
class Recipe:
    """How one artifact is made.

    Attributes:
        stage: synthesize, train, export, evaluate or report.
        settings: those that change the result, nested as in the configuration.
        inputs: role -> key of what is consumed (None where nothing is).
        name: folder of the run's round, such as hawpv3-round0.
        places: where the inputs lie and how the work is divided; not part of the key.
        version: the stage's version.
    """

    stage: str
    settings: Nested
    inputs: dict[str, str | None]
    name: str
    places: dict = field(default_factory=dict)
    version: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        for role, key in self.inputs.items():
            if key is not None and not is_address(key):
                raise UserError(
                    f"{shown(repr(key))[:80]} is no address of what a recipe consumes as {role}: make that file anew."
                )
        if not self.version:
            object.__setattr__(self, "version", STAGE_VERSIONS[self.stage])

    @functools.cached_property
    def completed(self) -> Settings:
        """The settings of the recipe as they are worked with; those that it does not name have their defaults."""
        return with_defaults(self.settings)

    @property
    def identity(self) -> Nested:
        """What the key is the digest of."""
        return {"stage": self.stage, "version": self.version, "settings": self.settings, "inputs": self.inputs}

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
    def key(self) -> str:
        """The artifact's address: hexadecimal."""
        return digest(self.identity)[:KEY_LENGTH]

    @property
    def seal(self) -> str:
        """Digest of what the file of a recipe holds beside its key's content: a change by hand or by damage shows."""
        return digest([self.name, self.places])[:KEY_LENGTH]

    @property
    def file(self) -> Path:
        """Where the recipe is written."""
        return recipe_file(self.stage, self.name, self.key)

    def write(self) -> Path:
        """Write the recipe, unless the same is there."""
        record = {
            "format": RECIPE_FORMAT, "key": self.key, "name": self.name, "places": self.places, "seal": self.seal,
            **self.identity,
        }  # fmt: skip
        if not self.file.is_file() or read_json(self.file) != record:
            write_json(self.file, record)
        return self.file


def real_settings(train: Recipe) -> RealSettings | None:
    """How a training on labelled photographs goes; None for one on shapes."""
    stages = train.settings["train"]
    return train.completed.train.real if isinstance(stages, dict) and "real" in stages else None


def training_stage(train: Recipe) -> SyntheticSettings | RealSettings:
    """The part of a training's settings that says how it goes: `train.real`, or `train.synthetic`."""
    return real_settings(train) or train.completed.train.synthetic


def read_recipe(path: Path | str, *, any_version: bool = False) -> Recipe:
    """Read a recipe.

    Args:
        any_version: also one that an earlier version of this tool planned with.

    Raises:
        UserError: unreadable, altered since it was written, or of another version of this tool.
    """
    record = read_json(path)
    if record.get("format") != RECIPE_FORMAT:
        raise UserError(
            f"{shown(path)} has the recipe format {shown(repr(record.get('format')))[:80]}, and this version reads {RECIPE_FORMAT!r}: "
            "delete it and run the workflow again."
        )
    stage, version, inputs = record.get("stage"), record.get("version"), record.get("inputs")
    if not isinstance(stage, str) or stage not in STAGE_VERSIONS:
        raise UserError(f"{shown(path)} is of no stage that this version knows: delete it and run the workflow again.")
    check_places(path, record.get("places"))
    if not isinstance(inputs, dict) or not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UserError(f"{shown(path)} lacks inputs or a version: delete it and run the workflow again.")
    recipe = Recipe(stage, record.get("settings", {}), inputs, record.get("name", ""), record["places"], version)
    if recipe.seal != record.get("seal"):
        raise UserError(
            f"{shown(path)} was altered, or written by an earlier version: its name and places do not match their seal; delete it "
            "and run the workflow again."
        )
    if recipe.key != record.get("key"):
        raise UserError(
            f"{shown(path)} was altered: its content has the key {recipe.key}, and it says {shown(str(record.get('key')))[:80]}; "
            "delete it and run the workflow again."
        )
    if recipe.version == STAGE_VERSIONS[stage]:
        check_complete(path, stage, recipe.settings, recipe.places)
    elif not any_version:
        raise UserError(
            f"{shown(path)} asks for version {recipe.version} of the stage '{recipe.stage}', and this is version "
            f"{STAGE_VERSIONS[stage]}: run the workflow again, which plans with the present version."
        )
    return recipe
