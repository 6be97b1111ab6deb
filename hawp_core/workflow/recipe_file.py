"""The file of a recipe: what it says, the key and the seal by which an altered one is noticed.

What the recipe means to a stage is read from it in `recipe.py`; `recipe_check.py` says what it must hold.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, write_json
from hawp_core.runtime.names import check_name, is_address, named_folder
from hawp_core.runtime.text import shown
from hawp_core.workflow.recipe_check import SETTINGS, check_places
from hawp_core.workflow.settings import Nested

RECIPE_FORMAT = "hawp-rounds recipe 1"
RECIPES = Path("recipes")
KEY_LENGTH = 16  # hexadecimal digits: 64 bits, far beyond the number of artifacts of any run


def digest(value: object) -> str:
    """Hexadecimal SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def recipe_file(stage: str, name: str, key: str) -> Path:
    """Where a recipe is written, relative to the working folder."""
    return named_folder(RECIPES, name) / f"{stage}-{key}.json"


@dataclass(frozen=True)
class RecipeFile:
    """What the file of a recipe says.

    Attributes: as of `recipe.Recipe`, in plain values.

    Raises:
        UserError: the name is no folder, or an input no address.
    """

    stage: str
    version: int
    settings: Nested
    inputs: dict[str, str | None]
    name: str
    places: Nested

    def __post_init__(self) -> None:
        check_name(self.name)
        for role, key in self.inputs.items():
            if key is not None and not is_address(key):
                raise UserError(
                    f"{shown(repr(key))[:80]} is no address of what a recipe consumes as {role}: make that file anew."
                )

    @property
    def identity(self) -> Nested:
        """What the key is the digest of."""
        return {"stage": self.stage, "version": self.version, "settings": self.settings, "inputs": self.inputs}

    @property
    def key(self) -> str:
        """The artifact's address: hexadecimal."""
        return digest(self.identity)[:KEY_LENGTH]

    @property
    def seal(self) -> str:
        """Digest of what the file holds beside its key's content: a change by hand or by damage shows."""
        return digest([self.name, self.places])[:KEY_LENGTH]

    @property
    def path(self) -> Path:
        """Where it lies."""
        return recipe_file(self.stage, self.name, self.key)

    def write(self) -> Path:
        """Write the file, unless the same is there."""
        path = self.path
        record = {
            "format": RECIPE_FORMAT, "key": self.key, "name": self.name, "places": self.places, "seal": self.seal,
            **self.identity,
        }  # fmt: skip
        if not path.is_file() or read_json(path) != record:
            write_json(path, record)
        return path


def read_recipe_file(path: Path | str) -> RecipeFile:
    """Read the file of a recipe, of this version of its stage or of another.

    Raises:
        UserError: unreadable, or altered since it was written.
    """
    record = read_json(path)
    if record.get("format") != RECIPE_FORMAT:
        raise UserError(
            f"{shown(path)} has the recipe format {shown(repr(record.get('format')))[:80]}, and this version reads {RECIPE_FORMAT!r}: "
            "delete it and run the workflow again."
        )
    stage, version, inputs, name = (record.get(field) for field in ("stage", "version", "inputs", "name"))
    if not isinstance(stage, str) or stage not in SETTINGS:
        raise UserError(f"{shown(path)} is of no stage that this version knows: delete it and run the workflow again.")
    places = check_places(path, record.get("places"))
    if not isinstance(inputs, dict) or not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UserError(f"{shown(path)} lacks inputs or a version: delete it and run the workflow again.")
    settings = record.get("settings", {})
    if not isinstance(settings, dict):
        raise UserError(f"{shown(path)} holds no settings: delete it and run the workflow again.")
    check_name(name)
    found = RecipeFile(stage, version, settings, inputs, str(name), places)
    if found.seal != record.get("seal"):
        raise UserError(
            f"{shown(path)} was altered, or written by an earlier version: its name and places do not match their seal; delete it "
            "and run the workflow again."
        )
    if found.key != record.get("key"):
        raise UserError(
            f"{shown(path)} was altered: its content has the key {found.key}, and it says {shown(str(record.get('key')))[:80]}; "
            "delete it and run the workflow again."
        )
    return found
