"""Greys of a synthetic drawing: textured backgrounds, greys that stand out from others, and what stands out.

A picture is a canvas of (H, W) uint8 that shapes are drawn on. All constants in pixels hold for the published canvas
of 960 x 1280 and scale with the shorter side. Textures end in a box blur much wider than the
`COARSENESS` by which they are drawn smaller: what they lose is removed by that blur anyhow.
"""

import math

import cv2
import numpy as np

PUBLISHED_SIDE = 960
# Backgrounds: random black and white pixels, blobs, a wide box blur. Radii as a share of the longer side.
BACKGROUND_BLOBS = 100
BACKGROUND_RADII = (0.02, 0.031)
BACKGROUND_KERNELS = (150, 500)
# Textures that fill polygons.
TEXTURE_BLOBS = 3000  # on a full canvas
TEXTURE_RADIUS = 20
TEXTURE_KERNELS = (50, 100)
# The picture is blurred before it is resized to the network's input.
FINAL_KERNEL = 11

BACKGROUND_COARSENESS = 8
TEXTURE_COARSENESS = 4

# Grey levels between a shape and what is beneath or beside it.
DISTINCT = 30
# Grey levels across a line at a point of it: from the first on it is seen there (below `DISTINCT`, because textures
# vary), up to the second it is not; edges in between are too faint to be labelled and too plain to be left out.
VISIBLE, INVISIBLE = 20, 6
# Distance of the two sides from a line at which its contrast is measured, and the share of the line at either end
# that is left out, because other lines end there too.
BESIDE = 3.0
MARGIN = 0.06
SAMPLES = 25
_POSITIONS = np.linspace(0.0, 1.0, SAMPLES)[:, None]

# A line is labelled if it is seen over this share of its length at least, and may go without a label if a trace of it
# shows over that share at most.
SEEN, UNSEEN = 0.8, 0.2
# Invalid geometry costs microseconds and is drawn again at once; only then the whole picture is.
MAX_TRIES = 50

# What drawing a primitive returns: lines (M, 4) and the widths (M,) of the strokes on them, 0 for bare edges; None if
# the draw failed.
Drawn = tuple[np.ndarray, np.ndarray] | None

_SUBPIXEL_BITS = 8
# OpenCV paints every pixel that a polygon's border touches: so many pixels more on each side.
_FILL_EXCESS = 0.45
# And strokes so many pixels wider than asked.
STROKE_EXCESS = 2


def scale_of(picture: np.ndarray) -> float:
    """Size of a canvas relative to the published one."""
    return min(picture.shape) / PUBLISHED_SIDE


def background(rng: np.random.Generator, canvas: tuple[int, int]) -> np.ndarray:
    """A smooth random background, (H, W) uint8, for a `canvas` of (H, W) pixels."""
    height, width = canvas
    scale = min(canvas) / PUBLISHED_SIDE
    share_white = rng.uniform()
    mean = 255.0 * share_white
    # One coarse pixel is the mean of many independent black and white ones, hence nearly normal.
    spread = 255.0 * np.sqrt(share_white * (1.0 - share_white)) / BACKGROUND_COARSENESS
    coarse = _coarse(canvas, BACKGROUND_COARSENESS)
    picture = np.clip(mean + spread * rng.standard_normal(coarse, np.float32), 0, 255).astype(np.uint8)
    radii = np.array(BACKGROUND_RADII) * max(canvas) / BACKGROUND_COARSENESS
    greys = np.arange(256)
    _blobs(rng, picture, radii, rng.choice(greys[np.abs(greys - mean) >= DISTINCT], BACKGROUND_BLOBS))
    _box_blur(picture, rng.uniform(*BACKGROUND_KERNELS) * scale / BACKGROUND_COARSENESS)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def texture(rng: np.random.Generator, size: tuple[int, int], greys: np.ndarray, scale: float) -> np.ndarray:
    """A blob texture to fill a shape with, `size` = (H, W) uint8.

    Args:
        greys: (K,) what the blobs and the ground between them choose from.
        scale: of the canvas, `scale_of`.
    """
    kernel = rng.uniform(*TEXTURE_KERNELS) * scale / TEXTURE_COARSENESS
    # Drawn with a border as wide as the blur reaches, so that the blur finds at the edges what it finds elsewhere.
    border = int(np.ceil(kernel / 2.0)) + 1
    height, width = (side + 2 * border for side in _coarse(size, TEXTURE_COARSENESS))
    picture = np.full((height, width), rng.choice(greys), np.uint8)
    # As many blobs for the area as on a full canvas of the published proportions, 3 : 4.
    canvas_area = (PUBLISHED_SIDE * scale / TEXTURE_COARSENESS) ** 2 * 4.0 / 3.0
    count = rng.poisson(TEXTURE_BLOBS * height * width / canvas_area)
    radii = np.array((0.0, TEXTURE_RADIUS * scale / TEXTURE_COARSENESS))
    _blobs(rng, picture, radii, rng.choice(greys, count))
    _box_blur(picture, kernel)
    inner = picture[border : height - border, border : width - border]
    return cv2.resize(inner, size[::-1], interpolation=cv2.INTER_LINEAR)


def _coarse(size: tuple[int, int], coarseness: int) -> tuple[int, int]:
    return -(-size[0] // coarseness), -(-size[1] // coarseness)


def _blobs(rng: np.random.Generator, picture: np.ndarray, radii: np.ndarray, greys: np.ndarray) -> None:
    """Draw a disc of each of the greys (N,), anywhere, with a radius between the two `radii`."""
    one = 1 << _SUBPIXEL_BITS
    centres = (rng.random((len(greys), 2)) * (np.array(picture.shape[::-1]) * one)).astype(int).tolist()
    low, high = radii
    sizes = (rng.uniform(low, high, len(greys)) * one).astype(int).tolist()
    for centre, radius, grey in zip(centres, sizes, greys.tolist(), strict=True):
        cv2.circle(picture, centre, radius, grey, -1, cv2.LINE_8, _SUBPIXEL_BITS)


def _box_blur(picture: np.ndarray, kernel: float) -> None:
    side = max(1, round(kernel))
    cv2.blur(picture, (side, side), picture)


def contrasting(rng: np.random.Generator, *others: tuple[np.ndarray, int]) -> int | None:
    """A random grey far from others, or None where there is none.

    Args:
        others: pairs of greys (N,) and the least distance from each of them, grey levels.
    """
    free = np.ones(256, bool)
    for greys, distance in others:
        for grey in np.flatnonzero(np.bincount(greys, minlength=256)).tolist():
            free[max(0, grey - distance + 1) : grey + distance] = False
    left = np.flatnonzero(free)
    return int(left[rng.integers(len(left))]) if len(left) else None


def greys_along(picture: np.ndarray, lines: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """Greys of the picture at `offset` pixels to both sides of lines (M, 4), where that is inside; 1-D uint8."""
    points, normals = _along(lines.reshape(-1, 4), 0.0)
    points = np.concatenate([points - offset * normals, points + offset * normals]).reshape(-1, 2)
    nearest = np.rint(points).astype(np.intp)
    inside = ((nearest >= 0) & (nearest < picture.shape[::-1])).all(axis=1)
    x, y = nearest[inside].T
    return picture[y, x]


def seen_shares(picture: np.ndarray, lines: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of each line can be seen in the picture: over which share of its length its contrast reaches `VISIBLE`.

    The contrast at a point of a line is that between the two sides (an edge), or that between the line itself and the
    side which it resembles more (a stroke).

    Args:
        lines: (M, 4) x1 y1 x2 y2, pixels of the picture.
        widths: (M,) widths of the strokes that may lie on the lines, pixels; 0 for bare edges.

    Returns:
        (M,) shares in [0, 1], and those over which the contrast exceeds `INVISIBLE`.
    """
    points, normals = _along(lines, MARGIN)
    # Close by for bare edges, and beyond the stroke where there may be one.
    near = np.full(len(lines), max(1.5, BESIDE * scale_of(picture)))
    far = near + widths / 2.0
    offsets = np.stack([np.zeros_like(near), -near, near, -far, far])[:, :, None, None]
    nearest = np.rint(points + offsets * normals).astype(np.intp)
    limit = np.array(picture.shape[::-1]) - 1
    x, y = np.moveaxis(np.minimum(np.maximum(nearest, 0), limit), -1, 0)
    centre, *sides = picture[y, x].astype(np.int16)
    contrast = np.zeros_like(centre)
    for left, right in (sides[:2], sides[2:]):
        ridge = np.minimum(np.abs(centre - left), np.abs(centre - right))
        contrast = np.maximum(contrast, np.maximum(np.abs(left - right), ridge))
    return (contrast >= VISIBLE).mean(axis=1), (contrast > INVISIBLE).mean(axis=1)


def _along(lines: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """(M, SAMPLES, 2) points along lines (M, 4) without a margin at either end, and their unit normals (M, 1, 2)."""
    start, step = lines[:, None, :2], lines[:, None, 2:] - lines[:, None, :2]
    points = start + (margin + (1.0 - 2.0 * margin) * _POSITIONS) * step
    length = np.hypot(step[..., :1], step[..., 1:])
    return points, np.concatenate([-step[..., 1:], step[..., :1]], axis=-1) / np.maximum(length, 1e-9)


def soften(picture: np.ndarray, image_size: int) -> np.ndarray:
    """The network's image: Gaussian blur, then resize to `image_size` x `image_size` pixels, uint8.

    A blur of the published width or more leaves nothing finer than two pixels, so it is done at half the resolution.
    """
    kernel = 2 * round((FINAL_KERNEL * scale_of(picture) - 1.0) / 2.0) + 1
    variance = (0.3 * ((kernel - 1) / 2.0 - 1.0) + 0.8) ** 2  # OpenCV's sigma for this kernel
    if kernel >= FINAL_KERNEL:
        height, width = picture.shape
        picture = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        # The mean over two pixels has a variance of 1/4, linear interpolation of 1/6, at twice the distance 4/6.
        variance = (variance - 1.0 / 4.0 - 4.0 / 6.0 + 1.0 / 6.0) / 4.0
        kernel = 2 * (kernel // 4) + 3
    if kernel > 1:
        picture = cv2.GaussianBlur(picture, (kernel, kernel), math.sqrt(variance))
    return cv2.resize(picture, (image_size, image_size), interpolation=cv2.INTER_LINEAR)


def stroke(picture: np.ndarray, line: np.ndarray, grey: int, thickness: int) -> None:
    """Draw an antialiased stroke on a line (4,); it becomes `STROKE_EXCESS` pixels wider than `thickness`."""
    start, end = _fixed(line).reshape(2, 2).tolist()
    cv2.line(picture, start, end, grey, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def fill(picture: np.ndarray, corners: np.ndarray, grey: int) -> None:
    """Fill a polygon (N, 2) so that its border lies on the lines between the corners, not half a pixel outside."""
    points = _fixed(_inset(corners, np.full(len(corners), _FILL_EXCESS)))
    cv2.fillPoly(picture, [points], grey, cv2.LINE_8, _SUBPIXEL_BITS)


def fill_grid(picture: np.ndarray, vertices: np.ndarray, greys: np.ndarray) -> None:
    """Fill the cells between grid vertices (Y + 1, X + 1, 2), convex quadrilaterals, with greys (Y, X).

    Borders lie on the grid's lines: a cell's surplus is covered by its neighbours to the right and below, which are
    filled later, so that only its upper and left sides, and all sides on the rim, are drawn further inside.
    """
    rows, columns = greys.shape
    cells = np.stack([vertices[:-1, :-1], vertices[:-1, 1:], vertices[1:, 1:], vertices[1:, :-1]], axis=2)
    excess = np.full((rows, columns, 4), _FILL_EXCESS)
    excess[:, :-1, 1] = excess[:-1, :, 2] = 0.0
    points = _fixed(_inset(cells, excess)).reshape(-1, 4, 2)
    for cell, grey in zip(points, greys.reshape(-1).tolist(), strict=True):
        cv2.fillConvexPoly(picture, cell, grey, cv2.LINE_8, _SUBPIXEL_BITS)


def _inset(corners: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Polygons (..., N, 2) with side k, from corner k to the next, moved inside by amounts (..., N), pixels."""
    x, y = np.moveaxis(corners, -1, 0)
    dx, dy = np.roll(x, -1, axis=-1) - x, np.roll(y, -1, axis=-1) - y
    turn = np.sign(np.sum(x * dy - y * dx, axis=-1, keepdims=True)) / np.hypot(dx, dy)
    ahead_x, ahead_y = -dy * turn, dx * turn  # the inward normals
    back_x, back_y = np.roll(ahead_x, 1, axis=-1), np.roll(ahead_y, 1, axis=-1)
    # The new corner keeps both sides' distances; the bound leaves the tip of a needle where it is.
    sine = back_x * ahead_y - back_y * ahead_x
    sine = np.copysign(np.maximum(np.abs(sine), 0.1), sine)
    before = np.roll(amounts, 1, axis=-1)
    moved_x = x + (before * ahead_y - amounts * back_y) / sine
    moved_y = y + (amounts * back_x - before * ahead_x) / sine
    return np.stack([moved_x, moved_y], axis=-1)


def random_thickness(rng: np.random.Generator, picture: np.ndarray, low: float, high: float) -> int:
    """A random thickness between two shares of the canvas's shorter side, whole pixels."""
    return max(1, int(rng.uniform(low, high) * min(picture.shape)))


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(points) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
