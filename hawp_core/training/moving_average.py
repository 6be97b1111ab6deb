"""The moving average of a network's weights, which shakes less than the last ones."""

from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


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
