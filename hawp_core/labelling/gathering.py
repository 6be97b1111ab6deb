"""Gathering the shards of an export into one label file, which is never in memory as a whole."""

import csv
import io
import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import Labels, write_parts
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.errors import UserError
from hawp_core.labelling.shards import total_seconds
from hawp_core.runtime.files import write_text
from hawp_core.runtime.progress import bar, log
from hawp_core.runtime.text import shown, some
from hawp_core.runtime.typed import typed


@dataclass(frozen=True)
class GatheredCounts:
    """What a label file holds; the fields are those of its record.

    Attributes:
        images: photographs with labels.
        junctions, lines: of all of them.
        rejected: photographs without.
        labelling_seconds: of all shards and attempts together; None where an older program did not note them.
    """

    images: int
    junctions: int
    lines: int
    rejected: int
    labelling_seconds: float | None


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


def gather_shards(
    parts: list[Path],
    destination: Path,
    manifest: Manifest,
    *,
    key: str,
    max_rejected: float,
    about: Mapping[str, object],
) -> tuple[GatheredCounts, str]:
    """Join the shards into the label file `destination`, in the manifest's order; list rejected photographs beside it.

    Returns: what the file holds, and the devices that labelled.

    Raises:
        UserError: a shard of another export, photographs that no shard holds, or too many unreadable photographs.
    """
    rejected: dict[str, str] = {entry.name: entry.reason for entry in manifest.rejected}
    total = len(manifest.entries) + len(rejected)
    seconds: list[float | None] = []
    devices: set[str] = set()
    shards: list[LabelFile] = []
    for part in parts:
        shard = LabelFile(part)
        said = _about(part, shard)
        if said.export != key:
            raise UserError(f"{part} belongs to the export {shown(said.export)}, not to {key}: delete it.")
        shards.append(shard)
        rejected.update(said.rejected)
        seconds.append(said.seconds)
        devices.add(said.device)
    _check_whole(shards, manifest, rejected)
    listing = rejected_list(destination)
    if rejected:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([["photograph", "reason"], *sorted(rejected.items())])
        write_text(listing, text.getvalue())
        these = f"{len(rejected)} of {total} photographs in {manifest.folder} are unreadable ({some(sorted(rejected))})"
        if len(rejected) > max_rejected * total:
            raise UserError(
                f"{these}, more than photographs.max_rejected = {max_rejected}: "
                f"see {listing}, mend or remove them, or raise the share."
            )
        log.warning("%s and have no labels: why is in %s", these, listing)
    images = sum(len(shard) for shard in shards)
    junctions, lines = sum(shard.junction_count for shard in shards), sum(shard.line_count for shard in shards)
    if not images:
        raise UserError(f"none of the {total} photographs in {manifest.folder} is readable: see {listing}.")
    with bar(f"gather {destination.name}", images, "image", delay=2) as progress:

        def labels() -> Iterator[Labels]:
            for shard in shards:
                yield shard.labels()
                progress.update(len(shard))

        said_of_all = {**about, "export": key, "rejected": sorted(rejected)}
        write_parts(destination, (images, junctions, lines), labels(), None, said_of_all)
    return GatheredCounts(images, junctions, lines, len(rejected), total_seconds(seconds)), ", ".join(sorted(devices))


def _check_whole(shards: Sequence[LabelFile], manifest: Manifest, rejected: Container[str]) -> None:
    """Make sure that the shards label the photographs of the list, each once and in its order, but for the rejected ones."""
    labelled = itertools.chain.from_iterable(shard.names for shard in shards)
    name, first, missing = next(labelled, None), "", 0
    for entry in manifest.entries:
        if entry.name == name:
            name = next(labelled, None)
        elif entry.name not in rejected:
            first, missing = first or entry.name, missing + 1
    if missing:
        raise UserError(f"no shard holds the labels of {first!r} ({missing} missing): make the shards again.")
    if name is not None:
        raise UserError(f"{shown(name)} is labelled and not in the list of photographs: make the shards again.")
