"""Labelling a folder of photographs in resumable shards.

A shard's working state is a journal of finished images beside the shard. The shard itself appears whole.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import numpy as np

from hawp_core.data.label_writing import write_labels
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.labelling.labeller import Labeller
from hawp_core.labelling.reading import LoadedPhotograph, Reader, ReadPhotograph, UnreadablePhotograph
from hawp_core.runtime.journal import Journal, journal_file
from hawp_core.runtime.progress import bar
from hawp_core.runtime.signals import StopRequest

MOST_PIXELS = 2**31  # of a side: label files count in int32


@dataclass(frozen=True)
class ShardCounts:
    """What a shard came to.

    Attributes:
        labelled, rejected: its photographs.
        resumed: how many of both an earlier attempt had finished.
        lines: of all photographs.
        seconds: of this attempt's work.
        waiting: seconds of it in which the network waited for photographs.
    """

    labelled: int
    resumed: int
    rejected: int
    lines: int
    seconds: float
    waiting: float


class JournalRecord(TypedDict, total=False):
    """What the journal of a shard says of a photograph: how it was labelled, or why it was not.

    `at` and `seconds` are when it was noted and how long its batch took; an older program did not note them.
    """

    index: int
    name: str
    rejected: str
    size: list[int]
    junctions: list[list[float]]
    edges: list[list[int]]
    scores: list[float]
    at: float
    seconds: float


def _rejection(photograph: UnreadablePhotograph) -> JournalRecord:
    return {"index": photograph.index, "name": photograph.name, "rejected": photograph.reason}


def _record(photograph: LoadedPhotograph, wireframe: Wireframe) -> JournalRecord:
    return {
        "index": photograph.index,
        "name": photograph.name,
        "size": [wireframe.width, wireframe.height],
        # float32 values survive the decimal round trip of JSON exactly.
        "junctions": wireframe.junctions.tolist(),
        "edges": wireframe.edges.tolist(),
        "scores": wireframe.scores.tolist(),
    }


def _wireframe(record: JournalRecord) -> Wireframe:
    width, height = record["size"]
    junctions, scores = (np.asarray(values, np.float32) for values in (record["junctions"], record["scores"]))
    return Wireframe(junctions, np.asarray(record["edges"], np.int32), scores, width, height)


def usable_records(records: Sequence[Mapping[str, object]]) -> list[JournalRecord]:
    """The records of a journal that say how a photograph was labelled, or why it was not; it is looked at again otherwise."""
    return [cast(JournalRecord, record) for record in records if _is_usable(record)]


def _is_usable(record: Mapping[str, object]) -> bool:
    index, times = record.get("index"), [record.get(name, 0.0) for name in ("at", "seconds")]
    if not isinstance(index, int) or isinstance(index, bool) or not isinstance(record.get("name"), str):
        return False
    if not all(isinstance(value, int | float) for value in times):
        return False
    if "rejected" in record:
        return isinstance(record["rejected"], str)
    try:
        found = _wireframe(cast(JournalRecord, record))
        whole = all(isinstance(side, int) and 0 < side < MOST_PIXELS for side in (found.width, found.height))
        return whole and bool(np.isfinite(found.junctions).all() and np.isfinite(found.scores).all())
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


def label_photographs(
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
) -> ShardCounts:
    """Label the photographs `wanted` of the manifest, by number, and write them to the shard `path`.

    Images finished by an earlier, killed attempt are read from its journal and not labelled again.

    Args:
        key: of the labels; a journal of another key is not continued.
        seed: of the views.
        threads: that read photographs ahead.
        device: name of what labels, for the record.

    Raises:
        Interrupted: a signal came; finished images are in the journal.
        UserError: disk full, or a photograph changed since the manifest was written.
    """
    began = time.monotonic()
    journal = Journal(journal_file(path, key))
    reader = Reader(manifest, labeller, seed, threads)
    try:
        done = {record["index"]: record for record in usable_records(journal.records) if record["index"] in wanted}
        resumed = len(done)
        pending = [i for i in wanted if i not in done]
        with bar(f"label {path.name}", len(wanted), "image", resumed) as shown:
            since = began
            for photographs in reader.batches(pending):
                records = _records(photographs, labeller)
                spent, since = time.monotonic() - since, time.monotonic()
                now, each = round(time.time(), 1), round(spent / len(records), 4)
                records = [{**record, "at": now, "seconds": each} for record in records]
                journal.extend(records)
                done.update((record["index"], record) for record in records)
                shown.update(len(photographs))
                stop.check(f"{len(done)} of {len(wanted)} photographs of this shard are labelled")
        _write(path, [done[i] for i in wanted], key, device)
    finally:
        journal.close()
    kept = [record for record in done.values() if "rejected" not in record]
    return ShardCounts(
        labelled=len(kept),
        resumed=resumed,
        rejected=len(done) - len(kept),
        lines=sum(len(record["edges"]) for record in kept),
        seconds=time.monotonic() - began,
        waiting=reader.waiting,
    )


def _records(photographs: list[ReadPhotograph], labeller: Labeller) -> list[JournalRecord]:
    """Label a batch: a journal record of each photograph, noted together as finished."""
    loaded = [each for each in photographs if isinstance(each, LoadedPhotograph)]
    rejected = [each for each in photographs if isinstance(each, UnreadablePhotograph)]
    found: list[Wireframe] = []
    if loaded:
        images, views = np.stack([each.gray for each in loaded]), np.stack([each.views for each in loaded])
        found = labeller(images, views, [each.size for each in loaded])
    records = [_record(each, wireframe) for each, wireframe in zip(loaded, found, strict=True)]
    return sorted(records + [_rejection(each) for each in rejected], key=lambda record: record["index"])


def _write(path: Path, records: list[JournalRecord], key: str, device: str) -> None:
    kept = [record for record in records if "rejected" not in record]
    rejected = [[record["name"], record["rejected"]] for record in records if "rejected" in record]
    seconds = total_seconds([record.get("seconds") for record in records])
    about = {"export": key, "rejected": rejected, "seconds": seconds, "device": device}
    write_labels(path, [r["name"] for r in kept], [_wireframe(r) for r in kept], about=about)


def total_seconds(seconds: list[float | None]) -> float | None:
    """All together, or None where some are not known: an older program did not note them."""
    known = [each for each in seconds if each is not None]
    return None if len(known) < len(seconds) else round(sum(known), 3)
