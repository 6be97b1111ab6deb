"""The pictures of the report: the same photographs under each round's labels, and the synthetic shapes."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from hawp_core.decoding import read_gray
from hawp_core.errors import UserError
from hawp_core.lineage import Recipe, label_file, shape_config
from hawp_core.overlay import PREVIEW_COLUMNS, contact_sheet, overlay
from hawp_core.photographs import resolve
from hawp_core.report import Finished, chosen
from hawp_core.samples import ShapeSet
from hawp_core.settings import read_yaml
from hawp_core.wireframe import LabelFile, Wireframe

PHOTOGRAPHS = 4  # rows of a gallery
ROUNDS = 5  # columns; of more rounds the first, the last and those evenly between are shown
TILE = 480  # longer side of a photograph, pixels
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
    shown = [rounds[i] for i in sorted({round(i) for i in np.linspace(0, len(rounds) - 1, min(ROUNDS, len(rounds)))})]
    labels = [LabelFile(label_file(r.export.name, r.export.key, r.export.places["epoch"])) for r in shown]
    ranked = ranking(rounds, labels)
    folder = rounds[-1].export.places["folder"]
    # No photograph is among the best and the worst.
    half = -(-len(ranked.order) // 2)
    return (
        _gallery(ranked.best, ranked.order[:half], ranked, folder, shown, labels),
        _gallery(ranked.worst, ranked.order[: half - 1 : -1], ranked, folder, shown, labels),
    )


def _gallery(
    title: str, names: list[str], ranked: Ranking, folder: str, rounds: Sequence[Finished], labels: Sequence[LabelFile]
) -> Picture:
    rows = []
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
        f"{name}, {ranked.score(name)}, lines by round: "
        + ", ".join(str(len(file[name].edges)) if name in file else "none" for file in labels)
        for name, _ in rows
    ]
    heights = [tiles[0].shape[0] / tiles[0].shape[1] for _, tiles in rows]
    figure = Figure(figsize=(2.9 * len(labels) + 0.4, 2.9 * sum(heights) + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(labels), squeeze=False, gridspec_kw={"height_ratios": heights})
    for (name, tiles), line in zip(rows, axes, strict=True):
        for panel, tile, each, file in zip(line, tiles, rounds, labels, strict=True):
            panel.imshow(tile)
            panel.set(xticks=[], yticks=[])
            panel.set_title(f"round {each.number}: {len(file[name].edges) if name in file else 0} lines", fontsize=9)
        line[0].set_ylabel(f"{_short(name)}\n{ranked.score(name)}", fontsize=8)
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


def shapes(recipe: Recipe) -> Picture:
    """The synthetic shapes as they were trained on: the first images of each primitive with their labels."""
    data = ShapeSet([Path(file) for file in read_yaml(shape_config(recipe.key))["train"]])
    kinds: dict[str, list] = {}
    for i in range(len(data)):
        sample = data.item(i)
        primitive = sample.name.split("/")[1]
        if len(kinds.setdefault(primitive, [])) < SHAPES_OF_EACH:
            kinds[primitive].append(sample)
        elif all(len(samples) == SHAPES_OF_EACH for samples in kinds.values()):
            break
    scale = max(1.0, 220 / data.size)
    samples = [sample for first in kinds.values() for sample in first]
    # A row shows one primitive after the other, PREVIEW_COLUMNS of them side by side.
    order = [
        kinds[name][index]
        for first in range(0, len(kinds), PREVIEW_COLUMNS)
        for index in range(len(samples) // len(kinds))
        for name in list(kinds)[first : first + PREVIEW_COLUMNS]
    ]
    tiles = [overlay(sample.image, sample.wireframe, scale=scale) for sample in order]
    titles = [sample.name.split("/")[1].replace("_", " ") for sample in order]
    sheet = contact_sheet(tiles, PREVIEW_COLUMNS, titles)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, format="PNG")
    counted = ", ".join(
        f"{name.replace('_', ' ')} ({', '.join(str(len(s.wireframe.edges)) for s in kinds[name])} lines)"
        for name in kinds
    )
    return Picture("Synthetic shapes and their labels", f"Images of each primitive: {counted}.", stream.getvalue())
