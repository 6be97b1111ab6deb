"""What a job finds on a node of a Slurm cluster, beside what is here: one short job looks (`node_probe.py`)."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hawp_core.data.photographs.folder import locate
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow import node_probe
from hawp_core.workflow.machine_check import Check
from hawp_core.workflow.slurm_profile import Profile

LATE_SECONDS = 60  # a shared file system may take so long to show a file, as `latency-wait` in the profile has it
CLOCK_SECONDS = 5  # apart: then ages of files and leases are no longer told right
PROBE_MINUTES, PROBE_MB = 5, 4000


@dataclass(frozen=True)
class Found:
    """What `node_probe.py` prints."""

    node: str
    clock: float
    folder: bool
    photographs: bool
    versions: dict[str, str]
    gpus: int


def last_line(text: str) -> str:
    """The last thing that a command of Slurm said, without its name."""
    lines = [line for line in text.splitlines() if line.strip()]
    return (
        lines[-1].removeprefix("srun: error: ").removeprefix("slurm_load_partitions: ").strip()
        if lines
        else "no reason given"
    )


def check_node(profile: Profile, settings: Settings, patience: int, *, without_gpu: bool) -> Iterator[Check]:
    """Run one short job, and compare what it finds with what is here."""
    here, training = Path.cwd(), profile.demands(settings)[0]
    mark = here / f".hawp-doctor-{os.getpid()}"
    answer = mark.with_name(f"{mark.name}-node")
    chosen = [("--partition", training.partition), ("--account", profile.text("slurm_account")), ("--qos", profile.qos)]
    options = [f"{name}={value}" for name, value in chosen if value]
    if not without_gpu:
        options.append(f"--gpus={training.model + ':' if training.model else ''}1")
    memory = min(PROBE_MB, training.memory)
    options += [f"--time={PROBE_MINUTES}", f"--mem={memory}", "--nodes=1", "--ntasks=1", f"--immediate={patience}"]
    source = Path(node_probe.__file__).read_text()
    try:
        mark.touch()
    except OSError:
        return  # said of the working folder already
    began = time.time()
    try:
        done = subprocess.run(
            ["srun", *options, sys.executable, "-c", source, mark, answer, locate(settings.photographs.folder).absolute()],
            capture_output=True, text=True, timeout=patience + 60 * PROBE_MINUTES,
        )  # fmt: skip
        ended = time.time()
        found = next(
            (Found(**json.loads(line)) for line in reversed(done.stdout.splitlines()) if line.startswith("{")), None
        )
        if done.returncode or found is None:
            yield _no_answer(done.stderr, patience)
            return
        yield from _check_found(found, settings, (began, ended), answer, asked_gpu=not without_gpu)
    except subprocess.TimeoutExpired:
        yield Check(
            "a node", "silent", f"a job of seconds did not end in {PROBE_MINUTES} minutes: see squeue --me and sinfo."
        )
    finally:
        mark.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)


def _no_answer(said: str, patience: int) -> Check:
    if re.search(r"immediate|busy|not available right now", said):
        return Check("a node", f"not looked at: none was free within {patience} s (--wait)")
    if "No such file" in said and sys.executable in said:
        fault = f"a node does not have {sys.executable}: set up the environment on a file system that all nodes see."
        return Check("a node", "no Python", fault)
    return Check(
        "a node",
        "no job",
        f"a job of seconds could not run ({last_line(said)}): mend that, or ask the cluster's staff.",
    )


def _check_found(
    found: Found, settings: Settings, between: tuple[float, float], answer: Path, *, asked_gpu: bool
) -> Iterator[Check]:
    node, here = found.node, Path.cwd()
    until = time.monotonic() + (LATE_SECONDS if found.folder else 0)
    while not answer.exists() and time.monotonic() < until:
        time.sleep(1)
    fault = None
    if not (found.folder and answer.exists()):
        fault = f"{node} does not share {here} with this machine: work in a folder that all nodes see, such as /home or /scratch."
    yield Check("shared folder", f"{node}, {here}", fault)
    photographs, fault = locate(settings.photographs.folder), None
    if photographs.is_dir() and not found.photographs:
        fault = f"{node} does not see the photographs in {photographs}: put them on a file system that all nodes see."
    yield Check("photographs", f"{node}, {photographs}", fault)
    own = node_probe.versions()
    other = [name for name in own if found.versions.get(name) != own[name]]
    fault = None
    if other:
        name = other[0]
        fault = (
            f"{node} has {name} {found.versions.get(name)} and this machine {own[name]}: activate one environment, on a shared "
            "file system, before snakemake, and let no login script of the nodes change it."
        )
    yield Check("Python there", f"{own['python']}, torch {own['torch']}", fault)
    early, late = between[0] - found.clock, found.clock - between[1]
    apart, fault = max(early, late, 0), None
    if apart > CLOCK_SECONDS:
        fault = f"the clock of {node} is {apart:.0f} s or more away from this machine's: have the cluster's staff set it (NTP)."
    yield Check("clock there", f"{apart:.0f} s apart", fault)
    if found.gpus < 0:
        yield Check(
            "torch there", "none", f"PyTorch cannot be imported on {node}: set up the environment for its processor."
        )
    elif asked_gpu and settings.compute.device != "cpu":
        fault = (
            None
            if found.gpus
            else (
                f"Slurm gave a job on {node} a GPU and PyTorch sees none there: run nvidia-smi in a job, as the driver may be missing or "
                "too old, or set compute.device to cpu."
            )
        )
        yield Check("torch there", f"{found.gpus} GPU", fault)
