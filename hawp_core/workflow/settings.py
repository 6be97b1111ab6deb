"""The settings of a run: read, completed by the schema's defaults, and made into the objects that the program works with."""

import contextlib
import dataclasses
import math
from pathlib import Path

import yaml

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_yaml
from hawp_core.runtime.limited_yaml import parse_yaml
from hawp_core.runtime.setting_types import Settings
from hawp_core.runtime.typed import typed
from hawp_core.workflow.schema import Rule, check, schema

Nested = dict[str, object]  # settings as a file has them: section -> setting -> plain value

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


def merged_settings(sources: list[Path | Nested]) -> Settings:
    """Settings from a configuration file and others laid over it, as Snakemake lays --configfile and --config.

    Raises:
        UserError: unreadable or not acceptable.
    """
    merged: Nested = {}
    place = ""
    for source in sources:
        given = source if isinstance(source, dict) else read_yaml(source)
        named = "the command line" if isinstance(source, dict) else str(source)
        check(_with_values(schema(), given), named)
        before, merged = merged, _laid_over(merged, given)
        if not isinstance(source, dict):
            place = named
        elif merged != before and named not in place:
            place = f"{place} and {named}" if place else named
    return complete(merged, place)


def _laid_over(below: Nested, above: Nested) -> Nested:
    both = dict(below)
    for name, value in above.items():
        under = below.get(name)
        both[name] = _laid_over(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return both


def complete(
    given: Nested, source: Path | str = "the configuration", *, has_model: bool = True, has_export: bool = True
) -> Settings:
    """All settings: those of `given`, and the defaults of all others.

    Args:
        given: nested settings; sections may be missing.
        source: where they come from, for messages.
        has_model, has_export: as for `check_together`. A run has both also where it says nothing of one.

    Raises:
        UserError: an unknown setting, a wrong type, or a value out of range.
    """
    given = _with_values(schema(), given)
    check(given, source)
    settings = _made(given, source)
    check_together(settings, source, has_model=has_model, has_export=has_export)
    return settings


def _made(given: Nested, source: Path | str) -> Settings:
    try:
        return typed(Settings, _with_defaults(schema(), given))
    except ValueError as error:  # the schema allows a whole number of any length
        raise UserError(f"{source}: {error}, which is too large: correct it there.") from error


def with_defaults(given: Nested) -> Settings:
    """All settings: those of `given`, which are known to be acceptable, and the defaults of all others."""
    return _made(given, "the settings")


def changed(settings: Settings, changes: Nested, source: Path | str) -> Settings:
    """The settings with others laid over them, which are acceptable one by one.

    Raises:
        UserError: one of the changes is not.
    """
    changes = _with_values(schema(), changes)
    check(changes, source)
    return _made(_laid_over(to_dict(settings), changes), source)


def to_dict(settings: Settings) -> Nested:
    """The settings as a file has them, in the schema's order."""
    return {name: _plain(value) for name, value in dataclasses.asdict(settings).items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _with_values(rules: Rule, given: Nested) -> Nested:
    """`given` with text that stands for numbers, switches or lists as those; numbers that are not finite as text.

    YAML 1.1 takes 4e-4 for text, and Snakemake hands on what is nested in `--config` as text.
    """
    inner = rules.get("properties", {})
    return {name: _with_value(inner.get(name, {}), value) for name, value in given.items()}


def _with_value(rules: Rule, given: object) -> object:
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


def _with_defaults(rules: Rule, given: Nested) -> Nested:
    filled: Nested = {}
    for name, rule in rules["properties"].items():
        if "properties" in rule:
            inner = given.get(name, {})
            filled[name] = _with_defaults(rule, inner if isinstance(inner, dict) else {})
        else:
            filled[name] = _in_type(rule, given.get(name, rule["default"]))
    return filled


def _in_type(rule: Rule, value: object) -> object:
    """An acceptable value as one of the rule's own type: 1 and 1.0 are the same number and must have the same digest."""
    if "enum" in rule:
        return next(each for each in rule["enum"] if each == value)
    if isinstance(value, list):
        return [_in_type(rule["items"], each) for each in value]
    return int(value) if rule.get("type") == "integer" and isinstance(value, float) else value


def without_later_defaults(settings: Nested, rules: Rule | None = None) -> Nested:
    """A copy of (part of) complete settings without those that the schema marks `later` and that have their default.

    A setting that came after the first version enters an address only where it changes something: what was made before
    it is found as it was.
    """
    rules = rules or schema()
    kept: Nested = {}
    for name, value in settings.items():
        rule = rules["properties"][name]
        if isinstance(value, dict):
            kept[name] = without_later_defaults(value, rule)
        elif not (rule.get("later") and value == rule["default"]):
            kept[name] = value
    return kept


def check_together(settings: Settings, source: Path | str, *, has_model: bool = True, has_export: bool = True) -> None:
    """Make sure that settings go together.

    Args:
        has_model: whether the network's settings are the run's own. The recipe of a measurement has no section `model`, that of
            shapes only the side of its input: what fits the network, the network says.
        has_export: whether labels are made by these settings. The recipe of a training does not say how.

    Raises:
        UserError: two of them contradict each other.
    """
    if has_model:
        _check_network(settings, source)
    if has_model and has_export and settings.model.votes and settings.export.labels == "heatmap":
        raise UserError(
            f"{source}: model.votes is {settings.model.votes}, so that no heatmap is learned, and export.labels is heatmap: "
            "set it to votes, recurring, united or whole."
        )
    for section, stage in (("synthetic", settings.train.synthetic), ("real", settings.train.real)):
        if stage.blend and stage.start == "scratch":
            raise UserError(
                f"{source}: train.{section}.blend is {stage.blend:g} and train.{section}.start is scratch (as it is where nothing is "
                f"said), so that there are no weights of before to keep: set start to {'shipped' if section == 'synthetic' else 'previous'}, "
                "or blend to 0."
            )
    if not settings.train.synthetic.epochs and settings.train.synthetic.start == "scratch":
        raise UserError(
            f"{source}: train.synthetic.epochs is 0 and train.synthetic.start is scratch, so that nothing would be learned: set "
            "start to shipped, or epochs to 1 or more."
        )
    export = settings.export
    looks = export.views + export.identity
    if export.labels == "heatmap" and looks < export.min_counts:
        raise UserError(
            f"{source}: export.min_counts is {export.min_counts}, and export.views and export.identity give a pixel at most "
            f"{looks} view(s), so that no line could be found: lower the one or raise the other."
        )
    if export.labels == "recurring" and export.views < export.min_counts:
        raise UserError(
            f"{source}: export.min_counts is {export.min_counts}, and export.views show a line at most {export.views} times, so "
            "that none could be found: lower the one or raise the other."
        )
    if export.labels in ("heatmap", "votes") and export.scales != (1.0,):
        raise UserError(
            f"{source}: export.scales are {', '.join(f'{scale:g}' for scale in export.scales)}, and labels by "
            f"{export.labels} are made at one size: leave it out, or set export.labels to recurring, united or whole."
        )


def _check_network(settings: Settings, source: Path | str) -> None:
    """Make sure that the network and what it sees fit.

    Raises:
        UserError: they do not.
    """
    model = settings.model
    multiple = 4 * 2**model.depth
    if model.image_size % multiple:
        raise UserError(
            f"{source}: model.image_size is {model.image_size}, which is no multiple of {multiple} (4 * 2^depth): "
            f"set it to {round(model.image_size / multiple) * multiple or multiple}, or lower model.depth."
        )
    size = settings.evaluate.size
    if size % multiple:
        raise UserError(
            f"{source}: evaluate.size is {size}, which is no multiple of {multiple} (4 * 2^depth): "
            f"set it to {round(size / multiple) * multiple or multiple}, or to 0, the network's own size."
        )
    for section, stage in (("synthetic", settings.train.synthetic), ("real", settings.train.real)):
        if stage.crop % multiple or stage.crop > model.image_size:
            raise UserError(
                f"{source}: train.{section}.crop is {stage.crop}: give a multiple of {multiple} (4 * 2^depth) up to "
                f"model.image_size ({model.image_size}), or 0 for whole images."
            )


def load(path: Path | str) -> Settings:
    """Read a configuration file and fill in the defaults.

    Raises:
        UserError: as `read_yaml` and `complete`.
    """
    return complete(read_yaml(path), path)
