"""Means of weights: the moving average of a network's, which shakes less than the last ones, and the mean of two networks'."""

import copy
from collections.abc import Mapping
from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from hawp_core.model.network import WireframeNetwork


class MovingAverage(AveragedModel):
    """PyTorch's average with a decay, without its copies: that one sends the count of its steps to the GPU twice a step, and
    the host waits for it.

    Args:
        network: a copy of it is the average's first value.
        decay: of the average at each step, from 0 to 1.
    """

    n_averaged: torch.Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move towards the weights and running statistics of `model`; the first time, take them."""
        kept, new = ([*chain(each.parameters(), each.buffers())] for each in (self.module, model))
        # Numbers of steps are no averages: they are taken as they are.
        mixed = [tensor.is_floating_point() for tensor in kept]
        weight = 1 - self.decay if self.n_averaged else 1.0
        for chosen, share in ((True, weight), (False, 1.0)):
            ours = [tensor for tensor, each in zip(kept, mixed, strict=True) if each is chosen]
            theirs = [tensor for tensor, each in zip(new, mixed, strict=True) if each is chosen]
            if share == 1.0:
                torch._foreach_copy_(ours, theirs)
            else:
                torch._foreach_lerp_(ours, theirs, share)
        self.n_averaged += 1


@torch.no_grad()
def blended(network: WireframeNetwork, other: Mapping[str, torch.Tensor], share: float) -> WireframeNetwork:
    """A copy of `network` with a share of other weights: what those knew is kept beside what was learned since.

    Source: WiSE-FT (arXiv 2109.01903, section 3), between the weights before and after fine-tuning.

    Args:
        other: the other weights and running statistics, by their names in the state.
        share: of the other's, from 0 to 1.
    """
    mixed = copy.deepcopy(network)
    for name, value in mixed.state_dict().items():
        if value.is_floating_point():
            value.lerp_(other[name].to(value), share)
    return mixed
