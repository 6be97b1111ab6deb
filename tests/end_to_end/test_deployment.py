"""The workflow as a module of another one: in the folder that `snakedeploy deploy-workflow` makes, without a checkout."""

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


def carried_out(folder: Path, hub: Path, *words: str) -> str:
    """What a command prints, where `hub` stands for the hosts of repositories."""
    found = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{hub.as_uri()}/.insteadOf", "GIT_CONFIG_VALUE_0": "https://",
        # Snakemake keeps what it clones.
        "XDG_CACHE_HOME": str(hub / "cache"),
    }  # fmt: skip
    ended = subprocess.run(words, cwd=folder, env={**os.environ, **found}, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_a_deployed_workflow_plans_its_rounds_with_a_target_and_without(tmp_path, photographs):
    hub, run = tmp_path / "hub", tmp_path / "run"
    origin = hub / "github.com" / "lab" / "hawp-rounds"
    origin.mkdir(parents=True)
    shutil.copy(ROOT / "Snakefile", origin)
    for name in ("workflow", "rules", "report", "envs", "config", "profiles"):
        shutil.copytree(ROOT / name, origin / name)
    for line in ("init -q", "add .", "-c user.name=t -c user.email=t@t commit -qm all", "tag v1"):
        carried_out(origin, hub, "git", *line.split())
    carried_out(
        tmp_path, hub, "snakedeploy", "deploy-workflow", "https://github.com/lab/hawp-rounds", "run", "--tag", "v1"
    )
    assert 'github("lab/hawp-rounds", path="workflow/Snakefile", tag="v1")' in (run / "workflow/Snakefile").read_text()
    configure(run, photographs).replace(run / "config" / "config.yaml")

    def planned(*targets: str) -> dict[str, str]:
        flags = CATALOG["usage"]["mandatory-flags"]["flags"].split()
        said = carried_out(run, hub, "snakemake", "-n", *targets, *flags)
        return dict(re.findall(r"^([a-z_]+) +(\d+)$", said, re.MULTILINE))

    steps = ("synthesize", "train", "export", "evaluate", "report")
    assert [planned("rounds=1")[name] for name in steps] == ["1", "2", "2", "2", "1"]
    assert [planned()[name] for name in steps] == ["1", "3", "3", "3", "1"]


def test_the_catalog_finds_what_it_asks_for():
    assert (ROOT / "config" / "README.md").is_file() and (ROOT / "workflow" / "Snakefile").is_file()
    assert CATALOG["usage"].keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    assert (ROOT / CATALOG["usage"]["mandatory-flags"]["flags"].split()[-1] / "config.yaml").is_file()
