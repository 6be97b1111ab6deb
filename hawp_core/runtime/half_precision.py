"""Which precision the network's arithmetic takes where none is asked for: bfloat16 where that is faster, else float32.

On a CPU the processor decides: it must multiply bfloat16 by itself. A short measurement can only forbid what the processor
allows, for where a library may not use these instructions, bfloat16 takes several times as long. Deciding by time
alone would give two runs of a recipe different bits whenever the times are close; those measured are far from the
bound on either side (benchmarks/RESULTS.md), so that a machine answers the same each time, busy or not.
"""

import argparse
import functools
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hawp_core.runtime.setting_types import ComputeSettings

if TYPE_CHECKING:
    import torch

AUTO = "auto"
# What PyTorch calls the instructions of x86 that multiply bfloat16. On other processors nothing was measured.
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
# How many times as fast bfloat16 must be: between what was measured with the instructions, 1.4 and more, and without them, .41
# and less, at the same factor from both. A bound of 1.2 was crossed beside other work, by one round of a run and not by the next.
_LEAST_GAIN = 0.75
# What is measured: a convolution as the networks have them, forwards and backwards; the fastest of several turns.
_SIDE, _CHANNELS, _TURNS = 32, 64, 5


def asked_precision(args: argparse.Namespace, compute: ComputeSettings) -> "torch.dtype | None":
    """What the command line says, then the configuration; None where both leave it to the device."""

    word = getattr(args, "precision", None) or compute.precision
    return None if word == AUTO else precision_named(word)


def precision_named(word: object) -> "torch.dtype":
    """float32 or bfloat16, by its name.

    Raises:
        ValueError: another name.
    """
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if not isinstance(word, str) or word not in known:
        raise ValueError(f"the precision {word!r} is none of {', '.join(known)}")
    return known[word]


def precision_name(precision: "torch.dtype") -> str:
    """`precision_named` backwards."""
    return str(precision).removeprefix("torch.")


def usual_precision(device: "torch.device") -> "torch.dtype":
    """bfloat16 where the device has it and is faster with it, else float32: on a device the same each time."""
    import torch

    has = {"cuda": torch.cuda.is_bf16_supported, "cpu": _cpu_gains}.get(device.type)
    return torch.bfloat16 if has and has() else torch.float32


def _cpu_gains() -> bool:
    return _multiplies_bfloat16() and bfloat16_gain() > _LEAST_GAIN


def _multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; a PyTorch that cannot tell counts as no."""
    import torch

    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in _INSTRUCTIONS)


@functools.cache
def bfloat16_gain() -> float:
    """How many times as fast as float32 bfloat16 is on this CPU, in about a tenth of a second.

    CPU time of this thread, the two in turns: what else the machine does hits both alike.
    """
    import torch

    layout = torch.channels_last
    made = torch.rand(1, _CHANNELS, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    image = made.to(memory_format=layout).requires_grad_()
    weights = torch.full((_CHANNELS, _CHANNELS, 3, 3), 0.01).to(memory_format=layout).requires_grad_()

    def seconds(precision: "torch.dtype") -> float:
        began = time.thread_time()
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            found = torch.conv2d(torch.conv2d(image, weights, padding=1).relu(), weights, padding=1)
        torch.autograd.grad(found.float().sum(), (image, weights))
        return time.thread_time() - began

    with torch.enable_grad():
        turns = [(seconds(torch.float32), seconds(torch.bfloat16)) for _ in range(_TURNS + 1)]
    whole, half = (min(column) for column in zip(*turns[1:], strict=True))
    return whole / max(half, 1e-9)
