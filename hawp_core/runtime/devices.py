"""What computes: the device and the number of CPU threads."""

import argparse
import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, NamedTuple

from hawp_core.errors import UserError
from hawp_core.runtime.free_cores import free_cores
from hawp_core.runtime.setting_types import ComputeSettings

if TYPE_CHECKING:
    import torch

MOST_THREADS = 1024  # as the schema of the settings has it
SPINS = "10000"  # of a waiting thread before it sleeps, a tenth of a millisecond or two: longer than most pauses within a step


class Compute(NamedTuple):
    """What computes.

    Attributes:
        device: torch's.
        threads: of the CPU.
        following: nobody said how many, and they may change with the cores that are free.
    """

    device: "torch.device"
    threads: int
    following: bool


def choose_compute(args: argparse.Namespace, compute: ComputeSettings) -> Compute:
    """What the command line says, then the configuration, then what the machine has. Nothing is set yet.

    Raises:
        UserError: a GPU is asked for and there is none, or HAWP_THREADS is no number of threads.
    """
    import torch

    wanted = getattr(args, "device", None) or compute.device
    missing = (wanted.startswith("cuda") and not torch.cuda.is_available()) or (
        wanted == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise UserError(f"--device {wanted} was asked for and PyTorch sees no GPU here: use --device cpu or auto.")
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted)
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise UserError(
            f"--device {wanted} was asked for and PyTorch sees {torch.cuda.device_count()} GPU(s) here, numbered from 0: "
            "use --device cuda, or a lower number."
        )
    said = _said_threads(args, compute)
    return Compute(device, said or free_cores(), following=not said)


def apply_compute(chosen: Compute) -> None:
    """Make this process compute so: its current GPU, its CPU threads, and memory that is kept once it was asked for."""
    import torch

    keep_freed_memory()
    if chosen.device.index is not None:
        torch.cuda.set_device(chosen.device)
    torch.set_num_threads(chosen.threads)


def _said_threads(args: argparse.Namespace, compute: ComputeSettings) -> int:
    """CPU threads chosen by the command line, then the configuration, then HAWP_THREADS; 0 where none of them says.

    Raises:
        UserError: HAWP_THREADS is no number of threads.
    """
    wanted = args.threads if getattr(args, "threads", None) is not None else compute.threads
    return wanted or _threads_of_environment()


def _threads_of_environment() -> int:
    """HAWP_THREADS; 0 where it is not set.

    Raises:
        UserError: it is no number of threads.
    """
    text = os.environ.get("HAWP_THREADS") or "0"
    if not text.isdecimal() or len(text) > len(str(MOST_THREADS)) or int(text) > MOST_THREADS:
        raise UserError(
            f"HAWP_THREADS is {text!r}, and must be a whole number up to {MOST_THREADS}: correct it, or unset it to take all free cores."
        )
    return int(text)


def sleep_while_waiting() -> None:
    """Let a thread that waits for the others sleep soon; the OpenMP library reads this when PyTorch is loaded.

    By default it spins for milliseconds at every operation. Where another program takes a core, the threads then burn what
    time there is in waiting for each other: ten times the CPU of the work itself. A thread that sleeps at once, on the other
    hand, is late for the next of the two thousand operations of a small network's step (benchmarks/RESULTS.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def let_the_cpu_help() -> None:
    """Let the CPU do what PyTorch cannot do on Apple's GPUs yet; it reads this when it is loaded."""
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed: it would return every large tensor to the system and fault it in again."""
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD in malloc.h
    # Other systems: no such function (macOS), or no such way to the library (Windows).
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def device_name(device: "torch.device") -> str:
    """What computed: the GPU's name, or the processor."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else {"mps": "Apple GPU"}.get(device.type, "CPU")
