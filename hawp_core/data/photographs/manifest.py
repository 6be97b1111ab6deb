"""The list of photographs that a run is made from: names, digests, sizes and times, in a file of which each job reads its part.

Its key is the digest of all names and contents; it knows neither the folder's place nor any time, so that a copied folder
keeps its key.
"""

import hashlib
import itertools
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, NoReturn

from hawp_core.data.photographs.folder import Rejected
from hawp_core.data.photographs.listed import (
    KEY_BEGINNING,
    ROWS,
    Block,
    ListedPhotograph,
    ListedRows,
    block_of,
    encoded,
    key_lines,
    packed,
    well_formed,
)
from hawp_core.errors import UserError
from hawp_core.runtime.files import parse_json, replacing
from hawp_core.runtime.text import first_line, shown
from hawp_core.runtime.typed import typed

MANIFEST_FORMAT = "hawp-rounds photographs 3"
WHOLE_FORMAT = "hawp-rounds photographs 2"  # one sum for all lines
EARLIER_FORMAT = "hawp-rounds photographs 1"  # its sum knows the lines below the header only
LONGEST_HEADER = 2**28  # bytes, of 10^10 photographs


@dataclass(frozen=True)
class _Head:
    """The first line of a list."""

    format: str
    folder: str
    key: str
    photographs: int
    rejected: int
    columns: tuple[str, ...]
    rows: int
    blocks: tuple[tuple[int, str], ...]
    sum: str
    found: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The content of a folder of photographs.

    Attributes:
        folder: the folder as it was given.
        entries: one a photograph, sorted by name; those of a file are read when they are asked for.
        rejected: files that look like photographs and cannot be used, sorted.
        found: of a cache of digests that knows every photograph: digest of the names, sizes and times in its folder.
    """

    folder: str
    entries: Sequence[ListedPhotograph]
    rejected: list[Rejected] = field(default_factory=list)
    found: str | None = field(default=None, compare=False)

    @cached_property
    def key(self) -> str:
        """SHA-256, hexadecimal, of the names and contents; times and the folder's own place do not count."""
        if isinstance(self.entries, ListedRows):
            return self.entries.key
        return hashlib.sha256(KEY_BEGINNING + key_lines(encoded(sorted(self.entries)))).hexdigest()

    def write(self, path: Path | str) -> None:
        """Write JSON lines, whole or not at all: a header, an entry a line, then a rejected file a line.

        Raises:
            UserError: the file cannot be written, or what it is made from changed.
        """
        rows = packed(self.entries)
        refused = [encoded(self.rejected[i : i + ROWS]) for i in range(0, len(self.rejected), ROWS)]
        header = {
            "format": MANIFEST_FORMAT,
            "folder": self.folder,
            "key": self.key,
            "photographs": len(rows),
            "rejected": len(self.rejected),
            "columns": list(ListedPhotograph._fields),
            "rows": ROWS,
            "blocks": [*rows.blocks, *map(block_of, refused)],
        }
        if self.found is not None:
            header["found"] = self.found
        header["sum"] = _sum_of(header)
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            stream.write(f"{json.dumps(header)}\n".encode("ascii"))
            stream.writelines(itertools.chain(rows.raw(), refused))

    @classmethod
    def read(cls, path: Path | str, folder: str | None = None) -> "Manifest":
        """Read what `write` wrote: the header now, an entry when it is asked for.

        Args:
            folder: where the photographs lie now; None for where they lay when the list was made. A list knows them by
                their contents, so that it stays when they are moved.

        Raises:
            UserError: missing, cut short, altered, of another kind, or of another version.
        """

        def refuse(reason: str, error: Exception | None = None) -> NoReturn:
            raise UserError(
                f"{shown(path)} is no readable list of photographs ({shown(reason)}): delete it and make it again."
            ) from error

        try:
            if Path(path).exists() and not Path(path).is_file():
                raise ValueError("it is no regular file")
            stream = open(path, "rb")  # noqa: SIM115 (closed with the last reader)
            try:
                found = _read(stream, refuse)
            except BaseException:
                stream.close()
                raise
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            refuse(getattr(error, "strerror", None) or first_line(error), error)
        return found if folder is None else cls(folder, found.entries, found.rejected)

    def check_bytes(self) -> None:
        """Compare the file's blocks with their digests, which is quicker than to read the entries.

        Raises:
            UserError: they changed since they were written.
        """
        if isinstance(self.entries, ListedRows):
            for _ in self.entries.raw():
                pass

    def check(self) -> None:
        """Read all entries.

        Raises:
            UserError: something in the list changed since it was written, or it does not give its key.
        """
        for _ in self.entries:
            pass


def _read(stream: IO[bytes], refuse: Callable[[str], NoReturn]) -> Manifest:
    first = stream.readline(LONGEST_HEADER)
    content = parse_json(first)
    if not isinstance(content, dict):
        raise ValueError("it has no header")
    if content["format"] in (WHOLE_FORMAT, EARLIER_FORMAT):
        with stream:
            return _read_whole(content, stream.read().decode("ascii").splitlines())
    if content["format"] != MANIFEST_FORMAT:
        raise ValueError(f"its format is {content['format']!r}, and this version reads {MANIFEST_FORMAT!r}")
    head = typed(_Head, content)
    if _sum_of(content) != head.sum:
        raise ValueError("it changed since it was written")
    blocks = [Block(*block) for block in head.blocks]
    if min(head.photographs, head.rejected, head.rows - 1, *(block.size for block in blocks)) < 0:
        raise ValueError("its header counts what there is not")
    count = math.ceil(head.photographs / head.rows)
    ends = list(itertools.accumulate((block.size for block in blocks), initial=len(first)))
    if len(blocks) != count + math.ceil(head.rejected / head.rows) or os.fstat(stream.fileno()).st_size != ends[-1]:
        raise ValueError("it has another length than it says")
    rejected: list[Rejected] = []
    stream.seek(ends[count])
    for block in blocks[count:]:
        raw = stream.read(block.size)
        if block_of(raw) != block:
            raise ValueError("it changed since it was written")
        rejected += [Rejected(*json.loads(line)) for line in raw.splitlines()]
    if len(rejected) != head.rejected or not _are_texts(rejected):
        raise ValueError("its lines are not names with reasons")
    entries = ListedRows(stream, len(first), blocks[:count], head.photographs, head.key, refuse, head.rows)
    return Manifest(head.folder, entries, rejected, head.found)


def _read_whole(header: dict[str, object], lines: list[str]) -> Manifest:
    """A list of an earlier format."""
    folder, count = header["folder"], header["photographs"]
    if _sum_of(header, lines) != header["sum"]:
        raise ValueError("it changed since it was written")
    rows = json.loads(f"[{','.join(lines)}]")
    if not isinstance(folder, str) or not isinstance(count, int):
        raise ValueError("its header is none")
    entries, rejected = [ListedPhotograph(*r) for r in rows[:count]], [Rejected(*r) for r in rows[count:]]
    if not well_formed(entries) or not _are_texts(rejected):
        raise ValueError("its lines are not names, each once and in order, with their digests, sizes and times")
    manifest = Manifest(folder, entries, rejected)
    if manifest.key != header["key"]:
        raise ValueError("its key does not fit its entries")
    return manifest


def _sum_of(header: dict[str, object], lines: Sequence[str] = ()) -> str:
    """SHA-256 of the other fields of the header, which hold digests of the lines, or else also of the lines."""
    rest = json.dumps({name: value for name, value in header.items() if name != "sum"}, sort_keys=True)
    covered = lines if header["format"] == EARLIER_FORMAT else [rest, *lines]
    return hashlib.sha256("\n".join(covered).encode("ascii")).hexdigest()


def _are_texts(rejected: list[Rejected]) -> bool:
    return all(type(each.name) is type(each.reason) is str for each in rejected)
