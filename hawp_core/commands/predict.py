"""hawp predict: wireframes of your own images."""

import argparse
from pathlib import Path
from typing import Literal

from hawp_core.commands import argument_types, common
from hawp_core.errors import UserError
from hawp_core.model.architecture import TILE
from hawp_core.runtime.devices import apply_compute, choose_compute
from hawp_core.workflow.paths import PREDICTIONS

HELP = "find the wireframes of images and videos"

DESCRIPTION = """Find the wireframes of images and write them in original pixels: drawn over the image (png, svg) or for
programs (json, npz), under the name of each image; images of one name from several folders keep their paths; or all of
them in one file of JSON lines (jsonl, wireframes.jsonl). A video's frames are images named VIDEO/NUMBER, and with
--ext mp4 a video of them is drawn. An image that cannot be read is named at the end; the others are done all the same. No
image is ever written over. What is there already from the same image, model and settings is left as it is, so that
the same command carries on where it was stopped. Without --ckpt or --workdir the model that comes with the package is
used."""

# Pixels: a side of an image, of which a tile is one.
LEAST_SIZE, MOST_SIZE, MOST_TILE = 16, 100_000, 8192
ENDINGS = ("png", "svg", "json", "npz", "jsonl", "mp4")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE|VIDEO|FOLDER|GLOB",
        help="images, videos, folders of images (videos in them are left out), or patterns",
    )
    common.add_model(parser)
    parser.add_argument(
        "--threshold",
        type=argument_types.share,
        default=0.5,
        metavar="S",
        help="least score of a line, 0 to 1 [%(default)s]",
    )
    parser.add_argument("--saveto", type=Path, default=PREDICTIONS, metavar="DIR", help="where to write [%(default)s]")
    parser.add_argument("--ext", choices=ENDINGS, nargs="+", default=["png"], help="what to write [png]")
    parser.add_argument(
        "--size",
        type=_size,
        metavar="native|PX",
        help="look at images as they are, or with PX pixels on the longer side, aspect ratio kept [resized to the square "
        "that the network was trained on]",
    )
    parser.add_argument(
        "--tile",
        type=argument_types.positive(int, MOST_TILE),
        metavar="PX",
        help="with --size: what is longer on a side is cut into overlapping tiles of PX pixels, which keeps memory small "
        f"and finds long lines [{TILE}]",
    )
    parser.add_argument(
        "--views",
        type=argument_types.setting("evaluate.views"),
        default=0,
        metavar="N",
        help="look at N warped views of each image too, 1 + N times the time: lines that recur in them score more, and lie "
        "better; without --size [%(default)s]",
    )
    parser.add_argument(
        "--whole-lines",
        action="store_true",
        help="look for whole lines: pieces of longer lines and lines that point at no vanishing point score less; best with "
        "--views; without --size",
    )
    parser.add_argument(
        "--scales",
        type=argument_types.scales,
        default=[1.0],
        metavar="S,S",
        help="sizes at which the network looks, relative to the square that it was trained on: 0.75,1,1.5 tells lines "
        "from what is none more surely and places their ends nearer, in 3.8 times the time; scores are lower; without --size [1]",
    )
    parser.add_argument(
        "--every",
        type=argument_types.positive(int),
        default=1,
        metavar="N",
        help="every N-th frame of a video [%(default)s]",
    )
    parser.add_argument(
        "--batch-size",
        type=argument_types.positive(int),
        default=4,
        metavar="N",
        help="images at a time, without --size [%(default)s]",
    )
    common.add_compute(parser, precision=False)


def _size(text: str) -> int | Literal["native"]:
    """An argument type: "native" or a number of pixels."""
    if text == "native":
        return "native"
    if not (text.isdecimal() and len(text) <= len(str(MOST_SIZE)) and LEAST_SIZE <= int(text) <= MOST_SIZE):
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is neither native nor a whole number of pixels from {LEAST_SIZE} to {MOST_SIZE:,}"
        )
    return int(text)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    args.ext = list(dict.fromkeys(args.ext))
    from hawp_core.data.photographs.selection import is_video, select
    from hawp_core.model.parser import load
    from hawp_core.model.shipped import SHIPPED
    from hawp_core.report.predictions import Options, Predictions
    from hawp_core.runtime.files import sha256
    from hawp_core.runtime.progress import log
    from hawp_core.runtime.signals import stop_on_signal
    from hawp_core.runtime.text import counted, shown
    from hawp_core.workflow.settings import complete

    if args.tile is not None and args.size is None:
        raise UserError("--tile cuts what --size leaves large: give --size native or --size PX too.")
    several = args.scales != [1.0]
    for given, option in ((args.views, "--views"), (args.whole_lines, "--whole-lines"), (several, "--scales")):
        if given and args.size is not None:
            raise UserError(
                f"{option} looks at the square that the network was trained on: leave --size out, or {option}."
            )
    common.check_place(args.saveto)
    selection = select(args.images)
    if selection.passed_by:
        log.warning(
            "%d videos in folders are left out; what is named is looked at, such as %s",
            len(selection.passed_by), shown(selection.passed_by[0]),
        )  # fmt: skip
    if "mp4" in args.ext and not any(is_video(file) for file, _ in selection.files):
        raise UserError("--ext mp4 draws over videos, and none is among the images: leave it out, or name one.")
    computing = choose_compute(args, complete({}).compute)
    apply_compute(computing)
    path = common.find_model(args) if args.ckpt or args.workdir or args.epoch is not None else SHIPPED
    model = load(
        path,
        device=str(computing.device),
        threshold=args.threshold,
        views=args.views,
        whole_lines=args.whole_lines,
        scales=args.scales,
    )
    settings = {"model": sha256(path), "threshold": args.threshold, "size": args.size, "tile": args.tile or TILE}
    if args.views:  # Results of one look keep the settings that they were written with.
        settings["views"] = args.views
    if args.whole_lines:
        settings["whole_lines"] = True
    if several:
        # Those written when of near lines the better stayed are others.
        settings |= {"scales": args.scales, "score_of_scales": "root mean square"}
    options = Options(
        args.saveto, args.ext, args.size, args.tile or TILE, args.every, args.batch_size, computing.threads, settings
    )
    with stop_on_signal() as stop:
        outcome = Predictions(selection, model, options, stop).run()
    if selection.own:
        log.info("left out, because hawp predict drew it: %s", counted(len(selection.own), "picture"))
    if outcome.earlier:
        log.info("%s had been done before", counted(outcome.earlier, "image"))
    if outcome.images or not outcome.earlier:
        log.info("%s, %s, written to %s", counted(outcome.images, "image"), counted(outcome.lines, "line"), args.saveto)
    else:
        log.info("nothing was left to do: the results are in %s", args.saveto)
    if not args.views and args.size is None and outcome.images:
        log.info("each was looked at once: --views 10 finds surer lines, in eleven times the time")
    failures = [*selection.rejected, *outcome.failures]
    if failures:
        meant = len(selection.files) + len(selection.rejected)
        raise UserError("; ".join([f"left out: {len(failures)} of {counted(meant, 'image')}", *failures]))
