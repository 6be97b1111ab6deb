"""hawp predict: wireframes of your own images."""

import argparse
import glob
from pathlib import Path

from hawp_core.commands import common
from hawp_core.errors import UserError
from hawp_core.runtime.devices import compute_options

HELP = "find the wireframes of images"


DESCRIPTION = """Find the wireframes of images and write them in original pixels: drawn over the image (png, svg) or for
programs (json, npz). An image that cannot be read is named at the end; the others are done all the same."""


FORMATS = ("png", "svg", "json", "npz")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("images", nargs="+", metavar="IMAGE|FOLDER|GLOB", help="images, folders of images, or patterns")
    common.add_model(parser)
    parser.add_argument(
        "--threshold", type=float, default=0.5, metavar="S", help="least score of a line, 0 to 1 [%(default)s]"
    )
    parser.add_argument(
        "--saveto", type=Path, default=Path("wireframes"), metavar="DIR", help="where to write [%(default)s]"
    )
    parser.add_argument("--ext", choices=FORMATS, nargs="+", default=["png"], help="what to write [png]")
    parser.add_argument(
        "--batch-size", type=common.positive(int), default=4, metavar="N", help="images at a time [%(default)s]"
    )
    common.add_compute(parser)


def collect(patterns: list[str]) -> list[tuple[Path, Path]]:
    """(file, its name below the output folder) of every image meant.

    Raises:
        UserError: a pattern that names nothing.
    """
    from hawp_core.data.photographs.folder import scan

    found: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            found |= {path / photograph.name: Path(photograph.name) for photograph in scan(path)}
            continue
        matches = [path] if path.is_file() else [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
        if not matches:
            raise UserError(
                f"{pattern} names no file: give an image, a folder of images or a pattern such as 'photos/*.jpg'."
            )
        found |= {match: Path(match.name) for match in matches if match.is_file()}
    return list(found.items())


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.data.photographs.decoding import Unreadable, read_gray
    from hawp_core.model.parser import load
    from hawp_core.report.formats import save
    from hawp_core.runtime.progress import bar, log
    from hawp_core.workflow.settings import complete

    device, _ = compute_options(args, complete({})["compute"])
    model = load(common.find_model(args), device=str(device), threshold=args.threshold)
    files = collect(args.images)
    failures, lines = [], 0
    with bar("predict", len(files), "image") as shown:
        for start in range(0, len(files), args.batch_size):
            batch = []
            for file, name in files[start : start + args.batch_size]:
                try:
                    batch.append((name, read_gray(file)[0]))
                except Unreadable as error:
                    failures.append(str(error))
            for (name, image), wireframe in zip(
                batch, model.many([image for _, image in batch]) if batch else [], strict=True
            ):
                lines += len(wireframe.edges)
                for ext in args.ext:
                    save(args.saveto / name.with_name(f"{name.name}.{ext}"), str(name), image, wireframe)
            shown.update(len(files[start : start + args.batch_size]))
    done = len(files) - len(failures)
    log.info("%d images, %d lines, written to %s", done, lines, args.saveto)
    if failures:
        raise UserError("; ".join([f"{len(failures)} of {len(files)} images were left out", *failures]))
