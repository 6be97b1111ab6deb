"""Digests of photographs that were made where they lie: what `sha256sum` of GNU coreutils writes, and BagIt's manifest-sha256.txt."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hawp_core.data.names import CHUNK, Names
from hawp_core.data.photographs.folder import locate
from hawp_core.data.photographs.found import PhotographFile
from hawp_core.data.photographs.listed import ListedPhotograph
from hawp_core.errors import UserError
from hawp_core.runtime.text import shown

# A backslash before the line says that its name is escaped; `--tag` writes the other form.
_LINES = (
    re.compile(rb"(?P<escaped>\\)?(?P<digest>[0-9A-Fa-f]{64})(?: [ *]|[ \t]+)(?P<name>.+)"),
    re.compile(rb"(?P<escaped>\\)?SHA256 \((?P<name>.+)\) = (?P<digest>[0-9A-Fa-f]{64})"),
)
_ESCAPES = {rb"\\": b"\\", rb"\n": b"\n", rb"\r": b"\r"}
_BAGIT = re.compile(rb"manifest-sha256\.txt$")
_PERCENT = {b"%0A": b"\n", b"%0a": b"\n", b"%0D": b"\r", b"%0d": b"\r", b"%25": b"%"}


class KnownSums:
    """The digests that a file gives of the photographs of a folder, in little memory where its names are in order.

    Args:
        file: names in it are relative to `folder`, or absolute.
        folder: of the photographs.

    Raises:
        UserError: it cannot be read, a line is none of a digest, or a name comes twice.
    """

    def __init__(self, file: Path | str, folder: Path | str) -> None:
        self.file = Path(file)
        digests = bytearray()
        inside = os.fsencode(os.path.realpath(locate(folder))) + b"/"

        def chunks(stream: Iterator[bytes]) -> Iterator[list[bytes]]:
            chunk: list[bytes] = []
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                name, digest = self._parsed(line, number)
                digests.extend(digest)
                chunk.append(name.removeprefix(inside).removeprefix(b"./"))
                if len(chunk) == CHUNK:
                    yield chunk
                    chunk = []
            yield chunk

        try:
            with open(self.file, "rb") as stream:
                self.time = os.fstat(stream.fileno()).st_mtime_ns
                self._names = Names(chunks(iter(stream)))
        except OSError as error:
            raise UserError(
                f"{shown(file)} cannot be read ({error.strerror}): give the output of sha256sum in photographs.sums."
            ) from error
        except ValueError as error:
            raise UserError(f"{shown(file)} is no list of SHA-256 sums ({error}): make it again.") from error
        self._digests = np.frombuffer(bytes(digests), np.uint8).reshape(-1, 32)

    def _parsed(self, line: bytes, number: int) -> tuple[bytes, bytes]:
        line = line.rstrip(b"\r\n")
        match = next((found for form in _LINES if (found := form.fullmatch(line))), None)
        if match is None:
            raise UserError(
                f"line {number} of {shown(self.file)} is no SHA-256 with a name: give the output of sha256sum in photographs.sums."
            )
        name = match["name"]
        if match["escaped"]:
            name = re.sub(rb"\\[\\nr]", lambda found: _ESCAPES[found[0]], name)
        elif _BAGIT.search(os.fsencode(self.file)):
            name = re.sub(rb"%0[AaDd]|%25", lambda found: _PERCENT[found[0]], name)
        return name, bytes.fromhex(match["digest"].decode())

    def row(self, photograph: PhotographFile) -> ListedPhotograph | None:
        """A photograph with its digest; None where there is none, or the file was changed after they were made."""
        if photograph.mtime_ns > self.time:
            return None
        row = self._names.row(photograph.name)
        if row is None:
            return None
        return ListedPhotograph(
            photograph.name, self._digests[row].tobytes().hex(), photograph.size, photograph.mtime_ns
        )
