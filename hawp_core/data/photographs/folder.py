"""Which photographs there are in a folder.

A photograph is named by its path relative to its folder, '/' between parts.
"""

import heapq
import importlib.util
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hawp_core.data.photographs.found import FoundPhotographs, PhotographFile
from hawp_core.errors import UserError
from hawp_core.runtime.extras import how_to_get
from hawp_core.runtime.names import inside
from hawp_core.runtime.text import shown

EXTENSIONS = ("jpg", "jpeg", "png", "tif", "tiff", "webp", "bmp")
_ENDINGS = tuple(f".{extension}" for extension in EXTENSIONS)

# The photographs with straight edges or plain objects among what scikit-image 0.25 and 0.26 install: no microscopy,
# no test chart, no scan, no texture without lines. They are read where they lie and never copied.
BUNDLED: tuple[str, ...] = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "rocket.jpg",
    "text.png",
)


class Rejected(NamedTuple):
    """A file that looks like a photograph and cannot be one; unprintable parts of its name are escaped."""

    name: str
    reason: str


def bundled_folder() -> Path:
    """The folder of images inside the installed scikit-image; nothing is downloaded, scikit-image is not imported.

    Raises:
        UserError: scikit-image is not installed.
    """
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"{how_to_get('skimage')} Or name your own photographs: --config 'photographs={{folder: photos}}'."
        )
    return Path(found.submodule_search_locations[0]) / "data"


def locate(folder: Path | str) -> Path:
    """The folder meant: the string "bundled" is scikit-image's; a folder of that name is given as ./bundled."""
    return bundled_folder() if folder == "bundled" else Path(folder)


def scan(folder: Path | str) -> list[PhotographFile]:
    """The photographs in a folder and below, sorted by name; see `survey`."""
    return list(survey(folder)[0])


def survey(folder: Path | str, *, closed: bool = False) -> tuple[FoundPhotographs, list[Rejected]]:
    """The photographs in a folder and below, sorted by name, and the files that look like some but cannot be used.

    Hidden files and folders are left out. Links are followed; a folder reached twice counts once, under its real
    name, so that loops end, and a link to a folder that contains `folder` is not followed.

    Args:
        closed: count folders that cannot be listed as what cannot be used, instead of ending there.

    Raises:
        UserError: `folder` is missing, a file, cannot be listed, or holds no photograph.
    """
    root = locate(folder)
    if not os.path.isdir(root):
        fault = "is a file, not a folder" if os.path.exists(root) else "does not exist or cannot be reached"
        raise UserError(
            f"{shown(root)} {fault}: give a folder of photographs in photographs.folder or --images ({', '.join(EXTENSIONS)})."
        )
    photographs = FoundPhotographs()
    rejected: list[Rejected] = []
    walked = walk(root, _ENDINGS, rejected if closed else None)
    for part, files in [("", _bundled_files(root))] if folder == "bundled" else walked:
        usable = []
        for name, path in files:
            reason, found = examine(name, path)
            if reason or found is None:
                rejected.append(Rejected(shown(f"{part}/{name}" if part else name), reason))
            else:
                usable.append((name, found.st_size, found.st_mtime_ns))
        photographs.add(part, usable)
    if not photographs:
        refused = f" ({rejected[0].name}, for one, {rejected[0].reason})" if rejected else ""
        raise UserError(
            f"{shown(root)} holds no usable photograph{refused}: files ending in {', '.join(EXTENSIONS)} "
            "are looked for, in its subfolders too. Name a folder that holds some in photographs.folder or --images."
        )
    return photographs, sorted(rejected)


def _bundled_files(root: Path) -> Iterator[tuple[str, str]]:
    for name in BUNDLED:
        path = inside(root, name)
        if not path.is_file():
            raise UserError(f"{root} lacks {name}: install scikit-image 0.25 or newer, or give your own folder.")
        yield name, str(path)


def walk(
    root: Path, endings: tuple[str, ...], closed: list[Rejected] | None = None
) -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    """Each visible folder below `root`, real ones first, then linked ones: its name, and in it name and path of every
    visible file that ends so, in lower case or not, which are to be taken before the next folder.

    Args:
        closed: takes the folders that cannot be listed.

    Raises:
        UserError: a folder that cannot be listed, without `closed`.
    """
    real_root = os.path.realpath(root)
    entered: set[str] = set()
    linked = [""]
    while linked:
        waiting = [heapq.heappop(linked)]
        while waiting:
            part = waiting.pop()
            folder = inside(root, part) if part else root
            real = os.path.realpath(folder)
            above = part and os.path.commonpath([real, real_root]) == real
            if above or real in entered:
                continue
            entered.add(real)
            yield part, _files(folder, part, endings, waiting, linked, closed)


def _files(
    folder: Path,
    part: str,
    endings: tuple[str, ...],
    waiting: list[str],
    linked: list[str],
    closed: list[Rejected] | None,
) -> Iterator[tuple[str, str]]:
    """The files with these endings in `folder`, whose own folders are put with those that wait, links with the linked ones."""
    try:
        with os.scandir(folder) as items:
            for item in items:
                name = item.name
                if name.startswith("."):
                    continue
                if item.is_dir(follow_symlinks=False):
                    waiting.append(f"{part}/{name}" if part else name)
                elif item.is_symlink() and os.path.isdir(item.path):
                    heapq.heappush(linked, f"{part}/{name}" if part else name)
                elif name.lower().endswith(endings):
                    yield name, item.path
    except OSError as error:
        if closed is not None:
            closed.append(Rejected(shown(part or "."), f"it cannot be listed: {error.strerror}"))
            return
        raise UserError(
            f"{shown(folder)} cannot be listed ({error.strerror}): give permission to read it, or move it elsewhere."
        ) from error


def examine(name: str, path: str) -> tuple[str, os.stat_result | None]:
    """Why the file cannot be used ('' if it can), and its status."""
    try:
        if not name.isascii():
            name.encode("utf-8")
        found = os.stat(path)
    except UnicodeEncodeError:
        return "its name is not valid UTF-8", None
    except OSError as error:
        return f"it cannot be reached: {error.strerror}", None
    return ("" if stat.S_ISREG(found.st_mode) else "it is not a regular file"), found


def resolve(folder: Path | str, name: str) -> Path:
    """The path of the photograph `name` of `folder`.

    Raises:
        UserError: as `inside`.
    """
    return inside(locate(folder), name)
