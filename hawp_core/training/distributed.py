"""Several processes that train as one, started by torchrun, one for each GPU; with one process nothing here does anything.

Each process takes its share of every batch. Numbers that a decision hangs on are agreed upon first, so that all
processes take the same step, save together and stop together. Process 0, the main one, alone writes files and speaks.
"""

import contextlib
import datetime
import logging
import os
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from hawp_core.errors import UserError
from hawp_core.runtime.progress import log
from hawp_core.training import launch

T = TypeVar("T")

# How long a process waits for another: for the main one to get its lease, or to validate. A process that died is not
# found by waiting: its connections break, or torchrun ends the others.
PATIENCE = datetime.timedelta(days=1)


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be one of the processes that torchrun started, if it started this one.

    Reads RANK, WORLD_SIZE, LOCAL_RANK and the address of the main process from the environment. On CUDA, the process
    takes the GPU of its local rank, gradients go by NCCL and decisions by gloo, so that they wait for no GPU.

    Raises:
        UserError: this machine has fewer GPUs than processes.
    """
    if not launch.inside():
        yield
        return
    backend = "gloo"
    if device.type == "cuda":
        mine, seen = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if mine >= seen:
            wanted = os.environ.get("LOCAL_WORLD_SIZE", mine + 1)
            raise UserError(f"--gpus {wanted} was asked for and PyTorch sees {seen} here: give --gpus {seen} or less.")
        torch.cuda.set_device(mine)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    # The processes share the CPU threads that they were given together.
    torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ.get("LOCAL_WORLD_SIZE", world()))))
    if not is_main():
        log.setLevel(logging.ERROR)
    yield
    # Not after an error, when the others may not come: the process ends then.
    dist.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes and speaks for all."""
    return rank() == 0


def on_main(action: Callable[[], T]) -> T:
    """Let the main process act while the others wait; its result, or its error, is everyone's."""
    if world() == 1:
        return action()
    ended: list[tuple[T | None, Exception | None]] = [(None, None)]
    if is_main():
        try:
            ended[0] = (action(), None)
        except Exception as error:
            ended[0] = (None, error)
    dist.broadcast_object_list(ended, src=0, device=torch.device("cpu"))
    result, stopped = ended[0]
    if stopped is not None:
        raise stopped
    return cast(T, result)


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through the block before the others do, who then find what it made."""
    if not is_main():
        _wait()
    yield
    if world() > 1 and is_main():
        _wait()


def _wait() -> None:
    """Go on when every process has come here. Not `dist.barrier`, which would wait for the GPU."""
    dist.all_reduce(torch.zeros(1))


def largest(*numbers: int) -> list[int]:
    """The largest over all processes of each number."""
    if world() == 1:
        return [int(number) for number in numbers]
    shared = torch.tensor(numbers, dtype=torch.int64)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return shared.tolist()


def total(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The sum over all processes of each scalar."""
    if world() == 1:
        return values
    shared = torch.stack(list(values.values()))
    dist.all_reduce(shared)
    return dict(zip(values, shared.unbind(), strict=True))


def gathered(names: list[str]) -> list[str]:
    """The names of all processes."""
    if world() == 1:
        return names
    everyone: list[list[str]] = [[]] * world()
    dist.all_gather_object(everyone, names)
    return [name for each in everyone for name in each]


def lost_peer(error: Exception) -> bool:
    """Whether an error only says that another process is gone."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
