"""What an artifact is made from, and the address that follows from it.

A recipe names the stage, its version, the settings that change the result and the keys of what it consumes;
its key is the digest of those four. Where things lie, how many shards there are and what device computes them are
written beside them as `places`, outside the digest. Recipes are known before anything runs.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, write_json

RECIPE_FORMAT = "hawp-rounds recipe 1"

# Raise a stage's number when its result for the same settings changes: everything made by it, and all that follows,
# is then made again. tests/test_versions.py compares a tiny run of each stage with what its number promised.
STAGE_VERSIONS = {"synthesize": 1, "train": 1, "export": 2, "evaluate": 1, "report": 1}

LONGEST_NAME = 200  # bytes: a file system takes 255, and names get endings
KEY_LENGTH = 16  # hexadecimal digits: 64 bits, far beyond the number of artifacts of any run

RECIPES = Path("recipes")
SHAPES_NAME = "synthetic-shapes"  # what the folder of the shapes is named: they belong to no round


def digest(value: object) -> str:
    """Hexadecimal SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def training_stage(settings: dict) -> dict:
    """The part of a training's settings that says how it goes: `train.real`, or `train.synthetic`."""
    stages = settings["train"]
    return stages["real"] if "real" in stages else stages["synthetic"]


def recipe_file(stage: str, name: str, key: str) -> Path:
    """Where a recipe is written, relative to the working folder."""
    return RECIPES / name / f"{stage}-{key}.json"


def check_name(name: object) -> None:
    """Make sure that a name, wherever it comes from, is one plain folder inside the run.

    Raises:
        UserError: empty, hidden, too long, or with a separator or control character.
    """
    if (
        not isinstance(name, str)
        or not name.isprintable()
        or re.search(r"[/\\]|^$|^[.-]", name)
        or len(name.encode(errors="surrogatepass")) > LONGEST_NAME
    ):
        raise UserError(
            f"the name {name!r} is no plain folder name: use letters, digits, dots, dashes and underscores, such as "
            "mine-round0."
        )


def check_places(path: Path | str, places: object) -> None:
    """Make sure that what a recipe's file says of where things lie stays inside the run; the photographs may lie anywhere.

    Raises:
        UserError: a place outside the working folder, or no place at all.
    """
    named = places if isinstance(places, dict) else {"everything": places}
    for role, value in named.items():
        for each in value if isinstance(value, list) else [value]:
            outside = isinstance(each, str) and (Path(each).is_absolute() or ".." in Path(each).parts or "\0" in each)
            if named is not places or (outside and role != "folder"):
                raise UserError(
                    f"{path} places {role} at {each!r}, which is not inside the run: delete it and run the workflow again."
                )


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
    settings: dict
    inputs: dict
    name: str
    places: dict = field(default_factory=dict)
    version: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        for role, key in self.inputs.items():
            if key is not None and not (isinstance(key, str) and re.fullmatch(r"[0-9a-f]{8,64}", key)):
                raise UserError(f"{key!r} is no address of what a recipe consumes as {role}: make that file anew.")
        if not self.version:
            object.__setattr__(self, "version", STAGE_VERSIONS[self.stage])

    @property
    def identity(self) -> dict:
        """What the key is the digest of."""
        return {"stage": self.stage, "version": self.version, "settings": self.settings, "inputs": self.inputs}

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


def read_recipe(path: Path | str) -> Recipe:
    """Read a recipe.

    Raises:
        UserError: unreadable, altered since it was written, or of another version of this tool.
    """
    record = read_json(path)
    if record.get("format") != RECIPE_FORMAT:
        raise UserError(
            f"{path} has the recipe format {record.get('format')!r}, and this version reads {RECIPE_FORMAT!r}: "
            "delete it and run the workflow again."
        )
    check_places(path, record.get("places"))
    try:
        recipe = Recipe(**{name: record[name] for name in ("stage", "settings", "inputs", "name", "places", "version")})
    except KeyError as error:
        raise UserError(f"{path} lacks {error}: delete it and run the workflow again.") from error
    if recipe.seal != record.get("seal"):
        raise UserError(
            f"{path} was altered, or written by an earlier version: its name and places do not match their seal; delete it "
            "and run the workflow again."
        )
    if recipe.key != record.get("key"):
        raise UserError(
            f"{path} was altered: its content has the key {recipe.key}, and it says {record.get('key')}; "
            "delete it and run the workflow again."
        )
    if recipe.stage not in STAGE_VERSIONS or recipe.version != STAGE_VERSIONS[recipe.stage]:
        raise UserError(
            f"{path} asks for version {recipe.version} of the stage '{recipe.stage}', and this is version "
            f"{STAGE_VERSIONS.get(recipe.stage)}: run the workflow again, which plans with the present version."
        )
    return recipe
