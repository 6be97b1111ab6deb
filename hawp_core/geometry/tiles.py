"""Overlapping tiles of a picture that is too large for one pass. Coordinates are (x, y) in pixels of the whole picture."""

import math
from typing import NamedTuple

import numpy as np

OVERLAP = 1 / 8  # of a tile's side, that the next one sees too
LEAST_SIDE = 16  # pixels of a tile, below which two could not overlap


class Tile(NamedTuple):
    """A rectangle of whole pixels."""

    left: int
    top: int
    width: int
    height: int


def cut(width: int, height: int, side: int) -> list[Tile]:
    """Tiles of at most `side` x `side` pixels that cover a picture row by row, each overlapping the next by an eighth or more.

    Raises:
        ValueError: a side below LEAST_SIDE.
    """
    if side < LEAST_SIDE:
        raise ValueError(f"tiles of {side} pixels cannot overlap: {LEAST_SIDE} are the least")
    columns, rows = _spans(width, side), _spans(height, side)
    return [Tile(left, top, min(side, width), min(side, height)) for top in rows for left in columns]


def _spans(length: int, side: int) -> list[int]:
    """Where the tiles along one side begin, evenly."""
    if length <= side:
        return [0]
    step = side - math.ceil(side * OVERLAP)
    count = math.ceil((length - side) / step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def overlap(a: Tile, b: Tile) -> bool:
    """Whether two tiles have pixels in common."""
    across = a.left < b.left + b.width and b.left < a.left + a.width
    return across and a.top < b.top + b.height and b.top < a.top + a.height


def holds(tile: Tile, x: float, y: float) -> bool:
    """Whether a point lies in a tile."""
    return -0.5 <= x - tile.left <= tile.width - 0.5 and -0.5 <= y - tile.top <= tile.height - 0.5


def depth_in(tile: Tile, points: np.ndarray, width: int, height: int) -> np.ndarray:
    """(N,) distance of points to the nearest border that the tile does not share with the picture."""
    right, bottom = tile.left + tile.width, tile.top + tile.height
    x, y = points.T
    inner = [
        (x - tile.left + 0.5, tile.left > 0), (right - 0.5 - x, right < width),
        (y - tile.top + 0.5, tile.top > 0), (bottom - 0.5 - y, bottom < height),
    ]  # fmt: skip
    return np.min([np.where(there, distance, np.inf) for distance, there in inner], axis=0)
