"""Values of a file of ours as the types that the program works with: checked once, where they are read."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from hawp_core.runtime.names import usable
from hawp_core.runtime.text import shown

T = TypeVar("T")


def typed(kind: type[T], value: object) -> T:
    """A value of a JSON or YAML file as `kind`, a dataclass; fields that it does not know are left alone.

    Fields may be dataclasses, dict[str, X], tuple[X, ...], tuple[X, Y], X | None, Literal, Path, object (anything) and plain types.

    Raises:
        ValueError: it is of another kind; the text names the place, such as 'shapes.sAP10 is null'.
    """
    return cast(T, _typed(kind, value, ""))


def _typed(kind: object, value: object, place: str) -> object:
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, place)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is object:
        return value
    if origin is typing.Literal:
        if any(type(value) is type(each) and value == each for each in inner):
            return value
    elif origin is types.UnionType:
        return None if value is None else _typed(inner[0], value, place)
    elif origin is dict and isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _typed(inner[1], each, f"{place}.{name}") for name, each in value.items()}
    elif origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(_typed(k, each, f"{place}[{i}]") for i, (k, each) in enumerate(zip(kinds, value, strict=True)))
    # To Python a truth value is a number.
    elif isinstance(value, bool) and kind is not bool:
        pass
    elif kind is Path:
        if isinstance(value, str) and value and usable(value):
            return Path(value)
    elif isinstance(kind, type) and isinstance(value, (int, float) if kind is float else kind):
        try:
            return kind(value)
        except OverflowError:
            pass
    raise ValueError(f"{place or 'it'} is {named(value)}")


def _record(kind: object, value: object, place: str) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"{place or 'it'} is {named(value)}")
    hints = _hints(kind)
    fields = {}
    for each in dataclasses.fields(cast(type, kind)):
        inside = f"{place}.{each.name}".lstrip(".")
        if each.name in value:
            fields[each.name] = _typed(hints[each.name], value[each.name], inside)
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise ValueError(f"it lacks {inside}")
    try:
        return cast(Callable[..., object], kind)(**fields)
    except ValueError as error:
        raise ValueError(f"{place}: {error}" if place else str(error)) from error


@functools.cache
def _hints(kind: object) -> dict[str, object]:
    return typing.get_type_hints(kind)


def named(value: object) -> str:
    """A value of a file in a few words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    return shown(repr(value))[:60]
