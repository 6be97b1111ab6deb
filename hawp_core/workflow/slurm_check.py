"""What a Slurm cluster refuses, or lets fail: a profile's jobs beside the cluster's partitions, accounts and nodes.

Slurm is asked, and `slurm_node.py` lets one short job look at a node.
"""

import getpass
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator

from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.machine_check import Check
from hawp_core.workflow.slurm_node import check_node, last_line
from hawp_core.workflow.slurm_profile import Demand, Profile

ANSWER_SECONDS = 30  # for one question to Slurm


def check_cluster(profile: Profile, settings: Settings, patience: int) -> Iterator[Check]:
    """Everything that jobs need of the cluster, one after the other.

    Args:
        patience: seconds to wait for a node.
    """
    plugin = "snakemake_executor_plugin_slurm"
    missing = importlib.util.find_spec(plugin) is None
    fault = f"{plugin} is not installed, and Snakemake submits jobs through it: say `make setup`." if missing else None
    yield Check("plugin", "missing" if missing else "installed", fault)
    absent = [name for name in ("sbatch", "srun", "sinfo", "scontrol") if shutil.which(name) is None]
    if absent:
        yield Check("Slurm", "missing", f"{absent[0]} is not on the PATH: run on a login node, or load Slurm's module.")
        return
    partitions = _partitions()
    if isinstance(partitions, str):
        yield Check(
            "Slurm",
            "silent",
            f"Slurm does not answer ({partitions}): run on a login node; there, see `scontrol ping`, or try again later.",
        )
        return
    gates = [*_check_partitions(profile, settings, partitions), _check_account(profile), _check_qos(profile)]
    yield from gates
    if any(gate.fault for gate in gates):
        yield Check("a node", "not looked at before the above is mended")
        return
    resources = [check for each in profile.demands(settings) for check in _check_demand(each, partitions)]
    yield from resources
    yield from check_node(profile, settings, patience, without_gpu=any(c.fault and "GPU" in c.what for c in resources))


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {ANSWER_SECONDS} s")


def _partitions() -> dict[str, dict[str, str]] | str:
    """Each partition's settings; or why Slurm does not say them."""
    done = _ask("scontrol", "show", "partition", "--oneliner")
    if done.returncode:
        return last_line(done.stderr)
    rows = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in done.stdout.splitlines()]
    return {row["PartitionName"]: row for row in rows if "PartitionName" in row}


def _default(partitions: dict[str, dict[str, str]]) -> str | None:
    return next((name for name, row in partitions.items() if row.get("Default") == "YES"), None)


def _check_partitions(profile: Profile, settings: Settings, partitions: dict[str, dict[str, str]]) -> list[Check]:
    wanted = [profile.text("slurm_partition"), *(demand.partition for demand in profile.demands(settings))]
    names = dict.fromkeys(name or _default(partitions) for name in wanted)
    return [_check_partition(profile, name, partitions) for name in names]


def _check_partition(profile: Profile, name: str | None, partitions: dict[str, dict[str, str]]) -> Check:
    there = ", ".join(partitions)
    if name is None:
        fault = f"this cluster has no default partition: set slurm_partition in {profile.path} to one of {there}."
        return Check("partition", "none", fault)
    if name not in partitions:
        fault = f"the cluster has no partition {name}: set slurm_partition in {profile.path} to one of {there}."
        return Check("partition", name, fault)
    state = partitions[name].get("State", "UP")
    if state != "UP":
        fault = f"partition {name} is {state} and starts no job: take another of {there}, or wait."
        return Check("partition", name, fault)
    return Check("partition", name)


def _check_account(profile: Profile) -> Check:
    wanted = profile.text("slurm_account")
    if wanted is None:
        return Check("account", "the cluster's choice")
    options = ("--noheader", "--parsable2", "show", "associations", f"user={getpass.getuser()}", "format=account")
    done = _ask("sacctmgr", *options) if shutil.which("sacctmgr") else None
    if done is None or done.returncode:
        return Check("account", f"{wanted}, not checked: no accounting answers")
    yours = sorted(set(done.stdout.split()))
    fault: str | None = None
    if wanted not in yours:
        remedy = f"one of {', '.join(yours)}" if yours else "nothing, as you have none here"
        fault = f"account {wanted} is not yours on this cluster: set slurm_account in {profile.path} to {remedy}."
    return Check("account", wanted, fault)


def _check_qos(profile: Profile) -> Check:
    if profile.qos is None:
        return Check("QOS", "the cluster's choice")
    done = (
        _ask("sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=name")
        if shutil.which("sacctmgr")
        else None
    )
    if done is None or done.returncode:
        return Check("QOS", f"{profile.qos}, not checked: no accounting answers")
    there, fault = done.stdout.split(), None
    if profile.qos not in there:
        fault = f"the cluster has no QOS {profile.qos}: set qos in {profile.path} to one of {', '.join(there)}."
    return Check("QOS", profile.qos, fault)


def _check_demand(demand: Demand, partitions: dict[str, dict[str, str]]) -> list[Check]:
    """GPUs, memory and time of a rule beside the nodes and limits of its partition."""
    name = demand.partition or _default(partitions) or ""
    # Memory in MB; a + says "and more".
    done = _ask("sinfo", "--noheader", "--Node", f"--partition={name}", "--format=%G|%m")
    if done.returncode:
        return [Check(f"nodes for {demand.rule}", f"not checked ({last_line(done.stderr)})")]
    nodes = [line.strip().split("|") for line in done.stdout.splitlines()]
    most_memory = max((int(memory.rstrip("+")) for _, memory in nodes), default=0)
    limit = partitions[name].get("MaxMemPerNode", "UNLIMITED")
    most_memory = min(most_memory, int(limit)) if limit.isdecimal() and int(limit) else most_memory
    checks = [_check_gpu(demand, name, [gres for gres, _ in nodes])]
    fault = None
    if demand.memory > most_memory:
        fault = (
            f"{demand.rule} asks for {demand.memory:,} MB and partition {name} gives {most_memory:,} MB on a node at most: set "
            "compute.mem_mb to less, or take another partition."
        )
    checks.append(Check(f"memory of {demand.rule}", f"{demand.memory:,} of {most_memory:,} MB", fault))
    longest, fault = minutes(partitions[name].get("MaxTime", "UNLIMITED")), None
    if longest is not None and demand.minutes > longest:
        fault = (
            f"{demand.rule} asks for {demand.minutes:,} minutes and partition {name} gives {longest:,} at most: set "
            f"{demand.setting} to {longest} or less, as a job that runs out of time carries on in its next attempt."
        )
    shown = "no limit" if longest is None else f"{longest:,}"
    return [*checks, Check(f"time of {demand.rule}", f"{demand.minutes:,} of {shown} minutes", fault)]


def _check_gpu(demand: Demand, partition: str, gres: list[str]) -> Check:
    found = [gpu for each in gres for gpu in re.findall(r"gpu(?::([A-Za-z][^:,(]*))?:(\d+)", each)]
    fits = [int(count) for model, count in found if demand.model in (None, model)]
    asked = f"{demand.gpus} x {demand.model or 'any model'}"
    models = ", ".join(sorted({model or "GPUs of no named model" for model, _ in found}))
    fault = None
    if not found:
        fault = f"partition {partition} has no GPUs and {demand.rule} asks for one: set slurm_partition to one that has (sinfo -o '%P %G')."
    elif not fits:
        fault = f"partition {partition} has no GPU {demand.model}, which {demand.rule} asks for, but {models}: correct gpu_model."
    elif max(fits) < demand.gpus:
        fault = f"{demand.rule} asks for {demand.gpus} GPUs on one node and {partition} has {max(fits)} there: set train.gpus to it."
    return Check(f"GPU of {demand.rule}", asked, fault)


def minutes(limit: str) -> int | None:
    """Minutes of a time such as 1-00:30:00, as Slurm writes limits; None for UNLIMITED."""
    parsed = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", limit)
    if not parsed:
        return None
    days, hours, whole, _ = (int(part or 0) for part in parsed.groups())
    return (24 * days + hours) * 60 + whole
