"""The pictures of the report: the same photographs under each round's labels."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from hawp_core.data.label_file import LabelFile
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import resolve
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.agreement import chosen
from hawp_core.report.drawing import overlay
from hawp_core.report.finished import Finished
from hawp_core.runtime.text import shown
from hawp_core.workflow.paths import label_file

matplotlib.use("Agg")

PHOTOGRAPHS = 4  # rows of a gallery
ROUNDS = 5  # columns; of more rounds the first, the last and those evenly between are shown
TILE = 480  # longer side of a photograph, pixels
FLATTEST, TALLEST = 0.3, 2.0  # height of a panel over its width; a strip of a photograph leaves room in it
SHAPES_OF_EACH = 3  # images of each primitive
DPI = 110


@dataclass(frozen=True)
class Picture:
    """A picture as PNG, and what it shows in words."""

    title: str
    about: str
    png: bytes


@dataclass(frozen=True)
class Ranking:
    """Photographs, the best first, with the number that ranks them."""

    order: list[str]
    score: Callable[[str], str]
    best: str
    worst: str


def ranking(rounds: Sequence[Finished], labels: Sequence[LabelFile]) -> Ranking:
    """By mean agreement of consecutive rounds; after round 0 alone, by the number of its lines."""
    agreements = [each.agreement for each in rounds[1:]]
    shared = set.intersection(*map(set, agreements)) if agreements else set()
    if shared:
        value = {name: float(np.mean([agreement[name] for agreement in agreements])) for name in shared}
        said = lambda name: f"agreement {value[name]:.2f}"  # noqa: E731 (a name for each of two)
        best, worst = "Most agreement between rounds", "Least agreement between rounds"
    else:
        value = {name: len(labels[-1][name].edges) for name in chosen(labels[-1].names, 2000)}
        said = lambda name: f"{value[name]} lines"  # noqa: E731
        best, worst = "Most lines", "Fewest lines"
    return Ranking(sorted(value, key=lambda name: (-value[name], name)), said, best, worst)


def galleries(rounds: Sequence[Finished]) -> tuple[Picture, Picture]:
    """The photographs on which rounds agree most, and least, with each round's labels side by side."""
    columns = [rounds[i] for i in sorted({round(i) for i in np.linspace(0, len(rounds) - 1, min(ROUNDS, len(rounds)))})]
    labels = [LabelFile(label_file(r.export.name, r.export.key, r.export.places.epoch)) for r in columns]
    ranked = ranking(rounds, labels)
    folder = rounds[-1].export.places.folder
    # No photograph is among the best and the worst.
    half = -(-len(ranked.order) // 2)
    return (
        _gallery(ranked.best, ranked.order[:half], ranked, folder, columns, labels),
        _gallery(ranked.worst, ranked.order[: half - 1 : -1], ranked, folder, columns, labels),
    )


def _gallery(
    title: str, names: list[str], ranked: Ranking, folder: str, rounds: Sequence[Finished], labels: Sequence[LabelFile]
) -> Picture:
    rows: list[tuple[str, list[np.ndarray]]] = []
    for name in names:
        if len(rows) == PHOTOGRAPHS:
            break
        try:
            image = read_gray(resolve(folder, name))[0]
        except UserError:  # a photograph that was moved or damaged since; the others show what is to be seen
            continue
        rows.append((name, [_tile(image, file, name) for file in labels]))
    if not rows:
        return Picture(title, "No photograph to show.", _empty("no photograph to show"))
    said = [
        f"{shown(name)}, {ranked.score(name)}, lines by round: "
        + ", ".join(str(len(file[name].edges)) if name in file else "none" for file in labels)
        for name, _ in rows
    ]
    heights = [min(max(tiles[0].shape[0] / tiles[0].shape[1], FLATTEST), TALLEST) for _, tiles in rows]
    figure = Figure(figsize=(2.9 * len(labels) + 0.4, 2.9 * sum(heights) + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(labels), squeeze=False, gridspec_kw={"height_ratios": heights})
    for (name, tiles), line in zip(rows, axes, strict=True):
        for panel, tile, each, file in zip(line, tiles, rounds, labels, strict=True):
            panel.imshow(tile)
            panel.set(xticks=[], yticks=[])
            panel.set_title(f"round {each.number}: {len(file[name].edges) if name in file else 0} lines", fontsize=9)
        # A name is text, whatever dollars it holds.
        line[0].set_ylabel(f"{shown(_short(name))}\n{ranked.score(name)}", fontsize=8, parse_math=False)
    return Picture(title, f"{'; '.join(said)}.", _png(figure))


def _tile(image: np.ndarray, labels: LabelFile, name: str) -> np.ndarray:
    wireframe = labels[name] if name in labels else Wireframe.empty(image.shape[1], image.shape[0])
    return overlay(image, wireframe, scale=TILE / max(image.shape))


def _short(name: str) -> str:
    last = Path(name).name
    return last if len(last) <= 24 else f"{last[:11]}…{last[-12:]}"


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


def _empty(words: str) -> bytes:
    figure = Figure(figsize=(4, 1))
    figure.text(0.5, 0.5, words, ha="center", va="center")
    return _png(figure)
