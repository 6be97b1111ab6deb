"""hawp evaluate: measure a model."""

import argparse
import os
import time
from pathlib import Path

from hawp_core.commands import argument_types, common
from hawp_core.data.data_config import read_shapes
from hawp_core.errors import UserError
from hawp_core.model.shipped import SHIPPED
from hawp_core.runtime.devices import apply_compute, choose_compute, device_name
from hawp_core.runtime.text import shown
from hawp_core.workflow.paths import evaluation_name, manifest_file
from hawp_core.workflow.places import PhotographPlaces
from hawp_core.workflow.recipe_builders import Origin, evaluate_recipe
from hawp_core.workflow.settings import changed, find_configuration

HELP = "measure a model: structural AP, repeatability, beside OpenCV's LSD"
DESCRIPTION = """Measure a model on held-out shapes (structural AP, junctions), on photographs without labels
(repeatability and localisation error under seeded homographies, at equal line counts) and, with --truth, on labelled
photographs (Wireframe or York Urban). OpenCV's LSD is measured on the same photographs. The field measures at
--size 512 --max-junctions 512."""

# Settings of the section `evaluate`, and the options that override them.
OPTIONS = {
    "min_score": "min_score", "photographs": "limit", "size": "size", "max_junctions": "max_junctions",
    "rotation": "rotation", "views": "views", "whole_lines": "whole_lines", "scales": "scales",
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_model(parser)
    parser.add_argument(
        "--config", type=find_configuration, default=common.DEFAULT_CONFIG, metavar="FILE",
        help="configuration or recipe: sections seed, photographs, evaluate [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--images", metavar="FOLDER", help="photographs for repeatability [photographs.folder]")
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="list of the photographs, made by the workflow [scan]"
    )
    parser.add_argument(
        "--shapes", type=Path, metavar="FILE", help="data config of shapes [those the model was validated on]"
    )
    parser.add_argument("--no-shapes", action="store_true", help="measure on photographs only")
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="JSON",
        help="annotations of labelled photographs, as of HAWP and L-CNN (Wireframe, York Urban); adds sAP and AP^H "
        "[evaluate.truth]",
    )
    parser.add_argument("--truth-images", metavar="FOLDER", help="where those photographs lie [--images]")
    parser.add_argument(
        "--min-score",
        type=argument_types.setting("evaluate.min_score"),
        metavar="S",
        help="lines compared for repeatability [evaluate.min_score]",
    )
    parser.add_argument(
        "--limit",
        type=argument_types.positive(int),
        metavar="N",
        help="photographs to use, those of --truth apart, which are all used [evaluate.photographs]",
    )
    parser.add_argument(
        "--size", type=argument_types.setting("evaluate.size"), metavar="PIXELS",
        help="side of the square that photographs are compared at; 0 is the network's own [evaluate.size]",
    )  # fmt: skip
    parser.add_argument(
        "--max-junctions", type=argument_types.setting("evaluate.max_junctions"), metavar="N",
        help="most junctions of a photograph; 0 is the network's own limit [evaluate.max_junctions]",
    )  # fmt: skip
    parser.add_argument(
        "--rotation", type=argument_types.setting("evaluate.rotation"), metavar="DEGREES",
        help="largest rotation of a warped copy; the published program takes 90 [evaluate.rotation]",
    )  # fmt: skip
    parser.add_argument(
        "--views", type=argument_types.setting("evaluate.views"), metavar="N",
        help="warped views by which the model finds the lines of a photograph, besides itself: better lines, in 1 + N times "
        "the time [evaluate.views]",
    )  # fmt: skip
    parser.add_argument(
        "--whole-lines", action="store_true", default=None,
        help="look for whole lines: pieces of longer lines and lines that point at no vanishing point score less "
        "[evaluate.whole_lines]",
    )  # fmt: skip
    parser.add_argument(
        "--scales", type=argument_types.scales, metavar="S,S",
        help="sizes at which the model looks at each photograph, relative to --size: 0.75,1,1.5 tells lines from "
        "what is none more surely and places their ends nearer, in 3.8 times the time; scores are lower [evaluate.scales]",
    )  # fmt: skip
    parser.add_argument("--dest", type=Path, metavar="JSON", help="where to write the metrics [beside the model]")
    common.add_expect(parser)
    common.add_compute(parser, precision=False)


def _check_destination(dest: Path) -> None:
    """Make sure that metrics can be written, and replace nothing but metrics.

    Raises:
        UserError: they cannot, or something else is there.
    """
    from hawp_core.evaluation.results import Evaluation

    common.check_place(dest)
    if not os.path.lexists(dest):
        return
    try:
        Evaluation.read(dest)
    except UserError as error:
        raise UserError(
            f"{shown(dest)} is there already and holds no metrics of hawp evaluate: give another place with --dest."
        ) from error


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.data.own_labels.labelled_set import read_labelled_set
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.data.shapes.dataset import ShapeSet
    from hawp_core.evaluation.protocol import (
        choose,
        conditions,
        measure_on_labelled,
        measure_on_shapes,
        measure_repeatability,
        network_detector,
    )
    from hawp_core.evaluation.results import Evaluation
    from hawp_core.evaluation.wording import as_text, headline
    from hawp_core.model.checkpoint import load_checkpoint
    from hawp_core.workflow.planning import photographs_in
    from hawp_core.workflow.record import write_record

    began = time.monotonic()
    if args.no_shapes and args.shapes:
        raise UserError("--shapes names shapes to measure on and --no-shapes asks for none: leave one out.")
    settings, _ = common.load_settings(args.config)
    computing = choose_compute(args, settings.compute)
    apply_compute(computing)
    device = computing.device
    given = {name: getattr(args, option) for name, option in OPTIONS.items() if getattr(args, option) is not None}
    if args.truth:
        given["truth"] = str(args.truth)
    settings = changed(settings, {"evaluate": given}, "the command line")
    chosen = settings.evaluate
    if args.truth_images and not chosen.truth:
        raise UserError("--truth-images goes with --truth: say which annotations its photographs have.")
    model = common.find_model(args)
    if args.dest:
        _check_destination(args.dest)
    elif model == SHIPPED:
        raise UserError(
            "the model that ships lies in the package, where no metrics are written: say with --dest where they go."
        )
    network, info = load_checkpoint(model, device)
    folder = args.images or settings.photographs.folder
    manifest = Manifest.read(args.manifest) if args.manifest else photographs_in(folder, settings)
    origin = Origin.of(info, model)
    shapes_file = None if args.no_shapes else args.shapes or origin.shapes
    shapes = read_shapes(shapes_file) if shapes_file else None

    at = PhotographPlaces(folder, args.manifest or manifest_file(manifest.key), len(manifest.entries), 1)
    shapes_key = shapes.key if shapes else None
    recipe = evaluate_recipe(settings, origin, manifest.key, shapes_key, at, model, shapes_file)
    common.check_expected(recipe, args.expect)

    # By hand the labelled photographs are as a rule those of --images; a configuration names a set of its own.
    truth_folder = args.truth_images or (folder if args.truth else recipe.places.truth_images or folder)
    truth = read_labelled_set(chosen.truth, truth_folder) if chosen.truth else None
    about = conditions(chosen, network)
    detector = network_detector(network, about)
    names = choose(manifest, chosen.photographs)
    found = Evaluation(
        model=str(model),
        photographs=folder,
        epoch=origin.epoch,
        shapes=measure_on_shapes(network, ShapeSet(shapes.validation)) if shapes else None,
        repeatability=measure_repeatability(detector, folder, names, about, settings.seed) if names else {},
        labelled=measure_on_labelled(detector, truth_folder, truth) if truth else {},
        conditions=about,
    )
    destination = args.dest or model.parent / evaluation_name(recipe)
    found.write(destination)
    if args.dest is None:
        write_record(
            destination, recipe, outputs={destination.name: destination}, upstream=[model, *([shapes_file] if shapes_file else [])],
            seconds=time.monotonic() - began, device=device_name(device), counts={"headline": headline(found)},
        )  # fmt: skip
    print(as_text(found))
