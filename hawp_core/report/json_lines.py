"""One file for the wireframes of many images: JSON lines, a row an image, added to while the work goes on."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path

from hawp_core.data.predicted import BEGINNING, JSON_LINES
from hawp_core.errors import UserError
from hawp_core.report.ownership import foreign
from hawp_core.runtime.files import Settling, parse_json, replacing
from hawp_core.runtime.journal import work_folder
from hawp_core.runtime.lease import lease
from hawp_core.runtime.progress import log
from hawp_core.runtime.signals import StopRequest


@contextlib.contextmanager
def json_lines(folder: Path, wanted: Callable[[str], str | None], stop: StopRequest) -> Iterator["JsonLines"]:
    """Yield the file of `folder`, which no other command writes meanwhile: one that does so now is waited for.

    Args:
        wanted: as for `JsonLines`.

    Raises:
        UserError: as `JsonLines`.
        Interrupted: asked to stop while waiting.
    """
    path = folder / JSON_LINES
    with (
        lease(work_folder(path), stop=stop, say=log.info, passing=True),
        contextlib.closing(JsonLines(path, wanted)) as rows,
    ):
        yield rows


class JsonLines:
    """A file of rows, each as `formats.to_json` lays it out.

    A row that a kill or a full disk cut short is left out when the file is opened again, and so are rows that are to be
    made again. Rows of other images stay.

    Attributes:
        done: `filename` of the rows that need not be made again.

    Args:
        wanted: what the row of a `filename` is to be made from; None for an image that is not in question.

    Raises:
        UserError: the file holds something else, or cannot be written.
    """

    def __init__(self, path: Path, wanted: Callable[[str], str | None]) -> None:
        self._path = path
        self.done: set[str] = set()
        if os.path.lexists(path):
            kept = [self._keep(line, wanted) for line in self._lines()]
            if not all(kept):
                with replacing(path) as temporary, open(temporary, "wb") as stream:
                    stream.writelines(line for line, stays in zip(self._lines(), kept, strict=True) if stays)
        self._stream: FileIO | None = None
        self._settling = Settling()

    def _lines(self) -> Iterator[bytes]:
        if not self._path.is_file():
            raise foreign(self._path)
        with open(self._path, "rb") as stream:
            yield from stream

    def _keep(self, line: bytes, wanted: Callable[[str], str | None]) -> bool:
        if not line.startswith(BEGINNING[: len(line)]):
            raise foreign(self._path)
        if not line.endswith(b"\n"):
            return False
        row: object = None
        with contextlib.suppress(ValueError):
            row = parse_json(line)
        if not isinstance(row, dict):
            return False
        name = row.get("filename")
        if not isinstance(name, str) or name in self.done:
            return False
        asked = wanted(name)
        if asked is None:
            return True
        if row.get("made") != asked:
            return False
        self.done.add(name)
        return True

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows; no kill loses them when this returns (a crash of the machine: see `Settling`).

        Raises:
            UserError: the disk is full; nothing earlier is lost, and no part of a row stays.
        """
        if self._stream is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer, which would be written again at the end after a full disk.
            self._stream = open(self._path, "ab", buffering=0)  # noqa: SIM115 (closed by close())
        whole = os.fstat(self._stream.fileno()).st_size
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        try:
            while content:
                content = content[self._stream.write(content) :]
            self._settling.settle(self._stream.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._path, whole)
            raise UserError(
                f"{self._path} could not be written ({error.strerror}): free space or permission there, then run the "
                "same command again; nothing finished was lost."
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
