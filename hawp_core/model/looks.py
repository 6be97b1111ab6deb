"""One look at an image: the network at one size or at several, and what it finds at all of them together.

A line lies best where the grid is fine, and the attraction field reaches furthest where it is coarse: each size finds lines that
another misses. Enlarging adds nothing to an image but grid cells, which is what a line's ends are read from.

Shape legend: B images, S x S network input.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from hawp_core.errors import UserError
from hawp_core.model.architecture import LARGEST
from hawp_core.model.detection import Detection, detect
from hawp_core.model.joining import best_of_near, joined
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.whole_lines import PAIRS, whole_first

ONE_SCALE = (1.0,)
# As `evaluate.scales` and `export.scales` have them (workflow/schema.yaml).
LEAST_SCALE, MOST_SCALE, MOST_SCALES = 0.25, 4.0, 8


@dataclass(frozen=True)
class Look:
    """How the network looks.

    Attributes:
        scales: of the sides at which an image passes the network, relative to its own; each is rounded so that the network can read
            it. Of lines that several scales find, the best stays.
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

    def __call__(self, network: WireframeNetwork, images: torch.Tensor, least: float) -> list[Detection]:
        """What is found in images (B, 1, S, S), in their pixels, of lines that one scale gives a score above `least`."""
        pairs = PAIRS if self.whole else 0
        scaled = [_at_scale(network, images, scale, least, pairs) for scale in self.scales]
        found = scaled[0] if self.scales == ONE_SCALE else [_together(each) for each in zip(*scaled, strict=True)]
        # Each look decides for itself what is a piece, so that where looks disagree their mean is between.
        return [whole_first(each, 0.0) for each in found] if self.whole else found


PLAIN = Look()


def _at_scale(
    network: WireframeNetwork, images: torch.Tensor, scale: float, least: float, pairs: int
) -> list[Detection]:
    size, multiple = images.shape[-1], network.architecture.multiple
    side = max(1, round(size * scale / multiple)) * multiple
    if side > LARGEST["image_size"]:
        raise UserError(
            f"{size} pixels at scale {scale:g} are {side}, and the network looks at {LARGEST['image_size']} at most: "
            "leave that scale out, or make the size smaller."
        )
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


def _together(scales: tuple[Detection, ...]) -> Detection:
    lines = np.concatenate([each.lines.numpy() for each in scales]).astype(np.float64)
    scores = np.concatenate([each.scores.numpy() for each in scales]).astype(np.float64)
    kept = best_of_near(lines, scores, 0.0)
    return joined(lines[kept], scores[kept], scales[0].input_size)
