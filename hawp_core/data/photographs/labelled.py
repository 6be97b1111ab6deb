"""Whether the photographs are still those that were labelled: labels of another picture teach what is not there."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from hawp_core.data.photographs.fingerprint import HASH_BATCH, HASH_THREADS, check_unchanged, fingerprint
from hawp_core.data.photographs.listed import ListedPhotograph
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.errors import UserError
from hawp_core.runtime.ahead import ahead
from hawp_core.runtime.progress import bar
from hawp_core.runtime.text import shown

REMEDY = "export the labels again"


def check_labelled(folder: str, names: Sequence[str], key: str, listing: Path, cache: Path, config: Path) -> None:
    """See that photographs are what they were when they were labelled.

    A file of the same size and time as then is taken for the same; of others the content is compared. Photographs that were
    added to the folder since do not matter as long as the list of then is there.

    Args:
        folder: of the photographs.
        names: of those that are labelled.
        key: of the list of photographs that were labelled.
        listing: that list; where it is gone, the folder is listed anew, must give the same key, and is written there.
        cache: of digests, for that.
        config: the data config that promises the key, for messages.

    Raises:
        UserError: a photograph changed or is gone, or the list is not the one that was labelled.
    """
    listed = listing.is_file()
    manifest = Manifest.read(listing) if listed else fingerprint(folder, cache)
    if not listed and manifest.key != key:
        # Own labels are drawn on some photographs of a folder, and list these alone.
        labelled = set(names)
        manifest = Manifest(manifest.folder, [entry for entry in manifest.entries if entry.name in labelled])
    if manifest.key != key:
        what = (
            f"{shown(listing)} is not the list of photographs"
            if listed
            else f"{shown(folder)} does not hold the photographs"
        )
        remedy = "remove it" if listed else f"put the old files back, or {REMEDY}"
        raise UserError(f"{what} that {shown(config)} promises ({manifest.key[:16]} instead of {key[:16]}): {remedy}.")
    if not listed:
        manifest.write(listing)
    labelled_entries = _entries(manifest, names, config)

    def check(some: list[ListedPhotograph]) -> int:
        for entry in some:
            check_unchanged(folder, entry, "it was labelled", REMEDY)
        return len(some)

    batches = iter(lambda: list(itertools.islice(labelled_entries, HASH_BATCH)), [])
    checked = ahead(check, batches, threads=HASH_THREADS, most=2 * HASH_THREADS)
    # Copied photographs have other times, and are read once more: a look at the disk, or at all of them.
    with contextlib.closing(checked), bar("compare photographs", len(names), "photograph", delay=2) as shown_bar:
        for count in checked:
            shown_bar.update(count)


def _entries(manifest: Manifest, names: Sequence[str], config: Path) -> Iterator[ListedPhotograph]:
    """The rows of `names`; all others are gone through as well, which checks the list."""
    wanted = iter(sorted(names))
    name = next(wanted, None)
    for entry in manifest.entries:
        if name is not None and name < entry.name:
            break
        if entry.name == name:
            yield entry
            name = next(wanted, None)
    if name is not None:
        raise UserError(
            f"{shown(name)} is labelled and not among the photographs that {shown(config)} promises: {REMEDY}."
        )


def in_both(listing: Path, own: Path) -> set[str]:
    """The photographs of one list whose content is also in another, whatever their names there.

    Raises:
        UserError: a list cannot be read.
    """
    known = {entry.sha256 for entry in Manifest.read(own).entries}
    return {entry.name for entry in Manifest.read(listing).entries if entry.sha256 in known}
