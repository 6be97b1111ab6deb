"""How time and memory grow with the work: photographs, views, image size, lines an image, shards.

    python benchmarks/growth.py [--only WHAT ...]

Each figure comes from a process of its own, so that peaks do not add up; time leaves out its start. The exponent is that of
the power law between the first and the last row: 1 is linear. Networks are 64 wide with one stack, but for
the views at a time, which are those of the published one.
"""

import argparse
import json
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import clock
import numpy as np
import torch
from tabulate import tabulate

from hawp_core.data.batch import Batch
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.labelling.homographic_adaptation import view_homographies
from hawp_core.labelling.labeller import Labeller
from hawp_core.model.architecture import Architecture
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.devices import keep_freed_memory
from hawp_core.workflow.settings import complete

CPU = torch.device("cpu")
WIDTH, STACKS = 64, 1
SIZE, VIEWS = 256, 10


def network(size: int, **others: int) -> WireframeNetwork:
    """A network of the size that is measured here, or of others."""
    torch.manual_seed(0)
    return WireframeNetwork(Architecture(image_size=size, **{"width": WIDTH, "stacks": STACKS} | others)).eval()


def labelling(photographs: int, views: int, made: WireframeNetwork, at_once: int | None = None) -> float:
    """Seconds of labelling; so many views at a time, or as the program chooses."""
    adaptation, size = replace(complete({}).export, views=views), made.architecture.image_size
    labeller = Labeller(fold_batch_norm(made), adaptation, batch=1)
    labeller.at_once = at_once or labeller.at_once
    files = [bundled_folder() / name for name in BUNDLED]

    def work() -> None:
        for i in range(photographs):
            image = read_gray(files[i % len(files)], size=size)[0][None]
            labeller(image, view_homographies(str(i), size, adaptation, 0)[None], [(size, size)])

    return clock.once(work, CPU)


def losses(lines: int) -> float:
    """Seconds of all losses and their gradients, for a batch of six images with so many lines each."""
    from hawp_core.training.losses import compute_losses

    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        images=torch.rand(6, 1, SIZE, SIZE, generator=generator),
        junctions=torch.rand(6, 2 * lines, 2, generator=generator) * (SIZE - 1),
        junction_count=torch.full((6,), 2 * lines),
        edges=torch.arange(2 * lines).reshape(1, lines, 2).expand(6, -1, -1).contiguous(),
        edge_count=torch.full((6,), lines),
        scores=torch.ones(6, lines),
        heatmap=torch.zeros(6, SIZE, SIZE, dtype=torch.uint8),
        valid=torch.ones(6, SIZE, SIZE, dtype=torch.uint8),
        names=["random"] * 6,
    )
    net = network(SIZE).train()
    return clock.once(lambda: sum(compute_losses(net, batch).values()).backward(), CPU)


def gathering(shards: int) -> float:
    """Seconds of joining the shards of 4,096 photographs with 100 lines each."""
    from hawp_core.data.label_writing import write_labels
    from hawp_core.data.photographs.listed import ListedPhotograph
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.geometry.wireframe import Wireframe
    from hawp_core.labelling.gathering import gather_shards

    total, rng = 4096, np.random.default_rng(0)
    entries = [ListedPhotograph(f"{i:05d}.jpg", "0" * 64, 1, i) for i in range(total)]
    one = Wireframe.from_lines(rng.uniform(0, 511, (100, 4)), 512, 512)
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for i in range(shards):
            names = [e.name for e in entries[total * i // shards : total * (i + 1) // shards]]
            parts.append(Path(folder, f"{i}.h5"))
            write_labels(parts[-1], names, [one] * len(names), about={"export": "k", "rejected": []})
        manifest, target = Manifest("photos", entries), Path(folder, "all.h5")
        return clock.once(lambda: gather_shards(parts, target, manifest, key="k", max_rejected=0, about={}), CPU)


SERIES = {
    "photographs": ([2, 8, 32], lambda n: labelling(n, VIEWS, network(SIZE))),
    "views": ([5, 20, 80], lambda n: labelling(4, n, network(SIZE))),
    "views at a time": ([1, 2, 4, 8, 16], lambda n: labelling(1, 16, network(512, width=256, stacks=2), n)),
    "image pixels": ([128**2, 256**2, 512**2, 1024**2], lambda n: labelling(4, VIEWS, network(math.isqrt(n)))),
    "lines an image": ([10, 100, 1000, 5000], losses),
    "shards": ([1, 16, 256], gathering),
}


def main() -> None:
    """Measure every series, each figure in a process of its own."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--only", nargs="+", choices=SERIES, default=list(SERIES), metavar="WHAT", help=f"{', '.join(SERIES)} [all]"
    )
    options.add_argument("--short", action="store_true", help="only the first figure of each: a check that it runs")
    options.add_argument("--one", help=argparse.SUPPRESS)
    args = options.parse_args()
    keep_freed_memory()
    if args.one:
        given = json.loads(args.one)
        seconds = SERIES[given["series"]][1](given["count"])
        clock.answer(lambda *_: {"seconds": seconds, "peak": clock.peak_bytes(CPU)})
        return
    rows = []
    for name in args.only:
        counts = SERIES[name][0][: 1 if args.short else None]
        found = []
        for count in counts:
            print(f"measuring: {count} {name}", file=sys.stderr, flush=True)
            side = clock.Apart(Path(__file__), {"series": name, "count": count})
            found.append(side.ask("measure"))
            side.close()
        exponent = ""
        if len(counts) > 1:
            first, last = found[0]["seconds"], found[-1]["seconds"]
            exponent = f"{math.log(last / first) / math.log(counts[-1] / counts[0]):.2f}"
        for i, (count, one) in enumerate(zip(counts, found, strict=True)):
            ends = exponent if i == len(counts) - 1 else ""
            rows.append([name, f"{count:,}", f"{one['seconds']:.3f}", f"{one['peak'] / 1e9:.2f}", ends])
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    heads = ["what grows", "count", "seconds", "peak, GB (whole process)", "exponent of time"]
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
