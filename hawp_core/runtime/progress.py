"""Progress bars and log lines that suit a terminal and a log file alike."""

import logging
import sys
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

# A bar in a log file is a line each time; in a terminal it is redrawn in place.
TERMINAL_SECONDS, FILE_SECONDS = 0.5, 15.0

log = logging.getLogger("hawp")


def bar(title: str, total: int, unit: str, done: int = 0, delay: float = 0, leave: bool = True) -> "tqdm[NoReturn]":
    """A progress bar on standard error, from `done` to `total`, with rate and time left, after `delay` seconds; without
    `leave` it disappears from a terminal when it is full."""
    interval = TERMINAL_SECONDS if sys.stderr.isatty() else FILE_SECONDS
    return tqdm(
        total=total, initial=done, desc=title, unit=unit, mininterval=interval, maxinterval=2 * interval,
        dynamic_ncols=True, delay=delay, leave=leave, ascii=not sys.stderr.isatty(),
    )  # fmt: skip


class _AboveBars(logging.Handler):
    """Writes log lines above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def start_logging(file: Path | None, command: str = "") -> None:
    """Send log lines to standard error and, appended with their time, to `file`, which begins with `command`."""
    log.handlers.clear()
    log.setLevel(logging.INFO)
    log.propagate = False
    screen = _AboveBars()
    screen.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(screen)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = logging.FileHandler(file, encoding="utf-8")
        kept.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(kept)
        kept.handle(log.makeRecord(log.name, logging.INFO, "", 0, command, (), None))
