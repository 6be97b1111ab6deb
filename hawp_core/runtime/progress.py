"""Progress bars and log lines that suit a terminal and a log file alike."""

import errno
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from hawp_core.errors import UserError
from hawp_core.runtime.text import first_line, shown

# A bar in a log file is a line each time; in a terminal it is redrawn in place.
TERMINAL_SECONDS, FILE_SECONDS = 0.5, 15.0
LOOKED_AT = 4096  # bytes of what is to be a log: in a picture, a model or a label file some of them are zero

log = logging.getLogger("hawp")


def bar(title: str, total: int, unit: str, done: int = 0, delay: float = 0, leave: bool = True) -> "tqdm[NoReturn]":
    """A progress bar on standard error, from `done` to `total`, with rate and time left, after `delay` seconds; without
    `leave` it disappears from a terminal when it is full."""
    interval = TERMINAL_SECONDS if sys.stderr.isatty() else FILE_SECONDS
    return tqdm(
        total=total, initial=done, desc=title, unit=unit, mininterval=interval, maxinterval=2 * interval,
        dynamic_ncols=True, delay=delay, leave=leave, ascii=not sys.stderr.isatty(),
    )  # fmt: skip


class _Plain(logging.Formatter):
    """What is printed moves no cursor and sets no colours, whatever the names in it hold."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines."""
        return "\n".join(map(shown, super().format(record).split("\n")))


class _AboveBars(logging.Handler):
    """Writes log lines above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except OSError as error:
            # A terminal that was closed: its signal is on the way, and the work ends in good order. tqdm's bars bear it too.
            if error.errno != errno.EIO:
                raise


class _Kept(logging.FileHandler):
    """Appends log lines to a file. Where that takes no more, it says so once, and the work goes on without."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Called within `except`."""
        log.removeHandler(self)
        if isinstance(error := sys.exc_info()[1], Exception):
            log.warning("%s takes no more lines (%s)", shown(self.baseFilename), first_line(error))


def start_logging(file: Path | None, command: str = "") -> None:
    """Send log lines to standard error and, appended with their time, to `file`, which begins with `command`.

    Raises:
        UserError: `file` is there and is no text, or a pipe from which nobody reads.
        OSError: it cannot be written.
    """
    log.handlers.clear()
    log.setLevel(logging.INFO)
    log.propagate = False
    screen = _AboveBars()
    screen.setFormatter(_Plain("%(message)s"))
    log.addHandler(screen)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        _check_log(file)
        kept = _Kept(file, encoding="utf-8", errors="backslashreplace")
        kept.setFormatter(_Plain("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(kept)
        kept.handle(log.makeRecord(log.name, logging.INFO, "", 0, command, (), None))


def _check_log(file: Path) -> None:
    if file.is_fifo():
        try:
            # For writing alone, a pipe opens at once or not at all.
            os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            raise UserError(f"--log {shown(file)} is a pipe from which nobody reads: give a file.") from error
    elif file.is_file():
        with open(file, "rb") as stream:
            if b"\0" in stream.read(LOOKED_AT):
                raise UserError(
                    f"--log {shown(file)} is there already and is no text, to which lines could be added: give another file."
                )
