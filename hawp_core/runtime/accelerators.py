"""What a machine has to compute with, asked in a moment: PyTorch, which knows better, takes seconds to start."""

import glob
import os
import sys


def accelerators() -> int:
    """How many GPUs jobs of this machine can use: those of CUDA_VISIBLE_DEVICES where it is set, or else NVIDIA's devices, AMD's as one,
    and Apple's as one; 0 is a machine that computes on its CPU."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return len([each for each in named.split(",") if each not in ("", "-1")])
    return len(glob.glob("/dev/nvidia[0-9]*")) or int(os.path.exists("/dev/kfd") or sys.platform == "darwin")
