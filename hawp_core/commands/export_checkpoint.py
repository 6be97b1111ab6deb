"""hawp export-checkpoint: write a model for the reference implementation."""

import argparse
from pathlib import Path

from hawp_core.commands import common

HELP = "write a model as the plain state dict that the reference implementation loads"
DESCRIPTION = "Write a model's weights under the published tensor names, without architecture and recipe."


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_model_file(parser)
    parser.add_argument("dest", type=Path, metavar="PTH", help="where to write the state dict")


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.model.checkpoint import export_published, load_checkpoint
    from hawp_core.runtime.progress import log

    common.check_destination(args.dest, args.model)
    network, _ = load_checkpoint(args.model)
    export_published(network, args.dest)
    log.info("%s: %d tensors", args.dest, len(network.state_dict()))
