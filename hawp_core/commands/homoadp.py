"""hawp homoadp: label photographs by homographic adaptation."""

import argparse
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hawp_core.commands import argument_types, common
from hawp_core.errors import UserError
from hawp_core.runtime.devices import apply_compute, choose_compute, device_name
from hawp_core.runtime.files import write_text
from hawp_core.runtime.half_precision import asked_precision, precision_name, usual_precision
from hawp_core.runtime.journal import work_folder
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.paths import label_file, label_shard, label_shards, manifest_file
from hawp_core.workflow.places import PhotographPlaces
from hawp_core.workflow.recipe import ExportRecipe
from hawp_core.workflow.recipe_builders import Origin, export_recipe
from hawp_core.workflow.settings import changed, check_together, find_configuration
from hawp_core.workflow.sharding import shard_range

if TYPE_CHECKING:
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.model.network import WireframeNetwork
    from hawp_core.runtime.signals import StopRequest

HELP = "label photographs by homographic adaptation"
DESCRIPTION = """Label every photograph of a folder with a trained model. The labels, the data config of the next
training and the record of how they were made are written to data-ssl/NAME/{KEY}-model-{EPOCH}.h5, .yaml and .log.
Killed, the same command carries on after the last finished photograph; --batch-size and --shard change no label."""

# What the recipe's users call the ways to label, and the setting export.labels.
ARCHITECTURES = {
    "HAWP-heatmap": "heatmap", "HAWP-recurring": "recurring", "HAWP-united": "united", "HAWP-whole": "whole",
    "HAWP-votes": "votes",
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "--metarch", choices=tuple(ARCHITECTURES),
        help="HAWP-heatmap: the published way; HAWP-recurring: lines that several views find again; HAWP-united: what the image and its views find, by their mean score; HAWP-whole: the same, with whole lines before their pieces; HAWP-votes: one pass, scored by votes of the field [export.labels of the data config]",
    )  # fmt: skip
    parser.add_argument(
        "--datacfg", type=find_configuration, default=common.DEFAULT_CONFIG, metavar="FILE",
        help="configuration or recipe: sections photographs and export [%(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--images", metavar="FOLDER", help="folder of photographs [photographs.folder of the data config]"
    )
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="list of the photographs, made by the workflow [scan]"
    )
    common.add_model(parser)
    parser.add_argument(
        "--modelcfg", type=find_configuration, metavar="FILE", help="check that the model was made with this model.yaml"
    )
    parser.add_argument("--min-score", type=float, metavar="S", help="leave out lines below this score, 0 to 1 [0.75]")
    parser.add_argument(
        "--batch-size",
        type=argument_types.setting("compute.export_batch"),
        metavar="N",
        help="photographs labelled together on a GPU [from the config: 16]",
    )
    parser.add_argument(
        "--memory-gb",
        type=argument_types.positive(float),
        metavar="GB",
        help="memory that the views in work may take [from the config: most of what the GPU has free, or what suits a CPU]",
    )
    parser.add_argument(
        "--shard", type=argument_types.part, metavar="I/N", help="label only the I-th of N parts of the photographs"
    )
    parser.add_argument(
        "--gather",
        type=argument_types.positive(int, argument_types.MOST_PARTS),
        metavar="N",
        help="label nothing: join the N shards",
    )
    parser.add_argument(
        "--max-rejected",
        type=argument_types.share,
        metavar="SHARE",
        help="fail when more than this share is unreadable [from the config: 0.1]",
    )
    common.add_expect(parser)
    common.add_compute(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.data.photographs.manifest import Manifest
    from hawp_core.model.checkpoint import load_checkpoint
    from hawp_core.runtime.lease import lease
    from hawp_core.runtime.progress import log
    from hawp_core.runtime.signals import stop_on_signal
    from hawp_core.workflow.planning import photographs_in
    from hawp_core.workflow.sharing import take_over

    settings, _ = common.load_settings(args.datacfg)
    given = {"labels": ARCHITECTURES.get(args.metarch), "min_score": args.min_score}
    given = {name: value for name, value in given.items() if value is not None}
    settings = changed(settings, {"export": given}, "command line")
    check_together(settings, "command line")
    model = common.find_model(args)
    network, info = load_checkpoint(model, "cpu")
    if args.modelcfg:
        _check_model(args.modelcfg, network, model)
    folder = args.images or settings.photographs.folder
    manifest = Manifest.read(args.manifest, folder) if args.manifest else photographs_in(folder, settings)
    shard, of = args.shard or (0, args.gather or 1)
    listing = args.manifest or manifest_file(manifest.key)
    at = PhotographPlaces(folder, listing, len(manifest.entries), of)
    recipe = export_recipe(settings, Origin.of(info, model), manifest.key, at, model)
    common.check_expected(recipe, args.expect)
    with stop_on_signal() as stop, lease(work_folder(label_shard(recipe, shard, of)), stop=stop, say=log.info):
        if args.shard:
            _label(args, settings, network, manifest, recipe, shard, of, stop)
            return
        config = label_file(recipe.name, recipe.key, info.epoch, ".yaml")
        if config.is_file() and config.with_suffix(".h5").is_file():
            log.info("%s is there: nothing to do", config.with_suffix(".h5"))
            return
        if not args.gather and (theirs := take_over(recipe)):
            log.info("%s is the same as %s: linked, not labelled again", config.with_suffix(".h5"), theirs)
            return
        made = not args.gather and _label(args, settings, network, manifest, recipe, shard, of, stop)
        _gather(args, settings, manifest, recipe, model)
        # A shard that was there, or was asked for by itself, is its maker's: a workflow that runs beside still reads its
        # own, and removes it once it has noted the labels.
        if made:
            label_shard(recipe, shard, of).unlink(missing_ok=True)


def _check_model(path: Path, network: "WireframeNetwork", model: Path) -> None:
    from hawp_core.model.architecture import Architecture

    wanted = Architecture.from_dict(asdict(common.load_settings(path)[0].model)).to_dict()
    for name, value in network.architecture.to_dict().items():
        if wanted[name] != value:
            raise UserError(
                f"{model} was made with model.{name} = {value}, and {path} says {wanted[name]}: give its own model.yaml."
            )


def _label(
    args: argparse.Namespace,
    settings: Settings,
    network: "WireframeNetwork",
    manifest: "Manifest",
    recipe: ExportRecipe,
    shard: int,
    of: int,
    stop: "StopRequest",
) -> bool:
    """Make a shard; whether there was anything to do."""
    from hawp_core.labelling.labeller import Labeller
    from hawp_core.labelling.shards import label_photographs
    from hawp_core.model.folding import fold_batch_norm
    from hawp_core.runtime.progress import log

    computing = choose_compute(args, settings.compute)
    apply_compute(computing)
    device = computing.device
    precision = asked_precision(args, settings.compute) or usual_precision(device)
    memory = args.memory_gb or settings.compute.memory_gb
    path = label_shard(recipe, shard, of)
    if path.is_file():
        log.info("%s is there: nothing to do", path)
        return False
    wanted = shard_range(len(manifest.entries), shard, of)
    labeller = Labeller(
        fold_batch_norm(network, precision).to(device),
        settings.export,
        batch=args.batch_size or settings.compute.export_batch,
        precision=precision,
        memory=memory * 1e9 or None,
    )
    counts = label_photographs(
        path,
        labeller,
        manifest,
        wanted,
        key=recipe.key,
        seed=settings.seed,
        threads=computing.threads,
        device=f"{device_name(device)} ({precision_name(precision)})",
        stop=stop,
    )
    log.info(
        "%s: %d photographs labelled (%d of them earlier), %d rejected, %d lines; %.1f s, %.0f %% of them waiting for photographs",
        path.name, counts.labelled, counts.resumed, counts.rejected, counts.lines,
        counts.seconds, 100 * counts.waiting / counts.seconds,
    )  # fmt: skip
    return True


def _gather(
    args: argparse.Namespace, settings: Settings, manifest: "Manifest", recipe: ExportRecipe, model: Path
) -> None:
    """Join the shards, which stay; what is needed to continue them goes."""
    from hawp_core.labelling.gathering import gather_shards, rejected_list
    from hawp_core.runtime.progress import log
    from hawp_core.workflow.label_notes import notes
    from hawp_core.workflow.record import command_line, write_record

    began = time.monotonic()
    labels = label_file(recipe.name, recipe.key, recipe.places.epoch)
    parts = label_shards(recipe)
    about = {"model": recipe.consumed("model"), "epoch": recipe.places.epoch, "photographs": manifest.key}
    share = settings.photographs.max_rejected if args.max_rejected is None else args.max_rejected
    # The next training compares the photographs with what they were now.
    if not (listing := manifest_file(manifest.key)).is_file():
        manifest.write(listing)
    counts, device = gather_shards(parts, labels, manifest, key=recipe.key, max_rejected=share, about=about)
    texts = notes(recipe, asdict(counts), command_line())
    outputs: dict[str, Path | bytes] = {path.name: text.encode() for path, text in texts.items()}
    outputs[labels.name] = labels
    if counts.rejected:
        rejected = rejected_list(labels)
        outputs[rejected.name] = rejected
    labelling = counts.labelling_seconds
    write_record(
        labels, recipe, outputs=outputs, upstream=[model], device=device, counts=asdict(counts),
        seconds=None if labelling is None else labelling + time.monotonic() - began,
    )  # fmt: skip
    for path, text in texts.items():
        write_text(path, text)
    for part in parts:
        shutil.rmtree(work_folder(part), ignore_errors=True)
    log.info(
        "%s: %d lines on %d photographs (%.1f each)",
        labels,
        counts.lines,
        counts.images,
        counts.lines / max(1, counts.images),
    )
    if not counts.lines:
        log.warning("no line was found on any photograph: lower export.min_score, or train longer")
