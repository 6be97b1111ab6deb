"""labelme's JSON: a file for each image.

labelme puts (0, 0) at the corner of the top-left pixel, so that its centre is at (0.5, 0.5).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hawp_core.data.own_labels.drawn import Drawn, segments
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.typed import typed

CENTRE = 0.5  # pixels: what the file calls the centre of the top-left pixel
KINDS = ("line", "linestrip")
VERSION = "5.5.0"  # of labelme, whose fields these are


@dataclass(frozen=True)
class _Shape:
    points: tuple[tuple[float, float], ...]
    shape_type: str = "polygon"
    score: float | None = None


@dataclass(frozen=True)
class _File:
    shapes: tuple[_Shape, ...]
    imagePath: str
    imageWidth: int
    imageHeight: int


def drawn_in(path: Path, below: Path, images: Path, content: object) -> tuple[Drawn, int]:
    """The lines and line strips of a file, and how many shapes of other kinds it holds.

    Args:
        path: the file.
        below: its folder relative to that of all label files: where the image lies, unless `imagePath` leads into `images`.
        images: folder of the images.
        content: of the file.

    Raises:
        ValueError: it is none of labelme's.
    """
    file = typed(_File, content)
    # As it stands, in which a backslash may be a letter, and as Windows means it.
    names = [
        name
        for image in dict.fromkeys((file.imagePath, file.imagePath.replace("\\", "/")))
        for name in _names(path, below, images, image)
    ]
    chosen = [shape for shape in file.shapes if shape.shape_type in KINDS]
    lines = [segments(np.array(shape.points)) - CENTRE for shape in chosen]
    scores = [
        np.full(len(part), 1.0 if shape.score is None else shape.score)
        for part, shape in zip(lines, chosen, strict=True)
    ]
    drawn = Drawn(
        tuple(names),
        (file.imageWidth, file.imageHeight),
        np.concatenate([np.zeros((0, 4)), *lines]),
        np.concatenate([np.zeros(0), *scores]),
    )
    return drawn, len(file.shapes) - len(chosen)


def _names(path: Path, below: Path, images: Path, image: str) -> tuple[str, str]:
    mirrored = (below / Path(image).name).as_posix()
    try:
        return os.path.relpath(path.absolute().parent / image, images.absolute()).replace(os.sep, "/"), mirrored
    except ValueError:  # on another drive of Windows
        return mirrored, mirrored


def content_of(image: Path, path: Path, wireframe: Wireframe) -> dict[str, object]:
    """The content of the file `path` that holds the lines of `image`; `score` is ours, and labelme keeps it."""
    try:
        place = os.path.relpath(image.absolute(), path.absolute().parent)
    except ValueError:  # on another drive of Windows
        place = str(image.absolute())
    shapes = [
        {
            "label": "line", "points": (ends + CENTRE).tolist(), "group_id": None, "description": "",
            "shape_type": "line", "flags": {}, "score": score,
        }
        for ends, score in zip(wireframe.lines.reshape(-1, 2, 2).astype(np.float64), wireframe.scores.tolist(), strict=True)
    ]  # fmt: skip
    return {
        "version": VERSION, "flags": {}, "shapes": shapes, "imagePath": place.replace(os.sep, "/"), "imageData": None,
        "imageHeight": wireframe.height, "imageWidth": wireframe.width,
    }  # fmt: skip
