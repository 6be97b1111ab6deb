"""One look at an image: the network at one size or at several, and what all of these find of a line.

A line lies best where the grid is fine, and the attraction field reaches furthest where it is coarse. Enlarging adds nothing to
an image but grid cells, which is what a line's ends are read from. What only one size finds is less likely to be found again where
the scene is seen larger or smaller: so a line is worth what all sizes say of it.

Shape legend: B images, S x S network input, C candidates, N lines of a scale.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F

from hawp_core.errors import UserError
from hawp_core.geometry.homography import warp_points
from hawp_core.geometry.line_distances import BORDER, THRESHOLD
from hawp_core.model.architecture import LARGEST
from hawp_core.model.detection import Detection, detect
from hawp_core.model.joining import SAME_LINE, best_match, turned
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.whole_lines import PAIRS, whole_first

ONE_SCALE = (1.0,)
# As `evaluate.scales` and `export.scales` have them (workflow/schema.yaml).
LEAST_SCALE, MOST_SCALE, MOST_SCALES = 0.25, 4.0, 8


@dataclass(frozen=True)
class Look:
    """How the network looks.

    Attributes:
        scales: of the sides at which an image passes the network, relative to its own; each is rounded so that the network can read it.
        whole: look for whole lines, and lower the scores of their pieces (`model.whole_lines`).

    Raises:
        ValueError: scales that are no such numbers, none, or too many of them.
    """

    scales: tuple[float, ...] = ONE_SCALE
    whole: bool = False

    def __post_init__(self) -> None:
        known = [isinstance(scale, (int, float)) and LEAST_SCALE <= scale <= MOST_SCALE for scale in self.scales]
        if not (0 < len(known) <= MOST_SCALES and all(known)):
            raise ValueError(
                f"scales are up to {MOST_SCALES} numbers from {LEAST_SCALE:g} to {MOST_SCALE:g}, such as (1, 1.5), not {self.scales!r}"
            )

    @property
    def plain(self) -> bool:
        """Whether it is no more than `detect`."""
        return self.scales == ONE_SCALE and not self.whole

    def __call__(self, network: WireframeNetwork, images: torch.Tensor, least: float) -> "list[Seen]":
        """What is found in each of the images (B, 1, S, S), of lines that one scale gives a score above `least`."""
        size, multiple = images.shape[-1], network.architecture.multiple
        sides = [max(1, round(size * scale / multiple)) * multiple for scale in self.scales]
        if max(sides) > LARGEST["image_size"]:
            raise UserError(
                f"{size} pixels at scale {max(self.scales):g} are {max(sides)}, and the network looks at {LARGEST['image_size']} at most: "
                "leave that scale out, or make the size smaller."
            )
        scaled = [self._at(side, network, images, least) for side in sides]
        return [Seen(found, tuple(side / size for side in sides)) for found in zip(*scaled, strict=True)]

    def _at(self, side: int, network: WireframeNetwork, images: torch.Tensor, least: float) -> list[Detection]:
        found = _at_side(network, images, side, least, PAIRS if self.whole else 0)
        # Each scale of each look decides for itself what is a piece, so that where they disagree their mean is between.
        return [whole_first(each, 0.0) for each in found] if self.whole else found


PLAIN = Look()


def _at_side(network: WireframeNetwork, images: torch.Tensor, side: int, least: float, pairs: int) -> list[Detection]:
    size = images.shape[-1]
    if side == size:
        return detect(network, images, min_score=least, pairs=pairs)
    factor = size / side
    # As many at a time as take no more memory than all of them at their own size, but at least one.
    parts = images.split(max(1, int(len(images) * factor**2)))
    resized = (F.interpolate(part, (side, side), mode="bilinear", antialias=True) for part in parts)
    return [
        replace(
            found,
            junctions=(found.junctions + 0.5) * factor - 0.5,
            lines=(found.lines + 0.5) * factor - 0.5,
            input_size=(size, size),
        )
        for part in resized
        for found in detect(network, part, min_score=least, pairs=pairs)
    ]


@dataclass(frozen=True, eq=False)
class Seen:
    """What one look found in an image, or in a view of it.

    Attributes:
        found: one detection a scale, in pixels of what was looked at.
        scales: of `found`: the sides that the network could read, relative to the own one.
        homography: (3, 3) from the image to the view, pixels; the identity where it is the image itself.
    """

    found: tuple[Detection, ...]
    scales: tuple[float, ...] = ONE_SCALE
    homography: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of what was looked at, pixels."""
        return self.found[0].input_size

    def brought_back(self) -> list[np.ndarray]:
        """(N, 4) of each scale: its lines in the image's pixels, NaN where they lie behind the camera."""
        back = np.linalg.inv(self.homography)
        ends = (of.lines.numpy().astype(np.float64).reshape(-1, 2, 2) for of in self.found)
        return [warp_points(back, each).reshape(-1, 4) for each in ends]

    def shows(self, lines: np.ndarray) -> np.ndarray:
        """(C,) bool: which of the image's lines (C, 4) it shows whole; the image itself shows all of them."""
        last = np.array(self.input_size) - 1.0
        there = warp_points(self.homography, lines.reshape(-1, 2, 2))
        within = ((there >= BORDER) & (there <= last - BORDER)).all(axis=(1, 2))
        return np.asarray(within | (self.homography == np.eye(3)).all())

    def judge(self, lines: np.ndarray, back: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What it says of the image's lines (C, 4), its own lines brought back.

        Where the grid is half as fine, ends are off by twice as much: that is how far the line that a reduced size finds may lie from
        another (never so far that two lines may lie there), and places are weighted by the squares of the scales.

        Returns:
            (C,) the root mean square of the best scores with which its scales find each, 0 where one does not, which of two scales'
            scores lies nearer to the better; (C,) the weights of the places where they find it, and (C, 4) the weighted sum of these.
        """
        squares, weights, places = np.zeros(len(lines)), np.zeros(len(lines)), np.zeros((len(lines), 4))
        for found, scale, theirs in zip(self.found, self.scales, back, strict=True):
            scores = found.scores.numpy().astype(np.float64)
            rows, best = best_match(lines, theirs, scores, min(THRESHOLD * max(1.0, 1 / scale), SAME_LINE))
            squares[rows] += scores[best] ** 2
            weight = scores[best] * scale**2
            weights[rows] += weight
            places[rows] += weight[:, None] * turned(theirs[best], lines[rows])
        return np.sqrt(squares / len(self.scales)), weights, places
