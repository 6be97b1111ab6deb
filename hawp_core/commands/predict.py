"""hawp predict: wireframes of your own images."""

import argparse
from pathlib import Path

from hawp_core.commands import common
from hawp_core.errors import UserError
from hawp_core.runtime.devices import apply_compute, choose_compute

HELP = "find the wireframes of images"

DESCRIPTION = """Find the wireframes of images and write them in original pixels: drawn over the image (png, svg) or for
programs (json, npz), under the name of each image; images of one name from several folders keep their paths. An image
that cannot be read is named at the end; the others are done all the same. No image is ever written over.
Without --ckpt or --workdir the model that comes with the package is used."""

FORMATS = ("png", "svg", "json", "npz")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("images", nargs="+", metavar="IMAGE|FOLDER|GLOB", help="images, folders of images, or patterns")
    common.add_model(parser)
    parser.add_argument(
        "--threshold", type=common.share, default=0.5, metavar="S", help="least score of a line, 0 to 1 [%(default)s]"
    )
    parser.add_argument(
        "--saveto", type=Path, default=Path("wireframes"), metavar="DIR", help="where to write [%(default)s]"
    )
    parser.add_argument("--ext", choices=FORMATS, nargs="+", default=["png"], help="what to write [png]")
    parser.add_argument(
        "--batch-size", type=common.positive(int), default=4, metavar="N", help="images at a time [%(default)s]"
    )
    common.add_compute(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.data.photographs.decoding import Unreadable, read_gray
    from hawp_core.data.photographs.selection import outputs, select, too_long
    from hawp_core.model.parser import load
    from hawp_core.model.shipped import SHIPPED
    from hawp_core.report.formats import save
    from hawp_core.runtime.progress import bar, log
    from hawp_core.workflow.settings import complete

    selection = select(args.images)
    planned = outputs(selection, args.saveto, args.ext)
    computing = choose_compute(args, complete({}).compute)
    apply_compute(computing)
    named = args.ckpt or args.workdir
    model = load(common.find_model(args) if named else SHIPPED, device=str(computing.device), threshold=args.threshold)
    files, failures, lines = selection.files, list(selection.rejected), 0
    with bar("predict", len(files), "image") as shown:
        for start in range(0, len(files), args.batch_size):
            batch = []
            for file, name in files[start : start + args.batch_size]:
                try:
                    if too_long(planned[file]):
                        raise Unreadable(file, "its name leaves no room for an ending: shorten it")
                    batch.append((file, name, read_gray(file)[0]))
                except Unreadable as error:
                    failures.append(str(error))
                except MemoryError:
                    failures.append(str(Unreadable(file, "the memory that is free does not hold it: make it smaller")))
            found = model.many([image for _, _, image in batch]) if batch else []
            for (file, name, image), wireframe in zip(batch, found, strict=True):
                lines += len(wireframe.edges)
                for path in planned[file]:
                    save(path, str(name), image, wireframe)
            shown.update(len(files[start : start + args.batch_size]))
    done = len(files) + len(selection.rejected) - len(failures)
    if selection.own:
        log.info("%d pictures that hawp predict drew earlier are no photographs and were left out", len(selection.own))
    log.info("%d images, %d lines, written to %s", done, lines, args.saveto)
    if failures:
        meant = len(files) + len(selection.rejected)
        raise UserError("; ".join([f"{len(failures)} of {meant} images were left out", *failures]))
