"""The report written: every figure as a picture and as a page with its numbers."""

from collections.abc import Sequence
from pathlib import Path

from hawp_core.report.finished import Finished
from hawp_core.report.table import Row
from hawp_core.workflow.recipe import SynthesizeRecipe


def write_figures(
    folder: Path, shapes: SynthesizeRecipe, rounds: Sequence[Finished], table: Sequence[Row]
) -> list[Path]:
    """Write every figure as a picture and as a page with its numbers, and the table as CSV and as a page.

    Returns: the files.
    """
    from hawp_core.report import charts, galleries, pages
    from hawp_core.report.costs import costs
    from hawp_core.report.shape_sheet import shape_picture
    from hawp_core.report.table import as_csv, meanings, readable
    from hawp_core.report.taken_in import HEADS, taken_in
    from hawp_core.report.verdicts import verdicts
    from hawp_core.runtime.files import replacing, write_text

    said = verdicts(rounds)
    about = "One row a round; the last row is OpenCV's LSD, which learns nothing, on the same photographs."
    write_text(folder / "rounds.csv", as_csv(table))
    own = [
        pages.section("Own labels", pages.sentences(each.said), pages.table(HEADS, each.rows) if each.rows else "")
        for each in taken_in(rounds)
    ]
    write_text(
        folder / "rounds.html",
        pages.page(
            "Rounds and the baseline LSD",
            about,
            pages.sentences(said),
            pages.table(*readable(table)),
            pages.sentences(meanings(table)),
            *own,
        ),
    )
    steps = costs(shapes, rounds)
    drawn = {
        "chain": charts.chain(shapes, rounds, steps),
        "losses": charts.losses(rounds),
        "validation": charts.validations(rounds),
        "metrics": charts.metrics(table, said),
        "cost": charts.cost(steps),
    }
    for name, chart in drawn.items():
        svg = chart.svg()
        write_text(folder / f"{name}.svg", svg)
        parts = (pages.drawing(svg), pages.numbers(chart.heads, chart.rows))
        write_text(folder / f"{name}.html", pages.page(chart.title, chart.about, *parts))
    best, worst = galleries.galleries(rounds)
    for name, picture in {"gallery-best": best, "gallery-worst": worst, "shapes": shape_picture(shapes)}.items():
        with replacing(folder / f"{name}.png") as temporary:
            temporary.write_bytes(picture.png)
        page = pages.page(picture.title, picture.about, pages.picture(picture.png, picture.about))
        write_text(folder / f"{name}.html", page)
    pictures = [f"{name}.svg" for name in drawn] + [
        f"{name}.png" for name in ("gallery-best", "gallery-worst", "shapes")
    ]
    written = ["rounds.csv", "rounds.html", *pictures, *(f"{Path(name).stem}.html" for name in pictures)]
    return [folder / name for name in written]
