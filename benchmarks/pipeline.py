"""The real commands on this machine: shapes drawn, a network trained on them, photographs labelled with it.

    python benchmarks/pipeline.py [--write-rates]

Prints images a second, the share of time spent waiting for data, and the seconds that a job takes to start. With
--write-rates the figures go into hawp_core/workflow/rates.json, from which a dry run estimates hours.
"""

import argparse
import datetime
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from tabulate import tabulate

from hawp_core.commands import argument_types
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.errors import UserError
from hawp_core.runtime.devices import apply_compute, choose_compute, device_name
from hawp_core.runtime.files import read_yaml, write_text
from hawp_core.runtime.half_precision import asked_precision, precision_name, usual_precision
from hawp_core.runtime.setting_types import Settings
from hawp_core.training.metrics import StepRow, read_metrics
from hawp_core.workflow import settings
from hawp_core.workflow.cost import RATES_FILE, NetworkSize, Rate, Rates, labelling_area, piece_area, read_rates

ROOT = Path(__file__).resolve().parent.parent
# Most of a job's time that its start should take.
START_SHARE = 0.05
WAITED = re.compile(r"; ([\d.]+) s, (\d+) % of them waiting")


def start(*words: object) -> subprocess.Popen:
    """Begin a command of this source tree."""
    where = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "hawp_core.commands.cli", *map(str, words)],
        env={**os.environ, "PYTHONPATH": where}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def hawp(*words: object, at_once: list[list] | None = None) -> tuple[float, str]:
    """Run a command, or several at once that differ in their last words: wall seconds, and what they printed.

    Raises:
        SystemExit: one failed.
    """
    print(f"measuring: hawp {words[0]}", file=sys.stderr, flush=True)
    began = time.perf_counter()
    running = [start(*words, *last) for last in at_once or [[]]]
    printed = [each.communicate()[0] for each in running]
    for each, text in zip(running, printed, strict=True):
        if each.returncode:
            sys.exit(f"hawp {' '.join(map(str, words))}\n{text}")
    return time.perf_counter() - began, "".join(printed)


def configuration(args: argparse.Namespace) -> dict:
    """The recipe, or the tiny one, with as many shapes as asked for."""
    given = read_yaml(ROOT / "tests/support/configs/tiny.yaml" if args.tiny else args.config)
    given["shapes"] = given.get("shapes", {}) | {"train": args.shapes, "validation": 2}
    return given


def main() -> None:
    """Run the stages one after the other and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--config",
        type=Path,
        default=ROOT / "config/hawpv3.yaml",
        metavar="FILE",
        help="whose network [config/hawpv3.yaml]",
    )
    options.add_argument(
        "--shapes", type=argument_types.positive(int), default=200, metavar="N", help="of each primitive [%(default)s]"
    )
    options.add_argument(
        "--epochs", type=argument_types.positive(int), default=1, metavar="N", help="of the training [%(default)s]"
    )
    options.add_argument(
        "--photographs", type=argument_types.positive(int), default=40, metavar="N", help="to label [%(default)s]"
    )
    options.add_argument(
        "--workers",
        type=argument_types.setting("compute.workers"),
        default=os.cpu_count() or 1,
        metavar="N",
        help="that load [the cores]",
    )
    options.add_argument("--keep", type=Path, metavar="FILE", help="keep the trained model as FILE")
    options.add_argument("--compile", action="store_true", help="compile the network for training")
    options.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="[%(default)s]")
    options.add_argument("--write-rates", action="store_true", help="write hawp_core/workflow/rates.json")
    options.add_argument("--tiny", action="store_true", help="the tiny network: a check that it runs")
    args = options.parse_args()
    try:
        chosen = configuration(args)
        complete = settings.complete(chosen, args.config)
        network = complete.model
        rates = read_rates() if args.write_rates else ()
        computing = choose_compute(args, settings.complete({}).compute)
        apply_compute(computing)
        device = computing.device
        precision = asked_precision(args, settings.complete({}).compute) or usual_precision(device)
    except UserError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("config.yaml").write_text(yaml.safe_dump(chosen))
        rows = [_draw(8 * args.shapes), _train(args)]
        model = next(Path("exp-ssl").rglob("model-*.pth"))
        rows.append(_label(args, model))
        if args.keep:
            shutil.copyfile(model, ROOT / args.keep)
    print(f"{device_name(device)}, {precision_name(precision)}, network {network.width} wide, {network.image_size} px")
    print(
        tabulate(
            rows, ["stage", "images/s", "waiting for data", "start, s", ""], tablefmt="github", disable_numparse=True
        )
    )
    rate, start = float(rows[-1][1]), float(rows[-1][3])
    least = math.ceil(start * rate * (1 - START_SHARE) / START_SHARE)
    print(f"compute.shard_size of {least} or more keeps a job's start to {START_SHARE:.0%} of its time")
    if args.write_rates:
        where = device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        _write_rates(rates, where, device.type == "cuda", precision, complete, rows)


def _draw(count: int) -> list:
    """Shapes on every core, as the workflow's jobs would."""
    of = os.cpu_count() or 1
    words = ["synthesize", "--config", "config.yaml"]
    seconds, _ = hawp(*words, "--split", "train", at_once=[["--shard", f"{i}/{of}"] for i in range(of)])
    for shard in Path("data-ssl").rglob("train-*.h5"):
        shard.unlink()
    hawp(*words)
    return ["synthesize", f"{count / seconds:.1f}", "", "", f"{of} processes, starts included"]


def _train(args: argparse.Namespace) -> list:
    data = next(Path("data-ssl").rglob("*.yaml"))
    seconds, _ = hawp(
        "train", "--datacfg", data, "--modelcfg", "config.yaml", "--name", "bench-round0", "--epochs", args.epochs,
        "--num-workers", args.workers, "--device", args.device, *["--compile"] * args.compile,
    )  # fmt: skip
    rows = [row for row in read_metrics(next(Path("exp-ssl").rglob("metrics.jsonl"))) if isinstance(row, StepRow)]
    steady = rows[1:] or rows
    rate, waiting = (
        statistics.median(row.numbers[name] for row in steady) for name in ("images_per_second", "waiting")
    )
    return ["train", f"{rate:.4g}", f"{waiting:.1%}", "", f"{seconds:.0f} s in all, {rows[-1].step} steps"]


def _label(args: argparse.Namespace, model: Path) -> list:
    Path("photos").mkdir()
    for i in range(args.photographs):
        name = BUNDLED[i % len(BUNDLED)]
        shutil.copyfile(bundled_folder() / name, f"photos/{i:05d}{Path(name).suffix}")
    whole, printed = hawp(
        "homoadp", "--datacfg", "config.yaml", "--images", "photos", "--ckpt", model, "--min-score", 0.5,
        "--batch-size", 16, "--device", args.device,
    )  # fmt: skip
    found = WAITED.search(printed)
    seconds, waiting = float(found[1]), int(found[2])
    rate = args.photographs / max(seconds, 1e-3)
    return [
        "export",
        f"{rate:.4g}",
        f"{waiting} %",
        f"{whole - seconds:.1f}",
        f"{args.photographs} photographs",
    ]


def _write_rates(rates: tuple[Rate, ...], name: str, gpu: bool, precision, recipe: Settings, rows: list[list]) -> None:
    """Keep what was measured, counted in whole images of the network's size as `cost.estimate` counts them."""
    train, export = (float(row[1]) for row in rows[1:])
    size = NetworkSize.of(recipe.model)
    others = [row for row in rates if (row.device, row.network) != (name, size)]
    row = Rate(
        name, gpu, True, size, round(train * piece_area(recipe.train.synthetic, recipe.model), 4), export,
        labelling_area(recipe.export), str(datetime.date.today()),
        "benchmarks/pipeline.py: hawp train and hawp homoadp", precision_name(precision),
    )  # fmt: skip
    write_text(RATES_FILE, json.dumps(asdict(Rates((*others, row))), indent=2) + "\n")


if __name__ == "__main__":
    main()
