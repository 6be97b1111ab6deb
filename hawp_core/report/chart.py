"""What the drawings of the report share: a drawing with its words and numbers, its style, colours and units."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import matplotlib
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

matplotlib.use("Agg")

BLUE, VERMILION, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#595959"
MARKERS = "osD^vP*X"

# Letters as outlines: the drawing looks the same wherever it is opened. The salt makes its bytes repeatable.
STYLE: "dict[RcKeyType, object]" = {
    "svg.fonttype": "path", "svg.hashsalt": "hawp-rounds", "font.size": 10, "axes.grid": True, "grid.color": "#d9d9d9",
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True,
    "text.parse_math": False,
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A drawing, what it shows in words, and its numbers."""

    title: str
    about: str
    figure: Figure
    heads: list[str]
    rows: list[list[str]]

    def svg(self) -> str:
        """The drawing as SVG, with title and description for who does not see it."""
        stream = io.StringIO()
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Title": self.title})
        text = stream.getvalue()
        named = f'<title id="title">{escape(self.title)}</title><desc id="desc">{escape(self.about)}</desc>'
        head, opening, rest = text.partition("<svg ")
        attributes, _, body = rest.partition(">")
        return f'{head}{opening}role="img" aria-labelledby="title desc" {attributes}>{named}{body}'


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """An empty figure of the report's style, and its axes, row by row."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def shade(number: int, count: int) -> tuple[float, float, float, float]:
    """The colour of a round: dark blue first, towards ochre; never the palest, which would not show on white."""
    return colormaps["cividis"](0.85 * number / max(1, count - 1))


def brief(seconds: float) -> str:
    """A time in the unit that suits it."""
    value, unit = unit_of(seconds)
    return f"{seconds / value:.3g} {unit}"


def unit_of(seconds: float) -> tuple[int, str]:
    """The unit that suits a time: its seconds, and its name."""
    return (1, "s") if seconds < 300 else (60, "min") if seconds < 5 * 3600 else (3600, "h")


def times(factor: float, value: float | None) -> float | None:
    """A value in other units; None stays None."""
    return None if value is None else factor * value


def numeral(value: float | None, form: str = ".3g") -> str:
    """A number as a table shows it."""
    return "" if value is None else format(value, form)
