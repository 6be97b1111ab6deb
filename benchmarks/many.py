"""Many small photographs through a whole run: python benchmarks/many.py COUNT FOLDER [--rounds 2]

Makes COUNT JPEGs of 64 x 64 pixels in FOLDER/photos (pieces of scikit-image's photographs with noise, each another), lets their
digests be made by sha256sum, and runs the smallest network there is through the rounds, on one core. Killed, the same command carries on.
Prints files, bytes, jobs, seconds and peak memory of each step, and of the driver.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from tabulate import tabulate

from hawp_core.commands.argument_types import positive
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.report.costs import costs
from hawp_core.report.finished import finished
from hawp_core.runtime.progress import bar
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.settings import load

ROOT = Path(__file__).resolve().parent.parent
SIDE, IN_FOLDER = 64, 1_000
SETTINGS = {
    "name": "many",
    "photographs": {"folder": "photos", "sums": "photos.sha256"},
    "shapes": {"train": 50, "validation": 5, "canvas": [120, 160]},
    "model": {
        "image_size": 64, "width": 16, "depth": 2, "stacks": 1, "line_points": 8, "junction_features": 8,
        "verification_width": 16, "max_junctions": 40,
    },
    "train": {
        "synthetic": {"epochs": 4, "batch_size": 16, "steps": [3]},
        "real": {"epochs": 1, "batch_size": 64, "flips": 1, "augment": "none"},
    },
    "export": {"labels": "votes", "min_score": 0.0},
    "evaluate": {"photographs": 50},
    "compute": {"device": "cpu", "threads": 1, "workers": 0, "shard_size": 10_000, "export_batch": 64},
}  # fmt: skip


def make_photographs(count: int, folder: Path) -> None:
    """Make those that are not there."""
    sources = [np.asarray(Image.open(bundled_folder() / name).convert("RGB")) for name in BUNDLED]
    with bar("photographs", count, "photograph", delay=2) as shown:
        for i in range(count):
            path = folder / f"{i // IN_FOLDER:03d}" / f"{i:06d}.jpg"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                rng, source = np.random.default_rng(i), sources[i % len(sources)]
                y, x = (int(rng.integers(0, side - SIDE + 1)) for side in source.shape[:2])
                piece = source[y : y + SIDE, x : x + SIDE] + rng.normal(0, 8, (SIDE, SIDE, 3))
                part = path.with_suffix(".part")
                Image.fromarray(piece.clip(0, 255).astype(np.uint8)).save(part, "jpeg", quality=85)
                part.rename(path)
            shown.update()


def digest(folder: Path) -> None:
    """Let coreutils write the digests."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    words = ["xargs", "-0", "sha256sum"]
    with open(f"{folder}.sha256", "wb") as stream:
        subprocess.run(words, input="\0".join(names).encode(), cwd=folder, stdout=stream, check=True)


def drive(rounds: int, place: Path) -> tuple[float, float]:
    """Run the workflow; seconds, and the driver's own peak memory in MB."""
    # Without the virtual environment's folder on the path, `hawp` would not be found by the rules.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    words = [
        sys.executable, "-m", "snakemake", f"rounds={rounds}", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(place),
        "--profile", str(ROOT / "profiles/local"), "--configfile", str(place / "many.yaml"), "--cores", "1", "--quiet", "progress",
    ]  # fmt: skip
    began, peak = time.monotonic(), 0.0
    driver = subprocess.Popen(words, env=environment, cwd=place)
    while driver.poll() is None:
        try:
            status = Path(f"/proc/{driver.pid}/status").read_text()
            peak = next((int(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmHWM")), peak)
        except OSError:
            pass
        time.sleep(1)
    if driver.returncode:
        sys.exit(driver.returncode)
    return time.monotonic() - began, peak


def main() -> None:
    """Make, run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=positive(int), metavar="COUNT", help="photographs")
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where everything lies; it may be there from before"
    )
    parser.add_argument("--rounds", type=positive(int), default=2, metavar="N", help="real rounds [%(default)s]")
    args = parser.parse_args()
    place = args.folder.resolve()
    photographs = place / "photos"
    began = time.monotonic()
    make_photographs(args.count, photographs)
    made = time.monotonic() - began
    if not Path(f"{photographs}.sha256").is_file():
        digest(photographs)
    (place / "many.yaml").write_text(yaml.safe_dump(SETTINGS))
    seconds, driver = drive(args.rounds, place)
    os.chdir(place)
    chain = plan_run(load("many.yaml"), args.rounds)
    rows = [
        [cost.title, cost.jobs, f"{cost.seconds:.0f}", "" if cost.memory is None else f"{cost.memory:.0f}"]
        for cost in costs(chain.shapes, finished(chain.rounds))
    ]
    rows += [["the driver, with all jobs", 1, f"{seconds:.0f}", f"{driver:.0f}"]]
    print(tabulate(rows, ["step", "jobs", "seconds", "peak memory, MB"], tablefmt="github", disable_numparse=True))
    kept = [path for path in place.rglob("*") if path.is_file() and photographs not in path.parents]
    print(
        f"{args.count:,} photographs, made in {made:.0f} s; besides them {len(kept):,} files of "
        f"{sum(path.stat().st_size for path in kept) / 1e6:.1f} MB; {chain.rounds[0].export.places.shards} shards a round"
    )


if __name__ == "__main__":
    main()
