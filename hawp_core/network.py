"""The network: stacked hourglasses, score heads, a line heatmap decoder and the verification of line segments.

Module names are those of the published checkpoints, so that a state dict needs no translation. Source: HAWPv3
(arXiv 2210.12971); the backbone is the stacked hourglass of arXiv 1603.06937 with pre-activation bottlenecks.

Shape legend: B images, H x W input pixels, h x w = H/4 x W/4 grid, C = `Architecture.width` channels, L lines in a flat
list with the index of their image, P lines of each image.
"""

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hawp_core.architecture import STRIDE, Architecture
from hawp_core.field import sample, sample_dense

__all__ = [
    "HEAD_CHANNELS",
    "STRIDE",
    "Architecture",
    "LineFeatures",
    "Prediction",
    "WireframeNetwork",
    "fold_batch_norm",
]

# Channels of the score heads, in the order of the score map: angles, distance, residual, junction logits, offsets.
HEAD_CHANNELS = (3, 1, 1, 2, 2)
SCORE_CHANNELS = sum(HEAD_CHANNELS)


class Prediction(NamedTuple):
    """One forward pass.

    Attributes:
        heads: one (B, 9, h, w) score map of raw values for each stack, the first stack first; the last one is the
            prediction, the others serve training only. Channels as in `HEAD_CHANNELS`.
        features: (B, C, h, w) of the last stack.
    """

    heads: list[torch.Tensor]
    features: torch.Tensor


class LineFeatures(NamedTuple):
    """What verification reads: (B, junction_features, h, w), and (B, line_features, h, w) for the line between two
    junctions and for the proposal it came from."""

    junction: torch.Tensor
    thin: torch.Tensor
    aux: torch.Tensor


class Bottleneck(nn.Module):
    """Pre-activation residual block: 1x1, 3x3, 1x1 convolutions, `planes` channels inside and twice as many outside."""

    def __init__(self, channels: int, planes: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, planes, 1)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 2 * planes, 1)
        self.downsample = nn.Sequential(nn.Conv2d(channels, 2 * planes, 1)) if channels != 2 * planes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.relu_(self.bn1(x)))
        y = self.conv2(F.relu_(self.bn2(y)))
        y = self.conv3(F.relu_(self.bn3(y)))
        return y.add_(x if self.downsample is None else self.downsample(x))


class Hourglass(nn.Module):
    """Pools `depth` times and adds each scale back on the way up.

    `hg[level]` holds the blocks of a level, the coarsest first: skip, down, up, and at the coarsest one more between.
    """

    def __init__(self, planes: int, depth: int) -> None:
        super().__init__()
        self.hg = nn.ModuleList(
            nn.ModuleList(nn.Sequential(Bottleneck(2 * planes, planes)) for _ in range(4 if level == 0 else 3))
            for level in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._level(len(self.hg) - 1, x)

    def _level(self, level: int, x: torch.Tensor) -> torch.Tensor:
        blocks = self.hg[level]
        low = blocks[1](F.max_pool2d(x, 2))
        low = blocks[2](self._level(level - 1, low) if level else blocks[3](low))
        return blocks[0](x).add_(F.interpolate(low, scale_factor=2))


class ScoreHeads(nn.Module):
    """Five small heads; their first convolutions, which are nearly all of the work, run side by side as one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 4
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, middle, 3, padding=1), nn.ReLU(), nn.Conv2d(middle, count, 1))
            for count in HEAD_CHANNELS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = [head[0] for head in self.heads]
        y = F.conv2d(x, torch.cat([c.weight for c in first]), torch.cat([c.bias for c in first]), padding=1)
        parts = F.relu_(y).chunk(len(first), dim=1)
        return torch.cat([head[2](part) for head, part in zip(self.heads, parts, strict=True)], dim=1)


class Backbone(nn.Module):
    """Stem and stacked hourglasses, with score heads after each."""

    def __init__(self, width: int, depth: int, stacks: int) -> None:
        super().__init__()
        stem, planes = width // 4, width // 2
        self.conv1 = nn.Conv2d(1, stem, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = nn.Sequential(Bottleneck(stem, stem))
        self.layer2 = nn.Sequential(Bottleneck(2 * stem, 2 * stem))
        self.layer3 = nn.Sequential(Bottleneck(width, planes))
        self.hg = nn.ModuleList(Hourglass(planes, depth) for _ in range(stacks))
        self.res = nn.ModuleList(nn.Sequential(Bottleneck(width, planes)) for _ in range(stacks))
        self.fc = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
            for _ in range(stacks)
        )
        self.score = nn.ModuleList(ScoreHeads(width) for _ in range(stacks))
        self.fc_ = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(stacks - 1))
        self.score_ = nn.ModuleList(nn.Conv2d(SCORE_CHANNELS, width, 1) for _ in range(stacks - 1))

    def forward(self, images: torch.Tensor, last_heads: bool = True) -> Prediction:
        x = self.layer1(F.relu_(self.bn1(self.conv1(images))))
        x = self.layer3(self.layer2(F.max_pool2d(x, 2)))
        heads = []
        for i, hourglass in enumerate(self.hg):
            features = self.fc[i](self.res[i](hourglass(x)))
            last = i == len(self.hg) - 1
            if not last or last_heads:
                heads.append(self.score[i](features))
            if not last:
                x = self.fc_[i](features).add_(x).add_(self.score_[i](heads[i]))
        return Prediction(heads, features)


class HeatmapDecoder(nn.Module):
    """Features at stride 4 to two logits a pixel, by two pixel shuffles."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, channels // 4, channels // 16)
        blocks = [
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
            for width in widths[:-1]
        ]
        self.conv_block_lst = nn.ModuleList([*blocks, nn.Conv2d(widths[-1], 2, 1)])

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

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = a = architecture or Architecture()
        self.register_buffer("tspan", torch.linspace(0, 1, a.line_points)[None, None])
        self.backbone = Backbone(a.width, a.depth, a.stacks)
        self.fc1 = nn.Conv2d(a.width, a.junction_features, 1)
        self.fc3 = nn.Conv2d(a.width, a.line_features, 1)
        self.fc4 = nn.Conv2d(a.width, a.line_features, 1)
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
        together = F.conv2d(features, torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts])).float()
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
        ends = sample(maps.junction, image_index, adjusted.reshape(-1, 2, 2) - 0.5).transpose(1, 2).flatten(1)
        thin = sample(maps.thin, image_index, self._points_along(adjusted)).flatten(1)
        aux = sample(maps.aux, image_index, self._points_along(initial)).flatten(1)
        both = torch.cat((thin, aux), dim=1)
        return self.fc2_head(self.fc2(torch.cat((ends, both), dim=1)) + self.fc2_res(both))

    def lineness(self, maps: LineFeatures, lines: torch.Tensor) -> torch.Tensor:
        """(B, P) logits that the proposals `lines` (B, P, 4), grid units, are lines."""
        values = sample_dense(maps.aux, self._points_along(lines))
        return self.line_mlp(values.transpose(1, 2).flatten(2)).squeeze(-1)

    def _points_along(self, lines: torch.Tensor) -> torch.Tensor:
        """(..., T, 2) points inside `lines` (..., 4), from the second end to the first, in cells."""
        t = self.tspan[0, 0, 1:-1, None]
        return lines[..., None, :2] * t + lines[..., None, 2:] * (1 - t) - 0.5


def fold_batch_norm(network: WireframeNetwork, precision: torch.dtype = torch.float32) -> WireframeNetwork:
    """A copy of `network` for inference: the same results with less memory traffic.

    Batch normalisation that follows a convolution moves into its weights (the first one of a bottleneck follows none
    and stays); weights are laid out channels last. The copy's state dict is not a checkpoint's.

    Args:
        precision: of the weights of convolutions and linear layers. In half precision the copy wants automatic mixed
            precision, which would otherwise convert every weight in every pass.
    """
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, Bottleneck):
            module.conv1, module.bn2 = fuse_conv_bn_eval(module.conv1, module.bn2), nn.Identity()
            module.conv2, module.bn3 = fuse_conv_bn_eval(module.conv2, module.bn3), nn.Identity()
        elif isinstance(module, Backbone):
            module.conv1, module.bn1 = fuse_conv_bn_eval(module.conv1, module.bn1), nn.Identity()
        elif isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
            module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), nn.Identity()
    for module in folded.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(precision)
    return folded.requires_grad_(False).to(memory_format=torch.channels_last)
