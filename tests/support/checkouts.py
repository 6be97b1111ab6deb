"""Folders that Snakemake takes for the project, and the workflow run in them as a user runs it."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from places import ROOT, TINY

from hawp_core.data.label_file import LabelFile

NEEDED = ("Snakefile", "rules", "config", "profiles", "envs", "report", "slurm")


def checkout(folder: Path) -> Path:
    """A folder that Snakemake takes for the project, with results of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NEEDED:
        (folder / name).symlink_to(ROOT / name)
    return folder


def configure(folder: Path, photographs: Path, **changes) -> Path:
    """The tiny configuration on a folder of photographs, with changed sections."""
    settings = yaml.safe_load(TINY.read_text())
    settings["photographs"] = {"folder": str(photographs)}
    for section, values in changes.items():
        settings[section] = {**settings[section], **values} if isinstance(values, dict) else values
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@functools.cache
def without_privileges() -> list[str]:
    """What to put before a command so that root, who may write where others may not, meets what they meet."""
    words = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    if os.geteuid() or shutil.which(words[0]) is None or subprocess.run([*words, "true"], check=False).returncode:
        return []
    return words


def snakemake(folder: Path, *words: str, timeout: int = 500) -> subprocess.CompletedProcess:
    """Run the workflow in `folder` with the local profile, in a shell that did not activate the environment."""
    programs = Path(sys.executable).parent
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != programs)
    return subprocess.run(
        [*without_privileges(), str(programs / "snakemake"), *words, "--profile", "profiles/local", "--configfile", "tiny.yaml"],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


def labels(folder: Path) -> dict[str, list]:
    """Every round's labels, as bytes."""
    found = {}
    for path in sorted(folder.glob("data-ssl/*/*-model-*.h5")):
        file = LabelFile(path)
        rows = [(n, *(a.tobytes() for a in (file[n].junctions, file[n].edges, file[n].scores))) for n in file.names]
        found[path.name] = rows
    return found
