"""L-CNN's labels of one image (`NAME_label.npz`): junctions on a grid that stands for the whole image.

The grid is a square of 128 cells whatever the image's size; points are (y, x, 0) there, and the image has no size in the file.
As in L-CNN's own conversion, the grid's numbers are those of the JSON layout, scaled.
"""

import zipfile
from pathlib import Path

import numpy as np

from hawp_core.data.own_labels.drawn import Drawn
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import replacing

GRID = 128
ENDING = "_label.npz"
LARGEST = 2**28  # bytes of all arrays, unpacked


def drawn_in(path: Path, below: Path) -> Drawn:
    """The lines of a file: pairs `Lpos` of the junctions `junc`, or `lpos`, the same as points; `scores` where there are some.

    Args:
        below: the file's folder relative to that of all label files, and the image's relative to its own.

    Raises:
        ValueError: it is none of L-CNN's, or too large.
        zipfile.BadZipFile, OSError, KeyError, ...: it is damaged.
    """
    # A pipe would be waited for.
    if not path.is_file():
        raise ValueError("it is no regular file")
    with zipfile.ZipFile(path) as packed:
        if sum(member.file_size for member in packed.infolist()) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST // 2**20} MB")
    with np.load(path, allow_pickle=False) as file:
        if "junc" in file and "Lpos" in file:
            junctions, pairs = file["junc"], file["Lpos"]
            numbers = pairs.dtype.kind in "iu" and (not pairs.size or (pairs.shape[1:] == (2,) and pairs.min() >= 0))
            if junctions.ndim != 2 or not numbers:
                raise ValueError("junc and Lpos are no junctions and pairs of them")
            points = junctions[pairs.reshape(-1, 2)]
        else:
            points = file["lpos"]
        points = np.asarray(points, np.float64)
        if points.size and (points.ndim != 3 or points.shape[1] != 2 or points.shape[2] < 2):
            raise ValueError("its lines are no pairs of points")
        points = points.reshape(-1, 2, points.shape[-1] if points.size else 2)
        scores = file["scores"] if "scores" in file else np.ones(len(points))
    name = path.name.removesuffix(ENDING).removesuffix(".npz")
    return Drawn(((below / name).as_posix(),), None, points[:, :, 1::-1] / GRID, scores)


def write(path: Path, wireframe: Wireframe) -> None:
    """Write the lines of an image, whole or not at all; `scores` is ours. What L-CNN computes from them for its training
    (heat maps, negative pairs) is left to its own conversion of the JSON layout."""
    scale = GRID / np.array([wireframe.height, wireframe.width])
    points = wireframe.junctions[:, ::-1].astype(np.float64) * scale
    junctions = np.concatenate([points, np.zeros((len(points), 1))], axis=1)
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(
            stream, aspect_ratio=wireframe.width / wireframe.height, junc=junctions, Lpos=wireframe.edges,
            lpos=junctions[wireframe.edges], scores=wireframe.scores,
        )  # fmt: skip
