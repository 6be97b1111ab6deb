"""One look at an image: the network at one size or at several, and what it finds at all of them together.

A line lies best where the grid is fine, and the attraction field reaches furthest where it is coarse: each size finds lines that
another misses. Enlarging adds nothing to an image but grid cells, which is what a line's ends are read from.

Shape legend: B images, S x S network input.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from hawp_core.model.detection import Detection, detect
from hawp_core.model.joining import best_of_near, joined
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.whole_lines import PAIRS, whole_first

ONE_SCALE = (1.0,)


@dataclass(frozen=True)
class Look:
    """How the network looks.

    Attributes:
        scales: of the sides at which an image passes the network, relative to its own; each is rounded so that the network can read
            it. Of lines that several scales find, the best stays.
        whole: look for whole lines, and lower the scores of their pieces (`model.whole_lines`).
    """

    scales: tuple[float, ...] = ONE_SCALE
    whole: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is no more than `detect`."""
        return self.scales == ONE_SCALE and not self.whole

    def __call__(self, network: WireframeNetwork, images: torch.Tensor, least: float) -> list[Detection]:
        """What is found in images (B, 1, S, S), in their pixels, of lines that one scale gives a score above `least`."""
        pairs = PAIRS if self.whole else 0
        scaled = [_at_scale(network, images, scale, least, pairs) for scale in self.scales]
        found = scaled[0] if len(scaled) == 1 else [_together(each) for each in zip(*scaled, strict=True)]
        # Each look decides for itself what is a piece, so that where looks disagree their mean is between.
        return [whole_first(each, 0.0) for each in found] if self.whole else found


def _at_scale(
    network: WireframeNetwork, images: torch.Tensor, scale: float, least: float, pairs: int
) -> list[Detection]:
    size, multiple = images.shape[-1], network.architecture.multiple
    side = max(1, round(size * scale / multiple)) * multiple
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
