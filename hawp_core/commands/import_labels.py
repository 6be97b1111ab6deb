"""hawp import-labels: take own labels in, to train on them."""

import argparse
import time
from dataclasses import asdict
from pathlib import Path

from hawp_core.commands import argument_types, common
from hawp_core.data.data_config import PhotographData
from hawp_core.runtime.extras import require
from hawp_core.runtime.files import write_text
from hawp_core.workflow.paths import OWN_FINGERPRINT_CACHE, manifest_file, own_labels
from hawp_core.workflow.places import ImportPlaces
from hawp_core.workflow.recipe_builders import import_recipe
from hawp_core.workflow.settings import complete

HELP = "take own labels in: JSON (HAWP, L-CNN), labelme, CVAT, npz"
DESCRIPTION = """Read labels that were drawn or corrected by hand, place them on their photographs, and write the label file and
the data config that `hawp train` reads: data-ssl/own-labels/KEY.h5 and .yaml, where KEY is the digest of the labels and of the
photographs. docs/labels.md says how photographs are found, and what becomes of lines that do not fit them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "files", type=Path, metavar="FILES",
        help="a label file, or a folder of them, searched recursively: JSON of HAWP, L-CNN or labelme, CVAT's XML, L-CNN's npz",
    )  # fmt: skip
    parser.add_argument(
        "--images", required=True, metavar="FOLDER", help="folder of the photographs that are labelled, or bundled"
    )
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="list of those photographs, made by the workflow [scan]"
    )
    parser.add_argument(
        "--join", type=argument_types.setting("labels.join"), default=0.0, metavar="PX",
        help="ends of lines that are closer than this become one junction; pixels of the photograph [0: equal ends only]",
    )  # fmt: skip
    common.add_expect(parser)
    common.add_log(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    require("h5py", "scipy")
    from hawp_core.data.label_writing import write_labels
    from hawp_core.data.own_labels.placing import place_all, remarks
    from hawp_core.data.own_labels.reading import read_own_labels
    from hawp_core.data.photographs.fingerprint import check_unchanged, fingerprint
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.runtime.progress import bar, log
    from hawp_core.workflow.planning import write_own_lists
    from hawp_core.workflow.record import write_record

    began = time.monotonic()
    if args.manifest:
        photographs = Manifest.read(args.manifest, args.images)
    else:
        photographs = fingerprint(args.images, OWN_FINGERPRINT_CACHE)
    own = read_own_labels(args.files, args.images, photographs)
    settings = complete({"labels": {"join": args.join}})
    listing = args.manifest or manifest_file(photographs.key)
    places = ImportPlaces(str(args.files), args.images, listing, len(own.drawn))
    recipe = import_recipe(settings, own.key, own.photographs.key, places)
    common.check_expected(recipe, args.expect)
    labels, config = own_labels(recipe.key), own_labels(recipe.key, ".yaml")
    if config.is_file() and labels.is_file():
        log.info("%s is there: nothing to do", config)
        return
    for entry in own.photographs.entries:
        check_unchanged(args.images, entry, "it was listed", "run the workflow again")
    with bar("own labels", len(own.drawn), "photograph", delay=2) as shown:
        wireframes, counts = place_all(own, args.images, args.join, shown.update)
    told = asdict(counts) | {"other_shapes": own.others}
    write_own_lists(own)
    write_labels(labels, list(own.drawn), wireframes, about={"export": recipe.key, "photographs": own.photographs.key})
    text = PhotographData(recipe.key, labels, args.images, own.photographs.key, None).as_yaml()
    write_record(
        config, recipe, outputs={labels.name: labels, config.name: text.encode()}, upstream=[],
        seconds=time.monotonic() - began, device="CPU",
        counts=told | {"layouts": {name: asdict(came) for name, came in own.layouts.items()}},
    )  # fmt: skip
    # Last of all: trainings wait for the data config.
    write_text(config, text)
    log.info("%s: %d lines on %d photographs", config, counts.lines, counts.images)
    for what in remarks(told):
        log.warning(what)
