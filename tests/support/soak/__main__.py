"""Disturb the tiny recipe in every way until so many disturbances were made, and compare each end with the undisturbed bits.

    make soak KILLS=1000               # or: PYTHONPATH=.:tests/support python -m soak --kills 1000

A trial takes one command of the recipe, or the whole workflow, disturbs it at random moments, does what its sentences ask
for, lets the same command through and compares the results bit for bit. The journal in the folder is kept: the same command
goes on counting. What was lost is kept in the folder's kept/, and the exit code is 1.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import gc
import importlib
import pkgutil
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import torch
from PIL import Image
from places import ROOT

import hawp_core
from soak.ground import Ground
from soak.journal import SoakJournal
from soak.trial import KINDS, SAME, carry_out, kept


def main() -> int:
    """Carry out trials until there were enough disturbances; 1 where something was lost."""
    options = argparse.ArgumentParser(
        prog="soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--kills", type=int, default=100, metavar="N", help="disturbances, those of the journal included [100]"
    )
    options.add_argument(
        "--seed", type=int, metavar="N", help="of every choice but the machine's own moments [random, printed]"
    )
    options.add_argument(
        "--folder", type=Path, default=Path(".soak"), metavar="DIR", help="journal and working places [.soak]"
    )
    options.add_argument(
        "--whole", type=float, default=0.03, metavar="SHARE", help="of trials that are runs of the workflow [0.03]"
    )
    options.add_argument("--table", action="store_true", help="only print what the journal holds")
    args = options.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    seed = _seed(args.folder / "seed.txt", args.seed)
    print(f"seed {seed}", flush=True)
    journal = SoakJournal(args.folder / "journal.jsonl", seed)
    if not args.table and journal.counts.total() < args.kills:
        try:
            with filelock.FileLock(args.folder / "soak.lock", timeout=0):
                _soak(args, seed, journal)
        except filelock.Timeout:
            raise SystemExit(
                f"another soak is at work in {args.folder}: wait for it, or give another folder."
            ) from None
    print(journal.summary())
    return 1 if journal.lost else 0


def _seed(file: Path, asked: int | None) -> int:
    """The seed that the folder was begun with, or that is asked for, or a new one."""
    if not file.exists():
        file.write_text(str(random.randrange(10**6) if asked is None else asked))
    return int(file.read_text()) if asked is None else asked


def _soak(args: argparse.Namespace, seed: int, journal: SoakJournal) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the disk is taken away
    _import_everything()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    ground = Ground(args.folder)
    left_out = [kind.name for kind in KINDS if not kind.possible(ground)]
    if left_out:
        print(f"not possible on this machine: {', '.join(left_out)}", flush=True)
    try:
        ground.prepare()
        while (done := journal.counts.total()) < args.kills:
            number = journal.next_number
            trial = carry_out(ground, number, seed, journal.counts, args.kills - done, args.whole)
            if trial.end != SAME:
                print(f"trial {number} is kept in {kept(ground, trial)}", flush=True)
            journal.add(trial, commit)
            made = ", ".join(f"{each.kind}: {each.outcome}" for each in trial.disturbances) or "nothing in time"
            print(f"{journal.counts.total():5d}  trial {number}, {trial.command}: {made} -> {trial.end}", flush=True)
    finally:
        ground.unmount()
        shutil.rmtree(ground.disk, ignore_errors=True)


def _import_everything() -> None:
    """What the commands import when they need it: forks find it there."""
    for module in pkgutil.walk_packages(hawp_core.__path__, "hawp_core."):
        if not any(part in module.name for part in ("onnx", "limap", "__main__")):
            importlib.import_module(module.name)
    for name in (
        "torch.utils.tensorboard", "torch._dynamo", "torch.utils.serialization", "scipy.spatial", "kornia", "cv2", "h5py",
        "tabulate", "matplotlib.pyplot", "matplotlib.backends.backend_svg", "multiprocessing.synchronize",
    ):  # fmt: skip
        importlib.import_module(name)
    Image.init()
    # What is here now is no garbage: a collection in a fork would touch, and so copy, all of it.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    raise SystemExit(main())
