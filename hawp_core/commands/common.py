"""Options and checks that several commands share."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from hawp_core.commands import argument_types
from hawp_core.errors import UserError
from hawp_core.runtime.files import read_yaml
from hawp_core.runtime.limited_yaml import parse_yaml
from hawp_core.runtime.setting_types import Settings
from hawp_core.runtime.text import shown
from hawp_core.workflow.paths import model_name
from hawp_core.workflow.recipe import Recipe, read_recipe
from hawp_core.workflow.recipe_file import RECIPE_FORMAT
from hawp_core.workflow.schema import schema
from hawp_core.workflow.settings import PRESET_FOLDER, Nested, complete, find_configuration

# Text, so that argparse gives it to `find_configuration` as it does what a user types.
DEFAULT_CONFIG = str(PRESET_FOLDER / "config.yaml")


def add_model_file(parser: argparse.ArgumentParser) -> None:
    """An argument that is a model."""
    parser.add_argument(
        "model",
        type=argument_types.model_file,
        metavar="MODEL",
        help="a model of hawp train or hawp import-checkpoint, or the word shipped: the one that comes with the package",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Options that name a model, as `find_model` reads them."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--workdir", type=Path, metavar="DIR", help="a training's folder: exp-ssl/NAME/KEY, or exp-ssl/NAME"
    )
    group.add_argument(
        "--epoch",
        type=argument_types.setting("train.synthetic.epochs"),
        metavar="N",
        help="take the model of this epoch [the last]",
    )
    group.add_argument(
        "-c",
        "--ckpt",
        type=argument_types.model_file,
        metavar="FILE",
        help="the model's file, instead of --workdir and --epoch; the word shipped is the one that comes with the package",
    )


def find_model(args: argparse.Namespace) -> Path:
    """The model that --ckpt, or --workdir and --epoch, mean.

    Raises:
        UserError: none, more than one, or it is named in two ways.
    """
    if args.ckpt and (args.workdir or args.epoch is not None):
        raise UserError("--ckpt names a model, and --workdir with --epoch another: leave one of the two out.")
    if args.ckpt:
        return args.ckpt
    if not args.workdir:
        raise UserError("no model was named: give --ckpt FILE, --ckpt shipped, or --workdir DIR with --epoch N.")
    pattern = model_name(args.epoch) if args.epoch is not None else "model-*.pth"
    found = sorted(args.workdir.glob(pattern)) or sorted(args.workdir.glob(f"*/{pattern}"))
    if not found:
        raise UserError(f"{args.workdir} holds no {pattern}: give a training's folder, or train first.")
    if len({model.parent for model in found}) > 1:
        raise UserError(
            f"{args.workdir} holds several trainings: choose one with --workdir, such as {found[-1].parent}."
        )
    return found[-1]


def check_destination(dest: Path, *read: Path) -> None:
    """Make sure that a result is written over nothing: neither what is read, nor anything else.

    Raises:
        UserError: it would be, or it cannot be written there.
    """
    if any(_same(dest, each) for each in read):
        raise UserError(f"{shown(dest)} is read here and would be written over: give another place for the result.")
    if os.path.lexists(dest):
        raise UserError(f"{shown(dest)} is there already: remove it, or give another place for the result.")
    check_place(dest)


def check_place(dest: Path) -> None:
    """Make sure, before long work, that a result can be written to `dest`, in folders that may still have to be made.

    Raises:
        UserError: a file is in the way of a folder, or the folder may not be written to.
    """
    above = next(each for each in dest.absolute().parents if os.path.lexists(each))
    if not above.is_dir():
        raise UserError(f"{shown(above)} is a file, so that {shown(dest)} cannot be written: give another place.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(
            f"{shown(above)} may not be written to, so that {shown(dest)} cannot be made there: give permission, or another place."
        )


def check_log(args: argparse.Namespace) -> None:
    """Make sure that what is printed is not appended to a file that another option names, to be read or written.

    Raises:
        UserError: it would be.
    """
    log = getattr(args, "log", None)
    if log is None or not log.is_file():
        return
    for name, value in vars(args).items():
        # Lists are of files, or of words that are names of files only by chance.
        several = value if isinstance(value, list) else [value] if isinstance(value, Path) else []
        if name != "log" and any(isinstance(each, str | Path) and _same(log, each) for each in several):
            raise UserError(f"--log {shown(log)} is also given as {name}, and would be appended to: give another file.")


def _same(file: Path, other: Path | str) -> bool:
    return os.path.realpath(file) == os.path.realpath(other)


def add_compute(parser: argparse.ArgumentParser, *, precision: bool = True) -> None:
    """Options of how the work is carried out; none of them changes the address of a result.

    Args:
        precision: of the arithmetic may be chosen.
    """
    group = parser.add_argument_group("computation (does not change a result's address)")
    group.add_argument(
        "--device",
        type=argument_types.device_word,
        metavar="WHERE",
        help="auto, cpu, cuda, cuda:1 (the second GPU), or mps (Apple's) [from the config: auto]",
    )
    if precision:
        group.add_argument(
            "--precision",
            choices=("auto", "float32", "bfloat16"),
            help="of the network's arithmetic [from the config: auto]",
        )
    group.add_argument(
        "--threads",
        type=argument_types.setting("compute.threads"),
        metavar="N",
        help="CPU threads; 0 takes the cores that are free [from the config]",
    )
    add_log(group)


def add_log(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The option that keeps what is printed."""
    parser.add_argument("--log", type=Path, metavar="FILE", help="also append what is printed to FILE")


def add_expect(parser: argparse.ArgumentParser) -> None:
    """The option by which a workflow makes sure that it gets what it planned."""
    parser.add_argument(
        "--expect",
        metavar="KEY",
        help="refuse to start unless the result's content address is KEY (used by the workflow)",
    )


def check_expected(recipe: Recipe, expected: str | None) -> None:
    """Refuse work whose address is not the expected one.

    Raises:
        UserError: the keys differ.
    """
    if expected is not None and recipe.key != expected:
        raise UserError(
            f"these options make {recipe.stage} {recipe.key}, and --expect asks for {expected}: "
            "leave out the options that override the recipe, or run the workflow again to plan anew."
        )


def load_settings(path: Path) -> tuple[Settings, Recipe | None]:
    """Settings from a configuration file, or from a recipe (whose missing sections take their defaults).

    Raises:
        UserError: unreadable or not acceptable.
    """
    given = read_yaml(path)
    recipe = None
    if given.get("format") == RECIPE_FORMAT:
        recipe = read_recipe(path)
        given = recipe.settings
    # What is not said here may be that of a model named beside it.
    network = given.get("model")
    has_model = isinstance(network, dict) and (recipe is None or "depth" in network)
    return complete(given, path, has_model=has_model, has_export="export" in given), recipe


def add_run(parser: argparse.ArgumentParser, config: str = "the run's configuration, and files that change it") -> None:
    """Options that name a run, as `named_run` reads them."""
    parser.add_argument(
        "--config", nargs="+", default=[DEFAULT_CONFIG], metavar="FILE",
        help=f"{config}; also KEY=VALUE, as for Snakemake: name=mine 'photographs={{folder: photos}}' "
        "[config/config.yaml; what a FILE leaves out takes the schema's default]",
    )  # fmt: skip
    parser.add_argument("rounds", nargs="?", metavar="rounds=N", help="this many real rounds [from the config]")


def named_run(
    args: argparse.Namespace, usual: Sequence[str] = (DEFAULT_CONFIG,)
) -> tuple[list[Path | Nested], int | None]:
    """The configuration files and the settings laid over them, and the number of rounds or None, wherever on the line
    `rounds=N` stands.

    Args:
        usual: the files where the line names none.

    Raises:
        UserError: neither a file nor KEY=VALUE, or something else than rounds=N.
    """
    changes = [word for word in args.config if "=" in word and not Path(word).exists()]
    named = [word for word in args.config if word not in changes]
    files = [find_configuration(word) for word in named or usual]
    words = [word for word in changes if word.startswith("rounds=")] + ([args.rounds] if args.rounds else [])
    sources: list[Path | Nested] = [*files]
    sources += [_setting(word) for word in changes if not word.startswith("rounds=")]
    if not words:
        return sources, None
    name, _, number = words[-1].partition("=")
    most = schema()["properties"]["rounds"]["maximum"]
    if name != "rounds" or not number.isdecimal():
        raise UserError(f"{words[-1]!r} is not of the form rounds=N, such as rounds=3.")
    if len(number) > len(str(most)) or int(number) > most:
        raise UserError(f"rounds={number} is more than the {most} rounds that a run may have: ask for fewer.")
    return sources, int(number)


def _setting(word: str) -> Nested:
    """KEY=VALUE, the value in YAML."""
    name, _, value = word.partition("=")
    try:
        return {name: parse_yaml(value)}
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{word!r} is not of the form KEY=VALUE with a value in YAML, such as name=mine ({reason}): correct it."
        ) from error
