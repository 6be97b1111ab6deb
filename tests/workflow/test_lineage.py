"""Content addresses: what changes them, and what does not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from places import PHOTOGRAPHS, TINY

from hawp_core.errors import UserError
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow import settings
from hawp_core.workflow.chain import plan
from hawp_core.workflow.inventory import records
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.recipe import STAGE_VERSIONS, read_recipe
from hawp_core.workflow.recipe_builders import synthesize_recipe
from hawp_core.workflow.record import read_record
from hawp_core.workflow.schema import table
from hawp_core.workflow.status import state

# setting -> (another value, the stages whose keys change, of round 0 and 1; what follows from them changes too)
SHAPES, TRAIN0, TRAIN1, EXPORT, EVALUATE = "shapes", "train0", "train1", "export", "evaluate"
ALL = {"synthesize", "train 0", "export 0", "evaluate 0", "train 1", "export 1", "evaluate 1"}
NONE: set[str] = set()
AFTER_TRAIN0 = ALL - {"synthesize"}
AFTER_EXPORT0 = {"export 0", "train 1", "export 1", "evaluate 1"}
AFTER_TRAIN1 = {"train 1", "export 1", "evaluate 1"}
EVALUATIONS = {"evaluate 0", "evaluate 1"}
OTHER = {
    int: lambda v: v + 1, float: lambda v: v / 2 if v else 0.5, bool: lambda v: not v, tuple: lambda v: tuple(x + 1 for x in v),
}  # fmt: skip
TEXT = {
    "name": "other", "photographs.folder": "elsewhere", "photographs.sums": "elsewhere", "labels.files": "corrected", "labels.images": "elsewhere", "train.synthetic.augment": "none", "train.real.augment": "none",
    "shapes.style": "photographic", "train.synthetic.decay": "cosine", "train.real.decay": "cosine", "train.real.start": "previous", "train.synthetic.start": "shipped", "export.labels": "votes", "export.border": "black", "export.zoom": "out",
    "evaluate.truth": str(TINY), "evaluate.truth_images": "elsewhere", "compute.device": "cuda", "compute.precision": "bfloat16", "compute.trackers": ("mlflow",),
}  # fmt: skip


def expected(name: str) -> set[str]:
    """Which artifacts depend on a setting, said once more by hand."""
    if name in ("seed", "model.image_size") or name.startswith("shapes."):
        return ALL
    # Of annotations their content counts, wherever they and their photographs lie; so do own labels, of which there are none.
    if name in ("name", "rounds", "train.gpus", "train.nodes", "evaluate.truth_images") or name.startswith(
        ("compute.", "photographs.", "labels.")
    ):
        return NONE
    if name.startswith("train.real."):
        return AFTER_TRAIN1
    if name.startswith("export."):
        return AFTER_EXPORT0
    if name.startswith("evaluate."):
        return EVALUATIONS
    return AFTER_TRAIN0


def keys(chosen: Settings, photographs: str = "f" * 64) -> dict[str, str]:
    chain = plan(chosen, photographs, PHOTOGRAPHS, 1)
    named = {"synthesize": chain.shapes.key}
    for r in chain.rounds:
        named |= {f"{recipe.stage} {r.number}": recipe.key for recipe in (r.train, r.export, r.evaluate)}
    return named


def changed(one: dict, other: dict) -> set[str]:
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize("name", [name for name, _, _ in table()])
def test_a_setting_changes_exactly_what_depends_on_it(tiny, name):
    before = keys(tiny)
    other = with_another_value(tiny, name, name.split("."))
    assert other != tiny
    assert changed(before, keys(other)) == expected(name)


def with_another_value(section, name: str, path: list[str]):
    """The settings, or a section of them, with another value of one, acceptable or not."""
    first, *rest = path
    value = getattr(section, first)
    if rest:
        return replace(section, **{first: with_another_value(value, name, rest)})
    return replace(section, **{first: TEXT[name] if name in TEXT else OTHER[type(value)](value)})


def test_photographs_change_what_looks_at_them(tiny):
    assert changed(keys(tiny), keys(tiny, "e" * 64)) == AFTER_EXPORT0 | EVALUATIONS


@pytest.mark.parametrize(
    ("stage", "dependants"),
    [("synthesize", ALL), ("train", AFTER_TRAIN0), ("export", AFTER_EXPORT0), ("evaluate", EVALUATIONS)],
)
def test_a_stages_version_changes_what_it_makes(tiny, monkeypatch, stage, dependants):
    before = keys(tiny)
    monkeypatch.setitem(STAGE_VERSIONS, stage, 99)
    assert changed(before, keys(tiny)) == dependants


def test_fine_tuning_hangs_on_the_previous_model(tiny):
    tiny = settings.changed(tiny, {"train": {"real": {"start": "previous"}}}, "")
    chain = plan(tiny, "f" * 64, PHOTOGRAPHS, 2)
    assert [r.train.inputs["start"] for r in chain.rounds] == [
        None,
        chain.rounds[0].train.key,
        chain.rounds[1].train.key,
    ]


def test_more_rounds_change_no_earlier_one(tiny):
    two, five = plan(tiny, "f" * 64, PHOTOGRAPHS, 2), plan(tiny, "f" * 64, PHOTOGRAPHS, 5)
    assert [r.key for r in five.recipes][: len(two.recipes)] == [r.key for r in two.recipes]


def test_recipes_are_written_once_and_read_back(tiny, workplace):
    recipe = synthesize_recipe(tiny)
    path = recipe.write()
    stamp = path.stat().st_mtime_ns
    assert recipe.write() == path
    assert path.stat().st_mtime_ns == stamp
    assert read_recipe(path) == recipe


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda r: r["settings"].update(seed=9), "was altered"),
        (lambda r: r.update(format="hawp-rounds recipe 0"), "this version reads"),
        (lambda r: r.pop("inputs"), "lacks"),
        (lambda r: r.update(version=99), "was altered"),
    ],
)
def test_a_damaged_recipe_is_refused(tiny, workplace, damage, sentence):
    path = synthesize_recipe(tiny).write()
    record = json.loads(path.read_text())
    damage(record)
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=sentence):
        read_recipe(path)


def test_a_recipe_of_another_stage_version_is_refused(tiny, workplace, monkeypatch):
    path = synthesize_recipe(tiny).write()
    monkeypatch.setitem(STAGE_VERSIONS, "synthesize", 99)
    with pytest.raises(UserError, match="asks for version 1"):
        read_recipe(path)


def test_a_plan_is_quick_and_all_of_it_missing(tiny, workplace, photographs):
    tiny = settings.changed(tiny, {"photographs": {"folder": str(photographs)}}, "")
    chain = plan_run(tiny, 2, write=True)
    assert {state(recipe).word for recipe in chain.recipes} == {"missing"}
    again = plan_run(tiny, 2, write=True)
    assert [r.key for r in again.recipes] == [r.key for r in chain.recipes]


def test_why_two_addresses_differ(workplace, photographs, hawp, tiny):
    tiny = settings.changed(tiny, {"photographs": {"folder": str(photographs)}}, "")
    one = plan_run(tiny, 1, write=True)
    changes = {"train": {"synthetic": {"base_lr": 0.5}}, "export": {"views": 7}}
    other = plan_run(settings.changed(tiny, changes, ""), 1, write=True)
    code, printed = hawp("lineage", "--why", one.rounds[1].export.key, other.rounds[1].export.key)
    assert code == 0, printed
    assert printed.splitlines() == [
        "export: export.views 2 -> 7",
        "train: train.synthetic.base_lr 0.001 -> 0.5",
    ]


def test_why_tells_rounds_apart_in_few_words(workplace, photographs, hawp, tiny):
    chain = plan_run(settings.changed(tiny, {"photographs": {"folder": str(photographs)}}, ""), 1, write=True)
    shapes, real = (each.train for each in chain.rounds)
    code, printed = hawp("lineage", "--why", shapes.key, real.key)
    assert code == 0 and len(printed.splitlines()) < 6, printed
    assert (
        "train: train.synthetic (a section) -> (none)" in printed
        and "train: train.real (none) -> (a section)" in printed
    )


def test_why_knows_what_was_made_by_hand(workplace, hawp):
    """No recipe is written for a step by hand; its lineage record says the same."""
    for seed in (1, 2):
        Path(f"{seed}.yaml").write_text(f"{TINY.read_text()}\nseed: {seed}\n")
        assert hawp("synthesize", "--config", f"{seed}.yaml")[0] == 0
    one, other = (read_record(path) for path in records())
    assert not Path("recipes").exists()
    code, printed = hawp("lineage", "--why", one.key[:6], other.key[:6])
    assert code == 0 and printed.splitlines() == [
        f"synthesize: seed {one.settings['seed']} -> {other.settings['seed']}"
    ]
    code, printed = hawp("lineage", "--why", one.key, "0" * 16)
    assert (
        code == 2
        and "neither a recipe in recipes/ nor a result's lineage record begins with '0000000000000000'" in printed
    )
