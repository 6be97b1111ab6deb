"""hawp settings: what can be set, and what a configuration sets."""

import argparse

import yaml

from hawp_core.workflow.schema import table
from hawp_core.workflow.settings import find_configuration, load, to_dict

HELP = "list every setting with its meaning, or check a configuration"
DESCRIPTION = (
    """Without a file, list every setting, its default and its meaning. With one, check it and print it complete."""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument(
        "config", type=find_configuration, nargs="?", metavar="FILE", help="configuration to check and to complete"
    )


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    if args.config:
        print(yaml.safe_dump(to_dict(load(args.config)), sort_keys=False), end="")
        return
    rows = table()
    width = max(len(name) for name, _, _ in rows)
    for name, default, description in rows:
        print(f"{name:<{width}}  {description} [{default}]")
