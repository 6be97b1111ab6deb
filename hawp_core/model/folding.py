"""Batch normalisation folded into the convolutions before it: the same network in fewer operations, for inference."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hawp_core.model.backbone import Backbone, Bottleneck, known_as
from hawp_core.model.network import WireframeNetwork


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
            module.conv1, module.bn2 = _folded(module.conv1, module.bn2)
            module.conv2, module.bn3 = _folded(module.conv2, module.bn3)
        elif isinstance(module, Backbone):
            module.conv1, module.bn1 = _folded(module.conv1, module.bn1)
        elif isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
            module[0], module[1] = _folded(known_as(nn.Conv2d, module[0]), module[1])
    for module in folded.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(precision)
    return folded.requires_grad_(False).to(memory_format=torch.channels_last)


def _folded(convolution: nn.Conv2d, norm: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """A convolution that does what it and the normalisation behind it did, and what takes that one's place."""
    return fuse_conv_bn_eval(convolution, known_as(nn.BatchNorm2d, norm)), nn.Identity()
