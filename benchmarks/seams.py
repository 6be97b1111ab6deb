"""How many known lines are found once, and how near their ends are, in tiles of several sizes and in one pass.

    python benchmarks/seams.py [--drawings 5] [--tiles 128 192 256 640]

Each drawing of 640 x 480 pixels has five rectangles at random places, sizes and angles: twenty lines of 60 to 240 pixels.
"""

import argparse

import cv2
import numpy as np
from tabulate import tabulate

from hawp_core import load

WIDTH, HEIGHT, RECTANGLES, MARGIN = 640, 480, 5, 12

# Four corners (4, 2), and the grey level inside.
Rectangle = tuple[np.ndarray, int]


def corners(x: float, y: float, width: float, height: float, turn: float) -> np.ndarray:
    """(4, 2) of a rectangle about (x, y), turned by radians."""
    half = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    return half @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + (x, y)


def painted(width: int, height: int, rectangles: list[Rectangle], grey: int = 150, fine: int = 16) -> np.ndarray:
    """(H, W) uint8 with rectangles, smooth at their edges, drawn `fine` times as large: OpenCV draws 0.65 of its pixels too much."""
    picture = np.full((height * fine, width * fine), grey, np.uint8)
    for points, level in rectangles:
        drawn = np.rint(((points + 0.5) * fine - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(picture, [drawn], int(level), cv2.LINE_AA, 4)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def drawing(seed: int) -> list[Rectangle]:
    """Rectangles that do not touch."""
    rng = np.random.default_rng(seed)
    kept: list[Rectangle] = []
    boxes: list[np.ndarray] = []
    while len(kept) < RECTANGLES:
        width, height = rng.uniform(60, 240, 2)
        turn = rng.uniform(-0.5, 0.5)
        points = corners(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), width, height, turn)
        if (points < MARGIN).any() or (points > np.array([WIDTH, HEIGHT]) - MARGIN - 1).any():
            continue
        box = np.array([points.min(axis=0) - MARGIN, points.max(axis=0) + MARGIN])
        if any((box[0] < other[1]).all() and (other[0] < box[1]).all() for other in boxes):
            continue
        boxes.append(box)
        kept.append((points, int(rng.choice([20, 50, 240]))))
    return kept


def distances(lines: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(4, M) pixels from each side of a rectangle (4, 2) to each line (M, 2, 2): the larger of both ends', the better way round."""
    sides = np.stack([points, np.roll(points, -1, axis=0)], axis=1)
    ways = [np.hypot(*np.moveaxis(lines[None] - side[:, None], -1, 0)).max(axis=2) for side in (sides, sides[:, ::-1])]
    return np.minimum(*ways)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawings", type=int, default=5)
    parser.add_argument("--tiles", type=int, nargs="+", default=[128, 192, 256, 640])
    args = parser.parse_args()
    model = load(device="cpu")
    rows = []
    for tile in args.tiles:
        apart, others = [], 0
        for seed in range(args.drawings):
            rectangles = drawing(seed)
            found = model(painted(WIDTH, HEIGHT, rectangles), size="native", tile=tile)
            lines = found.lines.reshape(-1, 2, 2)
            near = np.concatenate([distances(lines, points) for points, _ in rectangles])
            others += int((near.min(axis=0, initial=np.inf) >= 5).sum())
            apart.append(near)
        once = sum(int(((near < 5).sum(axis=1) == 1).sum()) for near in apart)
        within = sum(int(((near < 1).sum(axis=1) == 1).sum()) for near in apart)
        nearest = np.concatenate([near.min(axis=1, initial=np.inf) for near in apart])
        rows.append([tile, len(nearest), once, within, f"{np.median(nearest):.2f}", others])
    heads = ["tile", "lines", "found once (5 px)", "within 1 px", "median (px)", "other lines"]
    print(tabulate(rows, heads, tablefmt="github"))


if __name__ == "__main__":
    main()
