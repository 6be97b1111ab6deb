"""The record beside every artifact: full ancestry, versions, commit, device, duration and the digest of each file."""

import datetime
import hashlib
import importlib.metadata
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json, sha256, write_json
from hawp_core.runtime.names import is_address, stays_inside
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import named, typed
from hawp_core.workflow.recipe import Recipe
from hawp_core.workflow.recipe_file import digest

RECORDED_PACKAGES = ("torch", "kornia", "opencv-python-headless", "pillow", "numpy", "scipy", "h5py", "snakemake")

# The fields of records that were written before they had a seal; these are read, and nothing tells a changed one.
_BEFORE_SEALS = {
    "key", "name", "stage", "version", "settings", "inputs", "ancestry", "command", "finished", "seconds", "device",
    "host_threads", "python", "packages", "commit", "counts", "outputs",
}  # fmt: skip


def command_line() -> str:
    """The command that is running, as a user would type it; bytes that are no UTF-8 are escaped."""
    program = Path(sys.argv[0]).name
    typed_line = shlex.join(["hawp" if program in {"cli.py", "__main__.py"} else program, *sys.argv[1:]])
    return typed_line.encode("utf-8", "backslashreplace").decode("utf-8")


def record_file(artifact: Path) -> Path:
    """Where the lineage of an artifact lies: `lineage.json` in a model's folder, `NAME.lineage.json` beside others."""
    return artifact.parent / "lineage.json" if artifact.suffix == ".pth" else artifact.with_suffix(".lineage.json")


@dataclass(frozen=True)
class Record:
    """What a lineage record says of an artifact; docs/formats.md lists all its fields.

    Attributes:
        key, name, stage, version, settings, inputs: as in the recipe.
        ancestry: key -> the same of everything that the artifact descends from.
        finished: UTC, ISO 8601.
        seconds: of work; None where they are not known.
        counts: what the stage reports of itself.
        outputs: file, relative to the record -> its SHA-256.

    Raises:
        ValueError: a field that is none.
    """

    key: str
    name: str
    stage: str
    version: int
    settings: dict[str, object]
    inputs: dict[str, str | None]
    ancestry: dict[str, dict[str, object]]
    finished: str
    seconds: float | None
    counts: dict[str, object]
    outputs: dict[str, str]

    def __post_init__(self) -> None:
        for key in (self.key, *self.ancestry):
            if not is_address(key):
                raise ValueError(f"{named(key)} is no address")
        for name in self.outputs:
            if not stays_inside(name):
                raise ValueError(f"its outputs name {named(name)}, which is not beside it")

    def count(self, name: str) -> float:
        """A number that the stage reports; 0 where it reports none of that name."""
        value = self.counts.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def read_record(file: Path) -> Record:
    """Read a lineage record.

    Raises:
        UserError: no such file, or it is damaged.
    """
    content = read_json(file)
    seal = content.pop("seal", None)
    try:
        if seal is None and not content.keys() <= _BEFORE_SEALS:
            raise ValueError("it has no seal")
        if seal is not None and seal != digest(content):
            raise ValueError("it does not match its seal")
        return typed(Record, content)
    except ValueError as error:
        raise UserError(
            f"{shown(file)} is no lineage record as this program writes it ({error}): remove it with what lies beside it, and run "
            "the workflow again."
        ) from error


def vouched_for(file: Path, name: str) -> bool:
    """Whether the record beside `file` keeps its digest, under `name`; not where the record is missing or damaged."""
    try:
        return file.is_file() and read_record(record_file(file)).outputs.get(name) == sha256(file)
    except UserError:
        return False


def write_record(
    artifact: Path,
    recipe: Recipe,
    *,
    outputs: Mapping[str, Path | bytes],
    upstream: list[Path],
    seconds: float | None,
    device: str,
    counts: Mapping[str, object],
) -> Path:
    """Write the lineage of `artifact`.

    Args:
        outputs: names, relative to the record, and the files under which they lie now, or what they will hold once they are
            written; their digests are kept, so that `hawp verify` finds a flipped byte.
        upstream: artifacts that were consumed; their ancestry becomes part of this one's.
        seconds: of work that went into it, earlier attempts and other jobs included; None where they are not known.
        counts: what the stage reports of itself.
    """
    ancestry: dict[str, dict[str, object]] = {}
    for parent in upstream:
        file = record_file(parent)
        if file.is_file():
            known = read_record(file)
            ancestry |= known.ancestry
            ancestry[known.key] = {
                name: getattr(known, name) for name in ("stage", "version", "settings", "inputs", "name")
            }
    record = {
        "key": recipe.key,
        "name": recipe.name,
        **recipe.identity,
        "ancestry": ancestry,
        "command": command_line(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": None if seconds is None else round(seconds, 1),
        "device": device,
        "host_threads": os.cpu_count(),
        "python": platform.python_version(),
        "packages": _versions(),
        "commit": _commit(),
        "counts": {name: value if _finite(value) else None for name, value in counts.items()},
        "outputs": _digests(outputs),
    }
    return _write(artifact, record)


def repeat_record(known: Path, artifact: Path, recipe: Recipe, outputs: Mapping[str, Path | bytes]) -> Path:
    """Write the lineage of `artifact`, which is the same as `known` under another name: made then, by whom its record says.

    Args:
        outputs: those that differ, as for `write_record`.
    """
    record, digests = read_json(record_file(known)), read_record(record_file(known)).outputs
    record.pop("seal", None)
    record |= {"name": recipe.name, "same_as": str(known), "outputs": digests | _digests(outputs)}
    return _write(artifact, record)


def _write(artifact: Path, record: dict[str, object]) -> Path:
    write_json(record_file(artifact), record | {"seal": digest(record)})
    return record_file(artifact)


def _digests(outputs: Mapping[str, Path | bytes]) -> dict[str, str]:
    return {
        name: hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256(content)
        for name, content in outputs.items()
    }


def _finite(value: object) -> bool:
    """Whether JSON has this value: it knows no number that is none."""
    return not isinstance(value, float) or math.isfinite(value)


def _versions() -> dict[str, str]:
    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit of this source tree, marked where files differ from it; empty outside a repository."""
    folder = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()
