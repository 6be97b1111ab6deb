"""Lines as they were drawn, brought into the pixels of the photograph: the upright one, as it is decoded for training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hawp_core.data.own_labels.drawn import Drawn
from hawp_core.data.own_labels.reading import OwnLabels
from hawp_core.data.photographs.decoding import read_size
from hawp_core.data.photographs.folder import resolve
from hawp_core.errors import UserError
from hawp_core.geometry.homography import clip_lines
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.text import shown

# Pixels by which the sides of a smaller or larger copy may differ from the exact proportion: they are whole numbers.
ROUNDING = 1.0
MOST_NEAR = 2 * 10**7  # ends near one another that are joined, counted from both: 16 bytes each, and several times
NO_LENGTH = 1e-3  # pixels: a shorter line has no direction
# EXIF orientations that swap the sides -> whether x counts from the right and y from the bottom once they are swapped.
_TURNING = {5: (False, False), 6: (True, False), 7: (True, True), 8: (False, True)}


@dataclass
class Counts:
    """What became of the lines.

    Attributes:
        images, lines: labelled images, and the lines that they keep.
        cut: lines that left the image, and end at its border now.
        outside, points, repeated: lines that are left out: beside the image, without length, drawn twice.
        scaled, turned: images whose labels were of another size, or drawn before the EXIF rotation.
    """

    images: int = 0
    lines: int = 0
    cut: int = 0
    outside: int = 0
    points: int = 0
    repeated: int = 0
    scaled: int = 0
    turned: int = 0


# Count -> what is told of it, where it is not 0; `other_shapes` are of `OwnLabels.others`.
_REMARKS = {
    "scaled": "labels drawn on a smaller or larger copy of their photograph, and scaled",
    "turned": "labels drawn on the picture before its EXIF rotation, and turned",
    "cut": "lines that leave their photograph, and are cut at its border",
    "outside": "lines beside their photograph, left out",
    "points": "lines without length, left out",
    "repeated": "lines drawn twice, left out",
    "other_shapes": "shapes that are no lines, left out",
}


def remarks(counts: Mapping[str, object]) -> list[str]:
    """What became of lines that were not taken as they stand: `what: how many`."""
    return [f"{what}: {counts[name]}" for name, what in _REMARKS.items() if counts.get(name)]


def place_all(
    own: OwnLabels, folder: Path | str, join: float, progress: Callable[[], object]
) -> tuple[list[Wireframe], Counts]:
    """The wireframes of all photographs in the order of `own.drawn`.

    Args:
        folder: of the photographs.
        join: ends of lines of a photograph that are closer than this many of its pixels become one junction; 0: equal ones.
        progress: called after each photograph.

    Raises:
        UserError: a photograph that cannot be read, or has another shape than its labels say.
    """
    counts, placed = Counts(), []
    for name, drawn in own.drawn.items():
        placed.append(place(drawn, resolve(folder, name), join, counts))
        progress()
    return placed, counts


def place(drawn: Drawn, photograph: Path, join: float, counts: Counts) -> Wireframe:
    """The wireframe in the pixels of the upright photograph.

    A label that is as large as the photograph is taken as it stands. One of the same proportions was drawn on a smaller or
    larger copy and is scaled; one whose sides are swapped against those of a photograph that EXIF turns by 90 degrees was drawn on the
    unturned one and is turned. Lines are cut where the photograph ends.

    Raises:
        UserError: a photograph that cannot be read, or has another shape than its label says; ends that cannot be joined.
    """
    (width, height), orientation = read_size(photograph)
    lines = drawn.lines
    if drawn.size is None:
        lines = lines * [width, height, width, height]
    elif _alike(drawn.size, (width, height)):
        lines = _scaled(lines, drawn.size, (width, height), counts)
    elif orientation in _TURNING and _alike(drawn.size, (height, width)):
        lines = _turned(_scaled(lines, drawn.size, (height, width), counts), orientation, width, height)
        counts.turned += 1
    else:
        raise UserError(
            f"{shown(photograph)} is {width} x {height} pixels, and its labels were drawn on {drawn.size[0]} x {drawn.size[1]}: "
            "put back the photograph that was labelled, or label this one."
        )
    # A photograph covers half a pixel more than its outermost centres on each side.
    inside, rows = clip_lines(lines + 0.5, width + 1, height + 1, min_length=NO_LENGTH)
    lengths = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])
    points = int((lengths < NO_LENGTH).sum())
    changed = (inside != lines[rows] + 0.5).any(axis=1)
    # What was not cut keeps its exact numbers.
    ends = np.where(changed[:, None], inside - 0.5, lines[rows])
    wireframe = Wireframe.from_lines(joined(ends, join, photograph), width, height, drawn.scores[rows], merge=NO_LENGTH)
    counts.images += 1
    counts.lines += len(wireframe.edges)
    counts.cut += int(changed.sum())
    counts.points += points
    counts.outside += len(lines) - len(rows) - points
    counts.repeated += len(rows) - len(wireframe.edges)
    return wireframe


def _alike(drawn: tuple[int, int], real: tuple[int, int]) -> bool:
    """Whether one is a copy of the other in another size."""
    across, down = drawn[0] * real[1] / real[0] - drawn[1], drawn[1] * real[0] / real[1] - drawn[0]
    return min(abs(across), abs(down)) < ROUNDING


def _scaled(lines: np.ndarray, drawn: tuple[int, int], real: tuple[int, int], counts: Counts) -> np.ndarray:
    if drawn == real:
        return lines
    counts.scaled += 1
    factor = np.array([real[0] / drawn[0], real[1] / drawn[1]] * 2)
    return (lines + 0.5) * factor - 0.5


def _turned(lines: np.ndarray, orientation: int, width: int, height: int) -> np.ndarray:
    """Lines of the stored picture in the upright one, which is `width` x `height`."""
    x, y = lines[:, 1::2], lines[:, 0::2]
    from_right, from_bottom = _TURNING[orientation]
    if from_right:
        x = width - 1 - x
    if from_bottom:
        y = height - 1 - y
    return np.stack([x, y], axis=-1).reshape(-1, 4)


def joined(lines: np.ndarray, radius: float, photograph: Path) -> np.ndarray:
    """Lines whose ends within `radius` pixels of one another, also by way of others between them, meet in their mean.

    Raises:
        UserError: so many ends are near one another that no memory holds the pairs.
    """
    if not radius or not len(lines):
        return lines
    # Where it is used: who only plans needs no SciPy.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    ends = lines.reshape(-1, 2)
    tree = cKDTree(ends)
    if tree.count_neighbors(tree, radius) > MOST_NEAR:
        raise UserError(
            f"{shown(photograph)} has {len(lines):,} lines, of which most ends lie within {radius:g} pixels of very many others: "
            "give a smaller --join, or labels.join."
        )
    near = tree.query_pairs(radius, output_type="ndarray")
    links = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(ends), len(ends)))
    count, group = connected_components(links, directed=False)
    sums = np.zeros((count, 2))
    np.add.at(sums, group, ends)
    return (sums / np.bincount(group)[:, None])[group].reshape(-1, 4)
