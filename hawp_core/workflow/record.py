"""The record beside every artifact: full ancestry, versions, commit, device, duration and the digest of each file."""

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from hawp_core.runtime.files import read_json, sha256, write_json
from hawp_core.workflow.recipe import Recipe

RECORDED_PACKAGES = ("torch", "torchvision", "kornia", "opencv-python-headless", "numpy", "h5py", "snakemake")


def command_line() -> str:
    """The command that is running, as a user would type it."""
    program = Path(sys.argv[0]).name
    return shlex.join(["hawp" if program in {"cli.py", "__main__.py"} else program, *sys.argv[1:]])


def record_file(artifact: Path) -> Path:
    """Where the lineage of an artifact lies: `lineage.json` in a model's folder, `NAME.lineage.json` beside others."""
    return artifact.parent / "lineage.json" if artifact.suffix == ".pth" else artifact.with_suffix(".lineage.json")


def write_record(
    artifact: Path,
    recipe: Recipe,
    *,
    outputs: dict[str, Path],
    upstream: list[Path],
    seconds: float | None,
    device: str,
    counts: dict,
) -> Path:
    """Write the lineage of `artifact`.

    Args:
        outputs: names, relative to the record, and the files under which they lie now; their digests are kept, so that
            `hawp verify` finds a flipped byte.
        upstream: artifacts that were consumed; their ancestry becomes part of this one's.
        seconds: of work that went into it, earlier attempts and other jobs included; None where they are not known.
        counts: what the stage reports of itself.
    """
    ancestry: dict[str, dict] = {}
    for parent in upstream:
        file = record_file(parent)
        if file.is_file():
            known = read_json(file)
            ancestry |= known.get("ancestry", {})
            ancestry[known["key"]] = {name: known[name] for name in ("stage", "version", "settings", "inputs", "name")}
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
        "counts": counts,
        "outputs": {name: sha256(path) for name, path in outputs.items()},
    }
    write_json(record_file(artifact), record)
    return record_file(artifact)


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
