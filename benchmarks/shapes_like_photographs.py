"""Both styles of synthetic shapes beside photographs, as the network sees them, and how their lines are distributed.

    python benchmarks/shapes_like_photographs.py --york FOLDER --out FOLDER

FOLDER holds York Urban as `annotations.json` (filename, lines as x1 y1 x2 y2) and `images/`. Into the output folder go
sheets of images without and with their labels, histograms, and `quantiles.json`; the table is printed.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.shapes.drawing import draw
from hawp_core.data.shapes.primitives import STYLES
from hawp_core.geometry.wireframe import Wireframe

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
COLUMNS = 8
# Pixels of an image of `REACH_SIDE`: how far beside a line greys are compared.
REACHES, REACH_SIDE = np.array([2.0, 4.0, 6.0]), 512
Pair = tuple[np.ndarray, Wireframe]


def contrasts(image: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """(M,) median over each line of the grey levels across it, as an edge or as a ridge."""
    if not len(lines):
        return np.zeros(0)
    lines = lines.astype(np.float64)
    reach = REACHES * len(image) / REACH_SIDE
    offsets = np.concatenate([-reach, [0.0], reach])
    start, step = lines[:, None, None, :2], (lines[:, 2:] - lines[:, :2])[:, None, None]
    normal = np.stack([-step[..., 1], step[..., 0]], axis=-1) / np.linalg.norm(step, axis=-1, keepdims=True)
    points = start + np.linspace(0.15, 0.85, 31)[:, None] * step + offsets[:, None, None] * normal
    flat = points.reshape(len(lines), -1, 2).astype(np.float32)
    greys = cv2.remap(image.astype(np.float32), flat, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    greys = greys.reshape(len(lines), len(offsets), 31)
    left, centre, right = greys[:, :3], greys[:, 3:4], greys[:, 4:]
    ridge = np.minimum(np.abs(centre - left), np.abs(centre - right))
    return np.median(np.maximum(np.abs(left - right), ridge).max(axis=1), axis=1)


def york(folder: Path, size: int) -> Iterator[Pair]:
    """The photographs with their true lines."""
    for record in json.loads((folder / "annotations.json").read_text()):
        image, (width, height) = read_gray(folder / "images" / record["filename"], size=size)
        lines = np.array(record["lines"], np.float64).reshape(-1, 4)
        yield image, Wireframe.from_lines(lines, width, height).resized(size, size)


def shapes(style: str, size: int, canvas: tuple[int, int], count: int) -> Iterator[Pair]:
    """`count` images, the primitives in turn."""
    primitives = STYLES[style]
    for i in range(count):
        key = {"seed": 0, "split": "train", "index": i // len(primitives)}
        yield draw(primitives[i % len(primitives)], image_size=size, canvas=canvas, style=style, **key)


def distribution(pairs: list[Pair]) -> dict[str, np.ndarray]:
    """Contrast of the lines, their length as a share of the side, lines an image."""
    lengths = [np.hypot(*(w.lines[:, 2:] - w.lines[:, :2]).T) / w.width for _, w in pairs]
    return {
        "contrast": np.concatenate([contrasts(image, w.lines) for image, w in pairs]),
        "length": np.concatenate(lengths),
        "lines": np.array([len(w.edges) for _, w in pairs], float),
        "spread": np.array([image.std() for image, _ in pairs]),
        "grain": np.array([cv2.Laplacian(image.astype(np.float32), -1).std() for image, _ in pairs]),
    }


def sheet(groups: list[list[Pair]], labels: bool, scale: int) -> np.ndarray:
    """Rows of images, group after group."""
    rows = []
    for pairs in groups:
        for first in range(0, len(pairs), COLUMNS):
            tiles = [tile(image, w, labels, scale) for image, w in pairs[first : first + COLUMNS]]
            tiles += [np.full_like(tiles[0], 255)] * (COLUMNS - len(tiles))
            rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)


def tile(image: np.ndarray, wireframe: Wireframe, labels: bool, scale: int) -> np.ndarray:
    """One image, enlarged without smoothing, with a border of two pixels."""
    shown = cv2.cvtColor(np.kron(image, np.ones((scale, scale), np.uint8)), cv2.COLOR_GRAY2BGR)
    if labels:
        ends = np.rint(((wireframe.lines + 0.5) * scale - 0.5) * 16).astype(int)
        for x1, y1, x2, y2 in ends.tolist():
            cv2.line(shown, (x1, y1), (x2, y2), (0, 140, 255), 1, cv2.LINE_AA, 4)
        for x, y in np.rint(((wireframe.junctions + 0.5) * scale - 0.5) * 16).astype(int).tolist():
            cv2.circle(shown, (x, y), 24, (80, 220, 0), -1, cv2.LINE_AA, 4)
    return cv2.copyMakeBorder(shown, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def histograms(path: Path, found: dict[str, dict[str, np.ndarray]]) -> None:
    """Contrast, length and lines an image of every source, one over the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4))
    bins = {
        "contrast": np.linspace(0, 200, 51),
        "length": np.geomspace(0.01, 1.5, 41),
        "lines": np.geomspace(1, 700, 31),
    }
    for axis, (name, edges) in zip(axes, bins.items(), strict=True):
        for source, values in found.items():
            share = np.full(len(values[name]), 1.0 / len(values[name]))
            axis.hist(values[name], edges, weights=share, histtype="step", label=source)
        axis.set_title(name)
        if name != "contrast":
            axis.set_xscale("log")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def main() -> None:
    """Draw, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--york", type=Path, help="folder of York Urban [left out]")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512], help="sides of the images [%(default)s]")
    parser.add_argument("--canvas", type=int, nargs=2, default=[720, 960], help="height and width [%(default)s]")
    parser.add_argument("--count", type=int, default=160, help="images of each style that are measured [%(default)s]")
    parser.add_argument("--shown", type=int, default=24, help="images of each style on a sheet [%(default)s]")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    table = {}
    for size in args.size:
        sources = {}
        for style in STYLES:
            # The first image of each primitive warms up what is made once.
            list(shapes(style, size, tuple(args.canvas), len(STYLES[style])))
            began = time.process_time()
            sources[style] = list(shapes(style, size, tuple(args.canvas), args.count))
            table[f"{style} {size} px, CPU ms an image"] = 1e3 * (time.process_time() - began) / args.count
        if args.york:
            sources["york"] = list(york(args.york, size))
        found = {name: distribution(pairs) for name, pairs in sources.items()}
        for name, values in found.items():
            table[f"{name} {size} px"] = {k: np.quantile(v, QUANTILES).round(3).tolist() for k, v in values.items()}
        histograms(args.out / f"histograms-{size}.png", found)
        scale = max(1, 256 // size)
        for name, pairs in sources.items():
            chosen = pairs[: args.shown] if name != "york" else pairs[:: max(1, len(pairs) // args.shown)]
            for labels in (False, True):
                picture = sheet([chosen], labels, scale)
                cv2.imwrite(str(args.out / f"{name}-{size}{'-labels' if labels else ''}.png"), picture)
    (args.out / "quantiles.json").write_text(json.dumps(table, indent=1))
    print(f"quantiles {QUANTILES}")
    for name, values in table.items():
        print(name, f"{values:.1f}" if isinstance(values, float) else values)


if __name__ == "__main__":
    main()
