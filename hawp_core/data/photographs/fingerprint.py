"""The digest of every photograph of a folder, hashed by threads and remembered from one time to the next."""

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from hawp_core.data.photographs.folder import Rejected, locate, resolve, survey
from hawp_core.data.photographs.found import PhotographFile
from hawp_core.data.photographs.listed import ListedPhotograph, ListedRows, RowWriter, packed
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.data.photographs.sums import KnownSums
from hawp_core.errors import UserError
from hawp_core.runtime.files import sha256
from hawp_core.runtime.progress import log
from hawp_core.runtime.text import shown

HASH_THREADS = 8  # reading waits for the disk and hashing releases the interpreter lock
HASH_BATCH = 256  # files handed to the threads at a time
SAVE_SECONDS = 60  # the most hashing that a killed run loses, unless saving takes more than a twentieth of it
SAVE_SHARE = 20
# A file whose time is this close to the clock may change again without changing its time (FAT counts in 2 s).
UNSETTLED_NS = 2 * 10**9


def fingerprint(folder: Path | str, cache: Path | None = None, sums: str = "") -> Manifest:
    """Hash the photographs of a folder, or take from `cache` what has the same name, size and time as then.

    A change that keeps a file's name, size and modification time is not noticed while the cache exists. Files that
    may not be opened are listed as rejected and do not count for the key; a damaged cache is made anew. Where it cannot be
    written, a line says so and the next time costs the reading again: a run on a full or read-only disk can be looked at.

    Args:
        sums: a file of digests of the photographs, see `KnownSums`; only what it lacks, and what is newer, is read. It is
            believed. Empty for none.

    Raises:
        UserError: see `survey`; a file changes or fails while it is read.
    """
    photographs, rejected = survey(folder)
    place = os.path.realpath(locate(folder))
    known = _known(cache, place)
    if known and known.found == photographs.digest and _is_whole(known):
        return Manifest(str(folder), known.entries, rejected)
    work = _Fingerprinting(folder, place, cache, KnownSums(sums, folder) if sums else None)
    try:
        with (
            ThreadPoolExecutor(HASH_THREADS) as threads,
            tqdm(total=photographs.bytes, desc="fingerprint", unit="B", unit_scale=True, delay=2) as bar,
        ):
            files = iter(photographs)
            while batch := list(itertools.islice(files, HASH_BATCH)):
                work.take(batch, threads)
                bar.update(sum(photograph.size for photograph in batch))
    except BaseException:
        if work.hashed:
            work.save()
        raise
    if sums:
        log.info("%d of %d photographs have their digest from %s", work.given, len(photographs), shown(sums))
    entries = work.found.finish()
    work.keep(entries, photographs.digest)
    if not entries:
        raise UserError(f"{shown(place)} holds no photograph that may be opened: give permission to read its files.")
    return Manifest(str(folder), entries, sorted(rejected + work.rejected))


def _known(cache: Path | None, place: str) -> Manifest | None:
    """A cache of the same folder; equal names, sizes and times elsewhere prove nothing."""
    if cache is None or not Path(cache).exists():
        return None
    try:
        manifest = Manifest.read(cache)
    except UserError:
        return None
    return manifest if manifest.folder == place else None


def _is_whole(known: Manifest) -> bool:
    try:
        known.check_bytes()
    except UserError:
        return False
    return True


def _rows(known: Manifest | None) -> Iterator[ListedPhotograph]:
    """What a cache holds, up to where it is damaged."""
    with contextlib.suppress(UserError):
        yield from known.entries if known else ()


class _Fingerprinting:
    """Takes photographs in the order of their names, and remembers their digests.

    Attributes:
        found, rejected: the photographs so far.
        hashed: whether the cache did not know one.
        given: how many have their digest from `sums`.
    """

    def __init__(self, folder: Path | str, place: str, cache: Path | None, sums: KnownSums | None) -> None:
        self._sums, self.given = sums, 0
        self.found, self.hashed = RowWriter(), False
        self.rejected: list[Rejected] = []
        self._folder, self._place, self._cache = folder, place, cache
        self._known, self._last = _Known(_rows(_known(cache, place))), ""
        self._settled, self._newest = time.time_ns() - UNSETTLED_NS, 0
        self._saving, self._saved = 0.0, time.monotonic()

    def take(self, batch: list[PhotographFile], threads: ThreadPoolExecutor) -> None:
        """Hash those of a batch that are not known."""
        rows = [self._known.row(photograph) for photograph in batch]
        self.hashed = self.hashed or None in rows
        if self._sums is not None and None in rows:
            sums = self._sums
            given = [sums.row(photograph) if row is None else row for photograph, row in zip(batch, rows, strict=True)]
            self.given += rows.count(None) - given.count(None)
            rows = given
        unknown = [photograph for photograph, row in zip(batch, rows, strict=True) if row is None]
        new = threads.map(lambda photograph: _hashed(self._folder, photograph), unknown)
        every = [next(new) if row is None else row for row in rows]
        self.found.add([row for row in every if isinstance(row, ListedPhotograph)])
        self.rejected += [row for row in every if isinstance(row, Rejected)]
        self._last, self._newest = batch[-1].name, max(self._newest, *(photograph.mtime_ns for photograph in batch))
        if unknown and time.monotonic() - self._saved > max(SAVE_SECONDS, SAVE_SHARE * self._saving):
            began = time.monotonic()
            self.save()
            self._saved = time.monotonic()
            self._saving = self._saved - began

    def save(self) -> None:
        """Write the cache on the way: what was taken, and what it knew of those that were not yet."""
        if self._cache is not None:
            rest = (row for row in _rows(_known(self._cache, self._place)) if row.name > self._last)
            self._write(self._cache, self._of_old(itertools.chain(self.found, rest)))

    def keep(self, entries: ListedRows, found: str) -> None:
        """Write the cache of all photographs.

        Args:
            found: digest of what the folder holds.
        """
        if self._cache is not None:
            # Not row by row again, where none is left out.
            rows = entries if self._newest < self._settled else self._of_old(entries)
            whole = not self.rejected and len(rows) == len(entries)
            self._write(self._cache, rows, found if whole else None)

    def _write(self, cache: Path, rows: ListedRows, found: str | None = None) -> None:
        try:
            Manifest(self._place, rows, found=found).write(cache)
        except UserError as error:
            log.warning("digests of photographs are not kept for the next time: %s", error)

    def _of_old(self, rows: Iterable[ListedPhotograph]) -> ListedRows:
        return packed(row for row in rows if row.mtime_ns < self._settled)


class _Known:
    """Photographs whose digests are known, asked for in the order of their names."""

    def __init__(self, rows: Iterator[ListedPhotograph]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def row(self, photograph: PhotographFile) -> ListedPhotograph | None:
        """The row of a file of the same name, size and time."""
        while self._next is not None and self._next.name < photograph.name:
            self._next = next(self._rows, None)
        row = self._next
        same = row is not None and (row.name, row.size, row.mtime_ns) == photograph
        return row if same else None


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
