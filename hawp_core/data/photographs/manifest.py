"""What a folder of photographs contains: the digest of every file, cached, and the list that a run is made from.

The fingerprint of a folder is the digest of all names and contents; it knows neither the folder's place nor any time,
so that a copied folder keeps its key.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from hawp_core.data.photographs.folder import PhotographFile, Rejected, locate, resolve, survey
from hawp_core.errors import UserError
from hawp_core.runtime.files import replacing, sha256
from hawp_core.runtime.text import first_line, shown

MANIFEST_FORMAT = "hawp-rounds photographs 2"
EARLIER_FORMAT = "hawp-rounds photographs 1"  # its sum knows the lines below the header only
KEY_BEGINNING = b"hawp-rounds photographs 1"  # of what a key is the digest of: it stays, whatever becomes of the file
HASH_THREADS = 8  # reading waits for the disk and hashing releases the interpreter lock
HASH_BATCH = 256  # files handed to the threads at a time
SAVE_SECONDS = 60  # the most hashing that a killed run loses
# A file whose time is this close to the clock may change again without changing its time (FAT counts in 2 s).
UNSETTLED_NS = 2 * 10**9


class ListedPhotograph(NamedTuple):
    """A photograph and the SHA-256 of its bytes."""

    name: str
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Manifest:
    """The content of a folder of photographs.

    Attributes:
        folder: the folder as it was given.
        entries: one a photograph, sorted by name.
        rejected: files that look like photographs and cannot be used, sorted.
    """

    folder: str
    entries: list[ListedPhotograph]
    rejected: list[Rejected] = field(default_factory=list)

    @cached_property
    def key(self) -> str:
        """SHA-256, hexadecimal, of the names and contents; times and the folder's own place do not count."""
        digest = hashlib.sha256(KEY_BEGINNING)
        for entry in sorted(self.entries):
            digest.update(json.dumps([entry.name, entry.sha256]).encode("ascii") + b"\n")
        return digest.hexdigest()

    def write(self, path: Path | str) -> None:
        """Write JSON lines, whole or not at all: a header, an entry a line, then a rejected file a line.

        Raises:
            UserError: the file cannot be written.
        """
        lines = [json.dumps(row) for row in (*self.entries, *self.rejected)]
        header = {
            "format": MANIFEST_FORMAT,
            "folder": self.folder,
            "key": self.key,
            "photographs": len(self.entries),
            "columns": list(ListedPhotograph._fields),
        }
        header["sum"] = _sum_of(header, lines)
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in [json.dumps(header), *lines]), encoding="ascii")

    @classmethod
    def read(cls, path: Path | str, folder: str | None = None) -> "Manifest":
        """Read what `write` wrote.

        Args:
            folder: where the photographs lie now; None for where they lay when the list was made. A list knows them by
                their contents, so that it stays when they are moved.

        Raises:
            UserError: missing, cut short, altered, of another kind, or of another version.
        """
        try:
            if Path(path).exists() and not Path(path).is_file():
                raise ValueError("it is no regular file")
            first, _, body = Path(path).read_text(encoding="ascii").partition("\n")
            header, lines = json.loads(first), body.splitlines()
            if header["format"] not in (MANIFEST_FORMAT, EARLIER_FORMAT):
                raise ValueError(f"its format is {header['format']!r}, and this version reads {MANIFEST_FORMAT!r}")
            if _sum_of(header, lines) != header["sum"]:
                raise ValueError("it changed since it was written")
            rows = json.loads(f"[{','.join(lines)}]")
            count = header["photographs"]
            entries, rejected = [ListedPhotograph(*r) for r in rows[:count]], [Rejected(*r) for r in rows[count:]]
            if not _well_formed(header["folder"], entries, rejected):
                raise ValueError("its lines are not names, each once and in order, with their digests, sizes and times")
            manifest = cls(header["folder"] if folder is None else folder, entries, rejected)
            if manifest.key != header["key"]:
                raise ValueError("its key does not fit its entries")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            raise UserError(
                f"{shown(path)} is no readable list of photographs ({shown(reason)}): delete it and make it again."
            ) from error
        return manifest


def _sum_of(header: dict[str, object], lines: list[str]) -> str:
    """SHA-256 of the other fields of the header, and of the lines."""
    rest = json.dumps({name: value for name, value in header.items() if name != "sum"}, sort_keys=True)
    covered = lines if header["format"] == EARLIER_FORMAT else [rest, *lines]
    return hashlib.sha256("\n".join(covered).encode("ascii")).hexdigest()


def _well_formed(folder: object, entries: list[ListedPhotograph], rejected: list[Rejected]) -> bool:
    """Whether everything has its type, and no photograph comes twice: a sum tells damage, and not who wrote the list."""
    return (
        isinstance(folder, str)
        and all(type(e.name) is type(e.sha256) is str and type(e.size) is type(e.mtime_ns) is int for e in entries)
        and all(one.name < other.name for one, other in pairwise(entries))
        and all(type(r.name) is type(r.reason) is str for r in rejected)
    )


def fingerprint(folder: Path | str, cache: Path | None = None) -> Manifest:
    """Hash the photographs of a folder, or take from `cache` what has the same name, size and time as then.

    A change that keeps a file's name, size and modification time is not noticed while the cache exists. Files that
    may not be opened are listed as rejected and do not count for the key; a damaged cache is made anew.

    Raises:
        UserError: see `survey`; a file changes or fails while it is read; the cache cannot be written.
    """
    photographs, rejected = survey(folder)
    place = os.path.realpath(locate(folder))
    known = _cached(cache, place)
    entries = [ListedPhotograph(p.name, known[p], p.size, p.mtime_ns) for p in photographs if p in known]
    unknown = [p for p in photographs if p not in known]
    settled = time.time_ns() - UNSETTLED_NS

    def save() -> None:
        if cache is not None:
            Manifest(place, sorted(e for e in entries if e.mtime_ns < settled)).write(cache)

    if unknown:
        try:
            saved = time.monotonic()
            for rows in _hash_all(folder, unknown):
                entries += [row for row in rows if isinstance(row, ListedPhotograph)]
                rejected += [row for row in rows if isinstance(row, Rejected)]
                if time.monotonic() - saved > SAVE_SECONDS:
                    save()
                    saved = time.monotonic()
        finally:
            save()
    if not entries:
        raise UserError(f"{shown(place)} holds no photograph that may be opened: give permission to read its files.")
    return Manifest(str(folder), sorted(entries), sorted(rejected))


def _cached(cache: Path | None, place: str) -> dict[PhotographFile, str]:
    """The digests that a cache of the same folder holds; equal names, sizes and times elsewhere prove nothing."""
    if cache is None or not Path(cache).exists():
        return {}
    try:
        manifest = Manifest.read(cache)
    except UserError:
        return {}
    return {PhotographFile(e.name, e.size, e.mtime_ns): e.sha256 for e in manifest.entries if manifest.folder == place}


def _hash_all(folder: Path | str, photographs: list[PhotographFile]) -> Iterator[list[ListedPhotograph | Rejected]]:
    """Hash in threads, a batch at a time; a bar on standard error counts the bytes once it takes seconds."""
    total = sum(p.size for p in photographs)
    with (
        ThreadPoolExecutor(HASH_THREADS) as threads,
        tqdm(total=total, desc="fingerprint", unit="B", unit_scale=True, delay=2) as bar,
    ):
        for start in range(0, len(photographs), HASH_BATCH):
            batch = photographs[start : start + HASH_BATCH]
            rows: list[ListedPhotograph | Rejected] = []
            for row in threads.map(lambda photograph: _hashed(folder, photograph), batch):
                bar.update(batch[len(rows)].size)
                rows.append(row)
            yield rows


def _hashed(folder: Path | str, photograph: PhotographFile) -> ListedPhotograph | Rejected:
    path = resolve(folder, photograph.name)
    try:
        digest = sha256(path)
        found = path.stat()
    except PermissionError as error:
        return Rejected(shown(photograph.name), f"it cannot be opened: {error.strerror}")
    except OSError as error:
        raise UserError(
            f"{shown(path)} could not be read ({error.strerror}): mend or remove it, then run the same command again."
        ) from error
    if (found.st_size, found.st_mtime_ns) != (photograph.size, photograph.mtime_ns):
        raise UserError(f"{shown(path)} changed while it was read: run the same command again once copying has ended.")
    return ListedPhotograph(photograph.name, digest, photograph.size, photograph.mtime_ns)


def check_unchanged(
    folder: Path | str, entry: ListedPhotograph, since: str = "the run began", remedy: str = "start anew"
) -> None:
    """See that a photograph is still what it was; its content is read only where its size or time differs.

    Args:
        since, remedy: for the message: since when, and what to do other than put the old file back.

    Raises:
        UserError: it changed, or cannot be reached.
    """
    path = resolve(folder, entry.name)
    try:
        found = path.stat()
        same = (found.st_size, found.st_mtime_ns) == (entry.size, entry.mtime_ns)
        changed = not same and (found.st_size != entry.size or sha256(path) != entry.sha256)
    except OSError as error:
        raise UserError(
            f"{shown(path)} was readable when {since}, not now ({error.strerror}): put it back, or {remedy}."
        ) from error
    if changed:
        raise UserError(f"{shown(path)} changed since {since}: put the old file back, or {remedy}.")
