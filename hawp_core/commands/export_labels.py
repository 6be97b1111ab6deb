"""hawp export-labels: write labels for other programs, to look at them or to correct them by hand."""

import argparse
from pathlib import Path

from hawp_core.commands import argument_types, common
from hawp_core.data.data_config import PhotographData, read_data_config
from hawp_core.data.labelled import Labelled
from hawp_core.data.predicted import JSON_LINES, Predicted
from hawp_core.errors import UserError
from hawp_core.runtime.extras import require
from hawp_core.runtime.text import counted, shown

HELP = "write a round's labels, or what hawp predict found, as JSON (HAWP, L-CNN), labelme, CVAT or npz"
DESCRIPTION = """Write the pseudo labels of a round, own labels, or what hawp predict found as files that labelme, CVAT, HAWP and L-CNN read. Corrected, they
come back by `hawp import-labels`, or by labels.files in a configuration. A file that is there is never written over."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "datacfg", type=Path, metavar="FILE",
        help="data config (.yaml) written by hawp homoadp or hawp import-labels; or what hawp predict found: JSON, JSON lines, or "
        "their folder",
    )  # fmt: skip
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="photographs of what hawp predict found [the folder around theirs]",
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
        type=argument_types.share,
        default=0.0,
        metavar="S",
        help="leave out lines below this score [%(default)s]",
    )
    common.add_log(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.data.own_labels.writing import chosen, write_own_labels
    from hawp_core.runtime.progress import bar, log

    predicted = args.datacfg.is_dir() or args.datacfg.suffix in (".json", ".jsonl")
    labels, folder = _results(args.datacfg, args.images) if predicted else _labels(args.datacfg)
    labelled = chosen(labels, args.photographs, args.min_score)
    with bar("labels", len(labelled), "photograph", delay=2) as progress:
        files = write_own_labels(args.layout, args.saveto, folder, labelled, progress.update)
    lines = sum(len(wireframe.edges) for _, wireframe in labelled)
    log.info(
        "%s: %s on %s, %s",
        args.saveto, counted(lines, "line"), counted(len(labelled), "photograph"), counted(len(files), "file"),
    )  # fmt: skip


def _labels(datacfg: Path) -> tuple[Labelled, str]:
    """The labels that a data config names, and the folder of the photographs."""
    require("h5py")
    from hawp_core.data.label_file import LabelFile

    data = read_data_config(datacfg)
    if not isinstance(data, PhotographData):
        raise UserError(
            f"{datacfg} names shapes, whose labels follow from their recipe: give the data config of labelled photographs."
        )
    return LabelFile(data.labels), data.folder


def _results(place: Path, images: Path | None) -> tuple[Labelled, str]:
    """What `hawp predict` found, and the folder of the photographs."""
    found = Predicted(place)
    if not found.names and (place / JSON_LINES).is_file():
        found = Predicted(place / JSON_LINES)
    if not found.names:
        raise UserError(f"{shown(place)} holds no result of hawp predict: give its JSON, JSON lines, or their folder.")
    return found, str(images or (place if place.is_dir() else place.parent).resolve().parent)
