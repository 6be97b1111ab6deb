"""hawp report: the table of rounds, and the figures of the report."""

import argparse
import time
from pathlib import Path

from hawp_core.commands import common
from hawp_core.errors import UserError
from hawp_core.runtime.extras import require
from hawp_core.runtime.files import read_yaml
from hawp_core.runtime.setting_types import EvaluateSettings
from hawp_core.workflow.chain import report_recipe, reported_chain
from hawp_core.workflow.paths import report_folder
from hawp_core.workflow.recipe import ReportRecipe, read_recipe
from hawp_core.workflow.recipe_file import RECIPE_FORMAT
from hawp_core.workflow.settings import Nested, merged_settings

HELP = "print the table of rounds and draw the figures of the report"
DESCRIPTION = """Print the round-over-round table of a run and draw its figures: the chain of rounds, losses, validations,
metrics by round beside LSD, galleries of labels, the synthetic shapes, runtime and memory. Rounds that are not finished
are left out. `snakemake --report report.html` puts the same figures into one file."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    common.add_run(parser, "the run's configuration and files that change it, or the report's recipe")
    parser.add_argument("--table", action="store_true", help="print the table only, draw nothing")
    parser.add_argument("--dest", type=Path, metavar="FOLDER", help="where to write [reports/NAME/KEY]")
    common.add_expect(parser)
    common.add_log(parser)


def run(args: argparse.Namespace) -> None:
    """Carry out the command."""
    require("h5py", "scipy", *(() if args.table else ("matplotlib",)))
    from hawp_core.report.finished import finished
    from hawp_core.report.table import as_text, rows
    from hawp_core.report.taken_in import taken_in
    from hawp_core.report.verdicts import verdicts
    from hawp_core.report.writing import write_figures
    from hawp_core.runtime.progress import log
    from hawp_core.workflow.paths import artifact
    from hawp_core.workflow.planning import plan_run
    from hawp_core.workflow.record import write_record

    files, number = common.named_run(args)
    recipe = _recipe(files)
    if recipe:
        chain = reported_chain(recipe)
    else:
        chain = plan_run(merged_settings(files), number)
        recipe = report_recipe(chain, len(chain.rounds) - 1)
    wanted = chain.rounds
    common.check_expected(recipe, args.expect)
    rounds = finished(wanted)
    if len(rounds) < len(wanted):
        log.info("%d of %d rounds are finished; the others are left out", len(rounds), len(wanted))
        if args.expect:
            raise UserError(
                f"round {len(rounds)} of {recipe.name} is not finished: run the workflow, which makes it first."
            )
    table = rows(rounds)
    print(as_text(table))
    for sentence in (*verdicts(rounds), *(said for own in taken_in(rounds) for said in own.said)):
        print(sentence)
    log.info("last model:       %s", artifact(rounds[-1].train))
    log.info("last labels:      %s", artifact(rounds[-1].export))
    folder = args.dest or report_folder(recipe)
    if not args.table:
        began = time.monotonic()
        written = write_figures(folder, chain.shapes, rounds, table)
        if args.dest is None:
            upstream = [artifact(step) for each in rounds for step in (each.train, each.export, each.evaluate)]
            write_record(
                written[0], recipe, outputs={path.name: path for path in written}, upstream=upstream,
                seconds=time.monotonic() - began, device="CPU", counts={"rounds": len(rounds)},
            )  # fmt: skip
    if folder.is_dir():
        log.info("figures, tables:  %s", folder)
    options = looked_at(rounds[-1].evaluate.completed.evaluate)
    log.info("parse with it:    hawp predict PHOTO%s -c %s", options, artifact(rounds[-1].train))


def looked_at(measured: EvaluateSettings) -> str:
    """The options of `hawp predict` that look at a photograph as the rounds were measured."""
    said = f" --views {measured.views}" * bool(measured.views) + " --whole-lines" * measured.whole_lines
    if measured.scales != (1.0,):
        said += f" --scales {','.join(f'{scale:g}' for scale in measured.scales)}"
    return f"{said} --threshold {measured.min_score:g}"


def _recipe(sources: list[Path | Nested]) -> ReportRecipe | None:
    """The report's recipe, where --config gives one; None where it gives a configuration."""
    first = sources[0]
    if isinstance(first, dict) or read_yaml(first).get("format") != RECIPE_FORMAT:
        return None
    recipe = read_recipe(first)
    if not isinstance(recipe, ReportRecipe) or len(sources) > 1:
        raise UserError(
            f"{first} is a recipe of the stage '{recipe.stage}': give configurations, or one report's recipe."
        )
    return recipe
