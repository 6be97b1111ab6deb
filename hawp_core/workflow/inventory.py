"""What lies in exp-ssl/, data-ssl/ and reports/: found by its address, removed when nobody needs it."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json
from hawp_core.runtime.lease import worker
from hawp_core.workflow.paths import AT_WORK, DATA, MODELS, REPORTS
from hawp_core.workflow.recipe_file import KEY_LENGTH, RECIPES

KEY = rf"[0-9a-f]{{{KEY_LENGTH}}}"
ROOTS = (str(MODELS), str(DATA), str(REPORTS))
_SHARD = r"\d{5,}-of-\d{5,}\.h5"
_LEASE = r"lease\.(?:json|lock)"
# Every name that the steps of a run write, below the folder of its round: nothing else is ever deleted.
_WRITTEN = {
    str(MODELS): re.compile(
        rf"(?P<key>{KEY})(?:/(?:\.?model-\d{{5,}}\.pth|model\.yaml|metrics\.jsonl|lineage\.json|resume\.pth|mlflow\.json|{_LEASE}"
        rf"|tensorboard|tensorboard/events\.out\.tfevents\.[^/]+|\.[^/]+\.part))?"
        rf"|{KEY}/evaluation-(?P<evaluation>{KEY})\.(?:lineage\.)?json"
    ),
    str(DATA): re.compile(
        rf"(?P<key>{KEY})(?:-model-\d{{5,}})?\.(?:h5|yaml|log|lineage\.json)"
        rf"|(?P<rejected>{KEY})-model-\d{{5,}}-rejected\.csv"
        rf"|(?P<shapes>{KEY})(?:/(?:train|validation)-{_SHARD})?"
        rf"|(?P<shards>{KEY})-shards(?:/{_SHARD}(?:\.work(?:/(?:{KEY}\.jsonl|[^/]+\.json|{_LEASE}))?)?)?"
    ),
    str(REPORTS): re.compile(rf"(?P<key>{KEY})(?:/[a-z-]+\.(?:svg|png|html|csv|lineage\.json))?"),
}  # fmt: skip


def artifacts() -> dict[tuple[str, str], list[Path]]:
    """Name and address -> the files and folders that belong to it, below the working folder; folders after what is in them.

    Only what a recipe or a lineage record vouches for, under a name that a step of a run gives; a user's own files that
    happen to look alike are not among them, and no link is followed.
    """
    known = _vouched_for()
    found: dict[tuple[str, str], list[Path]] = {}
    for root, pattern in _WRITTEN.items():
        for path in below(Path(root)):
            match = pattern.fullmatch("/".join(path.parts[2:]))
            key = match and next(value for value in match.groupdict().values() if value)
            if key in known:
                found.setdefault((path.parts[1], key), []).append(path)
    for key, paths in known.items():
        for path in paths:
            if path.parts[0] == str(RECIPES):
                found.setdefault((path.parts[1], key), []).append(path)
    return found


def is_written(path: Path) -> bool:
    """Whether a step of a run gives a file this name."""
    pattern = _WRITTEN.get(path.parts[0])
    return pattern is not None and pattern.fullmatch("/".join(path.parts[2:])) is not None


def below(root: Path, depth: int = 3) -> Iterator[Path]:
    """Everything whose path has `depth` parts or more below `root`, what is in a folder before the folder; no links."""
    # os.walk would go into a root that is a link itself.
    for place, folders, files in () if root.is_symlink() else os.walk(root, topdown=False):
        for name in (*files, *folders):
            path = Path(place, name)
            if len(path.parts) >= depth and not path.is_symlink():
                yield path


def links(root: Path) -> Iterator[Path]:
    """The links that `below` leaves out, `root` itself among them."""
    if root.is_symlink():
        yield root
        return
    for place, folders, files in os.walk(root):
        yield from (path for name in sorted((*folders, *files)) if (path := Path(place, name)).is_symlink())


def _vouched_for() -> dict[str, list[Path]]:
    """Address -> the recipes and lineage records that say that this tool made, or was about to make, an artifact."""
    found: dict[str, list[Path]] = {}
    recipes = [path for path in below(RECIPES) if re.fullmatch(rf"[a-z]+-{KEY}\.json", path.name)]
    for path in (*recipes, *records()):
        with contextlib.suppress(UserError):
            key = read_json(path).get("key")
            if isinstance(key, str) and re.fullmatch(KEY, key) and (path.parts[0] != str(RECIPES) or key in path.name):
                found.setdefault(key, []).append(path)
    return found


def freed(found: Mapping[tuple[str, str], Iterable[Path]]) -> dict[Path, int]:
    """Path -> bytes that come free at it when all of `found` is deleted in this order: a file's at the last of its names, if no
    other is left; none at a folder, whose files are counted for themselves."""
    sizes, names = {}, Counter[tuple[int, int]]()
    for path in (path for paths in found.values() for path in paths):
        about = path.stat()
        file = (about.st_dev, about.st_ino)
        names[file] += 1
        sizes[path] = about.st_size if path.is_file() and names[file] == about.st_nlink else 0
    return sizes


def unneeded(needed: set[tuple[str, str]]) -> dict[tuple[str, str], list[Path]]:
    """What of `artifacts` belongs to no name and address in `needed`; who trains an address now goes by that alone."""
    keys = {key for _, key in needed}
    return {
        (name, key): paths
        for (name, key), paths in artifacts().items()
        if (name, key) not in needed and not (name == AT_WORK.name and key in keys)
    }


def remove(found: Mapping[tuple[str, str], Iterable[Path]]) -> list[Path]:
    """Delete what `unneeded` found, all of it or, where somebody works on some of it, nothing.

    Returns: folders that stay, because they hold files that this tool did not write.

    Raises:
        UserError: some of it is being written, or cannot be deleted.
    """
    paths = [path for several in found.values() for path in several]
    for path in paths:
        if path.name == "lease.json" and (holder := worker(path.parent)):
            raise UserError(f"{path.parent} is being written by {holder}: stop that work first, or wait for it.")
    kept = []
    for path in paths:
        try:
            if not path.is_dir():
                path.unlink(missing_ok=True)
            elif any(path.iterdir()):
                kept.append(path)
            else:
                path.rmdir()
        except OSError as error:
            raise UserError(f"{path} cannot be removed ({error.strerror}): remove it by hand.") from error
    return kept


def records() -> Iterator[Path]:
    """Every lineage record below the working folder."""
    for root in ROOTS:
        yield from sorted(path for path in below(Path(root)) if path.name.endswith("lineage.json"))
