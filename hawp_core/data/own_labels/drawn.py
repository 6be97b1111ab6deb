"""What a label file says of one image, whatever its layout: lines, and the image that they were drawn on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

LARGEST_SIDE = 10**6  # pixels


@dataclass(frozen=True, eq=False)
class Drawn:
    """The lines of one image as a label file has them.

    Attributes:
        names: where the image may lie in its folder, the likeliest first; '/' between parts.
        size: width and height of the image that was drawn on, pixels; None where lines are shares of the two.
        lines: (M, 4) float64, x1 y1 x2 y2 in that image's pixels, the centre of the top-left one at (0, 0).
        scores: (M,) float64, in [0, 1].

    Raises:
        ValueError: a size, a coordinate or a score that is none.
    """

    names: tuple[str, ...]
    size: tuple[int, int] | None
    lines: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= LARGEST_SIDE for side in self.size):
            raise ValueError(f"width and height are {self.size[0]} x {self.size[1]}")
        object.__setattr__(self, "lines", np.asarray(self.lines, np.float64).reshape(-1, 4))
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float64).reshape(-1))
        if not np.isfinite(self.lines).all():
            raise ValueError("a coordinate is not a number")
        if (np.abs(self.lines) > LARGEST_SIDE).any():
            raise ValueError(f"a line lies more than {LARGEST_SIDE:,} pixels away")
        if len(self.scores) != len(self.lines):
            raise ValueError(f"it has {len(self.scores)} scores for {len(self.lines)} lines")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("a score is not a number from 0 to 1")

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of the lines, their scores and the size."""
        found = hashlib.sha256(repr(self.size).encode())
        found.update(self.lines.astype("<f8").tobytes())
        found.update(self.scores.astype("<f8").tobytes())
        return found.hexdigest()


def rows(values: object, columns: int, what: str) -> np.ndarray:
    """(N, columns) float64 of a file's list of as many lists: numbers that come otherwise would belong together wrongly.

    Raises:
        ValueError: it is none.
    """
    found = np.asarray(values, np.float64)
    if found.size == 0:
        return np.zeros((0, columns))
    if found.ndim != 2 or found.shape[1] != columns:
        raise ValueError(f"{what} are not of {columns} numbers each")
    return found


def segments(points: np.ndarray) -> np.ndarray:
    """The (N - 1, 4) lines between the successive (N, 2) points of a polyline."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    return np.concatenate([points[:-1], points[1:]], axis=1)
