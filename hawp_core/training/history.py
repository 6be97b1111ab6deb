"""The metrics of a training, line by line as it goes: a file of JSON lines, and the trackers that draw them."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from hawp_core.errors import UserError
from hawp_core.runtime.files import write_text
from hawp_core.training.metrics import MetricsRow, ValidationRow, from_line, read_metrics, to_line
from hawp_core.training.trackers import Tracker


class History:
    """Rows of metrics in a file, and in trackers within `with`.

    Attributes:
        file: the rows.
    """

    def __init__(self, file: Path, trackers: Sequence[Tracker] = ()) -> None:
        self.file = file
        self._trackers = trackers

    def __enter__(self) -> "History":
        """Begin the trackers behind the rows that are there."""
        rows = read_metrics(self.file)
        for tracker in self._trackers:
            tracker.begin(rows)
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close the trackers, each of them whatever becomes of the others.

        Raises:
            UserError: as `add`; not after another error, which says more.
        """
        with contextlib.suppress(UserError) if error else contextlib.nullcontext(), contextlib.ExitStack() as closing:
            for tracker in self._trackers:
                closing.callback(self._write, functools.partial(tracker.close, error))

    def add(self, row: MetricsRow) -> None:
        """Add a row.

        Raises:
            UserError: the disk is full, or the folder cannot be written.
        """

        def write() -> None:
            with open(self.file, "a", encoding="utf-8") as stream:
                stream.write(to_line(row))
            for tracker in self._trackers:
                tracker.add(row)

        self._write(write)

    def _write(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            raise UserError(
                f"{self.file} could not be written ({error.strerror}): free space or permission in {self.file.parent}, then "
                "run the same command again; it carries on after the last state that was saved."
            ) from error

    def validation(self, step: int) -> ValidationRow | None:
        """The validation after this step, where there is one."""
        rows = (row for row in read_metrics(self.file) if isinstance(row, ValidationRow) and row.step == step)
        return next(rows, None)

    def forget_after(self, step: int, epoch: int) -> None:
        """Remove the rows that a training did not know which stood at `step`, in `epoch`, when it was saved."""

        def known(row: MetricsRow) -> bool:
            ended_later = isinstance(row, ValidationRow) and row.epoch > epoch
            return row.step < step or (row.step == step and not ended_later)

        lines = self.file.read_bytes().splitlines() if self.file.is_file() else []
        # The lines themselves, so that what an older program wrote stays as it is.
        kept = [line.decode() for line in lines if (row := from_line(line)) is not None and known(row)]
        write_text(self.file, "".join(f"{line}\n" for line in kept))
