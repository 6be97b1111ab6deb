"""hawp lineage: the chain of a run as a table, and why two artifacts differ."""

import argparse

from hawp_core.commands import common
from hawp_core.errors import UserError
from hawp_core.runtime.text import duration, shown
from hawp_core.workflow.chain import report_recipe
from hawp_core.workflow.differences import differences, find_made
from hawp_core.workflow.settings import merged_settings

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
        print("\n".join(map(shown, differences(*(find_made(key) for key in args.why)))))
    elif args.gc:
        _collect(args)
    else:
        _show(args)


def _collect(args: argparse.Namespace) -> None:
    """List, and remove if asked to, what the configurations' runs do not need."""
    from hawp_core.runtime.progress import log
    from hawp_core.workflow import inventory
    from hawp_core.workflow.planning import plan_run

    needed: set[tuple[str, str]] = set()
    sources, rounds = common.named_run(args)
    changes = [source for source in sources if isinstance(source, dict)]
    for file in sources[: len(sources) - len(changes)]:
        chain = plan_run(merged_settings([file, *changes]), rounds)
        reports = [report_recipe(chain, number) for number in range(len(chain.rounds))]
        needed |= {(recipe.name, recipe.key) for recipe in (*chain.recipes, *reports)}
    found = inventory.unneeded(needed)
    sizes = inventory.freed(found)
    for (_, key), paths in found.items():
        for path in paths:
            print(f"{key}  {sizes[path] / 1e6:10.1f} MB  {shown(path)}")
    for folder in inventory.remove(found) if args.delete else ():
        log.warning("%s stays: it holds files that are not the run's", folder)
    log.info("%.1f MB %s", sum(sizes.values()) / 1e6, "removed" if args.delete else "could be removed with --delete")


def _show(args: argparse.Namespace) -> None:
    from tabulate import tabulate

    from hawp_core.workflow.planning import plan_run
    from hawp_core.workflow.status import state

    files, rounds = common.named_run(args)
    chain = plan_run(merged_settings(files), rounds)
    rows = []
    numbers = {id(recipe): r.number for r in chain.rounds for recipe in r.steps}
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
