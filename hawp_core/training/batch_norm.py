"""Batch normalisation over a batch whose images are spread over several processes.

It gives what one process gives for the whole batch: outputs, gradients and running statistics, whatever the number of
images in each process. PyTorch's SyncBatchNorm works on GPUs only, and cannot leave out a process without images.

Shape legend: B images of this process, C channels, R processes.
"""

from typing import Protocol

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

CHANNELS = (1, -1, 1, 1)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` that in training takes mean and variance over all processes; its state has the same names.

    Attributes:
        counted: whether the images of this process belong to the batch. One that has none of a short last batch
            goes through the motions with an image that does not count.
    """

    counted = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance, count = _GlobalNorm.apply(x, self.weight, self.bias, self.eps, self.counted)
        # Every normalisation of the network keeps running statistics, with a fixed weight.
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            # The running variance is the unbiased one, as in PyTorch's own.
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        return y


def globalise(module: nn.Module) -> None:
    """Make every batch normalisation inside `module` global, in place, keeping its parameters and buffers."""
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            # Another class on the same object: an optimiser or a state dict notices nothing.
            child.__class__ = GlobalBatchNorm2d


class _Kept(Protocol):
    """What PyTorch's functions hand from the forward pass to the backward one."""

    counted: bool
    eps: float
    saved_tensors: tuple[torch.Tensor, ...]

    def save_for_backward(self, *tensors: torch.Tensor) -> None: ...

    def mark_non_differentiable(self, *tensors: torch.Tensor) -> None: ...


class _GlobalNorm(torch.autograd.Function):
    """Normalise (B, C, H, W) by statistics of all processes; returns those too: mean (C,), variance (C,), count (1,)."""

    @staticmethod
    def forward(
        ctx: _Kept, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float, counted: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        channels = x.shape[1]
        own = weight.new_zeros(1 + 2 * channels)
        if counted:
            # The kernel of PyTorch's own normalisation: `var_mean` takes twenty times as long on a CPU. It wants running
            # statistics, moved by nothing here, to count in their precision.
            running = weight.new_zeros(2, channels)
            mean, variance = torch.batch_norm_update_stats(x, running[0], running[1], 0.0)
            own = torch.cat([own.new_full((1,), x.numel() // channels), mean, variance])
        everyone = own.new_empty(dist.get_world_size(), len(own))
        dist.all_gather(list(everyone), own)
        counts, means, variances = everyone.split([1, channels, channels], dim=1)
        count = counts.sum(0)
        share = counts / count
        mean = (share * means).sum(0)
        # Deviations from the common mean, not E[x^2] - mean^2, which would cancel in float32.
        variance = (share * (variances + (means - mean) ** 2)).sum(0)
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps, ctx.counted = eps, counted
        ctx.mark_non_differentiable(mean, variance, count)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: _Kept, grad: torch.Tensor, *_: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        x, weight, mean, variance, count = ctx.saved_tensors
        # As if the statistics were constants: in one kernel, with the sums that their own gradients are made of.
        grad_x, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        everyone = torch.stack([grad_weight, grad_bias])
        dist.all_reduce(everyone)
        if ctx.counted:
            # What moving x does to the common mean and variance, and by them to every image of the batch: linear in x.
            inverse_std = torch.rsqrt(variance + ctx.eps)
            stretch, shift = everyone * (weight * inverse_std / count)
            stretch = stretch * inverse_std
            constant = stretch * mean - shift
            moved = torch.addcmul(constant.view(CHANNELS), x.float(), -stretch.view(CHANNELS))
            grad_x = moved.add_(grad_x).to(x.dtype)
        return grad_x, grad_weight, grad_bias, None, None
