"""Whether a recipe's option changes what is learnt: the same training twice, with and without it.

    python benchmarks/learning.py [--steps N] [--size PX] [--candidates N]

Both learn the same shapes from the same weights in the same order, and are measured on held-out shapes. The table shows the mean
loss of the last quarter of the steps, sAP10 and the junctions found, and the CPU time of a step.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import inputs
import torch
from tabulate import tabulate

from hawp_core.commands import argument_types
from hawp_core.data.augmentation import SYNTHETIC
from hawp_core.data.loader import Loader
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.data.shapes.drawing import synthesize
from hawp_core.evaluation.protocol import measure_on_shapes
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.devices import keep_freed_memory
from hawp_core.runtime.signals import StopRequest
from hawp_core.training.place import TrainingPlace
from hawp_core.training.schedule import Schedule
from hawp_core.training.trainer import Trainer
from hawp_core.workflow import settings

SHOWN = ("loss", "pos", "neg", "lineness", "heatmap")


def shapes(folder: Path, split: str, count: int, size: int) -> ShapeSet:
    """Shapes of a split, drawn into the folder."""
    path = folder / f"{split}.h5"
    synthesize(path, seed=0, split=split, first=0, count=count, image_size=size, canvas=(480, 640))
    return ShapeSet([path])


def train(args: argparse.Namespace, data: ShapeSet, held_out: ShapeSet, candidates: int, seed: int) -> list:
    """A row of the table."""
    given = {
        "seed": seed, "train": {
            "candidates": candidates, "synthetic": {"batch_size": args.batch, "base_lr": 0.002, "epochs": 1 << 20},
        },
    }  # fmt: skip
    schedule = Schedule.from_settings(settings.complete(given), "synthetic")
    torch.manual_seed(seed)
    network = WireframeNetwork(Architecture.from_dict(inputs.COMPACT | {"image_size": args.size, "width": args.width}))
    loader = Loader(data, args.batch, SYNTHETIC if args.augment else None, seed=seed)
    place = TrainingPlace(Path("model.pth"), "")
    precision = getattr(torch, args.precision)
    trainer = Trainer(
        network, loader, held_out, schedule, place, recipe={}, precision=precision, save_seconds=1e9, stop=StopRequest()
    )
    network.train()
    found, seconds = [], 0.0
    while trainer.at.step < args.steps:
        for raw in loader.epoch(trainer.at.epoch):
            batch = raw.to_batch(torch.device("cpu"))
            began = time.process_time()
            found.append(trainer.step(batch))
            seconds += time.process_time() - began
            trainer.at.step += 1
            if trainer.at.step == args.steps:
                break
        trainer.at.epoch += 1
    with torch.no_grad():
        measured = measure_on_shapes(network, held_out)
    last = found[-max(1, len(found) // 4) :]
    means = [float(torch.stack([one[name] for one in last]).mean()) for name in SHOWN]
    cost = 1000 * seconds / args.steps / args.batch
    return [candidates or "all", seed, *(f"{m:.3f}" for m in means), f"{measured.sAP10:.1f}",
            f"{measured.junction_recall:.3f}", f"{measured.lines:.1f}", f"{cost:.1f}"]  # fmt: skip


def main() -> None:
    """Train both and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--steps", type=argument_types.positive(int), default=300, metavar="N", help="of each training [%(default)s]")
    add("--size", type=argument_types.positive(int), default=128, metavar="PX", help="image side [%(default)s]")
    add("--width", type=argument_types.positive(int), default=32, metavar="C", help="feature channels [%(default)s]")
    add("--batch", type=argument_types.positive(int), default=8, metavar="N", help="images of a step [%(default)s]")
    add(
        "--candidates",
        type=argument_types.positive(int),
        nargs="+",
        default=[128],
        metavar="N",
        help="to try [%(default)s]",
    )
    add("--seeds", type=argument_types.positive(int), default=1, metavar="N", help="trainings of each [%(default)s]")
    add("--shapes", type=argument_types.positive(int), default=400, metavar="N", help="to learn from [%(default)s]")
    add("--held-out", type=argument_types.positive(int), default=64, metavar="N", help="to measure on [%(default)s]")
    add("--augment", action="store_true", help="as published for shapes, which takes longer to learn")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="[%(default)s]")
    add("--threads", type=argument_types.positive(int), default=1, metavar="N", help="CPU threads [%(default)s]")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = shapes(Path(folder), "train", args.shapes, args.size)
        held_out = shapes(Path(folder), "val", args.held_out, args.size)
        for seed in range(args.seeds):
            for candidates in [0, *args.candidates]:
                rows.append(train(args, data, held_out, candidates, seed))
                print(rows[-1], file=sys.stderr, flush=True)
    heads = ["candidates", "seed", *SHOWN, "sAP10", "junction recall", "lines", "CPU ms an image"]
    print(f"{args.steps} steps of {args.batch} images of {args.size} px, width {args.width}, {args.precision}")
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
