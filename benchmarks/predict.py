"""hawp predict over many pictures beside the network alone: python benchmarks/predict.py --images FOLDER --count 200.

Both look at the same pictures with the shipped weights on one thread, four at a time; the network alone has them ready in
memory. The command reads, resizes, finds and writes JSON lines. The wall clock counts where the machine is idle, CPU
time where it is not.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from hawp_core import load
from hawp_core.commands import cli
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import scan

BATCH = 4


def timed(work) -> tuple[float, float]:
    """Seconds of the wall clock and of the CPU, all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--count", type=int, default=200, help="pictures [%(default)s]")
    parser.add_argument("--rounds", type=int, default=1, help="turns of both [%(default)s]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(device="cpu")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in"
        folder.mkdir()
        for number, each in enumerate(scan(args.images)[: args.count]):
            shutil.copy(args.images / each.name, folder / f"{number:05d}{Path(each.name).suffix}")
        squares = [model.square(read_gray(file)[0]) for file in sorted(folder.iterdir())]

        def network() -> None:
            for start in range(0, len(squares), BATCH):
                model.many(squares[start : start + BATCH])

        def command(turn: int) -> None:
            words = ["--saveto", f"{place}/out{turn}", "--ext", "jsonl", "--batch-size", str(BATCH)]
            if cli.main(["predict", str(folder), *words, "--device", "cpu", "--threads", "1"]):
                sys.exit("hawp predict failed")

        model.many(squares[:BATCH])
        for turn in range(args.rounds):
            for name, (wall, cpu) in (("network", timed(network)), ("command", timed(lambda turn=turn: command(turn)))):
                count = len(squares)
                print(f"{name}: {count / wall:.2f} images/s, {1000 * cpu / count:.0f} ms of CPU an image", flush=True)


if __name__ == "__main__":
    main()
