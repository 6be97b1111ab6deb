"""Whose a result of `hawp predict` is: what it was made from, whether it is still that, and what must not be replaced."""

import os
from collections.abc import Mapping
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.report.formats import made_by
from hawp_core.runtime.text import shown
from hawp_core.workflow.recipe_file import KEY_LENGTH, digest

# Raise it when the same photograph, model and settings give another result, or another picture of it.
VERSION = 1


def made(file: Path, settings: Mapping[str, object]) -> str:
    """What a result is made from, in one word: the photograph or video, by size and time, and the settings.

    Args:
        settings: JSON-serialisable, all that changes the result; the model by its digest.

    Raises:
        OSError: the file cannot be reached.
    """
    found = os.stat(file)
    about = {"version": VERSION, "bytes": found.st_size, "time": found.st_mtime_ns, **settings}
    return digest(about)[:KEY_LENGTH]


def is_current(path: Path, wanted: str) -> bool:
    """Whether `path` is a result that was made from `wanted`, so that it need not be made again.

    Raises:
        UserError: there is something else in its place, which must not be lost.
    """
    if not os.path.lexists(path):
        return False
    # A pipe or a device has no end to look for.
    found = made_by(path) if path.is_file() else None
    if found is None:
        raise foreign(path)
    return found == wanted


def foreign(path: Path) -> UserError:
    """The refusal to write over what is not ours."""
    return UserError(
        f"{shown(path)} is there already and is no result of hawp predict: move it away, or write to another folder with --saveto."
    )
