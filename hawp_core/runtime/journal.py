"""A journal of finished items: what was finished stays finished, whatever is killed."""

import contextlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import TAIL, Settling, parse_json


def work_folder(result: Path) -> Path:
    """Where a result's journal and lease lie. It outlives the result until that is used up: a workflow that is killed
    before it has noted a finished result deletes it, and it is then written anew from the journal."""
    return result.with_name(result.name + ".work")


def journal_file(result: Path, key: str) -> Path:
    """The journal of a result that belongs to the artifact `key`."""
    return work_folder(result) / f"{key}.jsonl"


class Journal:
    """Append-only JSON lines, each with its checksum: what was finished stays finished, whatever is killed.

    A line cut short by a kill or a full disk is dropped when the journal is opened again.

    Raises:
        UserError: there is a link or another thing in its place, which would be cut where it is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{path} is no regular file: move it away, then run the same command again.")
        self.records: list[Mapping[str, object]] = []
        whole = 0
        if path.exists():
            data = path.read_bytes()
            for line in data.splitlines(keepends=True):
                record = _checked(line)
                if record is None:
                    break
                self.records.append(record)
                whole += len(line)
            if whole < len(data):
                os.truncate(path, whole)
        self._stream = open(path, "ab")  # noqa: SIM115 (closed by close())
        self._whole = whole
        self._settling = Settling()

    def extend(self, records: Sequence[Mapping[str, object]]) -> None:
        """Add records; no kill loses them when this returns (a crash of the machine: see `Settling`).

        Raises:
            UserError: the disk is full or the folder cannot be written; nothing earlier is lost.
        """
        bodies = [json.dumps(record, separators=(",", ":")) for record in records]
        lines = "".join(f"{zlib.crc32(body.encode()):08x} {body}\n" for body in bodies).encode()
        try:
            self._stream.write(lines)
            self._stream.flush()
            self._settling.settle(self._stream.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self.path, self._whole)
            raise UserError(
                f"{self.path} could not be written ({error.strerror}): free space or permission there, then run the "
                f"same command again; {len(self.records)} finished images are kept."
            ) from error
        self._whole += len(lines)
        self.records.extend(records)

    def close(self) -> None:
        """Close the file; the journal stays on the disk."""
        with contextlib.suppress(OSError):
            self._stream.close()


def last_records(path: Path) -> list[dict[str, object]]:
    """The last records of a journal that somebody may be writing; damaged ones are left out."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, path.stat().st_size - TAIL))
            lines = stream.read().splitlines(keepends=True)
    except OSError:
        return []
    return [record for line in lines if (record := _checked(line)) is not None]


def _checked(line: bytes) -> dict[str, object] | None:
    """The record of a whole, unaltered journal line; None otherwise."""
    if not line.endswith(b"\n") or len(line) < 10:
        return None
    if line[:9] != f"{zlib.crc32(line[9:-1]):08x} ".encode():
        return None
    try:
        record = parse_json(line[9:-1])
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
