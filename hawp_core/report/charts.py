"""The drawings of the report: the chain of rounds, losses, validations, metrics by round, the cost of each step.

Colours are those of Okabe and Ito (2008) where they tell things apart, and run from dark to light where they count
rounds; no drawing depends on colour alone. Every drawing comes with its numbers as a table.
"""

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from hawp_core.evaluation.comparison import DECIDING
from hawp_core.report.chart import (
    BLUE,
    GREEN,
    GREY,
    MARKERS,
    STYLE,
    VERMILION,
    Chart,
    brief,
    new_figure,
    numeral,
    shade,
    times,
    unit_of,
)
from hawp_core.report.costs import Cost
from hawp_core.report.finished import Finished
from hawp_core.report.table import Row
from hawp_core.runtime.text import counted
from hawp_core.training.metrics import MetricsRow, StepRow, ValidationRow, read_metrics
from hawp_core.workflow.paths import epochs
from hawp_core.workflow.recipe import SynthesizeRecipe
from hawp_core.workflow.recipe_builders import shape_images

STAGES = ("train", "export")  # whose times stand in the chain
# Left edges of the boxes in the chain: measurement, training, labels.
LEFT = (0.6, 3.6, 6.6)

Panel = tuple[str, str, float]  # title, field of `Row` or of a row of metrics, factor
METRICS: tuple[Panel, ...] = (
    ("sAP10 on shapes (points)", "sAP10", 1.0),
    ("junction recall on shapes (%)", "junction_recall", 100.0),
    ("lines an image", "lines_per_image", 1.0),
    ("Rep-5 of all lines", "structural_rep5", 1.0),
    ("Loc-5 of all lines (px)", "structural_loc5", 1.0),
    ("Rep-5 at 50 lines", "rep5_at_50", 1.0),
    ("Rep-5 at 50 lines, one to one", "paired_rep5_at_50", 1.0),
    ("sAP10 on photographs (points)", "photograph_sAP10", 1.0),
    ("agreement with the round before", "agreement", 1.0),
)
VALIDATIONS: tuple[Panel, ...] = (
    ("sAP10 (points)", "sAP10", 1.0), ("mAPJ (points)", "mAPJ", 1.0),
    ("junction recall (%)", "junction_recall", 100.0), ("lines an image", "lines", 1.0),
)  # fmt: skip


def chain(shapes: SynthesizeRecipe, rounds: Sequence[Finished], steps: Sequence[Cost]) -> Chart:
    """Rounds from top to bottom; in each, measurement, training and labels, with keys, times and metrics."""
    count = len(rounds)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.5, 1.5 * count + 1.3))
        axes = figure.add_subplot()
    axes.set(xlim=(0, 9.5), ylim=(-1.5 * count, 1.1))
    axes.set_axis_off()
    images = " + ".join(map(str, shape_images(shapes.completed).values())) + " images"
    _box(axes, LEFT[1], 0.5, GREY, ["synthetic shapes", shapes.key, images])
    _arrow(axes, (LEFT[1] + 1.3, 0.06), (LEFT[1] + 1.3, -0.26))
    taken = {(step.stage, step.round): f", in {brief(step.seconds)}" for step in steps}
    table = []
    for row, each in enumerate(rounds):
        y = -1.5 * row - 0.7
        axes.text(0.05, y, f"round {row}", rotation=90, va="center", ha="left", fontweight="bold")
        boxes = _boxes(each, {stage: taken.get((stage, row), "") for stage in STAGES})
        for left, colour, lines in zip(LEFT, (GREEN, BLUE, VERMILION), boxes, strict=True):
            _box(axes, left, y, colour, lines)
        _arrow(axes, (LEFT[1] - 0.03, y), (LEFT[0] + 2.63, y))
        _arrow(axes, (LEFT[1] + 2.63, y), (LEFT[2] - 0.03, y))
        if row + 1 < count:
            _arrow(axes, (LEFT[2] + 1.3, y - 0.44), (LEFT[1] + 2.0, y - 1.06))
            if rounds[row + 1].train.inputs["start"]:
                _arrow(axes, (LEFT[1] + 0.7, y - 0.44), (LEFT[1] + 0.7, y - 1.06), dashed=True)
        table.append([str(row), *(": ".join((lines[1], lines[2])) for lines in boxes)])
    about = (
        f"Synthetic shapes lead to the training of round 0; the labels that a round's model gives to the photographs "
        f"lead to the training of the next, up to round {count - 1}. Each model is measured."
    )
    return Chart("The chain of rounds", about, figure, ["round", "measurement", "training", "labels"], table)


def _boxes(each: Finished, taken: dict[str, str]) -> list[list[str]]:
    shapes, measured = each.evaluation.shapes, each.measured()
    held = measured.at(DECIDING) if measured else None
    structural = held.nearest.structural if held else measured.structural if measured else None
    repeated = structural.repeatability if structural else None
    scores = f"sAP10 {numeral(shapes.sAP10 if shapes else None, '.1f') or '?'}, Rep-5 {numeral(repeated, '.3f') or 'undefined'}"
    return [
        ["measurement", each.evaluate.key, scores],
        ["training", each.train.key, counted(epochs(each.train), "epoch") + taken["train"]],
        [
            f"labels of {counted(each.labels.images, 'photograph')}", each.export.key,
            f"{each.labels.lines_per_image:.1f} lines an image{taken['export']}",
        ],
    ]  # fmt: skip


def _box(axes: Axes, left: float, middle: float, colour: str, lines: list[str]) -> None:
    shape = FancyBboxPatch(
        (left, middle - 0.42), 2.6, 0.84, "round,pad=0,rounding_size=0.08", fc="white", ec=colour, lw=2
    )
    axes.add_patch(shape)
    styles = (("sans-serif", "bold"), ("monospace", "normal"), ("sans-serif", "normal"))
    for i, (line, (family, weight)) in enumerate(zip(lines, styles, strict=True)):
        at = (left + 0.12, middle + 0.25 - 0.25 * i)
        axes.text(*at, line, va="center", fontsize=9, family=family, fontweight=weight)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, dashed: bool = False) -> None:
    style = "--" if dashed else "-"
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=GREY, ls=style))


def losses(rounds: Sequence[Finished]) -> Chart:
    """Every loss over the epochs of every round's training."""
    curves = {
        each.number: [row for row in read_metrics(each.metrics_file) if isinstance(row, StepRow)] for each in rounds
    }
    names = dict.fromkeys(name for rows in curves.values() for row in rows for name in row.losses)
    titles = ["loss", *(name for name in names if name != "loss"), "images_per_second"]
    panels = [(title.replace("_", " "), title, 1.0) for title in titles]
    count = {each.number: epochs(each.train) for each in rounds}
    return _curves("Losses of every training", curves, panels, count)


def validations(rounds: Sequence[Finished]) -> Chart:
    """Metrics on held-out shapes after each epoch of every round's training."""
    curves = {
        each.number: [row for row in read_metrics(each.metrics_file) if isinstance(row, ValidationRow)]
        for each in rounds
    }
    count = {each.number: epochs(each.train) for each in rounds}
    return _curves("Validation on held-out shapes", curves, VALIDATIONS, count)


def _curves(
    title: str, curves: Mapping[int, Sequence[MetricsRow]], panels: Sequence[Panel], total: dict[int, int]
) -> Chart:
    columns = 4 if len(panels) > 4 else 2
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(rows, columns, 11 if columns == 4 else 9, 2.4 * rows + 0.6)
    for spare in axes[len(panels) :]:
        spare.remove()
    for (name, key, factor), panel in zip(panels, axes, strict=False):
        for number, points in curves.items():
            drawn = [row for row in points if key in row.numbers]
            x = [total[number] * row.step / max(row.of, 1) for row in drawn]
            y = [factor * row.numbers[key] for row in drawn]
            panel.plot(
                x, y, color=shade(number, len(curves)), marker=MARKERS[number % len(MARKERS)], ms=3.5,
                markevery=max(1, len(x) // 12), label=f"round {number}",
            )  # fmt: skip
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("epoch")
        panel.set_ylim(bottom=0)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 8), frameon=False)
    keys = [(name, key, factor) for name, key, factor in panels]
    last = [
        [str(n), *(numeral(times(factor, points[-1].numbers.get(key))) for _, key, factor in keys)]
        for n, points in curves.items()
        if points
    ]
    said = "; ".join(f"round {row[0]} ends with {panels[0][0]} {row[1]}" for row in last)
    return Chart(
        title,
        f"{len(panels)} panels over epochs, a curve a round: {said}.",
        figure,
        ["after round", *(k[0] for k in keys)],
        last,
    )


def metrics(table: Sequence[Row], verdicts: Sequence[str] = ()) -> Chart:
    """Metrics by round; LSD as a dashed line where it was measured.

    Args:
        verdicts: sentences on the rounds, for the description.
    """
    *rounds, baseline = table
    panels = [each for each in METRICS if any(getattr(row, each[1]) is not None for row in rounds)] or [*METRICS]
    columns = -(-len(panels) // 2)
    figure, axes = new_figure(2, columns, 3.5 * columns, 5.8)
    for spare in axes[len(panels) :]:
        spare.remove()
    for (name, key, factor), panel in zip(panels, axes, strict=False):
        points = [(int(row.round), factor * value) for row in rounds if (value := getattr(row, key)) is not None]
        panel.plot(*(zip(*points, strict=True) if points else ((), ())), color=BLUE, marker="o", label="model")
        level = getattr(baseline, key)
        if level is not None:
            panel.axhline(factor * level, color=VERMILION, ls="--", label="LSD")
            panel.legend(frameon=False, fontsize=9)
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("round")
        panel.set_xlim(-0.25, max(1, len(rounds) - 1) + 0.25)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        highest = max([y for _, y in points] + [factor * (level or 0)])
        panel.set_ylim(0, 1.15 * highest or 1)
    rows = [[row.round, *(numeral(times(factor, getattr(row, key))) for _, key, factor in panels)] for row in table]
    said = "; ".join(
        f"{name} " + " to ".join(numeral(factor * value) for value in dict.fromkeys((known[0], known[-1])))
        for name, key, factor in panels
        if (known := [value for row in rounds if (value := getattr(row, key)) is not None])
    )
    about = " ".join([f"{len(panels)} panels over rounds. First to last round: {said}.", *verdicts])
    return Chart("Metrics by round, beside LSD", about, figure, ["round", *(name for name, _, _ in panels)], rows)


def cost(steps: Sequence[Cost]) -> Chart:
    """Runtime and memory of each step."""
    figure, (time, memory) = new_figure(1, 2, 10.5, 0.32 * len(steps) + 1.4)
    places = range(len(steps))
    value, unit = unit_of(max(step.seconds for step in steps))
    for panel, values, title in (
        (time, [step.seconds / value for step in steps], f"runtime of all jobs together ({unit})"),
        (memory, [step.memory for step in steps], "memory of the largest job (MB)"),
    ):
        bars = panel.barh(places, [v or 0 for v in values], color=BLUE if panel is time else GREEN, height=0.7)
        labels = ["unknown" if v is None else format(v, ".3g" if panel is time else ".0f") for v in values]
        panel.bar_label(bars, labels, padding=3, fontsize=8)
        panel.set_title(title, fontsize=10)
        panel.set_xlim(0, 1.15 * max(v or 0 for v in values) or 1)
        panel.invert_yaxis()
        panel.grid(visible=False, axis="y")
    time.set_yticks(places, [step.title for step in steps])
    memory.set_yticks(places, [""] * len(steps))
    rows = [
        [s.title, numeral(s.jobs, "d"), f"{s.seconds:.0f}", numeral(s.longest, ".0f"), numeral(s.memory, ".0f")]
        for s in steps
    ]
    longest = max(steps, key=lambda step: step.seconds)
    about = f"{len(steps)} steps; the longest is '{longest.title}' with {brief(longest.seconds)}."
    heads = ["step", "jobs", "seconds", "seconds of the longest job", "memory (MB)"]
    return Chart("Runtime and memory by step", about, figure, heads, rows)
