"""The presets of config/ come with the package, and a file of the working folder goes before them."""

import shutil
from pathlib import Path

import pytest
import yaml
from places import ROOT

from hawp_core.commands import common
from hawp_core.workflow import settings
from hawp_core.workflow.planning import plan_run


@pytest.fixture
def away(tmp_path, monkeypatch) -> Path:
    """A working folder without a configuration."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [file.name for file in sorted((ROOT / "config").glob("*.yaml"))])
def test_away_from_a_checkout_every_preset_is_what_it_is_in_one(away, hawp, name):
    code, printed = hawp("settings", f"config/{name}")
    assert code == 0, printed
    assert yaml.safe_load(printed) == settings.to_dict(settings.load(ROOT / "config" / name))


@pytest.mark.parametrize("name", [file.name for file in sorted((ROOT / "config").glob("*.yaml"))])
def test_every_step_of_a_preset_can_read_its_recipe(away, photographs, name):
    run = settings.merged_settings([ROOT / "config" / name, {"photographs": {"folder": str(photographs)}}])
    for recipe in plan_run(run, 1, write=True).recipes:
        assert common.load_settings(recipe.file)[1] == recipe


def test_commands_that_name_no_configuration_take_the_small_default(away, hawp, photographs):
    code, planned = hawp("plan", "--config", f"photographs={{folder: {photographs}}}")
    assert code == 0 and "round" in planned, planned
    shutil.copytree(ROOT / "config", "config")
    assert hawp("plan", "--config", f"photographs={{folder: {photographs}}}") == (0, planned)


def test_a_file_of_the_working_folder_goes_first(away, hawp):
    (away / "config").mkdir()
    (away / "config" / "hawpv3.yaml").write_text("name: mine")
    assert "name: mine" in hawp("settings", "config/hawpv3.yaml")[1]


def test_a_mistake_names_the_preset_that_was_read(away, hawp):
    code, printed = hawp("plan", "--config", "rounds=1", "evaluate={size: 500}")
    assert code == 2 and f"{settings.PRESETS / 'config.yaml'} and the command line: evaluate.size is 500" in printed, (
        printed
    )


@pytest.mark.parametrize("path", ["elsewhere/config.yaml", "config/README.md", "config/none.yaml", "config.yaml"])
def test_nothing_else_is_taken_for_a_preset(away, hawp, path):
    code, printed = hawp("settings", path)
    assert code == 2 and f"{path} cannot be read" in printed, printed
