"""What `hawp predict` left as JSON or JSON lines, read by photograph as a label file is.

Rows are found once, by name and number of lines; their lines are read when they are asked for. What another program left in
the same folder is no row.
"""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hawp_core.data.own_labels.drawn import LARGEST_SIDE, rows
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import parse_json
from hawp_core.runtime.text import first_line, shown
from hawp_core.runtime.typed import typed

SCHEMA = "hawp-rounds wireframe 1"
JSON_LINES = "wireframes.jsonl"
# How each row begins, and the file of one image.
BEGINNING = json.dumps({"schema": SCHEMA})[:-1].encode()
LARGEST_ROW = 2**26  # bytes, of some 500,000 lines


@dataclass(frozen=True)
class _Row:
    """The fields of a row that are read; docs/formats.md describes all."""

    filename: str
    width: int
    height: int
    vertices: object
    edges: object
    scores: object


class _Place(NamedTuple):
    """Where a row begins: a file, as it was (number, time and size), and a byte of it."""

    file: Path
    stamp: tuple[int, int, int]
    start: int
    lines: int


class Predicted:
    """The wireframes of a file of JSON lines, of a JSON file, which is one such line, or of all JSON files in a folder and below.

    Attributes:
        path: that place.
        names: of the images, in the order in which they were found.

    Raises:
        UserError: a row is damaged, or the place cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self._places: dict[str, _Place] = {}
        self._read: dict[Path, tuple[int, int, int]] = {}
        self._end = 0
        self.look()

    def look(self) -> bool:
        """Take in what was added since.

        Returns: False if what was there has changed or went: make another one then.
        """
        if self.path.is_file():
            return self._look_at_lines()
        files = dict(_files(self.path))
        if any(files.get(file) != stamp for file, stamp in self._read.items()):
            return False
        for file in (file for file in files if file not in self._read):
            with open(file, "rb") as stream:
                self._take(file, files[file], stream.read(LARGEST_ROW + 1), 0, file.name)
            self._read[file] = files[file]
        self.names = list(self._places)
        return True

    def _look_at_lines(self) -> bool:
        """Rows are only ever added, unless the file is written anew."""
        with open(self.path, "rb") as stream:
            stamp = _stamp(os.fstat(stream.fileno()))
            known = self._read.get(self.path, stamp)
            if stamp[0] != known[0] or stamp[2] < self._end:
                return False
            stream.seek(self._end)
            # The last one may be being written.
            while (line := stream.readline(LARGEST_ROW + 1)).endswith(b"\n") or len(line) > LARGEST_ROW:
                place = f"{self.path}, row {len(self._places) + 1}"
                if not line.startswith(BEGINNING):
                    raise UserError(f"{shown(place)} is no result of hawp predict: give its JSON or JSON lines.")
                self._take(self.path, stamp, line, self._end, place)
                self._end += len(line)
        self._read[self.path] = stamp
        self.names = list(self._places)
        return True

    def _take(self, file: Path, stamp: tuple[int, int, int], content: bytes, start: int, place: str) -> None:
        if content.startswith(BEGINNING):
            row = _row(content, place)
            self._places[row.filename] = _Place(
                file, stamp, start, len(row.edges) if isinstance(row.edges, list) else 0
            )

    @property
    def line_counts(self) -> np.ndarray:
        """(I,) int64: lines of each image."""
        return np.array([self._places[name].lines for name in self.names], np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, key: int | str) -> Wireframe:
        name = key if isinstance(key, str) else self.names[key]
        place = self._places[name]
        with open(place.file, "rb") as stream:
            stream.seek(place.start)
            row = _row(stream.readline(LARGEST_ROW + 1), str(place.file))
        if row.filename != name:
            raise UserError(f"{shown(place.file)} has changed: look again.")
        return _wireframe(row, str(place.file))


def _files(place: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    """The visible JSON files of a folder and below; a pipe is not waited for, and what goes meanwhile is left out."""
    for folder, inner, names in os.walk(place):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(file := Path(folder, name))
                    if stat.S_ISREG(found.st_mode):
                        yield file, _stamp(found)


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _row(content: bytes, place: str) -> _Row:
    """A row by its fields.

    Raises:
        UserError: it is damaged.
    """
    try:
        if len(content) > LARGEST_ROW:
            raise ValueError(f"it has more than {LARGEST_ROW // 2**20} MB")
        found = parse_json(content)
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        return typed(_Row, found | {"scores": found.get("edges-weights")})
    except ValueError as error:
        raise _damaged(place, error) from error


def _wireframe(row: _Row, place: str) -> Wireframe:
    try:
        if not (1 <= row.width <= LARGEST_SIDE and 1 <= row.height <= LARGEST_SIDE):
            raise ValueError(f"width and height are {row.width} x {row.height}")
        scores = np.asarray(row.scores, np.float64)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError("a score is not a number from 0 to 1")
        vertices = rows(row.vertices, 2, "vertices")
        if not (np.abs(vertices) <= LARGEST_SIDE).all():
            raise ValueError(f"a vertex lies more than {LARGEST_SIDE:,} pixels away")
        return Wireframe(vertices, rows(row.edges, 2, "edges"), scores, row.width, row.height)
    except (ValueError, TypeError, OverflowError) as error:
        raise _damaged(place, error) from error


def _damaged(place: str, error: Exception) -> UserError:
    return UserError(
        f"{shown(place)} is not as hawp predict wrote it ({first_line(error)}): remove it and run hawp predict again."
    )
