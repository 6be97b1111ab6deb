"""Synthetic shapes other than boards: lines, polygons, star, cube, noise.

Each function draws on a picture and returns the lines that it drew: (M, 4) x1 y1 x2 y2 floats in canvas pixels, whether
or not they are long enough or inside the picture. Lengths are shares of the canvas's shorter side.
"""

import math

import cv2
import numpy as np

from hawp_core.data.shapes.published.canvas import (
    DISTINCT,
    MAX_TRIES,
    SEEN,
    STROKE_EXCESS,
    Drawn,
    contrasting,
    fill,
    greys_along,
    random_thickness,
    scale_of,
    seen_shares,
    stroke,
    texture,
)

MIN_LENGTH = 0.0985
# Corners of a polygon and branches of a star come no nearer to its centre than this share of its radius.
POLYGON_CORE, STAR_CORE = 0.4, 0.3
MAX_POLYGONS = 30
# Pixels of the published canvas between a polygon and the circle that keeps it from others.
SAFE_MARGIN = 5.0
FLATTEST_CORNER = 2.0 * math.pi / 3.0
# Edges of a cube differ from its faces by so many grey levels.
CUBE_CONTRAST = 64


def _centre(rng: np.random.Generator, picture: np.ndarray, radius: float) -> np.ndarray:
    """A point from which a circle of `radius` stays inside."""
    farthest = np.array(picture.shape[::-1]) - 1.0 - radius
    return rng.uniform(radius, np.maximum(farthest, radius))


def _lengths(lines: np.ndarray) -> np.ndarray:
    return np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])


def _outline(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)


def _side_of(lines: np.ndarray, points: np.ndarray) -> np.ndarray:
    """On which side of each line (M, 4) each point (K, 2) lies: (M, K) signed areas."""
    step = lines[:, 2:] - lines[:, :2]
    offset = points[None] - lines[:, None, :2]
    return step[:, None, 0] * offset[..., 1] - step[:, None, 1] * offset[..., 0]


def _crossings(lines: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(M, K) bool: whether lines (M, 4) and others (K, 4) properly cross."""
    apart = _side_of(lines, others[:, :2]) * _side_of(lines, others[:, 2:]) < 0
    return apart & (_side_of(others, lines[:, :2]) * _side_of(others, lines[:, 2:]) < 0).T


def _gaps(line: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distances between one line (4,) and others (K, 4): (K,), 0 where they cross."""

    def to_points(lines: np.ndarray, points: np.ndarray) -> np.ndarray:
        start, step = lines[:, :2], lines[:, 2:] - lines[:, :2]
        along = np.sum((points - start) * step, axis=1) / np.sum(step * step, axis=1)
        nearest = start + np.clip(along, 0.0, 1.0)[:, None] * step
        return np.hypot(*(points - nearest).T)

    one = np.broadcast_to(line, others.shape)
    ends = [to_points(others, one[:, :2]), to_points(others, one[:, 2:])]
    ends += [to_points(one, others[:, :2]), to_points(one, others[:, 2:])]
    return np.where(_crossings(line[None], others)[0], 0.0, np.min(ends, axis=0))


def draw_lines(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """Up to nine strokes that keep clear of one another."""
    frame = np.tile(np.array(picture.shape[::-1]) - 1.0, 2)
    lines, widths = np.zeros((0, 4)), np.zeros(0)
    for _ in range(rng.integers(1, 10)):
        line = rng.random(4) * frame
        thickness = random_thickness(rng, picture, 0.01, 0.02)
        width = thickness + STROKE_EXCESS
        if _lengths(line[None])[0] < MIN_LENGTH * min(picture.shape):
            continue
        # A stroke across or against another one would hide a part of it.
        if len(lines) and (_gaps(line, lines) <= (widths + width) / 2.0 + STROKE_EXCESS).any():
            continue
        grey = contrasting(rng, (greys_along(picture, line), DISTINCT))
        if grey is not None:
            stroke(picture, line, grey, thickness)
            lines, widths = np.concatenate([lines, line[None]]), np.append(widths, width)
    return (lines, widths) if len(lines) else None


def _corners(rng: np.random.Generator, centre: np.ndarray, radius: float, shortest: float) -> np.ndarray | None:
    """Corners (N, 2) of a random polygon with 3 to 7 sides, or None where it is too flat, too small or tangled."""
    count = rng.integers(3, 8)
    angles = (np.arange(count) + rng.random(count)) * (2.0 * math.pi / count)
    reach = radius * np.maximum(rng.random((count, 2)), POLYGON_CORE)
    corners = centre + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    back, ahead = np.roll(corners, 1, axis=0) - corners, np.roll(corners, -1, axis=0) - corners
    cosine = np.sum(back * ahead, axis=1) / (np.hypot(*back.T) * np.hypot(*ahead.T))
    corners = corners[cosine > math.cos(FLATTEST_CORNER)]
    outline = _outline(corners)
    if len(corners) < 3 or _lengths(outline).min() < shortest or _crossings(outline, outline).any():
        return None
    return corners


def draw_polygon(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """One polygon of one grey."""
    short = min(picture.shape)
    for _ in range(MAX_TRIES):
        radius = max(rng.random() * short / 2.0, short / 10.0)
        corners = _corners(rng, _centre(rng, picture, radius), radius, MIN_LENGTH * short)
        if corners is None:
            continue
        outline = _outline(corners)
        grey = contrasting(rng, (greys_along(picture, outline), DISTINCT))
        if grey is not None:
            fill(picture, corners, grey)
            return outline, np.zeros(len(outline))
    return None


def draw_multiple_polygons(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """Textured polygons, at most 30, each in a circle of its own."""
    short = min(picture.shape)
    circles: list[tuple[float, float, float]] = []
    outlines = []
    for _ in range(MAX_POLYGONS):
        radius = max(rng.random() * short / 2.0, short / 9.0)
        x, y = _centre(rng, picture, radius).tolist()
        if any(math.hypot(x - x2, y - y2) < radius + radius2 for x2, y2, radius2 in circles):
            continue
        corners = _corners(rng, np.array([x, y]), radius - SAFE_MARGIN * scale_of(picture), MIN_LENGTH * short)
        if corners is not None and _fill_textured(rng, picture, corners):
            circles.append((x, y, radius))
            outlines.append(_outline(corners))
    return (np.concatenate(outlines), np.zeros(sum(map(len, outlines)))) if outlines else None


def _fill_textured(rng: np.random.Generator, picture: np.ndarray, corners: np.ndarray) -> bool:
    """Fill a polygon with a texture, unless one of its sides would melt into the background."""
    outline = _outline(corners)
    beneath = greys_along(picture, outline).astype(int)
    # All darker or all lighter than what is beneath: a mixture of both would blur to the background's own grey.
    darker, lighter = np.arange(beneath.min() - DISTINCT + 1), np.arange(beneath.max() + DISTINCT, 256)
    if not len(darker) + len(lighter):
        return False
    greys = darker if rng.integers(len(darker) + len(lighter)) < len(darker) else lighter
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
    region = picture[low[1] : high[1], low[0] : high[0]]
    before = region.copy()
    mask = np.zeros(region.shape, np.uint8)
    fill(mask, corners - low, 255)
    cv2.copyTo(texture(rng, region.shape, greys, scale_of(picture)), mask, region)
    if seen_shares(picture, outline, np.zeros(len(outline)))[0].min() >= SEEN:
        return True
    region[:] = before
    return False


def draw_star(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """Three to five strokes from one centre."""
    short = min(picture.shape)
    thickness = random_thickness(rng, picture, 0.01, 0.025)
    for _ in range(MAX_TRIES):
        count = rng.integers(3, 6)
        radius = max(rng.random() * short / 2.0, short / 5.0)
        centre = _centre(rng, picture, radius)
        angles = (np.arange(count) + rng.random(count)) * (2.0 * math.pi / count)
        reach = radius * np.maximum(rng.random((count, 2)), STAR_CORE)
        branches = reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        lines = np.concatenate([np.broadcast_to(centre, branches.shape), centre + branches], axis=1)
        if _lengths(lines).min() >= MIN_LENGTH * short and _spread(branches) >= _narrowest(thickness, short):
            break
    else:
        return None
    chosen = [contrasting(rng, (greys_along(picture, line), DISTINCT)) for line in lines]
    greys = [grey for grey in chosen if grey is not None]
    if len(greys) < len(lines):
        return None
    for line, grey in zip(lines, greys, strict=True):
        stroke(picture, line, grey, thickness)
    return lines, np.full(count, float(thickness + STROKE_EXCESS))


def _spread(branches: np.ndarray) -> float:
    """Smallest angle between neighbouring branches (N, 2), radians."""
    angles = np.sort(np.arctan2(branches[:, 1], branches[:, 0]))
    return float(np.diff(angles, append=angles[0] + 2.0 * math.pi).min())


def _narrowest(thickness: int, short: int) -> float:
    """The angle at which two strokes from one point part before half of the shortest branch, radians."""
    return 2.0 * math.asin(min(1.0, (thickness + STROKE_EXCESS) / (MIN_LENGTH * short)))


def draw_cube(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """A box in parallel projection: its three visible faces, and strokes on their nine edges."""
    height, width = picture.shape
    short = min(picture.shape)
    # Corner k has the bits of k as coordinates. Rotations by less than a quarter leave 0 hidden and 7 in front.
    box = ((np.arange(8)[:, None] >> np.arange(3)) & 1) * (short * (0.2 + rng.random(3) * 2.0 / 3.0))
    projection = (np.diag(0.4 + 0.6 * rng.random(3)) @ _rotation(math.pi * (0.1 + 0.3 * rng.random(3))))[:2]
    origin = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
    corners = origin + box @ projection.T
    silhouette = corners[[1, 3, 2, 6, 4, 5]]
    rim = np.concatenate([silhouette, np.roll(silhouette, -1, axis=0)], axis=1)
    spokes = np.concatenate([corners[[7, 7, 7]], corners[[3, 5, 6]]], axis=1)
    behind = [greys_along(picture, line) for line in rim]
    face = contrasting(rng, (np.concatenate(behind), DISTINCT))
    if face is None:
        return None
    fill(picture, silhouette, face)
    thickness = random_thickness(rng, picture, 0.003, 0.015)
    lines = np.concatenate([spokes, rim])
    for line, greys in zip(lines, [behind[0][:0]] * len(spokes) + behind, strict=True):
        edge = contrasting(rng, (np.array([face]), CUBE_CONTRAST), (greys, DISTINCT))
        if edge is None:
            return None
        stroke(picture, line, edge, thickness)
    return lines, np.full(len(lines), float(thickness + STROKE_EXCESS))


def _rotation(angles: np.ndarray) -> np.ndarray:
    """(3, 3): rotations about z, x and y by `angles`, radians, the last one first."""
    (a, b, c), (u, v, w) = np.cos(angles), np.sin(angles)
    about_z = np.array([[a, -u, 0], [u, a, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, b, -v], [0, v, b]])
    about_y = np.array([[c, 0, -w], [0, 1, 0], [w, 0, c]])
    return about_z @ about_x @ about_y


def draw_noise(rng: np.random.Generator, picture: np.ndarray) -> Drawn:
    """Noise everywhere and no line. Uniform on the canvas; the final blur makes it nearly Gaussian."""
    picture[:] = rng.integers(0, 256, picture.shape, np.uint8)
    return np.zeros((0, 4)), np.zeros(0)
