"""Checkerboards and stripes: boards of cells under a random homography.

Grid edges are labelled by what can be seen: where neighbouring cells have nearly one grey, or a cell has nearly that of
the background, there is no edge, and edges that continue each other past a vertex without a corner are one line.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from hawp_core.data.shapes.published.canvas import (
    BESIDE,
    DISTINCT,
    MAX_TRIES,
    STROKE_EXCESS,
    UNSEEN,
    Drawn,
    contrasting,
    fill_grid,
    greys_along,
    random_thickness,
    scale_of,
    seen_shares,
    stroke,
)
from hawp_core.geometry.homography import clip_lines

# Cells of a checkerboard differ from their neighbours by so many grey levels; so many greys are tried for each.
CELL_CONTRAST, CELL_TRIES = 50, 20
# Displacement of the corners as a share of the longer side, fixed and random part.
WARP = (0.05, 0.15)
# Ratio of a board's smallest to its largest homogeneous w; below it the board runs towards its horizon.
MIN_DEPTH = 0.2
# Least width of a stripe before the warp, and of any cell after it: else the board may collapse into a line.
# Shares of the shorter side.
MIN_STRIPE, MIN_CELL = 0.04, 0.02


def draw_checkerboard(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """A board of 3 to 6 by 3 to 6 cells, and strokes along some of its rows and columns."""
    rows, columns = rng.integers(3, 7, 2).tolist()
    height, width = picture.shape
    cell = min((width - 1.0) / columns, (height - 1.0) / rows)
    vertices = _warped_grid(rng, picture, cell * np.arange(columns + 1), cell * np.arange(rows + 1))
    if vertices is None:
        return None
    corners = vertices[[0, 0, -1, -1], [0, -1, -1, 0]]
    rim = np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
    fill_grid(picture, vertices, _cell_greys(rng, rows, columns, greys_along(picture, rim)))

    def strokes() -> Iterable[np.ndarray]:
        for _ in range(rng.integers(2, rows + 2)):
            yield vertices[rng.integers(rows + 1), _two(rng, columns + 1)]
        for _ in range(rng.integers(2, columns + 2)):
            yield vertices[_two(rng, rows + 1), rng.integers(columns + 1)]

    return grid_lines(picture, vertices, _paint_strokes(rng, picture, strokes(), 0.01, 0.015))


def draw_stripes(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """Parallel stripes across a board larger than the picture, and strokes along some of their borders."""
    height, width = (np.array(picture.shape) * (1.0 + rng.random(2))).astype(int).tolist()
    borders = np.append(width * rng.random(rng.integers(5, 13) - 1), [0, width - 1])
    borders = np.unique(borders.astype(int))
    narrowest = MIN_STRIPE * min(picture.shape)
    borders = borders[np.diff(borders, append=width + narrowest) >= narrowest]
    vertices = _warped_grid(rng, picture, borders, np.array([0.0, height - 1.0]))
    if vertices is None:
        return None
    count = len(borders) - 1
    steps = 128 + rng.integers(-30, 30, count)
    fill_grid(picture, vertices, ((rng.integers(256) + np.cumsum(steps)) % 256)[None])

    def strokes() -> Iterable[np.ndarray]:
        for _ in range(rng.integers(2, 5)):
            yield vertices[rng.integers(2), _two(rng, count + 1)]
        for _ in range(rng.integers(2, count + 2)):
            yield vertices[:, rng.integers(count + 1)]

    return grid_lines(picture, vertices, _paint_strokes(rng, picture, strokes(), 0.01, 0.011))


def _two(rng: np.random.Generator, count: int) -> list[int]:
    """Two different numbers below `count`."""
    first = int(rng.integers(count))
    return [first, (first + int(rng.integers(1, count))) % count]


def _warped_grid(rng: np.random.Generator, picture: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray | None:
    """Vertices (Y, X, 2) of a grid with lines at `xs` and `ys`, under a random affine map and homography."""
    if len(xs) < 2:
        return None
    height, width = picture.shape
    square = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (min(picture.shape) / 3.0) + [width / 2.0, height / 2.0]
    grid = np.stack([*np.meshgrid(xs, ys), np.ones((len(ys), len(xs)))], axis=-1)
    for _ in range(MAX_TRIES):
        reach = max(picture.shape) * (WARP[0] + WARP[1] * rng.random())
        sheared = square[:3] + rng.uniform(-reach, reach, (3, 2))
        tilted = square + rng.uniform(-reach, reach, (4, 2)) / 2.0
        affine = cv2.getAffineTransform(square[:3].astype(np.float32), sheared.astype(np.float32))
        perspective = cv2.getPerspectiveTransform(square.astype(np.float32), tilted.astype(np.float32))
        homography = perspective @ np.vstack([affine, [0.0, 0.0, 1.0]])
        warped = grid @ homography.T
        depth = warped[..., 2]
        if depth.min() < MIN_DEPTH * depth.max():
            continue
        vertices = warped[..., :2] / depth[..., None]
        if _narrowest_cell(vertices) >= MIN_CELL * min(picture.shape):
            return vertices
    return None


def _narrowest_cell(vertices: np.ndarray) -> float:
    """Width of the narrowest cell, measured at its first corner: across the longer of the two sides there."""
    along, across = (vertices[:-1, 1:] - vertices[:-1, :-1]), (vertices[1:, :-1] - vertices[:-1, :-1])
    area = np.abs(along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0])
    return float((area / np.maximum(np.hypot(*along.T), np.hypot(*across.T)).T).min())


def _cell_greys(rng: np.random.Generator, rows: int, columns: int, behind: np.ndarray) -> np.ndarray:
    """(rows, columns) uint8: each unlike its neighbours and, on the rim, unlike the greys `behind` the board.

    A cell takes the first of its random greys that serves; where none does, an edge stays unseen.
    """
    above, below = (int(behind.min()) - DISTINCT, int(behind.max()) + DISTINCT) if len(behind) else (255, 0)
    tries = rng.integers(0, 256, (rows, columns, CELL_TRIES)).tolist()
    cells = [[0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            near = ([cells[i - 1][j]] if i else []) + ([cells[i][j - 1]] if j else [])
            unlike = [grey for grey in tries[i][j] if all(abs(grey - other) >= CELL_CONTRAST for other in near)]
            if i in (0, rows - 1) or j in (0, columns - 1):
                unlike = [grey for grey in unlike if not above < grey < below] or unlike
            cells[i][j] = (unlike or tries[i][j])[0]
    return np.array(cells, np.uint8)


def _paint_strokes(
    rng: np.random.Generator, picture: np.ndarray, lines: Iterable[np.ndarray], low: float, high: float
) -> float:
    """Draw strokes on lines (2, 2), each in a grey that stands out on both sides, if there is one; their width."""
    thickness = random_thickness(rng, picture, low, high)
    width = thickness + STROKE_EXCESS
    for line in lines:
        line = line.reshape(4)
        grey = contrasting(rng, (greys_along(picture, line, width / 2.0 + BESIDE * scale_of(picture)), DISTINCT))
        if grey is not None:
            stroke(picture, line, grey, thickness)
    return float(width)


def grid_lines(picture: np.ndarray, vertices: np.ndarray, width: float) -> Drawn:
    """The grid's edges that can be seen, joined across vertices at which no edge leaves the line."""
    along = np.concatenate([vertices[:, :-1], vertices[:, 1:]], axis=-1)
    across = np.concatenate([vertices[:-1], vertices[1:]], axis=-1)
    edges = np.concatenate([along.reshape(-1, 4), across.reshape(-1, 4)])
    inside, rows = clip_lines(edges, *picture.shape[::-1])
    # Every trace of an edge counts here: what is neither seen nor unseen ends the drawing when it is labelled.
    seen = np.zeros(len(edges), bool)
    seen[rows] = seen_shares(picture, inside, np.full(len(rows), width))[1] > UNSEEN
    seen_along = seen[: along[..., 0].size].reshape(along.shape[:2])
    seen_across = seen[along[..., 0].size :].reshape(across.shape[:2])
    lines = joined_edges(vertices, seen_along, seen_across)
    lines += joined_edges(vertices.swapaxes(0, 1), seen_across.T, seen_along.T)
    return np.array(lines).reshape(-1, 4), np.full(len(lines), width)


def joined_edges(vertices: np.ndarray, along: np.ndarray, across: np.ndarray) -> list[np.ndarray]:
    """Lines (4,) along the rows of a grid.

    Args:
        vertices: (Y, X, 2).
        along: (Y, X - 1) bool, which edges of the rows can be seen.
        across: (Y - 1, X) bool, which edges between the rows; where one ends, a line along the row ends too.
    """
    none = np.zeros((1, vertices.shape[1]), bool)
    ends_here = np.concatenate([across, none]) | np.concatenate([none, across])
    lines = []
    for row, edges, corners in zip(vertices, along, ends_here, strict=True):
        start = None
        for k, visible in enumerate([*edges, False]):
            if start is not None and (corners[k] or not visible):
                lines.append(np.concatenate([row[start], row[k]]))
                start = None
            if visible and start is None:
                start = k
    return lines
