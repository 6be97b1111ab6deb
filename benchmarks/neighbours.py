"""How much of its speed a training keeps beside other busy programs.

    python benchmarks/neighbours.py [--threads N] [--most N] [--rounds N]

Steps of the compact network (256 px, width 64) by the clock, in turns: alone, and beside one and more processes that compute
without end. With `--threads N` a training keeps its threads when others come; without, it starts with as many as have a free core,
and follows what is free, as `hawp train` does: a line each.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tabulate import tabulate

from hawp_core.commands import argument_types
from hawp_core.runtime.devices import sleep_while_waiting
from hawp_core.runtime.free_cores import FreeCores, free_cores, granted_cores

CANDIDATES = 256
SETTLE_SECONDS = 1.0  # until the scheduler has found places for a new neighbour
FOLLOW_SECONDS = 2.5  # until a training that follows has had the time to look twice


@contextmanager
def busy(count: int):
    """So many processes that compute, each with the priority of this one."""
    with ExitStack() as ended:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            ended.callback(process.wait)
            ended.callback(process.kill)
        time.sleep(SETTLE_SECONDS if count else 0)
        yield


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    cores = len(granted_cores())
    add(
        "--threads", type=argument_types.positive(int), default=cores, metavar="N", help="of the training [%(default)s]"
    )
    add(
        "--most",
        type=argument_types.positive(int),
        default=2,
        metavar="N",
        help="busy neighbours, at most [%(default)s]",
    )
    add("--rounds", type=argument_types.positive(int), default=3, metavar="N", help="turns of each [%(default)s]")
    add("--steps", type=argument_types.positive(int), default=3, metavar="N", help="of a turn [%(default)s]")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="[%(default)s]")
    add("--tiny", action="store_true", help="the smallest network: a check that it runs")
    add("--one", help=argparse.SUPPRESS)
    args = options.parse_args()
    # As `hawp` does before it loads PyTorch, here and in the process that trains.
    sleep_while_waiting()
    import clock

    if args.one:
        _train(json.loads(args.one))
        return
    load, found = os.getloadavg()[0], free_cores()
    given = {
        "device": "cpu", "precision": args.precision, "threads": args.threads, "size": 64, "tiny": args.tiny, "compile": False,
        "ckpt": None, "side": "ours",
    }  # fmt: skip
    training = clock.Apart(Path(__file__), given)
    beside = range(args.most + 1)

    def kept(neighbours: int) -> float:
        with busy(neighbours):
            return training.ask("steps", [args.steps, args.threads])["seconds"]

    def chosen(neighbours: int) -> float:
        with busy(neighbours):
            return training.ask("steps", [args.steps, free_cores()])["seconds"]

    def followed(neighbours: int) -> float:
        training.ask("follow", [args.threads])
        with busy(neighbours):
            return training.ask("following", [args.steps])["seconds"]

    # In turns: what else the machine does hits all three alike.
    ways = {
        f"{args.threads}, kept when others come": kept,
        "free cores at the start": chosen,
        "following free cores": followed,
    }
    times = clock.in_turns([lambda way=way, n=n: way(n) for n in beside for way in ways.values()], args.rounds)
    alone = times[0]
    training.close()
    print(
        f"{cores} cores, {found} of them free before, load {load:.1f}; {args.steps} steps of the compact network, "
        f"{args.precision}, medians of {args.rounds} turns"
    )
    rows = [
        [way, n, f"{took / args.steps:.2f}", f"{alone / took:.0%}"]
        for i, way in enumerate(ways)
        for n, took in zip(beside, times[i :: len(ways)], strict=True)
    ]
    heads = ["threads", "busy neighbours", "seconds a step", f"speed, of {args.threads} threads alone"]
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))


def _train(given: dict) -> None:
    """The process that trains: take steps with so many threads, as often as it is asked."""
    import clock
    import torch
    from inputs import COMPACT_BATCH
    from ours import Ours

    step = Ours(given).compact(64, 0 if given["tiny"] else CANDIDATES, COMPACT_BATCH)

    room = FreeCores(1)

    def follow() -> None:
        if threads := room.changed():
            torch.set_num_threads(threads)

    def reply(name: str, asked: list[int]) -> dict:
        nonlocal room
        if name == "follow":
            torch.set_num_threads(*asked)
            room = FreeCores(*asked)
            return {}
        if name == "steps":
            torch.set_num_threads(asked[1])
        else:
            began = time.monotonic()
            while time.monotonic() - began < FOLLOW_SECONDS:
                step()
                follow()
        seconds = 0.0
        for _ in range(asked[0]):
            seconds += clock.once(step, torch.device("cpu"))
            if name == "following":
                follow()
        return {"seconds": seconds}

    clock.answer(reply)


if __name__ == "__main__":
    main()
