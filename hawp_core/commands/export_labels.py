"""hawp export-labels: write labels for other programs, to look at them or to correct them by hand."""

import argparse
from pathlib import Path

from hawp_core.commands import common
from hawp_core.data.data_config import PhotographData, read_data_config
from hawp_core.errors import UserError
from hawp_core.runtime.extras import require

HELP = "write a round's labels as JSON (HAWP, L-CNN), labelme, CVAT or npz"
DESCRIPTION = """Write the pseudo labels of a round, or own labels, as files that labelme, CVAT, HAWP and L-CNN read. Corrected, they
come back by `hawp import-labels`, or by labels.files in a configuration. A file that is there is never written over."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "datacfg", type=Path, metavar="FILE", help="data config (.yaml) written by hawp homoadp or hawp import-labels"
    )
    # As hawp_core.data.own_labels.writing has them, which imports h5py.
    parser.add_argument(
        "--layout", choices=("json", "cvat", "labelme", "npz"), default="labelme",
        help="json: one file as of HAWP and L-CNN; cvat: one XML file; labelme, npz (L-CNN): a file for each photograph [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--saveto", type=Path, required=True, metavar="FOLDER", help="where to write; made if missing")
    parser.add_argument(
        "--photographs", nargs="+", default=[], metavar="NAME", help="only these, by their path in their folder [all]"
    )
    parser.add_argument(
        "--min-score",
        type=common.share,
        default=0.0,
        metavar="S",
        help="leave out lines below this score [%(default)s]",
    )
    common.add_log(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    require("h5py")
    from hawp_core.data.label_file import LabelFile
    from hawp_core.data.own_labels.writing import chosen, write_own_labels
    from hawp_core.runtime.progress import bar, log

    data = read_data_config(args.datacfg)
    if not isinstance(data, PhotographData):
        raise UserError(
            f"{args.datacfg} names shapes, whose labels follow from their recipe: give the data config of labelled photographs."
        )
    labelled = chosen(LabelFile(data.labels), args.photographs, args.min_score)
    with bar("labels", len(labelled), "photograph", delay=2) as shown:
        files = write_own_labels(args.layout, args.saveto, data.folder, labelled, shown.update)
    lines = sum(len(wireframe.edges) for _, wireframe in labelled)
    log.info("%s: %d lines on %d photographs, %s", args.saveto, lines, len(labelled), _counted(len(files)))


def _counted(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"
