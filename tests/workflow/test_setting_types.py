"""The types of the settings and the schema tell of the same settings, each in its own terms."""

import dataclasses
import math
import re
import typing
from types import NoneType

import pytest

from hawp_core.errors import UserError
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.schema import schema
from hawp_core.workflow.settings import changed, complete, to_dict

PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool}


def kind(rule) -> object:
    """The type that a rule of the schema asks for."""
    if "enum" in rule:
        return typing.Literal[tuple(rule["enum"])]
    if rule["type"] == "array":
        inner, count = kind(rule["items"]), rule.get("maxItems")
        return tuple[(inner,) * count] if count and count == rule.get("minItems") else tuple[inner, ...]
    return PLAIN[rule["type"]]


def names_and_types(section) -> dict[str, object]:
    """The fields of a section, those of sections in it below their name."""
    return {
        name: names_and_types(hint) if dataclasses.is_dataclass(hint) else hint
        for name, hint in typing.get_type_hints(section).items()
    }


def asked(rules) -> dict[str, object]:
    return {name: asked(rule) if "properties" in rule else kind(rule) for name, rule in rules["properties"].items()}


def in_order(tree) -> list:
    return [(name, in_order(each)) if isinstance(each, dict) else name for name, each in tree.items()]


def test_the_fields_are_the_schemas_settings_of_its_types():
    assert names_and_types(Settings) == asked(schema())


def test_a_printed_configuration_has_the_schemas_order():
    assert in_order(to_dict(complete({}))) == in_order(asked(schema()))


def test_settings_cannot_be_changed_by_mistake():
    settings = complete({})
    for section in (settings, settings.train, settings.train.real, settings.train.losses):
        with pytest.raises(dataclasses.FrozenInstanceError):
            section.seed = 1
    assert all(not isinstance(value, list | dict | NoneType) for value in vars(settings.train.real).values())


def test_a_change_leaves_everything_else_as_it_was_and_is_checked():
    settings = complete({"rounds": 7})
    other = changed(settings, {"train": {"real": {"base_lr": 1}}}, "mine")
    assert other.train.real.base_lr == 1.0 and isinstance(other.train.real.base_lr, float)
    assert changed(other, {"train": {"real": {"base_lr": 4e-4}}}, "mine") == settings
    with pytest.raises(UserError, match=r"^mine: train\.real\.gamma is 3\.0, and must be at most 1: correct it there"):
        changed(settings, {"train": {"real": {"gamma": 3.0}}}, "mine")
    with pytest.raises(UserError, match=r"^mine: export\.min_score is 'nan'"):
        changed(settings, {"export": {"min_score": math.nan}}, "mine")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rounds": 1000}, "rounds is 1000, and must be at most 100: correct it there (Number of real rounds"),
        ({"rounds": -1}, "rounds is -1, and must be at least 0: correct it there"),
        ({"train": {"real": {"gamma": 0}}}, "train.real.gamma is 0, and must be more than 0: correct it there"),
        ({"train": {"real": {"blend": 1}}}, "train.real.blend is 1, and must be less than 1: correct it there"),
        ({"export": {"scales": []}}, "export.scales is [], and must hold at least 1 value(s): correct it there"),
        ({"shapes": {"canvas": [3, 4, 5]}}, "shapes.canvas is [3, 4, 5], and must hold at most 2 value(s)"),
        ({"export": {"scales": [1, 1]}}, "export.scales is [1, 1], and must hold no value twice: correct it there"),
    ],
)
def test_what_is_out_of_range_is_named_first_and_explained_last(given, said):
    with pytest.raises(UserError, match=f"^mine: {re.escape(said)}"):
        changed(complete({}), given, "mine")
