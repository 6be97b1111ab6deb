"""How fast it is, beside the published implementation where a work tree of it is given.

    python benchmarks/bench.py [--reference DIR] [--only PART ...]

Both are measured in one process, with the same weights, images, views and threads, in turns (ABAB) after a warm-up each;
figures are medians. Where the reference has no CUDA extension (it never has here), its encoder of the attraction field is
replaced by an equal function in PyTorch.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import clock
import numpy as np
import torch
from tabulate import tabulate

from hawp_core.adaptation import Adaptation, view_homographies
from hawp_core.batch import Batch
from hawp_core.commands import common
from hawp_core.decoding import read_gray
from hawp_core.labelling import Labeller
from hawp_core.network import Architecture, WireframeNetwork, fold_batch_norm
from hawp_core.photographs import BUNDLED, bundled_folder

PUBLISHED = {"min_score": 0.75, "identity": False, "border": "black", "border_margin": 0, "min_counts": 1, "zoom": "out"}
# The smallest sizes, for a test that the benchmark runs: they say nothing.
TINY = {"image_size": 64, "width": 16, "depth": 2, "stacks": 1, "junction_features": 8, "verification_width": 16}


class Bench:
    """What the parts share: device, network, reference, and the rows of the table."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device, self.precision = common.compute_options(args, {"device": "auto", "precision": "auto", "threads": 0})
        self.rounds = args.rounds
        sys.path.insert(0, str(clock.HERE.parent / "tests"))
        from golden.weights import fill

        self.architecture = Architecture.from_dict(TINY if args.tiny else {"image_size": args.size})
        if args.ckpt:
            from hawp_core.checkpoint import load_checkpoint

            self.network, _ = load_checkpoint(args.ckpt, self.device)
            self.architecture = self.network.architecture
        else:
            self.network = WireframeNetwork(self.architecture).to(self.device)
            fill(self.network, seed=1)
        self.size = self.architecture.image_size
        self.network.eval()
        self.folded = fold_batch_norm(self.network, self.precision)
        self.reference = None
        if args.reference:
            from reference import Reference

            self.reference = Reference(args.reference, self.network, self.device)
        self.rows: list[list] = []

    @property
    def where(self) -> str:
        """The device, threads and precision in words."""
        name = common.device_name(self.device)
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{name}{threads}, {str(self.precision).removeprefix('torch.')}, PyTorch {torch.__version__}"

    def images(self, count: int) -> np.ndarray:
        """(count, S, S) uint8: the bundled photographs, over and over."""
        files = [bundled_folder() / name for name in BUNDLED]
        return np.stack([read_gray(files[i % len(files)], size=self.size)[0] for i in range(count)])

    def pair(self, ours: Callable, theirs: Callable | None) -> list[float]:
        """Seconds of ours, and of the reference's where there is one."""
        return clock.in_turns([ours] + ([theirs] if self.reference and theirs else []), self.rounds, self.device)

    def rate(self, what: str, unit: str, amount: float, seconds: list[float], note: str = "") -> None:
        """Add a row: `amount` of `unit` was done in `seconds`."""
        rates = [amount / s for s in seconds]
        ratio = f"{rates[0] / rates[1]:.2f}" if len(rates) > 1 else ""
        self.rows.append([what, f"{unit}/s", *[f"{r:.3g}" for r in rates], *[""] * (2 - len(rates)), ratio, note])


def label(bench: Bench) -> None:
    """Labels by ten views, and the share of the matrix limit that the network reaches."""
    count = 1 if bench.device.type == "cpu" else 16
    adaptation = Adaptation(**PUBLISHED)
    images, views = bench.images(count), _views(count, bench.size, adaptation)
    sizes = [(bench.size, bench.size)] * count
    labeller = Labeller(bench.folded, adaptation, precision=bench.precision)
    pixels = torch.from_numpy(images[:, None]).to(bench.device).float() / 255

    def theirs() -> None:
        for i in range(count):
            bench.reference.label(pixels[i : i + 1], views[i : i + 1], adaptation.min_score)

    seconds = bench.pair(lambda: labeller(images, views, sizes), theirs)
    bench.rate("labels, 10 views", "images", count, seconds, _agreement(bench, labeller, images, views, pixels))

    limit = clock.matmul_limit(bench.device, bench.precision)
    step = labeller.at_once

    @torch.no_grad()
    def network() -> None:
        with torch.autocast(bench.device.type, bench.precision, enabled=bench.precision != torch.float32):
            for start in range(0, count * adaptation.views, step):
                bench.folded.line_heatmap(pixels[:1].expand(min(step, count * adaptation.views - start), -1, -1, -1))
            bench.folded(pixels)

    work = clock.operations(network)
    (inside,) = clock.in_turns([network], bench.rounds, bench.device)
    share = f"{work / inside / limit:.0%} of the matrix limit, {limit / 1e9:,.0f} GFLOP/s; {inside / seconds[0]:.0%} of labelling"
    bench.rows.append(["the network while labelling", "GFLOP/s", f"{work / inside / 1e9:,.0f}", "", "", share])


def _views(count: int, size: int, adaptation: Adaptation) -> np.ndarray:
    return np.stack([view_homographies(f"{i}", size, adaptation, 0) for i in range(count)])


def _agreement(bench: Bench, labeller: Labeller, images, views, pixels) -> str:
    """Whether the reference finds the same lines."""
    if bench.reference is None:
        return ""
    ours = labeller(images[:1], views[:1], [(bench.size, bench.size)])[0]
    theirs = bench.reference.label(pixels[:1], views[:1], labeller.adaptation.min_score)
    first, second = theirs["line_map"].triu(1).nonzero().unbind(1)
    lines = torch.cat((theirs["junctions"][first], theirs["junctions"][second]), 1).cpu().numpy()
    return f"lines found: {len(ours.lines)} and {len(lines)}, {same_lines(ours.lines, lines):.1%} the same within 1 px"


def same_lines(first: np.ndarray, second: np.ndarray) -> float:
    """Share of lines (N, 4) and (M, 4), all together, that have one of the others within 1 px at both ends."""
    if not len(first) or not len(second):
        return float(len(first) == len(second))
    way = [np.hypot(*(first[:, None] - other).reshape(len(first), -1, 2, 2).transpose(3, 0, 1, 2)).max(-1)
           for other in (second, second[:, [2, 3, 0, 1]])]  # fmt: skip
    near = np.minimum(*way) < 1.0
    return float((near.any(1).sum() + near.any(0).sum()) / (len(first) + len(second)))


def train(bench: Bench) -> None:
    """A training step of six images."""
    from hawp_core import settings
    from hawp_core.data import Loader
    from hawp_core.resume import StopRequest
    from hawp_core.samples import ShapeSet
    from hawp_core.training import Schedule, Trainer

    images = 6
    with tempfile.TemporaryDirectory() as folder:
        shapes = ShapeSet([_shard(Path(folder), bench, 3 * images)])
        loader = Loader(shapes, images)
        network = WireframeNetwork(bench.architecture).to(bench.device)
        network.load_state_dict(bench.network.state_dict())
        trainer = Trainer(
            network.train(), loader, shapes, Schedule.from_settings(settings.complete({}), "synthetic"), Path(folder),
            key="", recipe={}, precision=bench.precision, save_seconds=1e9, stop=StopRequest(), compiled=bench.args.compile,
        )  # fmt: skip
        batch = next(iter(loader.epoch(0))).to_batch(bench.device)
        seconds = bench.pair(lambda: trainer.step(batch), lambda: bench.reference.train(batch))
    bench.rate("training step, batch 6", "images", images, seconds, f"{int(batch.edge_count.sum())} lines")


def _shard(folder: Path, bench: Bench, count: int) -> Path:
    from hawp_core.shapes import synthesize

    path = folder / "shapes.h5"
    canvas = (240, 320) if bench.args.tiny else (960, 1280)
    synthesize(path, seed=0, split="train", first=0, count=count, image_size=bench.size, canvas=canvas)
    return path


def synthesis(bench: Bench) -> None:
    """Synthetic shapes on one core, each primitive by itself and all of them."""
    import cv2

    from hawp_core.shapes import PRIMITIVES, draw

    cv2.setNumThreads(1)
    count = 2 if bench.args.tiny else 12
    if bench.reference:
        bench.reference.seed_shapes(0)
    options = {"image_size": bench.size, "canvas": (240, 320)} if bench.args.tiny else {}
    totals, each = [0.0, 0.0], []
    for primitive in PRIMITIVES:
        numbers = iter(range(10**9))
        works = [lambda p=primitive, n=numbers: draw(p, seed=0, split="train", index=next(n), **options)]
        if bench.reference:
            works.append(lambda p=primitive: bench.reference.draw(p))
        for work in works:
            work()
        seconds = np.array([[clock.once(work, bench.device) for work in works] for _ in range(count)]).mean(0)
        totals = [a + b for a, b in zip(totals, seconds, strict=False)]
        if bench.reference:
            each.append(f"{primitive} {seconds[1] / seconds[0]:.1f}")
    bench.rate("synthetic shapes, one core", "images", len(PRIMITIVES), totals, ", ".join(each))
    cv2.setNumThreads(-1)


def loading(bench: Bench) -> None:
    """Reading and augmenting one batch after another, in one process."""
    from hawp_core.augment import REAL, SYNTHETIC
    from hawp_core.data import Loader
    from hawp_core.samples import ShapeSet

    count = 6 if bench.args.tiny else 24
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        shapes = ShapeSet([_shard(Path(folder), bench, count)])
        for kind, augmentation in (("shapes", SYNTHETIC), ("photographs", REAL)):
            loader, epochs = Loader(shapes, 6, augmentation), iter(range(10**9))

            def ours(loader=loader, epochs=epochs) -> None:
                for raw in loader.epoch(next(epochs)):
                    raw.to_batch(bench.device)

            items = [shapes.item(i) for i in range(count)]
            change = bench.reference.augmenter(kind) if bench.reference else None

            def theirs(change=change, items=items) -> None:
                for item in items:
                    change(item.image, item.wireframe.junctions, item.wireframe.edges)

            bench.rate(f"loading and augmentation, {kind}", "images", count, bench.pair(ours, theirs), "reference: no reading")
    torch.set_num_threads(threads)


def memory(bench: Bench) -> None:
    """Peak memory of labelling 16 photographs by ten views."""
    found, notes = [], []
    for side in ["ours"] + (["reference"] if bench.reference else []):
        given = {"side": side, "device": bench.device.type, "size": bench.args.memory_size, "tiny": bench.args.tiny,
                 "reference": str(bench.args.reference or ""), "threads": torch.get_num_threads()}  # fmt: skip
        try:
            answer = clock.apart(Path(__file__), given)
            found.append(answer["peak"])
            notes.append(f"{side} {answer['seconds']:.0f} s")
        except RuntimeError as error:
            notes.append(f"{side}: {error}")
    ratio = f"{found[0] / found[1]:.2f}" if len(found) > 1 else ""
    shown = [f"{peak / 1e9:.2f}" for peak in found] + [""] * (2 - len(found))
    title = f"peak memory, 16 images x 10 views, {bench.args.memory_size} px"
    bench.rows.append([title, "GB", *shown, ratio, ", ".join(notes) + "; whole process" * (bench.device.type == "cpu")])


def memory_of_one(given: dict) -> None:
    """Label 16 photographs in this process and print its peak: the part of `memory` that runs apart."""
    args = parser().parse_args([])
    args.device, args.threads, args.tiny = given["device"], given["threads"], given["tiny"]
    args.reference = Path(given["reference"]) if given["side"] == "reference" else None
    args.size = given["size"]
    bench = Bench(args)
    adaptation = Adaptation(**PUBLISHED)
    images, views = bench.images(16), _views(16, bench.size, adaptation)
    if given["side"] == "ours":
        labeller = Labeller(bench.folded, adaptation, precision=bench.precision)
        seconds = clock.once(lambda: labeller(images, views, [(bench.size,) * 2] * 16), bench.device)
    else:
        pixels = torch.from_numpy(images[:, None]).to(bench.device).float() / 255
        seconds = clock.once(lambda: bench.reference.label(pixels, views, 0.75, batched=True), bench.device)
    print(json.dumps({"peak": clock.peak_bytes(bench.device), "seconds": seconds}))


def precision(bench: Bench) -> None:
    """How many lines a half-precision labelling shares with a float32 one."""
    count = 2 if bench.args.tiny else 10
    adaptation = Adaptation(min_score=0.5)
    images, views = bench.images(count), _views(count, bench.size, adaptation)
    sizes = [(bench.size, bench.size)] * count
    both = [
        Labeller(fold_batch_norm(bench.network, kind), adaptation, precision=kind)(images, views, sizes)
        for kind in (torch.float32, torch.bfloat16)
    ]
    shares = [same_lines(a.lines, b.lines) for a, b in zip(*both, strict=True)]
    lines = [sum(len(w.lines) for w in found) for found in both]
    weights = args_name(bench.args.ckpt)
    note = f"{lines[0]} lines in float32, {lines[1]} in bfloat16, {count} photographs, {weights}"
    bench.rows.append(["lines the same within 1 px", "share", f"{np.mean(shares):.3f}", "", "", note])


def args_name(ckpt: Path | None) -> str:
    """Which weights were used, in words."""
    return f"model {ckpt.name}" if ckpt else "untrained weights"


PARTS = {
    "label": label, "train": train, "synthesis": synthesis, "loading": loading, "memory": memory, "precision": precision,
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--reference", type=Path, metavar="DIR", help="work tree of the reference [none: ours alone]")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=f"{', '.join(PARTS)} [all]")
    options.add_argument("--rounds", type=common.positive(int), default=3, metavar="N", help="turns of each [%(default)s]")
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="[%(default)s]")
    options.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="[%(default)s]")
    options.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 takes all cores [%(default)s]")
    options.add_argument("--compile", action="store_true", help="compile the network for training")
    options.add_argument("--ckpt", type=Path, metavar="FILE", help="a model to label with [made-up weights, the published size]")
    options.add_argument("--size", type=common.positive(int), default=512, metavar="PX", help="image side [%(default)s]")
    options.add_argument("--memory-size", type=int, default=512, metavar="PX", help="image side of the part memory [%(default)s]")
    options.add_argument("--tiny", action="store_true", help="the smallest network and images: a check that it runs")
    options.add_argument("--one", help=argparse.SUPPRESS)
    return options


def main() -> None:
    """Measure the chosen parts and print the table."""
    args = parser().parse_args()
    if args.one:
        memory_of_one(json.loads(args.one))
        return
    if args.reference and not (args.reference / "hawp" / "ssl").is_dir():
        sys.exit(f"{args.reference} is no work tree of github.com/cherubicXN/hawp: give the folder that holds hawp/ssl.")
    if args.tiny:
        args.memory_size = TINY["image_size"]
    try:
        bench = Bench(args)
    except ModuleNotFoundError as error:
        sys.exit(f"the reference needs the package {error.name}: pip install yacs easydict python-json-logger shapely")
    for part in args.only:
        print(f"measuring: {part}", file=sys.stderr, flush=True)
        PARTS[part](bench)
    print(f"{bench.where}; medians of {bench.rounds} turns, ABAB" + (", tiny: no measurement" if args.tiny else ""))
    print(tabulate(bench.rows, ["what", "unit", "ours", "reference", "ratio", ""], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
