"""The backbone: a stem, stacked hourglasses, and the heads that give each stack's score map.

Module names are those of the published checkpoints. Source: stacked hourglass (arXiv 1603.06937) with pre-activation
bottlenecks, as HAWPv3 (arXiv 2210.12971) uses it.

Shape legend: B images, H x W input pixels, h x w = H/4 x W/4 grid, C = `Architecture.width` channels.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from hawp_core.model.pointwise import Pointwise
from hawp_core.model.score_maps import HEAD_CHANNELS, SCORE_CHANNELS, ScoreMaps


class Prediction(NamedTuple):
    """One forward pass.

    Attributes:
        heads: one (B, 9, h, w) score map of raw values for each stack, the first stack first; the last one is the
            prediction, the others serve training only.
        features: (B, C, h, w) of the last stack.
    """

    heads: list[torch.Tensor]
    features: torch.Tensor

    @property
    def scores(self) -> ScoreMaps:
        """The last stack's score map, by the names of its channels."""
        return ScoreMaps(self.heads[-1])


Kind = TypeVar("Kind", bound=nn.Module)


def known_as(kind: type[Kind], module: nn.Module) -> Kind:
    """A child of one of PyTorch's containers, which forget what their children are."""
    assert isinstance(module, kind)
    return module


def side_by_side(convolutions: Sequence[nn.Conv2d]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and biases of convolutions of the same input as those of a single one, whose output is theirs in turn."""
    biases = [each.bias for each in convolutions if each.bias is not None]
    return torch.cat([each.weight for each in convolutions]), torch.cat(biases)


class Bottleneck(nn.Module):
    """Pre-activation residual block: 1x1, 3x3, 1x1 convolutions, `planes` channels inside and twice as many outside."""

    def __init__(self, channels: int, planes: int) -> None:
        super().__init__()
        self.bn1: nn.Module = nn.BatchNorm2d(channels)
        self.conv1: nn.Conv2d = Pointwise(channels, planes)
        self.bn2: nn.Module = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1)
        self.bn3: nn.Module = nn.BatchNorm2d(planes)
        self.conv3: nn.Conv2d = Pointwise(planes, 2 * planes)
        self.downsample = nn.Sequential(Pointwise(channels, 2 * planes)) if channels != 2 * planes else None

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
        blocks = known_as(nn.ModuleList, self.hg[level])
        low = blocks[1](F.max_pool2d(x, 2))
        low = blocks[2](self._level(level - 1, low) if level else blocks[3](low))
        return blocks[0](x).add_(F.interpolate(low, scale_factor=2))


class ScoreHeads(nn.Module):
    """Five small heads; their first convolutions, which are nearly all of the work, run side by side as one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 4
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, middle, 3, padding=1), nn.ReLU(), Pointwise(middle, count))
            for count in HEAD_CHANNELS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = [known_as(nn.Sequential, head) for head in self.heads]
        y = F.conv2d(x, *side_by_side([known_as(nn.Conv2d, head[0]) for head in heads]), padding=1)
        parts = F.relu_(y).chunk(len(heads), dim=1)
        return torch.cat([head[2](part) for head, part in zip(heads, parts, strict=True)], dim=1)


class Backbone(nn.Module):
    """Stem and stacked hourglasses, with score heads after each."""

    def __init__(self, width: int, depth: int, stacks: int) -> None:
        super().__init__()
        stem, planes = width // 4, width // 2
        self.conv1 = nn.Conv2d(1, stem, 7, stride=2, padding=3)
        self.bn1: nn.Module = nn.BatchNorm2d(stem)
        self.layer1 = nn.Sequential(Bottleneck(stem, stem))
        self.layer2 = nn.Sequential(Bottleneck(2 * stem, 2 * stem))
        self.layer3 = nn.Sequential(Bottleneck(width, planes))
        self.hg = nn.ModuleList(Hourglass(planes, depth) for _ in range(stacks))
        self.res = nn.ModuleList(nn.Sequential(Bottleneck(width, planes)) for _ in range(stacks))
        self.fc = nn.ModuleList(
            nn.Sequential(Pointwise(width, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)) for _ in range(stacks)
        )
        self.score = nn.ModuleList(ScoreHeads(width) for _ in range(stacks))
        self.fc_ = nn.ModuleList(Pointwise(width, width) for _ in range(stacks - 1))
        self.score_ = nn.ModuleList(Pointwise(SCORE_CHANNELS, width) for _ in range(stacks - 1))

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
