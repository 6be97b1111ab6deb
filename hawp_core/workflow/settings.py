"""The settings of a run: one schema with described defaults, and one clear sentence for each mistake."""

import contextlib
import copy
import functools
import math
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import yaml

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_yaml
from hawp_core.runtime.limited_yaml import parse_yaml
from hawp_core.runtime.text import shown

LONGEST_SENTENCE = 1000  # characters: what is wrong may be a value of any length

SCHEMA_FILE = Path(__file__).resolve().parent / "schema.yaml"
# In a checkout a link to config/, in an installed package a copy of its files.
PRESETS = Path(__file__).resolve().parent / "presets"
PRESET_FOLDER = Path("config")


def find_configuration(path: Path | str) -> Path:
    """The file that `path` means: the user's own, or, where there is none, the preset of that name.

    So `config/config.yaml` and `config/hawpv3.yaml` also mean something away from a checkout.

    Returns: the preset's place in the package, or `path`, whether it exists or not.
    """
    path = Path(path)
    preset = PRESETS / path.name
    if path.parent == PRESET_FOLDER and path.suffix == ".yaml" and not path.exists() and preset.is_file():
        return preset
    return path


def merged_settings(sources: list[Path | dict]) -> dict:
    """Settings from a configuration file and others laid over it, as Snakemake lays --configfile and --config.

    Raises:
        UserError: unreadable or not acceptable.
    """
    merged: dict = {}
    for source in sources:
        merged = _laid_over(merged, source if isinstance(source, dict) else read_yaml(source))
    return complete(merged, next(s for s in reversed(sources) if not isinstance(s, dict)))


def _laid_over(below: dict, above: dict) -> dict:
    both = {
        name: _laid_over(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in above.items()
    }
    return {**below, **both}


@functools.cache
def schema() -> dict:
    """The JSON schema of a configuration; not to be changed."""
    return yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))


def complete(given: dict, source: Path | str = "the configuration") -> dict:
    """`given` with every default filled in.

    Args:
        given: nested settings; sections may be missing.
        source: where they come from, for messages.

    Raises:
        UserError: an unknown setting, a wrong type, or a value out of range.
    """
    given = _with_values(schema(), given)
    check(given, source)
    settings = _with_defaults(schema(), given)
    _check_together(settings, source, has_model="model" in given)
    return settings


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


def _with_values(rules: dict, given: dict) -> dict:
    """`given` with text that stands for numbers, switches or lists as those; numbers that are not finite as text.

    YAML 1.1 takes 4e-4 for text, and Snakemake hands on what is nested in `--config` as text.
    """
    return {name: _with_value(rules.get("properties", {}).get(name, {}), value) for name, value in given.items()}


def _with_value(rules: dict, given: object) -> object:
    if isinstance(given, dict):
        return _with_values(rules, given)
    if isinstance(given, list):
        return [_with_value(rules.get("items", {}), value) for value in given]
    if isinstance(given, str) and rules.get("type") in ("number", "integer", "boolean", "array"):
        given = _meant(given)
    if isinstance(given, float) and not math.isfinite(given):
        return str(given)
    return given


def _meant(text: str) -> object:
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        return float(text)
    with contextlib.suppress(yaml.YAMLError):
        return parse_yaml(text)
    return text


def _with_defaults(rules: dict, given: dict) -> dict:
    filled: dict = {}
    for name, rule in rules["properties"].items():
        if rule.get("type") == "object":
            filled[name] = _with_defaults(rule, given.get(name, {}))
        else:
            filled[name] = copy.deepcopy(given.get(name, rule["default"]))
            # 1 and 1.0 are the same learning rate and must have the same digest.
            if rule.get("type") == "number":
                filled[name] = float(filled[name])
    return filled


def without_later_defaults(settings: dict, rules: dict | None = None) -> dict:
    """A copy of (part of) complete settings without those that the schema marks `later` and that have their default.

    A setting that came after the first version enters an address only where it changes something: what was made before
    it is found as it was.
    """
    rules = rules or schema()
    kept: dict = {}
    for name, value in settings.items():
        rule = rules["properties"][name]
        if rule.get("type") == "object":
            kept[name] = without_later_defaults(value, rule)
        elif not (rule.get("later") and value == rule["default"]):
            kept[name] = copy.deepcopy(value)
    return kept


def _check_together(settings: dict, source: Path | str, *, has_model: bool) -> None:
    model = settings["model"]
    multiple = 4 * 2 ** model["depth"]
    if model["image_size"] % multiple:
        raise UserError(
            f"{source}: model.image_size is {model['image_size']}, which is no multiple of {multiple} (4 * 2^depth): "
            f"set it to {round(model['image_size'] / multiple) * multiple or multiple}, or lower model.depth."
        )
    # The recipe of a measurement has no section `model`: what fits its network, the network says.
    size = settings["evaluate"]["size"]
    if has_model and size % multiple:
        raise UserError(
            f"{source}: evaluate.size is {size}, which is no multiple of {multiple} (4 * 2^depth): "
            f"set it to {round(size / multiple) * multiple or multiple}, or to 0, the network's own size."
        )
    for section in ("synthetic", "real"):
        crop = settings["train"][section]["crop"]
        if crop % multiple or crop > model["image_size"]:
            raise UserError(
                f"{source}: train.{section}.crop is {crop}: give a multiple of {multiple} (4 * 2^depth) up to model.image_size "
                f"({model['image_size']}), or 0 for whole images."
            )
    export = settings["export"]
    if has_model and model["votes"] and export["labels"] == "heatmap":
        raise UserError(
            f"{source}: model.votes is {model['votes']}, so that no heatmap is learned, and export.labels is heatmap: "
            "set it to votes or to recurring."
        )
    looks = export["views"] + export["identity"]
    if export["labels"] == "heatmap" and looks < export["min_counts"]:
        raise UserError(
            f"{source}: export.min_counts is {export['min_counts']}, and export.views and export.identity give a pixel at most "
            f"{looks} view(s), so that no line could be found: lower the one or raise the other."
        )


def _sentence(error: jsonschema.ValidationError, source: Path | str) -> str:
    """One sentence: file, setting, value, remedy."""
    where = ".".join(str(part) for part in error.absolute_path) or "the top level"
    rule = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        allowed = sorted(rule["properties"])
        unknown = sorted(set(error.instance) - set(allowed), key=str)[0]
        place = f"{where}.{unknown}" if error.absolute_path else str(unknown)
        return f"{source}: {place} is not a setting: choose among {', '.join(allowed)}, or remove it."
    if error.validator == "type":
        return (
            f"{source}: {where} is {error.instance!r}, and must be of type {error.validator_value}: correct it there."
        )
    if error.validator == "enum":
        options = ", ".join(map(str, rule["enum"]))
        return f"{source}: {where} is {error.instance!r}: choose one of {options}."
    if error.validator == "pattern":
        return (
            f"{source}: {where} is {error.instance!r}, which is not acceptable: give {rule['description'].rstrip('.')}."
        )
    hint = f" ({rule['description'].rstrip('.')})" if "description" in rule else ""
    return f"{source}: {where}{hint} is not acceptable, {error.message}: correct it there."


def load(path: Path | str) -> dict:
    """Read a configuration file and fill in the defaults.

    Raises:
        UserError: as `read_yaml` and `complete`.
    """
    return complete(read_yaml(path), path)


def table() -> list[tuple[str, str, str]]:
    """(setting, default, description) of every setting, in the schema's order."""
    rows = []

    def visit(rules: dict, prefix: str) -> None:
        for name, rule in rules["properties"].items():
            if rule.get("type") == "object":
                visit(rule, f"{prefix}{name}.")
            else:
                rows.append((prefix + name, str(rule["default"]), rule["description"]))

    visit(schema(), "")
    return rows
