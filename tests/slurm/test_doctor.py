"""`hawp doctor --profile slurm` on a real Slurm: nothing to say of a cluster that fits, and each planted fault by its name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkouts import configure
from cluster import Cluster
from places import ROOT

pytestmark = pytest.mark.slurm
HAWP = "import sys; from hawp_core.commands.cli import main; sys.exit(main())"
WITHOUT_PLUGIN = "import sys; sys.modules['snakemake_executor_plugin_slurm'] = None; " + HAWP


def place(folder: Path, photographs: Path, defaults: dict, **changes: object) -> Path:
    """A folder with the committed profile, changed, and the tiny configuration for its configuration."""
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
    profile["default-resources"] |= defaults
    profile["configfile"] = configure(folder, photographs, **changes).name
    (folder / "slurm").mkdir()
    (folder / "slurm" / "config.yaml").write_text(yaml.safe_dump(profile))
    return folder


def doctor(cluster: Cluster, *words: str, cwd: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [*words, "doctor", "--profile", "slurm", "--wait", "120"], cwd=cwd,
        env=cluster.env | {"PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def named(said: str, *faults: str) -> None:
    """Each fault is a line of its own, which ends as a sentence does, and there is no other."""
    lines = said.splitlines()
    for fault in faults:
        assert sum(fault in line for line in lines) == 1, (fault, said)
    assert len(lines) == len(faults) and all(line.endswith((".", ").")) for line in lines), said


def test_a_cluster_that_fits_is_a_table(cluster: Cluster, tmp_path, photographs):
    code, said = doctor(
        cluster, sys.executable, "-c", HAWP, cwd=place(tmp_path, photographs, {"slurm_partition": "gpu"})
    )
    assert code == 0, said
    for row in (
        "plugin",
        "partition",
        "GPU of train",
        "10 of 60 minutes",
        "2,000 of 8,000 MB",
        "shared folder",
        "clock there",
    ):
        assert row in said
    assert not list(tmp_path.glob(".hawp-doctor-*"))


def test_what_stops_every_job_is_said_before_one_is_tried(cluster: Cluster, tmp_path, photographs):
    defaults = {"slurm_partition": "nowhere", "slurm_account": "nobody", "qos": "gold"}
    code, said = doctor(cluster, sys.executable, "-c", WITHOUT_PLUGIN, cwd=place(tmp_path, photographs, defaults))
    assert code == 1, said
    named(
        said,
        "snakemake_executor_plugin_slurm is not installed",
        "no partition nowhere",
        "account nobody",
        "no QOS gold",
    )


def test_a_gpu_that_torch_does_not_see_is_named(cluster: Cluster, tmp_path, photographs):
    """The cluster's GPUs are none."""
    compute = {"device": "auto", "train_minutes": 600, "mem_mb": 9000}
    code, said = doctor(cluster, sys.executable, "-c", HAWP, cwd=place(tmp_path, photographs, {}, compute=compute))
    assert code == 1, said
    named(
        said, "PyTorch sees none there", "train asks for 600 minutes and partition gpu gives 60",
        "train asks for 9,000 MB", "export_shard asks for 9,000 MB",
    )  # fmt: skip


def test_a_node_that_differs_is_named(cluster: Cluster, tmp_path, photographs):
    """The folder is mounted here only and small; jobs get a clock and packages of their own."""
    folder, there, alone = (tmp_path / name for name in ("folder", "there", "alone"))
    for each in (folder, there / "torch-0.9.dist-info", alone):
        each.mkdir(parents=True)
    (there / "torch-0.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.9\n")
    (there / "sitecustomize.py").write_text("import time\nreal = time.time\ntime.time = lambda: real() + 600\n")
    prolog = tmp_path / "prolog"
    prolog.write_text(f"#!/bin/sh\necho export PYTHONPATH={there}{os.pathsep}{ROOT}\n")
    prolog.chmod(0o755)
    place(folder, photographs, {"gpu_model": "a100"})
    mount = f'mount -t tmpfs -o size=8m none {alone} && cp -r {folder}/. {alone} && cd {alone} && exec "$@"'
    words = ("unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", HAWP)
    if subprocess.run([*words[:4], mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    code, said = doctor(cluster, *words, cwd=tmp_path, SLURM_TASK_PROLOG=str(prolog))
    assert code == 1, said
    named(
        said, "GB free", "no GPU a100, which train asks for", "no GPU a100, which export_shard asks for", "does not share",
        "has torch 0.9 and this machine", "s or more away from this machine",
    )  # fmt: skip
