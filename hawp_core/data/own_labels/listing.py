"""What own labels were when a run was planned: written so that `hawp lineage --why` can say what changed."""

from dataclasses import dataclass
from pathlib import Path

from hawp_core.data.own_labels.reading import OwnLabels, rows_key
from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, write_json
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed

FORMAT = "hawp-rounds own labels 1"


@dataclass(frozen=True)
class _Listing:
    format: str
    images: dict[str, tuple[str, int]]


def write_listing(path: Path, own: OwnLabels) -> None:
    """Write photograph -> digest and number of its lines, whole or not at all."""
    write_json(path, {"format": FORMAT, "images": own.rows})


def read_listing(path: Path, key: str) -> dict[str, tuple[str, int]]:
    """Read what `write_listing` wrote of own labels with this key, or with one that begins so.

    Raises:
        UserError: unreadable, altered, or of others.
    """
    content = read_json(path)
    try:
        found = typed(_Listing, content)
        if found.format != FORMAT or not rows_key(found.images).startswith(key):
            raise ValueError("its content does not give the key in its name")
    except ValueError as error:
        raise UserError(
            f"{shown(path)} is no list of own labels ({error}): remove it, and plan the run again."
        ) from error
    return found.images
