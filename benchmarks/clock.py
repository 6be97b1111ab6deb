"""How things are measured: side by side, in turns, each with a warm-up; memory in a process of its own."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
# Side of the square matrices whose product shows what the machine can do.
MATRIX = {"cpu": 3072, "cuda": 8192}


def synchronise(device: torch.device) -> None:
    """Wait for what a GPU was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def once(work: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of one call."""
    synchronise(device)
    began = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - began


def in_turns(works: list[Callable[[], object]], rounds: int, device: torch.device) -> list[float]:
    """Median seconds of each work: one call each to warm up, then ABAB."""
    for work in works:
        once(work, device)
    times = [[once(work, device) for work in works] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def matmul_limit(device: torch.device, precision: torch.dtype) -> float:
    """Operations a second of a large matrix product: the machine's limit for a network."""
    side = MATRIX[device.type]
    a, b = (torch.rand(side, side, device=device).to(precision) for _ in range(2))
    (seconds,) = in_turns([lambda: a @ b], 5, device)
    return 2 * side**3 / seconds


def operations(work: Callable[[], object]) -> int:
    """Floating point operations of one call, by PyTorch's own count."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def peak_bytes(device: torch.device) -> int:
    """Most memory that this process has held: on the GPU, or in all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(script: Path, arguments: dict) -> dict:
    """What `script --one ARGUMENTS` prints as JSON, run as a process of its own, so that peaks do not add up.

    Raises:
        RuntimeError: it failed, for instance for want of memory.
    """
    words = [sys.executable, str(script), "--one", json.dumps(arguments)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}" + (", killed for memory" if done.returncode == -9 else ""))
    return json.loads(done.stdout.strip().splitlines()[-1])
