"""The data config: what a training learns from, and where it lies."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_yaml
from hawp_core.runtime.names import is_address, usable
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import named, typed

WRITERS = "give a file written by hawp synthesize, hawp homoadp or hawp import-labels"


@dataclass(frozen=True)
class ShapeData:
    """Synthetic shapes to train on, and to validate every training with.

    Attributes:
        key: of the shapes.
        train, validation: label files with images, relative to the working folder; at least one each.

    Raises:
        ValueError: a field that is none.
    """

    key: str
    train: tuple[Path, ...]
    validation: tuple[Path, ...]

    def __post_init__(self) -> None:
        _check_address("key", self.key)
        for split in ("train", "validation"):
            if not getattr(self, split):
                raise ValueError(f"{split} names no file")

    def as_yaml(self) -> str:
        """The file's text."""
        files = {"train": [str(file) for file in self.train], "validation": [str(file) for file in self.validation]}
        return yaml.safe_dump({"kind": "shapes", "key": self.key, **files}, sort_keys=False)


@dataclass(frozen=True)
class PhotographData:
    """Labelled photographs to train on.

    Attributes:
        key: of the export that labelled them, or of the import of own labels.
        labels: the label file, relative to the working folder.
        folder: of the photographs, wherever it lies, or "bundled".
        photographs: key of their list: 64 hexadecimal digits.
        shapes: data config of the shapes that validate the training; None for own labels, and where the model that labelled
            names none.

    Raises:
        ValueError: a field that is none.
    """

    key: str
    labels: Path
    folder: str
    photographs: str
    shapes: Path | None

    def __post_init__(self) -> None:
        _check_address("key", self.key)
        _check_address("photographs", self.photographs, digits=64)
        if not self.folder or not usable(self.folder):
            raise ValueError(f"folder is {named(self.folder)}")

    def as_yaml(self) -> str:
        """The file's text."""
        content = {
            "kind": "photographs", "key": self.key, "labels": str(self.labels), "folder": self.folder,
            "photographs": self.photographs, "shapes": None if self.shapes is None else str(self.shapes),
        }  # fmt: skip
        return yaml.safe_dump(content, sort_keys=False)


def read_data_config(path: Path) -> ShapeData | PhotographData:
    """Read a data config.

    Raises:
        UserError: not a data config, or one of its fields is none.
    """
    content = read_yaml(path)
    kind = content.get("kind")
    try:
        if kind == "shapes":
            return typed(ShapeData, content)
        if kind == "photographs":
            return typed(PhotographData, content)
        raise ValueError(f"it has the kind {named(kind)}" if "kind" in content else "it lacks kind")
    except ValueError as error:
        raise UserError(f"{shown(path)} is not a data config, {error}: {WRITERS}.") from error


def read_shapes(path: Path) -> ShapeData:
    """Read the data config of synthetic shapes.

    Raises:
        UserError: not a data config, or one of photographs.
    """
    found = read_data_config(path)
    if not isinstance(found, ShapeData):
        raise UserError(
            f"{shown(path)} names photographs where shapes are expected: give a file written by hawp synthesize."
        )
    return found


def read_validation_shapes(path: Path, data: ShapeData | PhotographData) -> ShapeData:
    """The shapes that validate a training on `data`, which was read from `path`.

    Raises:
        UserError: it names none, or what it names is no data config of shapes.
    """
    return data if isinstance(data, ShapeData) else read_shapes(validation_config(path, data))


def validation_config(path: Path, data: ShapeData | PhotographData) -> Path:
    """The data config of the shapes that validate a training on `data`, which was read from `path`.

    Raises:
        UserError: it names none.
    """
    if isinstance(data, ShapeData):
        return path
    if data.shapes is None:
        raise UserError(
            f"{shown(path)} names no shapes to validate a training with: give them as --shapes FILE, a data config written by "
            "hawp synthesize."
        )
    return data.shapes


def _check_address(field: str, value: str, digits: int = 0) -> None:
    if not is_address(value) or (digits and len(value) != digits):
        raise ValueError(f"{field} is {named(value)}, which is no address")
