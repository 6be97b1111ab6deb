"""hawp plan: what a run will cost."""

import argparse

from hawp_core.commands import common
from hawp_core.workflow.settings import merged_settings

HELP = "say what a run will cost: jobs, GPU hours, disk"

DESCRIPTION = """Say what is left of a run: jobs, images, disk, and the hours that it takes on each device whose speed was
measured (hawp_core/workflow/rates.json). `snakemake -n` prints the same."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_run(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    from hawp_core.workflow.cost import describe, estimate, read_rates
    from hawp_core.workflow.planning import plan_run

    files, rounds = common.named_run(args)
    settings = merged_settings(files)
    print(describe(estimate(settings, plan_run(settings, rounds)), read_rates()))
