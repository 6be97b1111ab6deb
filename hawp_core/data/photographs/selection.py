"""The images and videos that a user names one by one, by folder or by pattern, and the name under which each result is
written."""

import contextlib
import glob
import os
import re
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hawp_core.data.photographs.folder import examine, resolve, survey, walk
from hawp_core.errors import UserError
from hawp_core.runtime.names import inside
from hawp_core.runtime.text import shown

# What a picture of ours says of itself in its PNG header, so that it is not taken for a photograph.
SOFTWARE = "hawp-rounds"
LONGEST_NAME = 255  # bytes of one name on the file systems in use
# The endings of results that are one file an image, and one a video.
IMAGE, VIDEO = ("png", "svg", "json", "npz"), "mp4"
_MP4_END = 256  # bytes, more than a signature has
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Selection:
    """What is to be done, and what is not.

    Attributes:
        files: (image or video, its name below the output folder), no name twice.
        rejected: a sentence for each file that was meant and cannot be used.
        own: pictures that this tool wrote earlier, which are no photographs.
        passed_by: videos that lie in a folder and are not named themselves.
    """

    files: list[tuple[Path, Path]]
    rejected: list[str]
    own: list[Path]
    passed_by: list[Path]


def select(patterns: list[str]) -> Selection:
    """The images and videos that `patterns` mean: files, folders (searched recursively, for photographs) and shell patterns.

    Where two images of different folders have one name, all that share it keep the path that was given.

    Raises:
        UserError: a pattern that is empty or names nothing, or two images that cannot be told apart by their paths.
    """
    found: dict[str, tuple[Path, Path]] = {}
    rejected: list[str] = []
    own: list[Path] = []
    videos: list[Path] = []
    for file, name in (each for pattern in patterns for each in _meant(pattern, rejected, videos)):
        reason, _ = examine(str(name), str(file))
        if reason:
            rejected.append(f"{shown(file)}: {reason}")
        elif is_own(file):
            own.append(file)
        else:
            # The same file named twice is one image.
            found.setdefault(os.path.abspath(file), (file, name))
    passed_by = {os.path.abspath(video): video for video in videos}
    return Selection(
        _told_apart(list(found.values())), rejected, own, [passed_by[each] for each in sorted(passed_by.keys() - found)]
    )


def _meant(pattern: str, rejected: list[str], videos: list[Path]) -> list[tuple[Path, Path]]:
    if not pattern:
        raise UserError("one of the images has an empty name: give an image, a folder of images or a pattern.")
    path = Path(pattern)
    if path.is_dir():
        # Thousands of frames are looked at only where someone asks for them. Folders that cannot be listed are told below.
        below = (Path(video) for _, files in walk(path, _VIDEOS, []) for _, video in files)
        inside_it = sorted(file for file in below if not is_own(file))
        videos += inside_it
        try:
            photographs, unusable = survey(path, closed=True)
        except UserError as error:
            if not inside_it:
                raise
            raise UserError(
                f"{error} Videos are looked at where they are named, such as {shown(inside_it[0])}."
            ) from error
        rejected += [f"{shown(path)}/{each.name}: {each.reason}" for each in unusable]
        return [(resolve(path, photograph.name), Path(photograph.name)) for photograph in photographs]
    matches = [path] if os.path.lexists(path) else [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
    if not matches:
        raise UserError(
            f"{shown(pattern)} names no file: give an image, a folder of images or a pattern such as 'photos/*.jpg'."
        )
    return [(match, Path(match.name)) for match in matches if not match.is_dir()]


def _told_apart(files: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    times = Counter(name for _, name in files)
    apart = [(file, name if times[name] == 1 else _below(file)) for file, name in files]
    owners: dict[Path, Path] = {}
    for file, name in apart:
        if name in owners:
            raise UserError(
                f"{shown(owners[name])} and {shown(file)} would both be written as {shown(name)}: "
                "give them in two commands, with an output folder each."
            )
        owners[name] = file
    return apart


def _below(file: Path) -> Path:
    """A file's path as it was given, made relative without leaving the folder that it will lie in."""
    return Path(*(part for part in file.parts if part not in (file.anchor, "..")))


def is_video(file: Path) -> bool:
    """Whether a file is looked at as a video, by its ending."""
    return file.suffix.lower() in _VIDEOS


def mp4_signature(made: str) -> bytes:
    """What an MP4 file of ours ends in: a box that players pass over (ISO 14496-12, "free")."""
    said = f"{SOFTWARE} {made}".encode()
    return struct.pack(">I4s", 8 + len(said), b"free") + said


def signed_mp4(file: Path) -> str | None:
    """What an MP4 file says it was made from; None for one that is not ours.

    Raises:
        OSError: it cannot be read.
    """
    with open(file, "rb") as stream:
        stream.seek(max(0, file.stat().st_size - _MP4_END))
        end = re.search(b"free" + SOFTWARE.encode() + rb" ([0-9a-f]*)$", stream.read())
    return end[1].decode() if end else None


def is_own(file: Path) -> bool:
    """Whether this tool drew the picture or video in `file`."""
    if file.suffix == ".mp4":
        with contextlib.suppress(OSError):
            return signed_mp4(file) is not None
    if file.suffix.lower() != ".png":
        return False
    try:
        with Image.open(file) as image:
            return image.info.get("Software") == SOFTWARE
    except Exception:  # what is damaged is told by whoever reads the pixels
        return False


def outputs(selection: Selection, folder: Path, endings: list[str]) -> dict[Path, list[Path]]:
    """Where the results of each image go: `folder`/NAME.ENDING. Those of a video's frames: `frame_outputs`.

    Raises:
        UserError: `folder` is a file, or a result would replace an image that is to be read.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{shown(folder)} is no folder: name one with --saveto, which is made where it is missing.")
    inputs = {os.path.realpath(file): file for file, _ in selection.files}
    planned = {}
    for file, name in selection.files:
        wanted = [ending for ending in endings if is_video(file) == (ending == VIDEO)]
        planned[file] = [inside(folder, f"{name}.{ending}") for ending in wanted]
        for path in planned[file]:
            if os.path.realpath(path) in inputs:
                raise UserError(
                    f"the result for {shown(file)} would replace the image {shown(path)}: write to another folder with --saveto."
                )
    return planned


def frame_outputs(folder: Path, frame: str, endings: list[str]) -> list[Path]:
    """Where the results of a frame go, VIDEO/NUMBER: `folder`/VIDEO.frames/NUMBER.ENDING."""
    video, _, number = frame.rpartition("/")
    return [inside(folder, f"{video}.frames/{number}.{ending}") for ending in endings]


def too_long(paths: list[Path]) -> bool:
    """Whether one of `paths` has a name that no file system takes."""
    return any(len(os.fsencode(path.name)) > LONGEST_NAME for path in paths)
