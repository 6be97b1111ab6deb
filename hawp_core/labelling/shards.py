"""Labelling a folder of photographs in resumable shards, and gathering the shards into one label file.

A shard's working state is a journal of finished images beside the shard. The shard itself appears whole.
"""

import csv
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hawp_core.data.label_file import LabelFile, write_labels
from hawp_core.data.photographs.decoding import Unreadable, read_gray
from hawp_core.data.photographs.folder import resolve
from hawp_core.data.photographs.manifest import Manifest, check_unchanged
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.labelling.homographic_adaptation import view_homographies
from hawp_core.labelling.labeller import Labeller
from hawp_core.runtime.files import write_text
from hawp_core.runtime.journal import Journal, journal_file
from hawp_core.runtime.progress import bar
from hawp_core.runtime.signals import StopRequest
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed

MOST_PIXELS = 2**31  # of a side: label files count in int32
# Batches that are read ahead while the network works.
AHEAD = 2


@dataclass(frozen=True)
class Photo:
    """A photograph at network size with its views, or the reason why there is none."""

    index: int
    name: str
    gray: np.ndarray | None
    views: np.ndarray | None = None
    size: tuple[int, int] = (0, 0)
    reason: str = ""


class _Reader:
    """Photographs in order, read ahead by threads.

    Attributes:
        waiting: seconds in which the network had nothing to do.
    """

    def __init__(self, manifest: Manifest, labeller: Labeller, seed: int, threads: int) -> None:
        self._manifest, self._labeller, self._seed, self._threads = manifest, labeller, seed, threads
        self.waiting = 0.0

    def batches(self, indices: list[int]) -> Iterator[list[Photo]]:
        batch = self._labeller.batch
        groups = [indices[i : i + batch] for i in range(0, len(indices), batch)]
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            ahead = [[pool.submit(self._read, i) for i in group] for group in groups[:AHEAD]]
            for number in range(len(groups)):
                if number + AHEAD < len(groups):
                    ahead.append([pool.submit(self._read, i) for i in groups[number + AHEAD]])
                began = time.monotonic()
                photos = [future.result() for future in ahead.pop(0)]
                self.waiting += time.monotonic() - began
                yield photos

    def _read(self, index: int) -> Photo:
        entry, size = self._manifest.entries[index], self._labeller.size
        path = resolve(self._manifest.folder, entry.name)
        check_unchanged(self._manifest.folder, entry)
        try:
            gray, original = read_gray(path, size=size)
        except Unreadable as error:
            return Photo(index, entry.name, None, reason=error.reason)
        views = view_homographies(entry.name, size, self._labeller.adaptation, self._seed)
        return Photo(index, entry.name, gray, views, original)


def _record(photo: Photo, wireframe: Wireframe | None) -> dict:
    if wireframe is None:
        return {"index": photo.index, "name": photo.name, "rejected": photo.reason}
    return {
        "index": photo.index,
        "name": photo.name,
        "size": [wireframe.width, wireframe.height],
        # float32 values survive the decimal round trip of JSON exactly.
        "junctions": wireframe.junctions.tolist(),
        "edges": wireframe.edges.tolist(),
        "scores": wireframe.scores.tolist(),
    }


def _wireframe(record: dict) -> Wireframe:
    return Wireframe(record["junctions"], record["edges"], record["scores"], *record["size"])


def usable_records(records: list[dict]) -> list[dict]:
    """The records of a journal that say how a photograph was labelled, or why it was not; it is looked at again otherwise."""
    return [record for record in records if _is_usable(record)]


def _is_usable(record: dict) -> bool:
    index, times = record.get("index"), [record.get(name, 0.0) for name in ("at", "seconds")]
    if not isinstance(index, int) or isinstance(index, bool) or not isinstance(record.get("name"), str):
        return False
    if not all(isinstance(value, int | float) for value in times):
        return False
    if "rejected" in record:
        return isinstance(record["rejected"], str)
    try:
        found = _wireframe(record)
        whole = all(isinstance(side, int) and 0 < side < MOST_PIXELS for side in (found.width, found.height))
        return whole and bool(np.isfinite(found.junctions).all() and np.isfinite(found.scores).all())
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


def export_shard(
    path: Path,
    labeller: Labeller,
    manifest: Manifest,
    wanted: range,
    *,
    key: str,
    seed: int,
    threads: int,
    device: str,
    stop: StopRequest,
) -> dict:
    """Label the photographs `wanted` of the manifest, by number, and write them to the shard `path`.

    Images finished by an earlier, killed attempt are read from its journal and not labelled again.

    Args:
        key: the export's key; a journal of another key is not continued.
        seed: of the views.
        threads: that read photographs ahead.
        device: name of what labels, for the record.

    Returns: counts: labelled, resumed, rejected, lines; and the seconds of the work and of waiting for photographs.

    Raises:
        Interrupted: a signal came; finished images are in the journal.
        UserError: disk full, or a photograph changed since the manifest was written.
    """
    began = time.monotonic()
    journal = Journal(journal_file(path, key))
    reader = _Reader(manifest, labeller, seed, threads)
    try:
        done = {record["index"]: record for record in usable_records(journal.records) if record["index"] in wanted}
        resumed = len(done)
        pending = [i for i in wanted if i not in done]
        with bar(f"label {path.name}", len(wanted), "image", resumed) as shown:
            since = began
            for photos in reader.batches(pending):
                records = _records(photos, labeller)
                spent, since = time.monotonic() - since, time.monotonic()
                stamp = {"at": round(time.time(), 1), "seconds": round(spent / len(records), 4)}
                records = [record | stamp for record in records]
                journal.extend(records)
                done.update((record["index"], record) for record in records)
                shown.update(len(photos))
                stop.check(f"{len(done)} of {len(wanted)} photographs of this shard are labelled")
        _write(path, [done[i] for i in wanted], key, device)
    finally:
        journal.close()
    kept = [record for record in done.values() if "rejected" not in record]
    return {
        "labelled": len(kept),
        "resumed": resumed,
        "rejected": len(done) - len(kept),
        "lines": sum(len(record["edges"]) for record in kept),
        "seconds": time.monotonic() - began,
        "waiting": reader.waiting,
    }


def _records(photos: list[Photo], labeller: Labeller) -> list[dict]:
    """Label a batch: a journal record of each photograph, noted together as finished."""
    good = [photo for photo in photos if photo.gray is not None]
    found = []
    if good:
        images, views = np.stack([photo.gray for photo in good]), np.stack([photo.views for photo in good])
        found = labeller(images, views, [photo.size for photo in good])
    by_index = {photo.index: wireframe for photo, wireframe in zip(good, found, strict=True)}
    return [_record(photo, by_index.get(photo.index)) for photo in photos]


def _write(path: Path, records: list[dict], key: str, device: str) -> None:
    kept = [record for record in records if "rejected" not in record]
    rejected = [[record["name"], record["rejected"]] for record in records if "rejected" in record]
    seconds = _sum([record.get("seconds") for record in records])
    about = {"export": key, "rejected": rejected, "seconds": seconds, "device": device}
    write_labels(path, [r["name"] for r in kept], [_wireframe(r) for r in kept], about=about)


def _sum(seconds: list[float | None]) -> float | None:
    """All together, or None where some are not known: an older program did not note them."""
    return None if None in seconds else round(sum(seconds), 3)


def rejected_list(labels: Path) -> Path:
    """Where the photographs that could not be read are listed, beside the labels of the others."""
    return labels.with_name(f"{labels.stem}-rejected.csv")


@dataclass(frozen=True)
class _About:
    """What a shard says of itself; an older program did not note the time."""

    export: str
    rejected: tuple[tuple[str, str], ...]
    seconds: float | None = None
    device: str = "unknown"


def _about(part: Path, shard: LabelFile) -> _About:
    try:
        return typed(_About, shard.about)
    except ValueError as error:
        raise UserError(
            f"{part} is no shard of an export ({error}): delete it and run the same command again."
        ) from error


def gather(
    parts: list[Path], destination: Path, manifest: Manifest, *, key: str, max_rejected: float, about: dict
) -> dict:
    """Join the shards into the label file `destination`, in the manifest's order; list rejected photographs beside it.

    Returns: counts: images, junctions, lines, rejected; the seconds that labelling took, all shards and attempts, or
        None; and what labelled.

    Raises:
        UserError: a shard of another export, photographs that no shard holds, or too many unreadable photographs.
    """
    found: dict[str, Wireframe] = {}
    rejected: dict[str, str] = {entry.name: entry.reason for entry in manifest.rejected}
    total = len(manifest.entries) + len(rejected)
    seconds: list[float | None] = []
    devices: set[str] = set()
    for part in parts:
        shard = LabelFile(part)
        said = _about(part, shard)
        if said.export != key:
            raise UserError(f"{part} belongs to the export {shown(said.export)}, not to {key}: delete it.")
        found.update((name, shard[name]) for name in shard.names)
        rejected.update(said.rejected)
        seconds.append(said.seconds)
        devices.add(said.device)
    missing = [e.name for e in manifest.entries if e.name not in found and e.name not in rejected]
    if missing:
        raise UserError(f"no shard holds the labels of {missing[0]!r} ({len(missing)} missing): make the shards again.")
    listing = rejected_list(destination)
    if rejected:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([["photograph", "reason"], *sorted(rejected.items())])
        write_text(listing, text.getvalue())
    if len(rejected) > max_rejected * total:
        raise UserError(
            f"{len(rejected)} of {total} photographs in {manifest.folder} are unreadable, more than "
            f"photographs.max_rejected = {max_rejected}: see {listing}, mend or remove them, or raise the share."
        )
    names = [entry.name for entry in manifest.entries if entry.name in found]
    if not names:
        raise UserError(f"none of the {total} photographs in {manifest.folder} is readable: see {listing}.")
    wireframes = [found[name] for name in names]
    write_labels(destination, names, wireframes, about={**about, "export": key, "rejected": sorted(rejected)})
    return {
        "images": len(names),
        "junctions": int(sum(len(w.junctions) for w in wireframes)),
        "lines": int(sum(len(w.edges) for w in wireframes)),
        "rejected": len(rejected),
        "labelling_seconds": _sum(seconds),
        "device": ", ".join(sorted(devices)),
    }
