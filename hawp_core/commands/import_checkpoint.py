"""hawp import-checkpoint: take in a published checkpoint."""

import argparse
from pathlib import Path

from hawp_core.commands import common
from hawp_core.workflow.paths import MODELS, model_name

HELP = "turn a published checkpoint (hawpv3-*.pth) into one of ours"
DESCRIPTION = """Read a published state dict safely (weights only, no code runs), check every name and shape, and write
it as a model that the other commands take."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the published state dict")
    parser.add_argument(
        "--dest", type=Path, metavar="PTH", help="where to write the model [exp-ssl/STEM/model-00000.pth]"
    )


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.model.checkpoint import import_published, save_checkpoint
    from hawp_core.runtime.names import inside
    from hawp_core.runtime.progress import log

    destination = args.dest or inside(MODELS, args.file.stem) / model_name(0)
    common.check_destination(destination, args.file)
    network = import_published(args.file)
    save_checkpoint(destination, network, epoch=0, recipe={"name": args.file.stem, "imported": args.file.name})
    log.info("%s: %d tensors, all as published", destination, len(network.state_dict()))
