"""The data config: what a training learns from, and where it lies."""

from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_yaml


def read_data_config(path: Path) -> dict:
    """A data config: kind, key, and where the data lies.

    Raises:
        UserError: not a data config.
    """
    data = read_yaml(path)
    needed = {"shapes": ("key", "train", "validation"), "photographs": ("key", "labels", "folder", "shapes")}
    kind = data.get("kind")
    missing = [name for name in needed.get(kind, ()) if name not in data]
    if kind not in needed or missing:
        what = f"lacks '{missing[0]}'" if missing else f"has the kind {kind!r}"
        raise UserError(
            f"{path} is not a data config, it {what}: give a file written by hawp synthesize or hawp homoadp."
        )
    return data
