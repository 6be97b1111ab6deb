"""What lies in exp-ssl/, data-ssl/ and reports/: found by its address, checked against its record, removed when nobody needs it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, sha256
from hawp_core.workflow.recipe import KEY_LENGTH

ROOTS = ("exp-ssl", "data-ssl", "reports")


_KEY = re.compile(rf"^(?:evaluation-)?([0-9a-f]{{{KEY_LENGTH}}})(?:[-.].*)?$")


def artifacts() -> dict[str, list[Path]]:
    """Address -> the files and folders that belong to it, below the working folder.

    A training's folder stands for all that is in it, but for the evaluations, which have addresses of their own.
    """
    found: dict[str, list[Path]] = {}
    for root in ROOTS:
        for path in sorted(Path(root).glob("*/*")):
            match = _KEY.match(path.name)
            if match:
                found.setdefault(match[1], []).append(path)
            for inner in sorted(path.glob("evaluation-*")) if path.is_dir() and root == "exp-ssl" else ():
                match = _KEY.match(inner.name)
                if match:
                    found.setdefault(match[1], []).append(inner)
    for path in sorted(Path("recipes").glob("*/*.json")):
        key = path.stem.rpartition("-")[2]
        if re.fullmatch(rf"[0-9a-f]{{{KEY_LENGTH}}}", key):
            found.setdefault(key, []).append(path)
    return found


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())
    return path.stat().st_size if path.exists() else 0


def unneeded(needed: set[str]) -> dict[str, list[Path]]:
    """What of `artifacts` belongs to no address in `needed`."""
    return {key: paths for key, paths in artifacts().items() if key not in needed}


def busy(path: Path) -> bool:
    """Whether a process holds a lease on something in `path`."""
    return path.is_dir() and any(path.rglob("lease.json"))


def remove(paths: list[Path]) -> None:
    """Delete files and folders.

    Raises:
        UserError: one of them is being written, or cannot be deleted.
    """
    for path in paths:
        if busy(path):
            raise UserError(f"{path} is being written (it holds a lease.json): stop that work first, or wait for it.")
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{path} cannot be removed ({error.strerror}): remove it by hand.") from error


def records() -> Iterator[Path]:
    """Every lineage record below the working folder."""
    for root in ROOTS:
        yield from sorted(Path(root).rglob("*lineage.json"))


def faults(record: Path) -> list[str]:
    """What is wrong with the files that a lineage record vouches for: a sentence each, none if all is well.

    Raises:
        UserError: the record itself cannot be read.
    """
    content = read_json(record)
    said = []
    for name, expected in content["outputs"].items():
        path = record.parent / name
        if not path.is_file():
            said.append(f"{path} is missing: run the workflow again to make it anew.")
        elif sha256(path) != expected:
            said.append(f"{path} changed since it was written: remove it and run the workflow again.")
    return said
