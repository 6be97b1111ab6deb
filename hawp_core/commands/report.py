"""hawp report: the table of rounds, and the figures of the report."""

import argparse
from pathlib import Path

from hawp_core import lineage
from hawp_core import settings as configuration
from hawp_core.commands import common
from hawp_core.errors import UserError

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
    from hawp_core.planning import artifact, plan_run
    from hawp_core.progress import log
    from hawp_core.report import as_text, finished, planned, rows

    files, number = common.named_run(args)
    recipe = _recipe(files)
    if recipe:
        shapes, wanted = planned(recipe)
    else:
        chain = plan_run(common.merged_settings(files), number)
        recipe, shapes, wanted = lineage.report_recipe(chain, len(chain.rounds) - 1), chain.shapes, chain.rounds
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
    log.info("last model:       %s", artifact(rounds[-1].train))
    log.info("last labels:      %s", artifact(rounds[-1].export))
    if not args.table:
        folder = args.dest or lineage.report_folder(recipe)
        _draw(folder, shapes, rounds, table)
        log.info("figures, tables:  %s", folder)


def _recipe(files: list[Path]) -> lineage.Recipe | None:
    """The report's recipe, where --config gives one; None where it gives a configuration."""
    if configuration.read_yaml(files[0]).get("format") != lineage.RECIPE_FORMAT:
        return None
    recipe = lineage.read_recipe(files[0])
    if recipe.stage != "report" or len(files) > 1:
        raise UserError(
            f"{files[0]} is a recipe of the stage '{recipe.stage}': give configurations, or one report's recipe."
        )
    return recipe


def _draw(folder: Path, shapes: lineage.Recipe, rounds: list, table: list[dict]) -> None:
    """Write every figure as a picture and as a page with its numbers, and the table as CSV and as a page."""
    from hawp_core import charts, galleries, pages
    from hawp_core.files import replacing, write_text
    from hawp_core.report import as_csv, costs, readable

    about = "One row a round; the last row is OpenCV's LSD, which learns nothing, on the same photographs."
    write_text(folder / "rounds.csv", as_csv(table))
    write_text(folder / "rounds.html", pages.page("Rounds and the baseline LSD", about, pages.table(*readable(table))))
    steps = costs(shapes, rounds)
    drawn = {
        "chain": charts.chain(shapes, rounds, steps),
        "losses": charts.losses(rounds),
        "validation": charts.validations(rounds),
        "metrics": charts.metrics(table),
        "cost": charts.cost(steps),
    }
    for name, chart in drawn.items():
        svg = chart.svg()
        write_text(folder / f"{name}.svg", svg)
        parts = (pages.drawing(svg), pages.numbers(chart.heads, chart.rows))
        write_text(folder / f"{name}.html", pages.page(chart.title, chart.about, *parts))
    best, worst = galleries.galleries(rounds)
    for name, picture in {"gallery-best": best, "gallery-worst": worst, "shapes": galleries.shapes(shapes)}.items():
        with replacing(folder / f"{name}.png") as temporary:
            temporary.write_bytes(picture.png)
        page = pages.page(picture.title, picture.about, pages.picture(picture.png, picture.about))
        write_text(folder / f"{name}.html", page)
