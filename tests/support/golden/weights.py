"""Weights that need no file: every tensor follows from a seed, its published name and its shape."""

import zlib

import numpy as np
import torch


def values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """float32 values of the parameter or buffer `name`: a counter-based generator keyed by the seed and the name.

    Convolutions and linear layers have variance 0.7 / fan-in, which keeps residual sums of order one; one-dimensional
    tensors scatter by 0.05 about one (scales) or zero (biases); running statistics lie near a standard normal's.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))
    normal = generator.standard_normal(shape)
    if name.endswith("running_var"):
        made = generator.random(shape) + 0.5
    elif name.endswith("running_mean"):
        made = normal * 0.1
    elif len(shape) == 1:
        made = normal * 0.05 + float(name.endswith("weight"))
    else:
        made = normal * np.sqrt(0.7 / np.prod(shape[1:]))
    return made.astype(np.float32)


def fill(network: torch.nn.Module, seed: int) -> None:
    """Overwrite the parameters and running statistics of `network` in place; its counters and `tspan` stay."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and name != "tspan":
            tensor.copy_(torch.from_numpy(values(name, tuple(tensor.shape), seed)))
