"""hawp predict over many pictures beside the network alone: python benchmarks/predict.py --images FOLDER --count 200; and
what tiles of each side find: python benchmarks/predict.py --images FOLDER --truth FILE --count 12.

Both look at the same pictures with the shipped weights on one thread, four at a time; the network alone has them ready in
memory. The command reads, resizes, finds and writes JSON lines. The wall clock counts where the machine is idle, CPU
time where it is not. With --truth (York Urban's annotations) no time is compared: photographs are taken at even steps,
as squares and at their own size in tiles.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from hawp_core import load
from hawp_core.commands import cli
from hawp_core.data.own_labels.wireframe_json import read_annotations
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import scan
from hawp_core.evaluation.structural_ap import structural_ap

BATCH = 4
TILES, LONG = (128, 192, 256, 384, 512, 640), 200


def timed(work) -> tuple[float, float]:
    """Seconds of the wall clock and of the CPU, all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare_tiles(images: Path, truth: Path, count: int) -> None:
    """Print what is found in labelled photographs, resized to the square, and at their own size by side of the tiles."""
    labelled = read_annotations(truth)
    labelled = labelled[:: -(-len(labelled) // count)]
    pictures, truths = [read_gray(images / name)[0] for name, _ in labelled], [true for _, true in labelled]
    model = load(device="cpu")
    for tile in (None, *TILES):
        began = time.process_time()
        found = [model(each) if tile is None else model(each, size="native", tile=tile) for each in pictures]
        cpu = (time.process_time() - began) / len(pictures)
        lengths = np.concatenate([np.hypot(*(each.lines[:, 2:] - each.lines[:, :2]).T) for each in found])
        print(
            f"{f'tiles of {tile}' if tile else 'square'}: sAP10 {structural_ap(found, truths, 10).ap:.2f}, "
            f"sAP15 {structural_ap(found, truths, 15).ap:.2f}, {len(lengths) / len(found):.0f} lines an image, "
            f"{(lengths > LONG).sum() / len(found):.1f} longer than {LONG} pixels, {cpu:.2f} s of CPU an image",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--truth", type=Path, help="their lines, to compare sides of tiles by")
    parser.add_argument("--count", type=int, default=200, help="pictures [%(default)s]")
    parser.add_argument("--rounds", type=int, default=1, help="turns of both [%(default)s]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.truth:
        return compare_tiles(args.images, args.truth, args.count)
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
    return None


if __name__ == "__main__":
    main()
