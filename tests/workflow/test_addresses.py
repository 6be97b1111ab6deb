"""Addresses are promises: what was made yesterday is found tomorrow, however the code is arranged.

tests/support/stored/addresses.json holds the recipe file and the result of every step of five runs. When this test fails, every
artifact of every user would be made again: raise a stage's version (see test_versions.py) and run `python
tests/workflow/test_addresses.py`, or mend what moved the address by mistake.
"""

import hashlib
import json
from pathlib import Path

from places import ROOT, STORED

from hawp_core.workflow.chain import Chain, plan, report_recipe
from hawp_core.workflow.paths import artifact
from hawp_core.workflow.places import PhotographPlaces
from hawp_core.workflow.recipe_builders import pick
from hawp_core.workflow.schema import schema
from hawp_core.workflow.settings import changed, complete, load

ADDRESSES = STORED / "addresses.json"
# The files of settings, and what is laid over them: every setting that belongs to an address differs somewhere.
RUNS = {
    "small": ("tests/support/configs/first-small.yaml", {}),
    "published": ("config/hawpv3.yaml", {}),
    "from scratch": ("tests/support/configs/first-small.yaml", {"seed": 7, "train": {"clip_norm": 1.0, "real": {"start": "scratch", "flips": 2}}}),
    "votes": ("tests/support/configs/first-small.yaml", {"export": {"labels": "votes", "views": 20}, "evaluate": {"pairs": 3}}),
    "one stack": ("config/hawpv3.yaml", {"rounds": 1, "model": {"stacks": 1}, "shapes": {"train": 100}, "name": "one.stack"}),
}  # fmt: skip
# SHA-256 of the files of all recipes of a run, one after the other.
FILES = {
    "votes": "40ed7cea91f2dfd3df07ff4ea921f0e32c51162573e01d18157cf6a37d75a607",
    "votes, with truth": "df51514ed75248765c6c880b4e2f53d1e0d4fd4b33fc333ef6cd0ebab879f308",
}


def planned(name: str, more: dict | None = None) -> Chain:
    """The plan of a run, with more changes."""
    file, changes = RUNS[name]
    chosen = changed(changed(load(ROOT / file), changes, name), more or {}, name)
    return plan(chosen, "0123456789abcdef" * 4, PhotographPlaces("photos", Path("recipes/photographs.jsonl"), 2500, 3))


def addresses() -> dict[str, list[str]]:
    """The recipe file and the result of every step of each run, upstream first, and those of the report."""
    found = {}
    for name in RUNS:
        chain = planned(name)
        steps = [f"{recipe.file} -> {artifact(recipe)}" for recipe in chain.recipes]
        found[name] = [*steps, str(report_recipe(chain, len(chain.rounds) - 1).file)]
    return found


def test_the_files_of_recipes_are_byte_by_byte_as_they_were(tmp_path, monkeypatch):
    """So a plan of an earlier version is found planned."""
    monkeypatch.chdir(tmp_path)
    Path("truth.json").write_text("[]")
    told = {}
    for name, changes in {"votes": {}, "votes, with truth": {"evaluate": {"truth": "truth.json"}}}.items():
        chain = planned("votes", changes)
        recipes = [*chain.recipes, report_recipe(chain, len(chain.rounds) - 1)]
        told[name] = hashlib.sha256(b"".join(recipe.write().read_bytes() for recipe in recipes)).hexdigest()
    assert told == FILES


def test_every_address_is_as_it_was():
    assert addresses() == json.loads(ADDRESSES.read_text())


def test_a_later_setting_enters_an_address_only_where_it_differs():
    """So a setting can be added without all that was made being made again."""
    assert schema()["properties"]["export"]["properties"]["view_score"]["later"]
    assert "view_score" not in pick(complete({}), "export")["export"]
    assert pick(complete({"export": {"view_score": 0.4}}), "export")["export"]["view_score"] == 0.4


if __name__ == "__main__":
    ADDRESSES.write_text(json.dumps(addresses(), indent=1) + "\n")
