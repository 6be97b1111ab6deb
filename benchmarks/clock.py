"""How things are measured: each side in a process of its own, in turns, after a warm-up; medians."""

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
MATRIX = {"cpu": 2048, "cuda": 8192}


def once(work: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of one call, with what it asked a GPU to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def cpu_once(work: Callable[[], object], device: torch.device) -> float:
    """CPU seconds of one call, over all threads: what other programs on the machine change little; on a GPU, wall seconds."""
    if device.type == "cuda":
        return once(work, device)
    began = time.process_time()
    work()
    return time.process_time() - began


def in_turns(works: list[Callable[[], float]], rounds: int) -> list[float]:
    """Median of the seconds that each work says it took: once each to warm up, then ABAB."""
    for work in works:
        work()
    times = [[work() for work in works] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def matrix_limit(
    device: torch.device, precision: torch.dtype, timed: Callable[[Callable[[], object], torch.device], float] = once
) -> float:
    """Operations a second of a large matrix product, the machine's limit for a network: the faster of the libraries'
    product and a 1 x 1 convolution, which is the same product (on some processors PyTorch's two libraries differ)."""
    side = MATRIX[device.type]
    a, b = (torch.rand(side, side, device=device).to(precision) for _ in range(2))
    pixels = a.reshape(1, side, -1, 64).to(memory_format=torch.channels_last)
    weights = b.reshape(side, side, 1, 1).to(memory_format=torch.channels_last)
    kinds = [lambda: a @ b, lambda: torch.nn.functional.conv2d(pixels, weights)]
    seconds = in_turns([lambda kind=kind: timed(kind, device) for kind in kinds], 5)
    return 2 * side**3 / min(seconds)


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


class Apart:
    """A process that answers requests, so that each side has its own allocator, threads and peak.

    Args:
        script: is called with `--one` and the options, and calls `answer`.
        environment: variables of that process alone.
    """

    def __init__(self, script: Path, options: dict, environment: dict[str, str] | None = None) -> None:
        words = [sys.executable, str(script), "--one", json.dumps(options)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | (environment or {})
        )

    def ask(self, name: str, value: object = None) -> dict:
        """The answer to a request.

        Raises:
            RuntimeError: the process has ended, for instance for want of memory.
        """
        try:
            self._process.stdin.write(json.dumps([name, value]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise RuntimeError("killed for memory" if code == -9 else f"ended with exit code {code}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def answer(reply: Callable[[str, object], dict]) -> None:
    """Answer the requests of `Apart` until there are no more; what is printed meanwhile goes to the error output."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(reply(*json.loads(line))), file=answers, flush=True)
