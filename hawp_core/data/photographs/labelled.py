"""Whether the photographs are still those that were labelled: labels of another picture teach what is not there."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hawp_core.data.photographs.manifest import HASH_THREADS, Manifest, check_unchanged, fingerprint
from hawp_core.errors import UserError
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
    entries = {entry.name: entry for entry in manifest.entries}
    unknown = next((name for name in names if name not in entries), None)
    if unknown is not None:
        raise UserError(
            f"{shown(unknown)} is labelled and not among the photographs that {shown(config)} promises: {REMEDY}."
        )

    def check(name: str) -> None:
        check_unchanged(folder, entries[name], "it was labelled", REMEDY)

    # Copied photographs have other times, and are read once more: a look at the disk, or at all of them.
    with (
        ThreadPoolExecutor(HASH_THREADS) as threads,
        bar("compare photographs", len(names), "photograph", delay=2) as shown_bar,
    ):
        for _ in threads.map(check, names):
            shown_bar.update()


def in_both(listing: Path, own: Path) -> set[str]:
    """The photographs of one list whose content is also in another, whatever their names there.

    Raises:
        UserError: a list cannot be read.
    """
    known = {entry.sha256 for entry in Manifest.read(own).entries}
    return {entry.name for entry in Manifest.read(listing).entries if entry.sha256 in known}
