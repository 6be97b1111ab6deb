"""How fast it is, beside the published implementation where a work tree of it is given.

    python benchmarks/bench.py [--reference DIR] [--only PART ...]

Each side runs in a process of its own, with the allocator that its users get, the same weights, images, views and threads, in
turns (ABAB) after a warm-up; figures are medians. The reference's encoder of the attraction field, a CUDA extension, is compiled
where there is a GPU; elsewhere an equal function in PyTorch takes its place.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import clock
import inputs
import numpy as np
import torch
from tabulate import tabulate

from hawp_core.commands import argument_types
from hawp_core.errors import UserError
from hawp_core.runtime.devices import SPINS, apply_compute, choose_compute, device_name
from hawp_core.runtime.free_cores import granted_cores
from hawp_core.runtime.half_precision import asked_precision, precision_name, usual_precision
from hawp_core.workflow import settings

PARTS = ("label", "train", "compact", "field", "synthesis", "loading", "memory", "precision")
# What the reference imports beside this project's packages.
NEEDED = "yacs easydict python-json-logger shapely seaborn"
MEMORY_PHOTOGRAPHS = 16
# At 384 pixels the reference holds 13 GB of main memory (RESULTS.md).
MEMORY_SIZE = {"cpu": 256, "cuda": 512}
FIELD_LINES = (100, 1000)
ROUNDS_OF_DRAWING = 12
STEPS_IN_A_ROW = 6
COMPACT_STEPS = [(64, 0), (64, 256), (128, 256)]  # width, candidates (0: all)


class Bench:
    """The two sides, and the rows of the table."""

    def __init__(self, args: argparse.Namespace, options: dict) -> None:
        self.args, self.options = args, options
        self.on_gpu = options["device"] == "cuda"
        self.names = ["ours"] + ["reference"] * bool(args.reference)
        self.sides = [clock.Apart(Path(__file__), options | {"side": name}) for name in self.names]
        self.rows: list[list] = []

    def seconds(self, work: str, *given: object, rounds: int | None = None) -> list[float]:
        """Median seconds of a work on each side."""
        turns = [lambda side=side: side.ask(work, given)["seconds"] for side in self.sides]
        return clock.in_turns(turns, rounds or self.args.rounds)

    def rate(self, what: str, amount: float, seconds: list[float], note: str = "") -> None:
        """Add a row: so many images were done in these seconds."""
        rates = [amount / s for s in seconds]
        ratio = f"{rates[0] / rates[1]:.2f}" if len(rates) > 1 else ""
        self.rows.append([what, "images/s", *[f"{r:.3g}" for r in rates], *[""] * (2 - len(rates)), ratio, note])

    def label(self) -> None:
        """Labels by ten views, and the share of the matrix limit that the network reaches."""
        count = 16 if self.on_gpu else 1
        seconds = self.seconds("label", count)
        lines = [side.ask("lines", [1])["lines"] for side in self.sides]
        note = f"lines found: {' and '.join(str(len(found)) for found in lines)}"
        if len(lines) > 1:
            note += f", {same_lines(*map(np.array, lines)):.1%} the same within 1 px"
        self.rate("labels, 10 views", count, seconds, note)
        inside = clock.in_turns([lambda: self.sides[0].ask("passes", [count])["seconds"]], self.args.rounds)[0]
        found = self.sides[0].ask("limit", [count])
        rate = found["operations"] / inside
        share = f"{rate / found['limit']:.0%} of the matrix limit {found['limit'] / 1e9:,.0f}; {inside / seconds[0]:.0%} of labelling"
        self.rows.append(["the network while labelling", "GFLOP/s", f"{rate / 1e9:,.0f}", "", "", share])

    def train(self) -> None:
        """A training step of six images."""
        self.rate("training step, batch 6", 6, self.seconds("train"), "compiled" * self.args.compile)

    def compact(self) -> None:
        """A training step of the compact network on one thread, the share of the matrix limit that it reaches, and what a
        second thread brings; in float32, and in the precision of the other parts."""
        kinds = [self.options["precision"]] if self.args.tiny else ["float32", self.options["precision"]]
        for kind in dict.fromkeys(kinds):
            with self._waiting_side(kind) as side:
                for width, candidates in COMPACT_STEPS[: 2 if self.args.tiny else None]:
                    self._compact(side, kind, width, candidates)
            if self.on_gpu or self.args.tiny or len(granted_cores()) < 2:
                continue
            # Each number of threads in a process of its own, as a training has one.
            with self._waiting_side(kind) as one, self._waiting_side(kind) as two:
                for width, candidates in COMPACT_STEPS:
                    if candidates:
                        self._two_threads(one, two, kind, width, candidates)

    @contextmanager
    def _waiting_side(self, kind: str) -> Iterator[clock.Apart]:
        """A process of ours whose threads wait as `hawp` lets them."""
        waiting = {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", SPINS)}
        side = clock.Apart(Path(__file__), self.options | {"side": "ours", "precision": kind}, waiting)
        try:
            yield side
        finally:
            side.close()

    def _compact(self, side: clock.Apart, kind: str, width: int, candidates: int) -> None:
        # Limit and step in turns: what else the machine does changes both.
        batch = inputs.COMPACT_BATCH
        step_of = [width, candidates, batch]
        turns = [lambda: side.ask("compact", [*step_of, 1])["cpu"], lambda: 1 / side.ask("limit", ["compact"])["limit"]]
        step, unit_time = clock.in_turns(turns, self.args.rounds)
        step, operations = step / batch, side.ask("operations", step_of)["operations"] / batch
        share, limit = operations * unit_time / step, 1e-9 / unit_time
        note = f"{operations / 1e9:.2f} GFLOP; {share:.0%} of the matrix limit {limit:,.0f} GFLOP/s"
        title = f"training step, compact, width {width}, candidates {candidates or 'all'}, {kind}"
        self.rows.append(
            [title, "ms an image" if self.on_gpu else "CPU ms an image", f"{1000 * step:.1f}", "", "", note]
        )

    def _two_threads(self, one: clock.Apart, two: clock.Apart, kind: str, width: int, candidates: int) -> None:
        def seconds(side: clock.Apart, threads: int, batch: int) -> float:
            # Several in a row, as a training takes them.
            took = [side.ask("compact", [width, candidates, batch, threads])["seconds"] for _ in range(STEPS_IN_A_ROW)]
            return statistics.median(took) / batch

        for batch in (inputs.COMPACT_BATCH, 2 * inputs.COMPACT_BATCH):  # the second is that of `config/compact.yaml`
            turns = [partial(seconds, side, threads, batch) for side, threads in ((one, 1), (two, 2))]
            alone, both = clock.in_turns(turns, self.args.rounds)
            title = f"two threads beside one, width {width}, candidates {candidates}, batch {batch}, {kind}"
            note = f"{1000 * both:.1f} ms an image by the clock instead of {1000 * alone:.1f}"
            self.rows.append([title, "times", f"{alone / both:.2f}", "", "", note])

    def field(self) -> None:
        """The attraction field of a batch, against the reference's encoder alone."""
        note = ""
        if self.args.reference:
            kind = "its CUDA kernel" if self.sides[1].ask("compiled")["compiled"] else "an equal function in PyTorch"
            note = f"the whole field; the reference's encoder alone, {kind}"
        for count in FIELD_LINES:
            images = inputs.BATCH * inputs.ENCODINGS
            self.rate(f"attraction field, {count:,} lines an image", images, self.seconds("field", count), note)

    def synthesis(self) -> None:
        """Synthetic shapes on one core: all primitives, and the ratio of each."""
        from hawp_core.data.shapes.primitives import PRIMITIVES

        each = {p: self.seconds("draw", p, 1, rounds=ROUNDS_OF_DRAWING) for p in PRIMITIVES}
        note = ", ".join(f"{p} {s[1] / s[0]:.1f}" for p, s in each.items() if len(s) > 1)
        self.rate("synthetic shapes, one core", len(PRIMITIVES), np.sum(list(each.values()), axis=0).tolist(), note)

    def loading(self) -> None:
        """Reading and augmenting, one core and one process; the reference's reading is left out."""
        count = 6 if self.args.tiny else 24
        for kind in ("shapes", "photographs"):
            self.rate(f"loading and augmentation, {kind}, one core", count, self.seconds("load", kind, count))

    def memory(self) -> None:
        """Peak memory of labelling 16 photographs by ten views, in fresh processes."""
        size = self.args.memory_size or MEMORY_SIZE[self.options["device"]]
        peaks, notes = [], []
        for name in self.names:
            side = clock.Apart(Path(__file__), self.options | {"side": name, "size": size})
            try:
                seconds = side.ask("label", [MEMORY_PHOTOGRAPHS, *[True] * (name == "reference")])["seconds"]
                peaks.append(side.ask("peak")["peak"])
                notes.append(f"{name} {seconds:.0f} s")
            except RuntimeError as error:
                notes.append(f"{name} {error}")
            finally:
                side.close()
        ratio = f"{peaks[0] / peaks[1]:.2f}" if len(peaks) > 1 else ""
        shown = [f"{peak / 1e9:.2f}" for peak in peaks] + [""] * (2 - len(peaks))
        title = f"peak memory, {MEMORY_PHOTOGRAPHS} images x 10 views, {size} px"
        self.rows.append([title, "GB", *shown, ratio, ", ".join(notes) + "; on the GPU" * self.on_gpu])

    def precision(self) -> None:
        """How many lines a half-precision labelling shares with a float32 one."""
        count = 2 if self.args.tiny else 10
        found = []
        for kind in ("float32", "bfloat16"):
            side = clock.Apart(Path(__file__), self.options | {"side": "ours", "precision": kind})
            found.append([np.array(lines) for lines in side.ask("each", [count])["lines"]])
            side.close()
        lines = [sum(map(len, one)) for one in found]
        weights = f"model {self.args.ckpt.name}" if self.args.ckpt else "made-up weights"
        share = same_lines(*(np.concatenate([_apart(lines, i) for i, lines in enumerate(one)]) for one in found))
        note = f"{lines[0]} lines in float32, {lines[1]} in bfloat16, {count} photographs, {weights}"
        shown = f"{share:.3f}" if any(lines) else "no lines"
        self.rows.append(["lines the same within 1 px", "share", shown, "", "", note])


def _apart(lines: np.ndarray, image: int) -> np.ndarray:
    """Lines (N, 4), moved so far that those of two images never meet."""
    return lines.reshape(-1, 4) + 1e5 * image


def same_lines(first: np.ndarray, second: np.ndarray) -> float:
    """Share of lines (N, 4) and (M, 4), all together, that have one of the others within 1 px at both ends."""
    if not len(first) or not len(second):
        return float(len(first) == len(second))

    def farther_end(others: np.ndarray) -> np.ndarray:
        return np.linalg.norm((first[:, None] - others).reshape(len(first), -1, 2, 2), axis=3).max(2)

    near = np.minimum(farther_end(second), farther_end(second[:, [2, 3, 0, 1]])) < 1.0
    return float((near.any(1).sum() + near.any(0).sum()) / (len(first) + len(second)))


def answer(options: dict) -> None:
    """One side: carry out what is asked for, by name."""
    device = torch.device(options["device"])
    torch.set_num_threads(options["threads"])
    try:
        if options["side"] == "ours":
            from ours import Ours as Side
        else:
            from reference import Reference as Side
        side = Side(options)
    except UserError as error:
        sys.exit(str(error))
    except ModuleNotFoundError as error:
        sys.exit(f"the {options['side']} needs the package {error.name}: pip install {NEEDED}")
    works = {}

    def reply(name: str, given: list | None) -> dict:
        if name == "peak":
            return {"peak": clock.peak_bytes(device)}
        if name == "limit":
            if given[0] == "compact":
                torch.set_num_threads(1)
                return {"limit": clock.matrix_limit(device, side.precision, clock.cpu_once)}
            limit = clock.matrix_limit(device, side.precision)
            return {"limit": limit, "operations": clock.operations(side.passes(*given))}
        if name == "operations":
            return {"operations": clock.operations(side.compact(*given))}
        if name == "compiled":
            return {"compiled": side.compiled}
        if name == "lines":
            return {"lines": side.label(*given)()[0].tolist()}
        if name == "each":
            return {"lines": [lines.tolist() for lines in side.label(*given)()]}
        alone = {"draw": 1, "load": 1, "compact": (given or [1])[-1]}
        torch.set_num_threads(alone.get(name, options["threads"]))
        given = given[:-1] if name == "compact" else given
        key = json.dumps([name, given])
        if key not in works:
            works[key] = getattr(side, name)(*given)
        began = time.process_time()
        seconds = clock.once(works[key], device)
        return {"seconds": seconds, "cpu": seconds if device.type == "cuda" else time.process_time() - began}

    clock.answer(reply)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--reference", type=Path, metavar="DIR", help="work tree of the reference [none: ours alone]")
    add(
        "--only",
        nargs="+",
        choices=PARTS,
        metavar="PART",
        help=f"{', '.join(PARTS)} [all; precision with --ckpt alone]",
    )
    add("--rounds", type=argument_types.positive(int), default=3, metavar="N", help="turns of each [%(default)s]")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="[%(default)s]")
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of ours [%(default)s]")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 takes those that are free [%(default)s]")
    add("--compile", action="store_true", help="compile our network for training")
    add("--ckpt", type=Path, metavar="FILE", help="our model to work with [made-up weights, the published network]")
    add("--size", type=argument_types.positive(int), default=512, metavar="PX", help="image side [%(default)s]")
    add(
        "--memory-size",
        type=argument_types.positive(int),
        metavar="PX",
        help="of the part memory [512 on a GPU, 256 elsewhere]",
    )
    add("--tiny", action="store_true", help="the smallest network and images: a check that it runs")
    add("--one", help=argparse.SUPPRESS)
    return options


def main() -> None:
    """Measure the chosen parts and print the table."""
    args = parser().parse_args()
    if args.one:
        answer(json.loads(args.one))
        return
    if args.reference and not (args.reference / "hawp" / "ssl").is_dir():
        sys.exit(
            f"{args.reference} is no work tree of github.com/cherubicXN/hawp: give the folder that holds hawp/ssl."
        )
    if args.reference and args.tiny:
        sys.exit("--tiny does not fit the reference, whose network has one size: leave out one of the two.")
    if args.tiny:
        args.size = args.memory_size = 64
    usual = settings.complete({}).compute
    computing = choose_compute(args, usual)
    apply_compute(computing)
    device = computing.device
    threads, kind = torch.get_num_threads(), precision_name(asked_precision(args, usual) or usual_precision(device))
    options = {
        "device": device.type, "precision": kind, "threads": threads, "size": args.size, "tiny": args.tiny,
        "compile": args.compile, "ckpt": args.ckpt and os.path.abspath(args.ckpt),
        "reference": args.reference and os.path.abspath(args.reference),
    }  # fmt: skip
    bench = Bench(args, options)
    # Made-up weights give scores all about alike, whose order says nothing of a trained model's.
    for part in args.only or [part for part in PARTS if args.ckpt or part != "precision"]:
        print(f"measuring: {part}", file=sys.stderr, flush=True)
        try:
            getattr(bench, part)()
        except RuntimeError as error:
            sys.exit(f"{part}: a side {error}")
    where = device_name(device) if bench.on_gpu else f"CPU, {threads} threads"
    print(
        f"{where}, ours in {kind}, PyTorch {torch.__version__}; medians of {args.rounds} turns, ABAB"
        + ", tiny" * args.tiny
    )
    heads = ["what", "unit", "ours", "reference", "ratio", ""]
    shown = range(len(heads)) if args.reference else (0, 1, 2, 5)
    rows = [[row[i] for i in shown] for row in bench.rows]
    print(tabulate(rows, [heads[i] for i in shown], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
