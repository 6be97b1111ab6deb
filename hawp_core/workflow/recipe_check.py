"""What a recipe's file says, checked before anything is done by it: its settings, and where things lie.

The key and the seal of a recipe tell that it was altered; they are no secret, so that whoever writes a file by hand can make
them fit. What is checked here holds for any file.
"""

from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.names import stays_inside, usable
from hawp_core.runtime.text import shown
from hawp_core.workflow.schema import check
from hawp_core.workflow.settings import Nested

MOST = 10**7  # shards or photographs of one job list, epochs of one training
# What the steps read of the settings in a recipe of each stage, by their paths; `places.py` has what they read of the places.
SETTINGS = {
    "synthesize": ("seed", "shapes.train", "shapes.validation", "model.image_size"),
    "import": (),
    "train": ("seed", "model.image_size"),
    "export": ("seed", "export.labels", "export.min_score"),
    "evaluate": ("seed", "evaluate.photographs"),
    "report": (),
}
OF_TRAINING = ("epochs", "batch_size", "base_lr")

NUMBERS = {"photographs", "epoch", "shards", "shard_size"}
MAY_BE_NONE = {"start", "shapes"}
# What the user has and the run only reads: the photographs, own labels, annotations and the annotated photographs.
ANYWHERE = {"folder", "files", "truth", "truth_images"}


def check_places(path: Path | str, places: object) -> Nested:
    """Make sure that what a recipe's file says of where things lie stays inside the run; what the user has may lie anywhere.

    Returns: the places.

    Raises:
        UserError: a place outside the working folder, or no place at all.
    """
    if not isinstance(places, dict):
        raise _outside(path, "everything", places)
    for role, value in places.items():
        if not _acceptable(role, value):
            raise _outside(path, role, value)
    return places


def _outside(path: Path | str, role: str, value: object) -> UserError:
    return UserError(
        f"{shown(path)} places {shown(role)} at {shown(repr(value))[:80]}, which is not inside the run: delete it and run the "
        "workflow again."
    )


def _acceptable(role: str, value: object) -> bool:
    if role == "shards" and isinstance(value, dict):
        # The shapes' shards are counted by split, those of an export together.
        return value.keys() == {"train", "validation"} and all(_is_count(number, 1) for number in value.values())
    if role in NUMBERS:
        return _is_count(value, int(role == "shards"))
    if role == "recipes":
        return isinstance(value, list) and all(isinstance(each, str) and stays_inside(each) for each in value)
    if value is None:
        return role in MAY_BE_NONE
    return isinstance(value, str) and (bool(value) and usable(value) if role in ANYWHERE else stays_inside(value))


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST


def check_settings(path: Path | str, stage: str, settings: Nested) -> None:
    """Make sure that a recipe's file has the settings that the steps read, and that its settings are acceptable.

    Raises:
        UserError: one is missing, or not acceptable.
    """
    check(settings, path)
    needed = list(SETTINGS[stage])
    if stage == "train":
        sections = settings.get("train")
        section = "real" if isinstance(sections, dict) and "real" in sections else "synthetic"
        needed += [f"train.{section}.{name}" for name in OF_TRAINING]
    for name in needed:
        value: object = settings
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            raise UserError(f"{shown(path)} lacks settings.{name}: delete it and run the workflow again.")
