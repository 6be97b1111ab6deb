"""The network: the backbone, a line heatmap decoder, and the verification of line segments.

Module names are those of the published checkpoints, so that a state dict needs no translation. Source: HAWPv3
(arXiv 2210.12971).

Shape legend: B images, H x W input pixels, h x w = H/4 x W/4 grid, C = `Architecture.width` channels, L lines in a flat
list with the index of their image, P lines of each image.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from hawp_core.model.architecture import Architecture
from hawp_core.model.backbone import Backbone, Prediction, side_by_side
from hawp_core.model.pointwise import Pointwise, pointwise
from hawp_core.model.sampling import sample, sample_dense


class LineFeatures(NamedTuple):
    """What verification reads: (B, junction_features, h, w), and (B, line_features, h, w) for the line between two
    junctions and for the proposal it came from."""

    junction: torch.Tensor
    thin: torch.Tensor
    aux: torch.Tensor


class HeatmapDecoder(nn.Module):
    """Features at stride 4 to two logits a pixel, by two pixel shuffles."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, channels // 4, channels // 16)
        blocks = [
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
            for width in widths[:-1]
        ]
        self.conv_block_lst = nn.ModuleList([*blocks, Pointwise(widths[-1], 2)])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        *blocks, last = self.conv_block_lst
        for block in blocks:
            features = F.pixel_shuffle(block(features), 2)
        return last(features)


class WireframeNetwork(nn.Module):
    """HAWPv3's network.

    >>> network = WireframeNetwork(Architecture(image_size=64, width=16, depth=2))
    >>> heads, features = network(torch.zeros(1, 1, 64, 64))
    >>> heads[-1].shape, features.shape
    (torch.Size([1, 9, 16, 16]), torch.Size([1, 16, 16, 16]))
    """

    tspan: torch.Tensor

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = a = architecture or Architecture()
        self.register_buffer("tspan", torch.linspace(0, 1, a.line_points)[None, None])
        self.backbone = Backbone(a.width, a.depth, a.stacks)
        self.fc1 = Pointwise(a.width, a.junction_features)
        self.fc3 = Pointwise(a.width, a.line_features)
        self.fc4 = Pointwise(a.width, a.line_features)
        # Part of every published checkpoint, used by none.
        self.regional_head = nn.Conv2d(a.width, 1, 1)
        along = (a.line_points - 2) * a.line_features
        hidden = a.verification_width
        self.fc2 = nn.Sequential(
            nn.Linear(2 * a.junction_features + 2 * along, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
        )
        self.fc2_res = nn.Sequential(nn.Linear(2 * along, hidden), nn.ReLU(inplace=True))
        first, second = a.lineness_widths
        self.line_mlp = nn.Sequential(
            nn.Linear(along, first), nn.ReLU(True), nn.Linear(first, second), nn.ReLU(True), nn.Linear(second, 1)
        )
        self.fc2_head = nn.Linear(hidden, 2)
        self.heatmap_decoder = HeatmapDecoder(a.width)

    def forward(self, images: torch.Tensor) -> Prediction:
        """Score maps of every stack, and features, of grey images (B, 1, H, W) in [0, 1].

        Raises:
            ValueError: H or W is no multiple of `architecture.multiple`.
        """
        return self.backbone(self._checked(images))

    def _checked(self, images: torch.Tensor) -> torch.Tensor:
        multiple = self.architecture.multiple
        if images.dim() != 4 or images.shape[1] != 1 or images.shape[2] % multiple or images.shape[3] % multiple:
            raise ValueError(
                f"images are {tuple(images.shape)}, not (B, 1, H, W) with sides in multiples of {multiple}"
            )
        return images

    def heatmap_logits(self, features: torch.Tensor) -> torch.Tensor:
        """(B, 2, H, W) logits of 'no line' and 'line' from `Prediction.features`."""
        return self.heatmap_decoder(features)

    def line_heatmap(self, images: torch.Tensor) -> torch.Tensor:
        """(B, H, W) probability of a line at each pixel; leaves out the last score heads, a sixth of the work."""
        features = self.backbone(self._checked(images), last_heads=False).features
        return self.heatmap_logits(features).float().softmax(dim=1)[:, 1]

    def line_features(self, features: torch.Tensor) -> LineFeatures:
        """The maps that `verify` and `lineness` read, from `Prediction.features`, in float32."""
        parts = (self.fc1, self.fc3, self.fc4)
        together = pointwise(features, *side_by_side(parts)).float()
        return LineFeatures(*together.split([p.out_channels for p in parts], dim=1))

    def verify(
        self, maps: LineFeatures, adjusted: torch.Tensor, initial: torch.Tensor, image_index: torch.Tensor
    ) -> torch.Tensor:
        """(L, 2) logits of 'no line' and 'line' for a flat list of lines.

        Args:
            maps: from `line_features`.
            adjusted: (L, 4) lines between two junctions, grid units.
            initial: (L, 4) the proposals that bound to those junctions.
            image_index: (L,) int64, the image of each line.
        """
        thin = sample(maps.thin, image_index, self._points_along(adjusted)).flatten(1)
        aux = sample(maps.aux, image_index, self._points_along(initial)).flatten(1)
        return self._verified(self._ends(maps, adjusted, image_index), torch.cat((thin, aux), dim=1))

    def verify_dense(self, maps: LineFeatures, adjusted: torch.Tensor, initial: torch.Tensor) -> torch.Tensor:
        """`verify` for the same number of lines in every image, (B, P, 4): (B, P, 2), faster to learn from."""
        thin, aux = (
            sample_dense(part, self._points_along(lines)).transpose(1, 2).flatten(2)
            for part, lines in ((maps.thin, adjusted), (maps.aux, initial))
        )
        image_index = torch.arange(len(adjusted), device=adjusted.device).repeat_interleave(adjusted.shape[1])
        ends = self._ends(maps, adjusted.flatten(0, 1), image_index).unflatten(0, adjusted.shape[:2])
        return self._verified(ends, torch.cat((thin, aux), dim=2))

    def _ends(self, maps: LineFeatures, lines: torch.Tensor, image_index: torch.Tensor) -> torch.Tensor:
        """(L, 2 * junction_features): few points and many channels, which `sample_dense` is slow at."""
        return sample(maps.junction, image_index, lines.reshape(-1, 2, 2) - 0.5).transpose(1, 2).flatten(1)

    def _verified(self, ends: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
        return self.fc2_head(self.fc2(torch.cat((ends, along), dim=-1)) + self.fc2_res(along))

    def lineness(self, maps: LineFeatures, lines: torch.Tensor) -> torch.Tensor:
        """(B, P) logits that the proposals `lines` (B, P, 4), grid units, are lines."""
        values = sample_dense(maps.aux, self._points_along(lines))
        return self.line_mlp(values.transpose(1, 2).flatten(2)).squeeze(-1)

    def _points_along(self, lines: torch.Tensor) -> torch.Tensor:
        """(..., T, 2) points inside `lines` (..., 4), from the second end to the first, in cells."""
        t = self.tspan[0, 0, 1:-1, None]
        return lines[..., None, :2] * t + lines[..., None, 2:] * (1 - t) - 0.5
