"""hawp explore: the labels of a run in the browser."""

import argparse
import contextlib
import os
import secrets
import sys
import webbrowser
from pathlib import Path

from hawp_core.commands import common
from hawp_core.errors import UserError
from hawp_core.runtime.extras import require
from hawp_core.runtime.text import shown

HELP = "look at the labels of a run, or at what hawp predict found, in the browser"
DESCRIPTION = """Show the photographs of a run in the browser with the labels of each round drawn over them: a slider for the least
score, what a round has in common with the one before, filters, and keys to walk. It serves this machine alone, at an address that
it prints, until Ctrl-C; it reads only, and shows what a run adds while it goes on. The JSON and JSON lines of hawp predict are
shown in the same way."""

LAST_PORT = 65535


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="FOLDER",
        help="where the run works, with data-ssl in it; or results of hawp predict, JSON or JSON lines, or the folder in which "
        "they lie, or their wireframes [the current folder]",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER",
        help="photographs of results of hawp predict [the folder around theirs]",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="port of the loopback to serve on; 0 takes a free one [0]"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address only [a browser opens where there is a screen]"
    )
    common.add_log(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    require("h5py", "scipy", "starlette", "uvicorn")
    from hawp_core.report.explore.label_sets import Shelf
    from hawp_core.report.explore.server import HOST, application, listen, server
    from hawp_core.runtime.progress import log

    if not args.folder.exists():
        raise UserError(
            f"{shown(args.folder)} does not exist: give the folder in which the run works, or results of hawp predict."
        )
    if args.images is not None and not args.images.is_dir():
        raise UserError(f"{shown(args.images)} is no folder: give that of the photographs as --images.")
    shelf = Shelf(args.folder, args.images)
    sets, faults = shelf.look()
    for fault in faults:
        log.warning(fault)
    if args.folder.is_file() and not sets:
        raise UserError(
            f"{shown(args.folder)} holds no result of hawp predict: give its JSON or JSON lines (--ext json or jsonl), or a folder."
        )
    if not sets:
        log.info(
            "no photographs are labelled in %s yet; the page shows them once a round has, or hawp predict --ext json",
            shown(args.folder),
        )
    # Whoever else is logged in on this machine reaches the port too, but does not know the address.
    secret = secrets.token_urlsafe(16)
    with listen(args.port) as listening:
        address = f"http://{HOST}:{listening.getsockname()[1]}/{secret}/"
        print(address, flush=True)
        log.info("Ctrl-C ends it")
        if not args.no_browser and _has_screen():
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server(application(shelf, secret)).run(sockets=[listening])
    log.info("ended")


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(LAST_PORT)) or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a port from 0 to {LAST_PORT}")
    return int(text)


def _has_screen() -> bool:
    """Whether a browser can show something here: one in the terminal, or far away over SSH, is not meant."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return "SSH_CONNECTION" not in os.environ and bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
