"""hawp synthesize: draw the labelled synthetic shapes."""

import argparse
import time
from pathlib import Path

from hawp_core.commands import argument_types, common
from hawp_core.data.data_config import ShapeData
from hawp_core.errors import UserError
from hawp_core.runtime.files import write_text
from hawp_core.runtime.setting_types import Settings
from hawp_core.runtime.text import shown
from hawp_core.workflow.paths import shape_config, shape_shard, shape_shards
from hawp_core.workflow.recipe import SynthesizeRecipe
from hawp_core.workflow.recipe_builders import shape_images, synthesize_recipe
from hawp_core.workflow.record import write_record
from hawp_core.workflow.settings import find_configuration
from hawp_core.workflow.sharding import shard_range

HELP = "draw synthetic shapes with their wireframes"
DESCRIPTION = """Draw the eight primitives with their labels, in shards, and write the data config that `hawp train`
reads. Every image follows from (seed, split, primitive, index) alone: shards may be drawn anywhere, in any order."""

# The splits under their names in the settings, and under those of the shapes module.
SPLITS = {"train": "train", "validation": "val"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "--config", type=find_configuration, default=common.DEFAULT_CONFIG, metavar="FILE",
        help="configuration or recipe: sections seed, shapes, model.image_size [%(default)s]",
    )  # fmt: skip
    parser.add_argument("--split", choices=tuple(SPLITS), help="draw this split only [both]")
    parser.add_argument(
        "--shard", type=argument_types.part, metavar="I/N", help="draw this shard of the split only [all]"
    )
    parser.add_argument(
        "--preview", type=Path, metavar="PNG",
        help="draw nothing else: write a contact sheet of all primitives with their labels to PNG",
    )  # fmt: skip
    common.add_expect(parser)
    common.add_log(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    settings, planned = common.load_settings(args.config)
    recipe = planned or synthesize_recipe(settings)
    if not isinstance(recipe, SynthesizeRecipe):
        raise UserError(
            f"{args.config} is a recipe of the stage '{recipe.stage}': give a configuration, or one of shapes."
        )
    common.check_expected(recipe, args.expect)
    if args.preview:
        _preview(args.preview, settings)
        return
    began = time.monotonic()
    drawn = 0
    for split in [args.split] if args.split else list(SPLITS):
        of = args.shard[1] if args.shard else getattr(recipe.places.shards, split)
        for shard in [args.shard[0]] if args.shard else range(of):
            drawn += _draw(recipe, settings, split, shard, of)
    if not args.split and not args.shard:
        _write_config(recipe, settings, drawn, time.monotonic() - began)


def _preview(path: Path, settings: Settings) -> None:
    from hawp_core.data.photographs.selection import is_own
    from hawp_core.report.drawing import save_png
    from hawp_core.report.shape_sheet import preview_shapes
    from hawp_core.runtime.progress import log

    if path.exists() and not is_own(path):
        raise UserError(f"{shown(path)} is there already and was not drawn by hawp: give another place with --preview.")
    save_png(path, preview_shapes(settings.seed, settings.model.image_size, 3, settings.shapes.style))
    log.info("wrote %s", path)


def _draw(recipe: SynthesizeRecipe, settings: Settings, split: str, shard: int, of: int) -> int:
    from hawp_core.data.shapes.drawing import synthesize
    from hawp_core.runtime.progress import bar

    path = shape_shard(recipe.key, split, shard, of)
    images = shard_range(shape_images(settings)[split], shard, of)
    if path.is_file():
        return 0
    with bar(f"draw {split} {shard + 1}/{of}", len(images), "image") as shown:
        synthesize(
            path,
            seed=settings.seed,
            split=SPLITS[split],
            first=images.start,
            count=len(images),
            image_size=settings.model.image_size,
            canvas=settings.shapes.canvas,
            style=settings.shapes.style,
            progress=shown.update,
        )
    return len(images)


def _write_config(recipe: SynthesizeRecipe, settings: Settings, drawn: int, seconds: float) -> None:
    """The data config, once every shard is there.

    Raises:
        UserError: a shard is damaged; the record would vouch for it as it is.
    """
    from hawp_core.data.label_file import LabelFile
    from hawp_core.runtime.progress import log

    config = shape_config(recipe.key)
    shards = shape_shards(recipe)
    for shard in (shard for those in shards.values() for shard in those):
        LabelFile(shard).check()
    text = ShapeData(recipe.key, tuple(shards["train"]), tuple(shards["validation"])).as_yaml()
    outputs: dict[str, Path | bytes] = {
        f"{recipe.key}/{shard.name}": shard for those in shards.values() for shard in those
    }
    outputs[config.name] = text.encode()
    counts = shape_images(settings)
    alone = drawn == sum(counts.values())
    write_record(
        config, recipe, outputs=outputs, upstream=[], seconds=seconds if alone else None, device="CPU",
        counts=counts | {"drawn_now": drawn},
    )  # fmt: skip
    # Last of all: trainings wait for the data config.
    write_text(config, text)
    log.info("%s: %d training and %d validation images", config, counts["train"], counts["validation"])
