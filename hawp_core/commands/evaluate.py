"""hawp evaluate: measure a model."""

import argparse
import time
from pathlib import Path

from hawp_core.commands import common
from hawp_core.data.data_config import read_data_config
from hawp_core.runtime.devices import compute_options, device_name
from hawp_core.runtime.files import sha256, write_json
from hawp_core.workflow.recipe import EVALUATE_SETTINGS, KEY_LENGTH, Recipe, pick

HELP = "measure a model: structural AP, repeatability, beside OpenCV's LSD"


DESCRIPTION = """Measure a model on held-out shapes (structural AP, junctions), on photographs without labels
(repeatability and localisation error under seeded homographies, with lines per image) and, with --truth, on labelled
photographs (Wireframe or York Urban). OpenCV's LSD is measured on the same photographs."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_model(parser)
    parser.add_argument(
        "--config", type=Path, default=common.DEFAULT_CONFIG, metavar="FILE",
        help="configuration or recipe: sections seed, photographs, evaluate [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--images", metavar="FOLDER", help="photographs for repeatability [photographs.folder]")
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="list of the photographs, made by the workflow [scan]"
    )
    parser.add_argument(
        "--shapes", type=Path, metavar="FILE", help="data config of shapes [those the model was validated on]"
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="JSON",
        help="annotations of labelled photographs that lie in --images; adds sAP and AP^H",
    )
    parser.add_argument(
        "--min-score", type=float, metavar="S", help="lines compared for repeatability [evaluate.min_score]"
    )
    parser.add_argument(
        "--limit", type=common.positive(int), metavar="N", help="photographs to use [evaluate.photographs]"
    )
    parser.add_argument("--dest", type=Path, metavar="JSON", help="where to write the metrics [beside the model]")
    common.add_expect(parser)
    common.add_compute(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.data.photographs.manifest import Manifest, fingerprint
    from hawp_core.data.shapes.dataset import ShapeSet
    from hawp_core.evaluation.protocol import choose, on_photographs, on_shapes
    from hawp_core.model.checkpoint import load_checkpoint
    from hawp_core.workflow.record import write_record

    began = time.monotonic()
    settings, _ = common.load_settings(args.config)
    device, _ = compute_options(args, settings["compute"])
    if args.min_score is not None:
        settings["evaluate"]["min_score"] = args.min_score
    if args.limit is not None:
        settings["evaluate"]["photographs"] = args.limit
    chosen = settings["evaluate"]
    model = common.find_model(args)
    network, info = load_checkpoint(model, device)
    folder = args.images or settings["photographs"]["folder"]
    manifest = (
        Manifest.read(args.manifest) if args.manifest else fingerprint(folder, Path("recipes", "photographs.cache"))
    )
    shapes_file = args.shapes or (info["recipe"].get("shapes") and Path(info["recipe"]["shapes"]))
    shapes = read_data_config(shapes_file) if shapes_file else None

    made = info["recipe"]
    key = made.get("key") or sha256(model)[:KEY_LENGTH]
    inputs = {"model": key, "photographs": manifest.key, "shapes": shapes and shapes["key"]}
    recipe = Recipe("evaluate", pick(settings, EVALUATE_SETTINGS), inputs, made.get("name") or model.stem)
    common.check_expected(recipe, args.expect)

    results: dict = {"model": str(model), "photographs": folder, "epoch": info["epoch"]}
    if shapes:
        results["shapes"] = on_shapes(network, ShapeSet([Path(file) for file in shapes["validation"]]))
    names = choose(manifest, chosen["photographs"])
    if names:
        results["repeatability"] = on_photographs(
            network, folder, names, pairs=chosen["pairs"], min_score=chosen["min_score"], seed=settings["seed"]
        )
    if args.truth:
        results["labelled"] = _labelled(args.truth, folder, network)
    destination = args.dest or model.parent / f"evaluation-{recipe.key}.json"
    write_json(destination, results)
    if args.dest is None:
        write_record(
            destination, recipe, outputs={destination.name: destination}, upstream=[model, *([shapes_file] if shapes_file else [])],
            seconds=time.monotonic() - began, device=device_name(device), counts={"headline": headline(results)},
        )  # fmt: skip
    print(table(results))


def _labelled(truth: Path, folder: str, network) -> dict:
    """Structural AP and heatmap metrics of the model and of LSD on annotated photographs."""
    from hawp_core.data.photographs.decoding import read_gray
    from hawp_core.data.photographs.folder import resolve
    from hawp_core.evaluation.annotations import read_annotations
    from hawp_core.evaluation.heatmap_ap import heatmap_ap
    from hawp_core.evaluation.lsd import lsd
    from hawp_core.evaluation.protocol import LEAST_SCORE, SAP_THRESHOLDS, network_detector
    from hawp_core.evaluation.structural_ap import junction_ap, structural_ap
    from hawp_core.runtime.progress import bar

    annotations = read_annotations(truth)
    truths = [wireframe for _, wireframe in annotations]
    measured = {}
    for title, detector in {"model": network_detector(network, LEAST_SCORE), "LSD": lsd}.items():
        found = []
        with bar(f"detect with {title}", len(annotations), "image") as shown:
            for name, _ in annotations:
                found.append(detector(read_gray(resolve(folder, name))[0]))
                shown.update()
        heat = heatmap_ap(found, truths)
        measured[title] = {f"sAP{t}": float(structural_ap(found, truths, t).ap) for t in SAP_THRESHOLDS} | {
            "mAPJ": float(junction_ap(found, truths)),
            "APH": float(heat.ap),
            "FH": float(heat.f),
            "lines": sum(len(w.edges) for w in found) / len(found),
        }
    return measured


def headline(results: dict) -> str:
    """One line for the table of rounds."""
    parts = []
    if "shapes" in results:
        parts.append(f"sAP10 {results['shapes']['sAP10']:.1f}")
    if "repeatability" in results:
        found = results["repeatability"]["model"]
        value = found["structural"]["repeatability"]
        parts.append(f"Rep-5 {'none' if value is None else f'{value:.3f}'} at {found['lines_per_image']:.0f} lines")
    return ", ".join(parts)


def table(results: dict) -> str:
    """The metrics as a table to read."""
    from tabulate import tabulate

    rows = []
    for title, values in results.get("repeatability", {}).items():
        row = [title, values["lines_per_image"]]
        for kind in ("structural", "orthogonal"):
            row += [values[kind]["repeatability"], values[kind]["localisation"]]
        rows.append(row)
    parts = []
    if rows:
        heads = ["repeatability, 5 px", "lines/image", "struct. Rep-5", "Loc-5 (px)", "orth. Rep-5", "Loc-5 (px)"]
        parts.append(tabulate(rows, heads, floatfmt=".3f", missingval="none"))
    labelled = dict(results.get("labelled", {}))
    if "shapes" in results:
        labelled = {"model, held-out shapes": results["shapes"], **labelled}
    if labelled:
        names = list(dict.fromkeys(name for values in labelled.values() for name in values))
        rows = [[title, *(values.get(name) for name in names)] for title, values in labelled.items()]
        parts.append(tabulate(rows, ["with truth", *names], floatfmt=".2f", missingval=""))
    return "\n\n".join(parts)
