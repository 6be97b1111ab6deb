"""The channels of the network's score maps by name, and what they say once they are read.

Shape legend: B images, h x w grid, R distance hypotheses.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch

from hawp_core.model.attraction_field import decode

# Channels of the score heads, in the order of the score map: angles, distance, residual, junction logits, offsets.
HEAD_CHANNELS = (3, 1, 1, 2, 2)
SCORE_CHANNELS = sum(HEAD_CHANNELS)
_FIELD_CHANNELS = HEAD_CHANNELS[:3]

_ANGLES, _DISTANCE, _RESIDUAL, _JUNCTION, _OFFSET = (
    slice(end - count, end) for count, end in zip(HEAD_CHANNELS, accumulate(HEAD_CHANNELS), strict=True)
)


class FieldMaps(NamedTuple):
    """The attraction field as the network sees it, in [0, 1]; `attraction_field.Field` is what it learns from.

    Attributes:
        angles: (B, 3, h, w).
        distance: (B, 1, h, w).
        residual: (B, 1, h, w), uncertainty of the distance.
    """

    angles: torch.Tensor
    distance: torch.Tensor
    residual: torch.Tensor

    def lines(self, threshold: float, *, residual: bool) -> torch.Tensor:
        """(B, R, h, w, 4) line segments that the grid points propose, of three distances with `residual`; see `decode`."""
        return decode(self.angles, self.distance, self.residual if residual else None, threshold)

    def proposals(self, threshold: float, *, residual: bool) -> torch.Tensor:
        """(B, R * h * w, 4) the same segments in one list for each image."""
        return self.lines(threshold, residual=residual).flatten(1, 3)


@dataclass(frozen=True, eq=False)
class ScoreMaps:
    """One score map with names for its channels. The names are views of `raw`: nothing is copied.

    Attributes:
        raw: (B, 9, h, w) as the score heads give it, before any sigmoid or softmax.
    """

    raw: torch.Tensor

    @property
    def angles(self) -> torch.Tensor:
        """(B, 3, h, w) raw."""
        return self.raw[:, _ANGLES]

    @property
    def distance(self) -> torch.Tensor:
        """(B, 1, h, w) raw."""
        return self.raw[:, _DISTANCE]

    @property
    def residual(self) -> torch.Tensor:
        """(B, 1, h, w) raw."""
        return self.raw[:, _RESIDUAL]

    @property
    def junction(self) -> torch.Tensor:
        """(B, 2, h, w) logits of 'no junction' and 'junction'."""
        return self.raw[:, _JUNCTION]

    @property
    def offset(self) -> torch.Tensor:
        """(B, 2, h, w) raw."""
        return self.raw[:, _OFFSET]

    def float(self) -> "ScoreMaps":
        """In float32; the same where it is that already."""
        return ScoreMaps(self.raw.float())

    def field(self) -> FieldMaps:
        """The attraction field in float32, for reading it: one sigmoid over its five channels."""
        together = self.raw[:, : sum(_FIELD_CHANNELS)].float().sigmoid()
        return FieldMaps(*together.split(_FIELD_CHANNELS, dim=1))

    def junction_probability(self) -> torch.Tensor:
        """(B, 1, h, w) float32 in [0, 1]."""
        return self.junction.float().softmax(dim=1)[:, 1:]

    def junction_offset(self) -> torch.Tensor:
        """(B, 2, h, w) float32 in [-0.5, 0.5], x and y from the cell's centre."""
        return self.offset.float().sigmoid() - 0.5
