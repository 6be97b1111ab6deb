"""The workflow as a module of another one, taken from a repository, in the folder that `snakedeploy deploy-workflow` makes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkouts import configure
from places import ROOT

CATALOG = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
# What snakedeploy 0.17 writes to workflow/Snakefile, but for the repository, which is of this machine here.
DEPLOYED = """
configfile: "config/config.yaml"


module hawp_rounds:
    snakefile:
        gitfile("{repository}", path="workflow/Snakefile", commit="{commit}")
    config:
        config


use rule * from hawp_rounds
"""


@pytest.mark.slow
def test_a_deployed_workflow_plans_its_rounds(tmp_path, photographs):
    origin, run = tmp_path / "origin", tmp_path / "run"
    for name in ("workflow", "rules", "report", "envs"):
        shutil.copytree(ROOT / name, origin / name)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=origin, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=origin, check=True, capture_output=True, text=True).stdout
    for name in ("config", "profiles"):
        shutil.copytree(ROOT / name, run / name)
    configure(run, photographs).replace(run / "config" / "config.yaml")
    (run / "workflow").mkdir()
    (run / "workflow" / "Snakefile").write_text(DEPLOYED.format(repository=origin, commit=commit.strip()))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["snakemake", "-n", "rounds=1", *CATALOG["usage"]["mandatory-flags"]["flags"].split()],
        cwd=run, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    jobs = dict(re.findall(r"^([a-z_]+) +(\d+)$", ended.stdout, re.MULTILINE))
    assert (jobs["synthesize"], jobs["train"], jobs["export"], jobs["evaluate"], jobs["report"]) == (
        "1",
        "2",
        "2",
        "2",
        "1",
    )


def test_the_catalog_finds_what_it_asks_for():
    assert (ROOT / "config" / "README.md").is_file() and (ROOT / "workflow" / "Snakefile").is_file()
    assert CATALOG["usage"].keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    assert (ROOT / CATALOG["usage"]["mandatory-flags"]["flags"].split()[-1] / "config.yaml").is_file()
