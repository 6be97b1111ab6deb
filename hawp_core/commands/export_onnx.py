"""hawp export-onnx: write a model for other runtimes."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hawp_core.commands import argument_types, common
from hawp_core.errors import UserError
from hawp_core.model.architecture import LARGEST

if TYPE_CHECKING:
    import numpy as np

    from hawp_core.model.network import WireframeNetwork

HELP = "write a model as ONNX, from image to lines, checked in onnxruntime"
DESCRIPTION = """Write a model as ONNX: from an image of a fixed size to its lines and their scores, by heatmap and verification or
by votes as the model has it. The image is uint8, (H, W) grey or with --rgb (H, W, 3), resized as hawp predict does it; the lines
are in its pixels, the best first, then zeros; count says how many there are. With --network the network alone is written: grey
images (B, 1, S, S) in [0, 1] to score maps, features and the line heatmap, for any batch B. The written file is run in
onnxruntime and compared with PyTorch before the command ends."""


def width_and_height(text: str) -> tuple[int, int]:
    """An argument type: S, or WxH."""
    found = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text)
    sides = [int(side) for side in found.groups(found[1])] if found else []
    if not sides or not 0 < min(sides) <= max(sides) <= LARGEST["image_size"]:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is neither S nor WxH, such as 512 or 640x448, with sides up to {LARGEST['image_size']} pixels"
        )
    return sides[0], sides[1]


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_model_file(parser)
    parser.add_argument("dest", type=Path, metavar="ONNX", help="where to write the graph")
    parser.add_argument(
        "--size", type=width_and_height, metavar="S|WxH", help="of the image, pixels [the model's, a square]"
    )
    parser.add_argument(
        "--threshold",
        type=argument_types.share,
        default=0.5,
        metavar="S",
        help="least score of a line, 0 to 1 [%(default)s]",
    )
    parser.add_argument("--rgb", action="store_true", help="take colour images, (H, W, 3), instead of grey ones")
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="IMAGE|FOLDER|GLOB",
        help="compare on these photographs [on three drawn pictures]",
    )
    parser.add_argument("--network", action="store_true", help="write the network alone, without detection")


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.model.checkpoint import load_checkpoint

    if args.network and (args.size or args.rgb or args.images):
        raise UserError("--size, --rgb and --images go with detection: leave them out, or leave out --network.")
    common.check_destination(args.dest, args.model)
    network, info = load_checkpoint(args.model, "cpu")
    about = {"epoch": info.epoch, "key": info.recipe.get("key"), "model": args.model.name}
    (_write_network if args.network else _write_lines)(args, network, about)


def _write_network(args: argparse.Namespace, network: "WireframeNetwork", about: Mapping[str, object]) -> None:
    from hawp_core.model.onnx import TOLERANCE, export_network, largest_difference
    from hawp_core.runtime.progress import log

    export_network(network, args.dest, about)
    difference = largest_difference(network, args.dest)
    if difference > TOLERANCE:
        raise _useless(args, f"by {difference:.1e} of the largest value, more than {TOLERANCE:.0e}")
    size = network.architecture.image_size
    log.info("%s: images (B, 1, %d, %d), differs from PyTorch by at most %.1e", args.dest, size, size, difference)


def _write_lines(args: argparse.Namespace, network: "WireframeNetwork", about: Mapping[str, object]) -> None:
    from hawp_core.model.onnx import LEAST_AGREEMENT, agreement, drawings, export_lines
    from hawp_core.runtime.progress import log

    multiple = network.architecture.multiple
    size = args.size or (network.architecture.image_size,) * 2
    if size[0] % multiple or size[1] % multiple:
        nearest = "x".join(str(max(1, round(side / multiple)) * multiple) for side in size)
        raise UserError(
            f"--size {size[0]}x{size[1]} has a side that is no multiple of {multiple}: say --size {nearest}."
        )
    pictures = _read(args.images, size, args.rgb) if args.images else drawings(size, args.rgb)
    log.info("writing the graph: about half a minute")
    export_lines(network, args.dest, about, size=size, min_score=args.threshold, colour=args.rgb)
    found = agreement(network, args.dest, pictures, args.threshold)
    if found.share < LEAST_AGREEMENT:
        raise _useless(args, f"in {found.lines - found.common} of {found.lines} lines")
    shape = f"({size[1]}, {size[0]}, 3)" if args.rgb else f"({size[1]}, {size[0]})"
    what = f"{found.common} of {found.lines} lines of {len(pictures)} pictures are PyTorch's"
    log.info("%s: image %s uint8, %s", args.dest, shape, what)
    if found.left_out:
        log.warning("%d candidates found no room in the graph: those that fewest votes speak for", found.left_out)


def _read(patterns: list[str], size: tuple[int, int], colour: bool) -> "list[np.ndarray]":
    """Photographs at the graph's size, uint8."""
    import numpy as np

    from hawp_core.data.photographs.decoding import read_gray
    from hawp_core.data.photographs.selection import select
    from hawp_core.geometry.resize import to_size

    selection = select(patterns)
    if selection.rejected:
        raise UserError("; ".join(selection.rejected))
    grey = [to_size(read_gray(file)[0], *size) for file, _ in selection.files]
    return [np.repeat(each[..., None], 3, axis=2) for each in grey] if colour else grey


def _useless(args: argparse.Namespace, how: str) -> UserError:
    return UserError(
        f"{args.dest} differs from {args.model} {how}: "
        "do not use it; install the versions of envs/requirements.lock and export again."
    )
