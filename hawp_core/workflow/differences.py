"""Why two addresses differ: which setting, photograph or stage version."""

import contextlib
import heapq
import itertools
from collections.abc import Iterator, Mapping
from typing import Protocol

from hawp_core.errors import UserError
from hawp_core.workflow.inventory import records
from hawp_core.workflow.paths import manifest_file, own_listing
from hawp_core.workflow.recipe import read_recipe
from hawp_core.workflow.recipe_file import RECIPES
from hawp_core.workflow.record import Record, read_record
from hawp_core.workflow.settings import Nested

_NONE = "(none)"


class Made(Protocol):
    """What a recipe and a lineage record both say of an artifact, as `hawp_core.workflow.recipe.Recipe` has it."""

    @property
    def key(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def settings(self) -> Nested: ...
    @property
    def inputs(self) -> Mapping[str, str | None]: ...


def find_made(key: str) -> Made:
    """What is known of the artifact with this key, or with a key that begins so: its recipe, or else its lineage record, which
    a step by hand writes, too.

    Raises:
        UserError: none, or several.
    """
    if not key or any(c not in "0123456789abcdef" for c in key):
        raise UserError(f"{key!r} is not an address: give hexadecimal digits, as `hawp lineage` shows them.")
    planned = {path.stem.split("-")[1]: path for path in sorted(RECIPES.glob(f"*/*-{key}*.json"))}
    by_hand = {} if planned else {record.key: record for record in _recorded() if record.key.startswith(key)}
    if (count := len(planned or by_hand)) != 1:
        what = (
            f"{count} addresses begin" if count else "neither a recipe in recipes/ nor a result's lineage record begins"
        )
        raise UserError(f"{what} with {key!r}: give an address as `hawp lineage` shows it.")
    return read_recipe(*planned.values()) if planned else next(iter(by_hand.values()))


def _recorded() -> Iterator[Record]:
    """What the lineage records say that can be read."""
    for path in records():
        with contextlib.suppress(UserError):
            yield read_record(path)


def differences(one: Made, other: Made) -> list[str]:
    """Sentences that say what makes two artifacts' keys differ, following their inputs upstream."""
    if one.key == other.key:
        return [f"{one.key} and {other.key} are the same."]
    if one.stage != other.stage:
        return [f"{one.key} is of the stage {one.stage}, {other.key} of {other.stage}."]
    said = []
    if one.version != other.version:
        said.append(f"{one.stage}: stage version {one.version} -> {other.version}")
    said += [f"{one.stage}: {sentence}" for sentence in _changes(one.settings, other.settings)]
    for role in sorted({*one.inputs, *other.inputs}):
        was, now = one.inputs.get(role), other.inputs.get(role)
        if was != now:
            said += _upstream(one.stage, role, was, now)
    return list(dict.fromkeys(said))


def _upstream(stage: str, role: str, was: str | None, now: str | None) -> list[str]:
    if was is None or now is None:
        return [f"{stage}: {role} {was or '(none)'} -> {now or '(none)'}"]
    if role == "photographs":
        return _photographs(was, now)
    if stage == "import":
        return _own_labels(was, now)
    try:
        return differences(find_made(was), find_made(now))
    except UserError:
        return [f"{stage}: {role} {was} -> {now}"]


def _photographs(was: str, now: str) -> list[str]:
    """Which photographs differ between two lists, where both are still there."""
    from hawp_core.data.photographs.manifest import Manifest

    files = [manifest_file(key) for key in (was, now)]
    if not all(file.is_file() for file in files):
        return [f"photographs: {was[:16]} -> {now[:16]}"]

    def rows(when: int) -> Iterator[tuple[str, int, str]]:
        return ((entry.name, when, entry.sha256) for entry in Manifest.read(files[when]).entries)

    removed: list[str] = []
    added: list[str] = []
    changed: list[str] = []
    # Both are in order, and may be long: they are read side by side.
    for name, known in itertools.groupby(heapq.merge(rows(0), rows(1)), key=lambda row: row[0]):
        (_, when, content), *others = known
        if not others:
            (added if when else removed).append(f"photographs: {name!r} was {'added' if when else 'removed'}")
        elif others[0][2] != content:
            changed.append(f"photographs: {name!r} has another content")
    return removed + added + changed


def _own_labels(was: str, now: str) -> list[str]:
    """Which photographs have other lines, where both lists of them are still there."""
    from hawp_core.data.own_labels.listing import read_listing

    files = [own_listing(key) for key in (was, now)]
    if not all(file.is_file() for file in files):
        return [f"labels: {was} -> {now}"]
    before, after = (read_listing(file, key) for file, key in zip(files, (was, now), strict=True))
    said = [f"labels: {name!r} is not labelled any more" for name in sorted(before.keys() - after.keys())]
    said += [f"labels: {name!r} is labelled as well" for name in sorted(after.keys() - before.keys())]
    changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    return said + [
        f"labels: {name!r} has other lines ({before[name][1]} before, {after[name][1]} now)" for name in changed
    ]


def _changes(before: Nested, after: Nested, prefix: str = "") -> list[str]:
    """Which settings differ; a section that only one of both has is one difference."""
    said = []
    for name in sorted({*before, *after}):
        # An empty section is none.
        was, now = (_NONE if value == {} else value for value in (before.get(name, _NONE), after.get(name, _NONE)))
        if isinstance(was, dict) and isinstance(now, dict):
            said += _changes(was, now, f"{prefix}{name}.")
        elif was != now:
            said.append(f"{prefix}{name} {_brief(was)} -> {_brief(now)}")
    return said


def _brief(value: object) -> object:
    return "(a section)" if isinstance(value, dict) else value
