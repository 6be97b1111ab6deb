"""1 x 1 convolutions: of the compact network two thirds of all convolutions, and a quarter of their arithmetic."""

import torch
import torch.nn.functional as F
from torch import nn

_ONEDNN = torch.backends.mkldnn.is_available()


def pointwise(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """(B, O, h, w) from x (B, C, h, w), weight (O, C, 1, 1) and bias (O,).

    On one thread of a CPU and for fewer than 16 images PyTorch takes a kernel of its own, which is up to six times as
    slow as oneDNN's (benchmarks/RESULTS.md); not where the convolution is dilated, which says nothing of a single pixel.
    """
    by_onednn = _ONEDNN and x.device.type == "cpu" and not torch.compiler.is_compiling()
    return F.conv2d(x, weight, bias, dilation=2 if by_onednn else 1)


class Pointwise(nn.Conv2d):
    """A 1 x 1 convolution of `channels` to `outputs`."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return pointwise(x, self.weight, self.bias)
