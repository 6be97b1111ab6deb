"""hawp lineage: the chain of a run as a table, and why two artifacts differ."""

import argparse
from pathlib import Path

from hawp_core import lineage
from hawp_core.commands import common
from hawp_core.errors import UserError

HELP = "show the chain of rounds: what is done, partial, missing"
DESCRIPTION = """Show every artifact of a run with its content address, state, time and headline metric. With --why,
say which setting, photograph or stage version makes two addresses differ."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_run(
        parser, "the run's configuration, and files that change it; with --gc every file is a run of its own"
    )
    parser.add_argument("--why", nargs=2, metavar=("KEY", "OTHER"), help="say what makes two addresses differ")
    parser.add_argument("--gc", action="store_true", help="list what no run of the given configurations needs")
    parser.add_argument("--delete", action="store_true", help="with --gc: remove it")


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    if args.delete and not args.gc:
        raise UserError("--delete goes with --gc: first look at what `hawp lineage --gc` lists.")
    if args.why:
        print("\n".join(differences(*(find_recipe(key) for key in args.why))))
    elif args.gc:
        _collect(args)
    else:
        _show(args)


def _collect(args: argparse.Namespace) -> None:
    """List, and remove if asked to, what the configurations' runs do not need."""
    from hawp_core import store
    from hawp_core.planning import plan_run
    from hawp_core.progress import log

    needed: set[str] = set()
    sources, rounds = common.named_run(args)
    changes = [source for source in sources if isinstance(source, dict)]
    for file in sources[: len(sources) - len(changes)]:
        chain = plan_run(common.merged_settings([file, *changes]), rounds)
        needed |= {recipe.key for recipe in chain.recipes}
        needed |= {lineage.report_recipe(chain, number).key for number in range(len(chain.rounds))}
    total = 0
    for key, paths in store.unneeded(needed).items():
        for path in paths:
            total += store.size(path)
            print(f"{key}  {store.size(path) / 1e6:10.1f} MB  {path}")
        if args.delete:
            store.remove(paths)
    log.info("%.1f MB %s", total / 1e6, "removed" if args.delete else "could be removed with --delete")


def _show(args: argparse.Namespace) -> None:
    from tabulate import tabulate

    from hawp_core.planning import plan_run, state

    files, rounds = common.named_run(args)
    chain = plan_run(common.merged_settings(files), rounds)
    rows = []
    numbers = {id(recipe): r.number for r in chain.rounds for recipe in (r.train, r.export, r.evaluate)}
    for recipe in chain.recipes:
        found = state(recipe)
        word = f"{found.word} {found.detail}".strip()
        took = "" if found.seconds is None else duration(found.seconds)
        rows.append([numbers.get(id(recipe), ""), recipe.stage, recipe.key, word, found.finished, took, found.metric])
    print(
        tabulate(
            rows, headers=["round", "stage", "key", "state", "finished (UTC)", "took", "result"], disable_numparse=True
        )
    )


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds < 1:
        return "< 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def find_recipe(key: str) -> lineage.Recipe:
    """The recipe with this key, or with a key that begins so.

    Raises:
        UserError: none, or several.
    """
    if not key or any(c not in "0123456789abcdef" for c in key):
        raise UserError(f"{key!r} is not an address: give hexadecimal digits, as `hawp lineage` shows them.")
    found = {path.stem.split("-")[1]: path for path in sorted(Path("recipes").glob(f"*/*-{key}*.json"))}
    if len(found) != 1:
        what = "no recipe" if not found else f"{len(found)} recipes"
        raise UserError(f"{what} in recipes/ begin with {key!r}: give an address as `hawp lineage` shows it.")
    return lineage.read_recipe(next(iter(found.values())))


def differences(one: lineage.Recipe, other: lineage.Recipe) -> list[str]:
    """Sentences that say what makes two recipes' keys differ, following their inputs upstream."""
    if one.key == other.key:
        return [f"{one.key} and {other.key} are the same."]
    if one.stage != other.stage:
        return [f"{one.key} is of the stage {one.stage}, {other.key} of {other.stage}."]
    said = []
    if one.version != other.version:
        said.append(f"{one.stage}: stage version {one.version} -> {other.version}")
    before, after = _flat(one.settings), _flat(other.settings)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            said.append(f"{one.stage}: {name} {before.get(name, '(none)')} -> {after.get(name, '(none)')}")
    for role in sorted({*one.inputs, *other.inputs}):
        was, now = one.inputs.get(role), other.inputs.get(role)
        if was != now:
            said += _upstream(one.stage, role, was, now)
    return list(dict.fromkeys(said))


def _upstream(stage: str, role: str, was: str | None, now: str | None) -> list[str]:
    if role == "photographs":
        return _photographs(was, now)
    if was is None or now is None:
        return [f"{stage}: {role} {was or '(none)'} -> {now or '(none)'}"]
    try:
        return differences(find_recipe(was), find_recipe(now))
    except UserError:
        return [f"{stage}: {role} {was} -> {now}"]


def _photographs(was: str, now: str) -> list[str]:
    """Which photographs differ between two lists, where both are still there."""
    from hawp_core.manifest import Manifest

    files = [Path("recipes", f"photographs-{key[: lineage.KEY_LENGTH]}.jsonl") for key in (was, now)]
    if not all(file.is_file() for file in files):
        return [f"photographs: {was[:16]} -> {now[:16]}"]
    before, after = ({e.name: e.sha256 for e in Manifest.read(file).entries} for file in files)
    said = [f"photographs: {name!r} was removed" for name in sorted(before.keys() - after.keys())]
    said += [f"photographs: {name!r} was added" for name in sorted(after.keys() - before.keys())]
    changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    return said + [f"photographs: {name!r} has another content" for name in changed]


def _flat(settings: dict, prefix: str = "") -> dict:
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
