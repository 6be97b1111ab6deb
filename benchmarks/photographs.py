"""How long photographs of a camera take to read, and how much memory, whole and reduced while they are decoded.

    python benchmarks/photographs.py [--size 512] [--rounds 5] [--labels]

The photographs are scikit-image's, enlarged to 12 megapixels with the grain of a sensor, as JPEG of quality 90. Each way runs in a
process of its own; seconds are CPU time, medians over the photographs and rounds. `--labels` compares what the shipped network finds on
both (by heatmap, a few views).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

from hawp_core.commands import argument_types
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder

CAMERA = (4000, 3000)  # pixels
QUALITY, GRAIN = 90, 4.0
NEAR = (0.01, 0.1, 1.0)  # pixels of the network's input


def make(folder: Path, count: int = 3) -> None:
    """Write photographs of 12 megapixels."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(BUNDLED[:count]):
        with Image.open(bundled_folder() / name) as image:
            large = np.asarray(image.convert("RGB").resize(CAMERA, Image.Resampling.BICUBIC), np.float32)
        grain = rng.normal(0.0, GRAIN, large.shape[:2])[..., None]
        Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=QUALITY)


def peak_bytes() -> int:
    """Most memory of this process so far; getrusage would count that of the process which started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def measure(folder: Path, size: int, rounds: int, whole: bool) -> dict:
    """Seconds and peak memory of one way, in this process."""
    idle = peak_bytes()
    seconds = []
    for _ in range(rounds):
        for path in sorted(folder.iterdir()):
            began = time.process_time()
            image, _ = read_gray(path, size=size, reduced=not whole)
            seconds.append(time.process_time() - began)
            assert image.shape == (size, size)
    return {"seconds": statistics.median(seconds), "peak": peak_bytes() - idle}


def labels(folder: Path, size: int, views: int) -> list[list]:
    """A row for each photograph: how far the lines of the reduced one lie from those of the whole one."""
    import torch

    from hawp_core.labelling.homographic_adaptation import view_homographies
    from hawp_core.labelling.labeller import Labeller
    from hawp_core.model.checkpoint import load_checkpoint
    from hawp_core.model.folding import fold_batch_norm
    from hawp_core.model.shipped import SHIPPED
    from hawp_core.workflow.settings import complete

    torch.set_num_threads(1)
    adaptation = complete({"export": {"labels": "heatmap", "views": views, "min_score": 0.5}}).export
    network = fold_batch_norm(load_checkpoint(SHIPPED)[0])
    network.architecture = replace(network.architecture, image_size=size)
    labeller = Labeller(network, adaptation, batch=2)
    rows = []
    for path in sorted(folder.iterdir()):
        images = np.stack([read_gray(path, size=size, reduced=reduced)[0] for reduced in (False, True)])
        homographies = np.stack([view_homographies(path.name, size, adaptation, 0)] * 2)
        whole, reduced = (found.lines for found in labeller(images, homographies, [(size, size)] * 2))
        # The farther end of the nearest line, either way round.
        apart = np.minimum(
            *(
                np.linalg.norm((whole[:, None] - other).reshape(len(whole), -1, 2, 2), axis=3).max(2)
                for other in (reduced, reduced[:, [2, 3, 0, 1]])
            )
        ).min(1)
        shares = [f"{(apart < near).mean():.0%}" for near in NEAR]
        rows.append([path.name, f"{len(whole)} and {len(reduced)}", *shares, f"{np.median(apart):.3f}"])
    return rows


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--size", type=argument_types.positive(int), default=512, metavar="PX", help="network's side [%(default)s]"
    )
    options.add_argument(
        "--rounds", type=argument_types.positive(int), default=5, metavar="N", help="of each way [%(default)s]"
    )
    options.add_argument("--labels", action="store_true", help="compare labels, and measure no time")
    options.add_argument(
        "--views", type=argument_types.positive(int), default=4, metavar="N", help="of each label [%(default)s]"
    )
    options.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.one:
        print(json.dumps(measure(Path(args.one[0]), args.size, args.rounds, args.one[1] == "whole")))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder)
        if args.labels:
            heads = ["photograph", "lines", *(f"within {near} px" for near in NEAR), "median, px"]
            print(tabulate(labels(folder, args.size, args.views), heads, tablefmt="github", disable_numparse=True))
            return
        rows = []
        for way in ("whole", "reduced"):
            words = [
                sys.executable,
                __file__,
                "--size",
                str(args.size),
                "--rounds",
                str(args.rounds),
                "--one",
                place,
                way,
            ]
            found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
            rows.append([way, f"{1000 * found['seconds']:.0f}", f"{found['peak'] / 1e6:.0f}"])
        apart = [
            np.abs(
                np.subtract(*(read_gray(path, size=args.size, reduced=way)[0].astype(int) for way in (False, True)))
            ).mean()
            for path in sorted(folder.iterdir())
        ]
    print(tabulate(rows, ["a JPEG of 12 megapixels", "CPU ms", "peak, MB"], tablefmt="github", disable_numparse=True))
    print(f"grey levels apart, mean: {max(apart):.2f}")


if __name__ == "__main__":
    main()
