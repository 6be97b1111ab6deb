"""Names and places from files stay inside the run, whoever wrote the file."""

import json
from pathlib import Path

import pytest
import torch
from places import TINY

from hawp_core.errors import UserError
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.workflow.places import EvaluatePlaces
from hawp_core.workflow.recipe import EvaluateRecipe, read_recipe
from hawp_core.workflow.recipe_file import digest

PLACES = EvaluatePlaces("/photos", Path("l.jsonl"), 6, 2, Path("m.pth"), None)
FILED = {"folder": "/photos", "manifest": "l.jsonl", "photographs": 6, "shards": 2, "model": "m.pth", "shapes": None}
ODD = ["../../x", "/elsewhere", "a/b", "..", "", "a\nb", "a\0b", ".hidden", "-option", "n" * 300, None, 5, "a\\b"]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = EvaluateRecipe(
        {"seed": 0, "evaluate": {"photographs": 1}}, {"model": "0123456789abcdef"}, "a-round0", PLACES
    )
    return made.write()


def rewritten(path, seal: bool, **changes):
    record = json.loads(path.read_text()) | changes
    if seal:
        record["seal"] = digest([record["name"], record["places"]])[:16]
    path.write_text(json.dumps(record))
    return path


def test_a_sound_recipe_is_read(recipe):
    assert read_recipe(recipe).places == PLACES
    assert json.loads(recipe.read_text())["places"] == FILED


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_one_folder(recipe, name):
    with pytest.raises(UserError, match="plain folder name"):
        read_recipe(rewritten(recipe, True, name=name))


@pytest.mark.parametrize("place", ["/etc/model.pth", "../model.pth", "a/../../model.pth", "a\0b"])
def test_a_place_is_inside_the_run(recipe, place):
    with pytest.raises(UserError, match="not inside the run"):
        read_recipe(rewritten(recipe, True, places=FILED | {"model": place}))
    with pytest.raises(UserError, match="not inside the run"):
        read_recipe(rewritten(recipe, True, places=FILED | {"recipes": ["fine.json", place]}))


@pytest.mark.parametrize("role", ["folder", "manifest", "model", "shapes"])
@pytest.mark.parametrize("value", [5, [], {}, True, "", "\ud800"])
def test_a_place_is_text_that_a_file_system_takes(recipe, role, value):
    with pytest.raises(UserError, match="not inside the run"):
        read_recipe(rewritten(recipe, True, places=FILED | {role: value}))


def test_a_place_that_the_stage_needs_is_there(recipe):
    with pytest.raises(UserError, match="of its places, it lacks model"):
        read_recipe(rewritten(recipe, True, places={role: value for role, value in FILED.items() if role != "model"}))


@pytest.mark.parametrize("places", [None, 5, [1], "x"])
def test_places_are_a_mapping(recipe, places):
    with pytest.raises(UserError, match="not inside the run"):
        read_recipe(rewritten(recipe, True, places=places))


@pytest.mark.parametrize("change", [{"name": "b-round0"}, {"places": FILED | {"model": "other.pth"}}])
def test_an_altered_name_or_place_is_noticed(recipe, change):
    with pytest.raises(UserError, match="altered"):
        read_recipe(rewritten(recipe, False, **change))


@pytest.mark.parametrize("key", ["../../x", "/etc", 5, "", "ABCDEF0123456789"])
def test_an_input_is_an_address(recipe, key):
    with pytest.raises(UserError, match="no address"):
        read_recipe(rewritten(recipe, True, inputs={"model": key}))


@pytest.mark.parametrize("command", ["homoadp", "evaluate"])
def test_a_model_that_names_a_place_outside_writes_nothing(workplace, photographs, hawp, command):
    torch.manual_seed(0)
    network = WireframeNetwork(
        Architecture(image_size=64, width=16, depth=2, stacks=1, junction_features=8, verification_width=16)
    )
    inner = workplace / "deep" / "run"
    inner.mkdir(parents=True)
    save_checkpoint(inner / "model.pth", network, epoch=1, recipe={"name": "../../../x", "key": "0123456789abcdef"})
    option = "--datacfg" if command == "homoadp" else "--config"
    before = {path for path in workplace.rglob("*") if "recipes" not in path.parts}
    code, printed = hawp(command, "-c", inner / "model.pth", option, TINY, "--images", photographs, "--device", "cpu")
    assert code == 2 and "plain folder name" in printed
    assert {path for path in Path(workplace).rglob("*") if "recipes" not in path.parts} == before
