"""Own labels: the label files of a user, in any of four layouts, and the photographs that they belong to."""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from xml.parsers.expat import ExpatError

from hawp_core.data.own_labels import cvat, labelme, lcnn_npz, wireframe_json
from hawp_core.data.own_labels.drawn import Drawn
from hawp_core.data.photographs.folder import locate
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.data.predicted import SCHEMA
from hawp_core.errors import UserError
from hawp_core.runtime.files import LARGEST_JSON, parse_json, read_limited
from hawp_core.runtime.text import first_line, shown

ENDINGS = (".json", ".xml", ".npz")


@dataclass
class OfLayout:
    """What files of one layout hold: how many files, labelled images, and lines as they were drawn."""

    files: int = 0
    images: int = 0
    lines: int = 0


@dataclass(frozen=True)
class OwnLabels:
    """The lines that a user drew on photographs.

    Attributes:
        drawn: photograph, relative to its folder -> its lines; sorted.
        photographs: the list of these photographs.
        others: shapes in the files that are no lines, which are left alone.
        layouts: "json", "labelme", "cvat" or "npz" -> what came from such files.
    """

    drawn: dict[str, Drawn]
    photographs: Manifest
    others: int
    layouts: dict[str, OfLayout]

    @property
    def rows(self) -> dict[str, tuple[str, int]]:
        """Photograph -> digest and number of its lines."""
        return {name: (drawn.digest, len(drawn.lines)) for name, drawn in self.drawn.items()}

    @cached_property
    def key(self) -> str:
        """SHA-256, hexadecimal, of all names and lines; where the files lie and what they look like does not count."""
        return rows_key(self.rows)


def rows_key(rows: dict[str, tuple[str, int]]) -> str:
    """The key of own labels, of which these are the rows."""
    return hashlib.sha256(json.dumps(sorted((name, *row) for name, row in rows.items())).encode("ascii")).hexdigest()


def read_own_labels(files: Path | str, images: str, photographs: Manifest) -> OwnLabels:
    """Read a label file, or all in a folder and below: L-CNN's and HAWP's JSON, labelme's, CVAT's XML, L-CNN's npz.

    Args:
        images: folder of the photographs that they label, or "bundled".
        photographs: what it holds.

    Raises:
        UserError: no label file, one that is none of the four, one for a photograph that is not there, or two for one.
    """
    files = Path(files)
    finder = _Finder([entry.name for entry in photographs.entries], images)
    found: dict[str, Drawn] = {}
    source: dict[str, Path] = {}
    layouts: dict[str, OfLayout] = {}
    others = 0
    for path in label_files(files):
        below = path.parent.relative_to(files if files.is_dir() else files.parent)
        layout, several, ignored = _read(path, below, locate(images))
        others += ignored
        came = layouts.setdefault(layout, OfLayout())
        came.files += 1
        came.images += len(several)
        came.lines += sum(len(drawn.lines) for drawn in several)
        for drawn in several:
            name = finder.find(path, drawn.names)
            if name in found:
                raise UserError(
                    f"{shown(name)} is labelled twice, in {shown(source[name])} and in {shown(path)}: remove one of the two."
                )
            found[name], source[name] = drawn, path
    if not found:
        raise UserError(f"{shown(files)} labels no image: draw lines on at least one, or give another place.")
    entries = [entry for entry in photographs.entries if entry.name in found]
    return OwnLabels(dict(sorted(found.items())), Manifest(photographs.folder, entries), others, layouts)


def label_files(place: Path) -> list[Path]:
    """The label files that `place` means, sorted; hidden files and folders are left out.

    Raises:
        UserError: there is none, or it cannot be listed.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"{shown(place)} does not exist or cannot be reached: give a label file, or a folder of them.")
    found = sorted(path for path in _below(place) if path.suffix.lower() in ENDINGS)
    if not found:
        raise UserError(f"{shown(place)} holds no label file: files ending in {', '.join(ENDINGS)} are looked for.")
    return found


def _below(place: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(f"{shown(place)} cannot be listed ({error.strerror}): give permission to read it.") from error

    for folder, inner, files in os.walk(place, onerror=refuse):
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def _read(path: Path, below: Path, images: Path) -> tuple[str, list[Drawn], int]:
    """The layout of a label file, its images, and how many shapes are no lines."""
    try:
        if path.suffix.lower() == ".npz":
            return "npz", [lcnn_npz.drawn_in(path, below)], 0
        text = read_limited(path, LARGEST_JSON)
        if path.suffix.lower() == ".xml":
            return "cvat", *cvat.drawn_in(text)
        content = parse_json(text)
        if isinstance(content, dict) and "shapes" in content:
            drawn, others = labelme.drawn_in(path, below, images, content)
            return "labelme", [drawn], others
        if isinstance(content, list):
            return "json", wireframe_json.drawn_in(path, content), 0
        if isinstance(content, dict) and content.get("schema") == SCHEMA:
            return "json", wireframe_json.drawn_in(path, [content | {"scores": content["edges-weights"]}]), 0
        raise ValueError("it holds neither a list of images nor labelme's shapes")
    except OSError as error:
        reason = f"it cannot be read: {error.strerror}" if error.strerror else first_line(error)
    # What damaged files raise in zipfile, NumPy and here.
    except (ValueError, KeyError, TypeError, IndexError, EOFError, OverflowError, MemoryError, RuntimeError,
            AttributeError, zipfile.BadZipFile, zlib.error, ExpatError) as error:  # fmt: skip
        reason = first_line(error)
    raise UserError(
        f"{shown(path)} is no label file ({reason}): give JSON of HAWP, L-CNN or labelme, CVAT's XML, or L-CNN's npz."
    )


def _path(name: str) -> str:
    return name


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name


def _base(name: str) -> str:
    return PurePosixPath(name).name


def _base_stem(name: str) -> str:
    return PurePosixPath(name).stem


# How a photograph is known besides by its path, and what of a label's name may be that: files of labels name it by another
# ending, or by none, or say nothing of the folder that it lies in.
_VIEWS: tuple[tuple[Callable[[str], str], tuple[Callable[[str], str], ...]], ...] = (
    (_stem, (_path, _stem)), (_base, (_base,)), (_base_stem, (_base, _base_stem)),
)  # fmt: skip


class _Finder:
    """Finds the photograph that a label file means."""

    def __init__(self, names: Sequence[str], folder: str) -> None:
        self._names, self._known, self._folder = names, frozenset(names), folder

    @cached_property
    def _views(self) -> list[dict[str, list[str]]]:
        views: list[dict[str, list[str]]] = [{} for _ in _VIEWS]
        for name in self._names:
            for view, (seen, _) in zip(views, _VIEWS, strict=True):
                view.setdefault(seen(name), []).append(name)
        return views

    def find(self, file: Path, names: tuple[str, ...]) -> str:
        """The first of `names` that there is; else the one photograph that differs in the ending, in the folder, or in both.

        Raises:
            UserError: none, or several.
        """
        for name in names:
            if name in self._known:
                return name
        for view, (_, parts) in zip(self._views, _VIEWS, strict=True):
            found = next((view[part(name)] for name in names for part in parts if part(name) in view), [])
            if len(found) > 1:
                raise UserError(
                    f"{shown(file)} labels {shown(names[-1])}, which may be {shown(found[0])} or {shown(found[1])} of "
                    f"{shown(self._folder)}: write there which."
                )
            if found:
                return found[0]
        raise UserError(
            f"{shown(file)} labels {shown(names[-1])}, which is not among the photographs of {shown(self._folder)}: put it there, "
            "or give its folder as labels.images or --images."
        )
