"""hawp plan: what a run will cost."""

import argparse
from pathlib import Path

from hawp_core.commands import common
from hawp_core.commands.lineage import parse_rounds

HELP = "say what a run will cost: jobs, GPU hours, disk"
DESCRIPTION = """Say what is left of a run: jobs, images, disk, and the hours that it takes on each device whose speed was
measured (benchmarks/rates.json). `snakemake -n` prints the same."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "--config", type=Path, nargs="+", default=[common.DEFAULT_CONFIG], metavar="FILE",
        help="the run's configuration, and files that change it [config/config.yaml]",
    )  # fmt: skip
    parser.add_argument("rounds", nargs="?", metavar="rounds=N", help="plan this many real rounds [from the config]")


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.estimate import describe, estimate, read_rates
    from hawp_core.planning import plan_run

    settings = common.merged_settings(args.config)
    print(describe(estimate(settings, plan_run(settings, parse_rounds(args.rounds))), read_rates()))
