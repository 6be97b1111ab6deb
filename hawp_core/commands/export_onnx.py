"""hawp export-onnx: write a model's network for other runtimes."""

import argparse
from pathlib import Path

from hawp_core.errors import UserError

HELP = "write a model's network as ONNX, checked in onnxruntime"
DESCRIPTION = """Write a model's network as ONNX: grey images (B, 1, S, S) in [0, 1] to score maps, features and the line
heatmap, for any batch B. The written file is run in onnxruntime and compared with PyTorch before the command ends.
Detection itself (junctions, lines, verification) is not part of the graph."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model of hawp train or hawp import-checkpoint")
    parser.add_argument("dest", type=Path, metavar="ONNX", help="where to write the graph")


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.model.checkpoint import load_checkpoint
    from hawp_core.model.onnx import TOLERANCE, export_onnx, largest_difference
    from hawp_core.runtime.progress import log

    network, info = load_checkpoint(args.model, "cpu")
    export_onnx(
        network, args.dest, {"epoch": info["epoch"], "key": info["recipe"].get("key"), "model": args.model.name}
    )
    difference = largest_difference(network, args.dest)
    if difference > TOLERANCE:
        raise UserError(
            f"{args.dest} differs from {args.model} by {difference:.1e} of the largest value, more than {TOLERANCE:.0e}: "
            "do not use it; install the versions of envs/requirements.lock and export again."
        )
    size = network.architecture.image_size
    log.info("%s: images (B, 1, %d, %d), differs from PyTorch by at most %.1e", args.dest, size, size, difference)
