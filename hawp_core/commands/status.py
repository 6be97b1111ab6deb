"""hawp status: what a run is doing right now."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from hawp_core.commands import argument_types, common
from hawp_core.runtime.text import duration
from hawp_core.workflow.settings import merged_settings

if TYPE_CHECKING:
    from hawp_core.workflow.status import Activity

HELP = "watch a run: what works, images done, images a second, time left"
DESCRIPTION = """Show every step of a run: what works on it, images done of total, images a second, time left and the
last metrics. Made for a second terminal, in the same folder as the run; it reads files only and disturbs nothing."""

CLEAR = "\033[H\033[2J"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_run(parser)
    parser.add_argument(
        "--watch",
        type=argument_types.positive(float),
        metavar="SECONDS",
        help="look again and again, until all is done",
    )


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.workflow.planning import plan_run
    from hawp_core.workflow.status import activities

    files, rounds = common.named_run(args)
    chain = plan_run(merged_settings(files), rounds)
    while True:
        found = list(activities(chain))
        print(f"{CLEAR if args.watch and sys.stdout.isatty() else ''}{table(found)}", flush=True)
        if not args.watch or all(each.word == "done" for each in found):
            return
        try:
            time.sleep(args.watch)
        except KeyboardInterrupt:
            return


def table(found: "list[Activity]") -> str:
    """Steps as a table, and a line for each process that works."""
    from tabulate import tabulate

    rows = []
    for each in found:
        images = "" if each.total is None else f"{each.done}/{each.total}"
        rate = "" if each.rate is None else f"{each.rate:.1f}"
        left = "" if each.seconds_left is None else duration(each.seconds_left)
        number = "" if each.round is None else each.round
        rows.append([number, each.recipe.stage, each.recipe.key, each.word, images, rate, left, each.last])
    heads = ["round", "stage", "key", "state", "images", "images/s", "time left", "last"]
    done = sum(each.word == "done" for each in found)
    said = [f"{each.recipe.stage} {each.recipe.key}: {each.worker}" for each in found if each.worker]
    return "\n".join(
        [tabulate(rows, heads, disable_numparse=True), "", f"{done} of {len(found)} steps are done", *said]
    )
