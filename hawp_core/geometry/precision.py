"""How finely a device counts."""

import torch


def finest_float(device: torch.device) -> torch.dtype:
    """Float64, or float32 on Apple's GPUs (mps), which have nothing finer."""
    return torch.float32 if device.type == "mps" else torch.float64
