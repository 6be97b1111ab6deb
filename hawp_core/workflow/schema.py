"""The schema of the settings, `schema.yaml`: what there is to set, and one clear sentence for each value that it does not allow."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import jsonschema
import yaml

from hawp_core.errors import UserError
from hawp_core.runtime.text import shown

SCHEMA_FILE = Path(__file__).resolve().parent / "schema.yaml"
LONGEST_SENTENCE = 1000  # characters: what is wrong may be a value of any length
# What a value must do, by the keyword of the schema that it breaks.
_BOUNDS = {
    "minimum": "be at least {}",
    "maximum": "be at most {}",
    "exclusiveMinimum": "be more than {}",
    "exclusiveMaximum": "be less than {}",
    "minItems": "hold at least {} value(s)",
    "maxItems": "hold at most {} value(s)",
    "uniqueItems": "hold no value twice",
}


class Rule(TypedDict, total=False):
    """What is used of the JSON schema of a setting, or of a section."""

    type: str
    description: str
    properties: "dict[str, Rule]"
    items: "Rule"
    default: object
    later: bool
    enum: list[object]
    pattern: str
    minimum: float
    maximum: float
    maxItems: int


@functools.cache
def schema() -> Rule:
    """The JSON schema of a configuration; not to be changed."""
    rules: Rule = yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))
    return rules


def check(given: object, source: Path | str) -> None:
    """Make sure that settings, as far as they are there, are acceptable one by one.

    Raises:
        UserError: an unknown setting, a wrong type, or a value out of range.
    """
    for error in sorted(
        jsonschema.Draft202012Validator(schema()).iter_errors(given), key=lambda e: list(map(str, e.path))
    ):
        said = shown(_sentence(error, source))
        raise UserError(said if len(said) < LONGEST_SENTENCE else f"{said[:LONGEST_SENTENCE]}...")


def _sentence(error: jsonschema.ValidationError, source: Path | str) -> str:
    """One sentence: file, setting, value, remedy."""
    where = ".".join(str(part) for part in error.absolute_path) or "the top level"
    rule = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        allowed = sorted(rule["properties"])
        unknown = sorted(set(error.instance) - set(allowed), key=str)[0]
        place = f"{where}.{unknown}" if error.absolute_path else str(unknown)
        name, _, value = str(unknown).partition(":")
        if value and name in allowed:  # YAML takes {folder:photos} for a name without a value
            return f"{source}: {place} is not a setting: write {name}: {value}, with a space after the colon."
        return f"{source}: {place} is not a setting: choose among {', '.join(allowed)}, or remove it."
    if error.validator == "type":
        return (
            f"{source}: {where} is {error.instance!r}, and must be of type {error.validator_value}: correct it there."
        )
    if error.validator == "enum":
        options = ", ".join(map(str, rule["enum"]))
        return f"{source}: {where} is {error.instance!r}: choose one of {options}."
    hint = f" ({rule['description'].rstrip('.')})" if "description" in rule else ""
    if error.validator == "pattern":
        return f"{source}: {where} is {error.instance!r}, which is not acceptable: correct it there{hint}."
    if error.validator in _BOUNDS:
        bound = _BOUNDS[error.validator].format(error.validator_value)
        return f"{source}: {where} is {error.instance!r}, and must {bound}: correct it there{hint}."
    return f"{source}: {where} is not acceptable, {error.message}: correct it there{hint}."


def table() -> list[tuple[str, str, str]]:
    """(setting, default, description) of every setting, in the schema's order."""
    rows = []

    def visit(rules: Rule, prefix: str) -> None:
        for name, rule in rules["properties"].items():
            if "properties" in rule:
                visit(rule, f"{prefix}{name}.")
            else:
                rows.append((prefix + name, str(rule["default"]), rule["description"]))

    visit(schema(), "")
    return rows
