"""What `hawp verify` checks: every file that a run keeps, against the digest that was kept of it.

docs/security.md says what is covered, by what, and what is not.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hawp_core.data.label_file import LabelFile
from hawp_core.data.own_labels.listing import read_listing
from hawp_core.data.photographs.dataset import cache_faults
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.errors import UserError
from hawp_core.runtime.files import sha256
from hawp_core.runtime.lease import worker
from hawp_core.runtime.names import inside
from hawp_core.workflow.inventory import KEY, ROOTS, below, is_written, links
from hawp_core.workflow.paths import CACHE, DATA, FINGERPRINT_CACHE, MODELS, OWN_FINGERPRINT_CACHE, manifest_file
from hawp_core.workflow.recipe_file import KEY_LENGTH, RECIPES, read_recipe_file
from hawp_core.workflow.record import read_record, record_file

# Results that have a lineage record beside them, below the folder of a round; older reports have none.
_RESULTS = {
    str(MODELS): re.compile(rf"{KEY}/(?:model-\d{{5,}}\.pth|evaluation-{KEY}\.json)"),
    str(DATA): re.compile(rf"{KEY}(?:-model-\d{{5,}})?\.(?:h5|yaml)"),
}
_SHARD = re.compile(rf"{KEY}(?:-shards)?/(?:(?:train|validation)-)?\d{{5,}}-of-\d{{5,}}\.h5")
_RECIPE = re.compile(rf"[a-z]+-{KEY}\.json")
_CACHES = (FINGERPRINT_CACHE, OWN_FINGERPRINT_CACHE)
_OWN_LIST = re.compile(rf"labels-({KEY})\.json")
_LIST = re.compile(rf"photographs-{KEY}\.jsonl")
# States that a step removes or goes over when it is done, and curves that repeat the metrics, or lie elsewhere.
_UNFINISHED = re.compile(r"(?:.*/)?(?:lease\.(?:json|lock)|resume\.pth|\..*|.*\.work/.*|tensorboard/.*|mlflow\.json)")


@dataclass
class Verified:
    """What was found.

    Attributes:
        faults: a sentence for each file that is not as it was written, or is gone.
        by_digest: files whose SHA-256 a lineage record keeps.
        sealed: lineage records, recipes and lists of photographs, which keep a digest of themselves.
        by_image: files that were checked image by image.
        undigested: files of steps of an earlier version, of which no digest was kept.
        states: files of unfinished work, and TensorBoard's curves.
        links: what lies behind them was not looked at.
    """

    faults: list[str] = field(default_factory=list)
    by_digest: set[Path] = field(default_factory=set)
    sealed: set[Path] = field(default_factory=set)
    by_image: set[Path] = field(default_factory=set)
    undigested: list[Path] = field(default_factory=list)
    states: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    def look(self, path: Path, read: Callable[[], object], kept: set[Path]) -> None:
        """Read a file that keeps digests of itself; note it in `kept`, and what is wrong with it."""
        kept.add(path)
        try:
            read()
        except UserError as error:
            self.faults.append(str(error))


def verify(progress: Callable[[], object]) -> Verified:
    """Check everything below the working folder; `progress` is called after each file of `files`."""
    found = Verified()
    every = list(files())
    for path in every:
        if path.name.endswith("lineage.json"):
            _check_record(path, found)
            progress()
    for path in every:
        if not path.name.endswith("lineage.json"):
            _check(path, found)
            progress()
    found.links = [link for root in (*ROOTS, str(RECIPES)) for link in links(Path(root))]
    return found


def files() -> Iterator[Path]:
    """Every file that a run keeps, links left alone."""
    for root in (*ROOTS, str(RECIPES)):
        yield from sorted(path for path in below(Path(root), 2) if path.is_file())


def _check_record(record: Path, found: Verified) -> None:
    found.sealed.add(record)
    try:
        outputs = read_record(record).outputs
    except UserError as error:
        found.faults.append(str(error))
        return
    for name, expected in outputs.items():
        path = inside(record.parent, name)
        found.by_digest.add(path)
        fault = (
            "is missing" if not path.is_file() else "changed since it was written" if sha256(path) != expected else ""
        )
        if fault:
            found.faults.append(f"{path} {fault}: {_remedy(path, record)}.")


def _remedy(path: Path, record: Path) -> str:
    """How a file that a record names is made anew. A training whose model is there is finished, for its command and for Snakemake."""
    if record.name == "lineage.json" and path.suffix != ".pth":
        return f"it comes from a new training alone; for that, remove {record} with what lies beside it, and run the workflow again"
    return "remove it and run the workflow again" if path.exists() else "run the workflow again to make it anew"


def _check(path: Path, found: Verified) -> None:
    """A file that is no lineage record; the records were read before."""
    root, rest = path.parts[0], "/".join(path.parts[2:])
    if root == str(RECIPES):
        _check_plan(path, found)
    elif path.parent == CACHE and path.suffix == ".h5":
        faults = cache_faults(path)
        if faults is None:
            found.undigested.append(path)
        else:
            found.by_image.add(path)
            found.faults += faults
    elif path in found.by_digest:
        return
    elif _UNFINISHED.fullmatch(rest):
        found.states.append(path)
    elif (result := _RESULTS.get(root)) and result.fullmatch(rest) and not _is_there(record := record_file(path)):
        if not _is_worked_on(path):
            fault = "is a link, which is not followed" if record.is_symlink() else "is missing"
            found.faults.append(
                f"{record} {fault}, and with it what vouches for {path}: remove that and run the workflow again."
            )
    elif root == str(DATA) and _SHARD.fullmatch(rest):
        # Not gathered yet.
        found.look(path, lambda: LabelFile(path).check(), found.by_image)
    elif is_written(path):
        found.undigested.append(path)


def _is_there(record: Path) -> bool:
    """Whether there is a record that was read, or that came since."""
    return record.is_file() and not record.is_symlink()


def _is_worked_on(path: Path) -> bool:
    """Whether somebody makes this result just now: its record comes a moment before or after it."""
    places = [path.parent, *path.parent.glob(f"{path.name[:KEY_LENGTH]}-shards/*.work")]
    return any(worker(place) is not None for place in places)


def _check_plan(path: Path, found: Verified) -> None:
    if _RECIPE.fullmatch(path.name) and len(path.parts) == 3:
        found.look(path, lambda: _check_recipe(path), found.sealed)
    elif (_LIST.fullmatch(path.name) or path in _CACHES) and len(path.parts) == 2:
        found.look(path, lambda: _check_list(path), found.sealed)
    elif (listing := _OWN_LIST.fullmatch(path.name)) and len(path.parts) == 2:
        found.look(path, lambda: read_listing(path, listing[1]), found.sealed)


def _check_recipe(path: Path) -> None:
    place = read_recipe_file(path).path
    if place != path:
        raise UserError(f"{path} holds the recipe of {place}: remove it and run the workflow again.")


def _check_list(path: Path) -> None:
    manifest = Manifest.read(path)
    manifest.check()
    if path not in _CACHES and manifest_file(manifest.key) != path:
        raise UserError(f"{path} holds the list {manifest_file(manifest.key)}: remove it and run the workflow again.")
