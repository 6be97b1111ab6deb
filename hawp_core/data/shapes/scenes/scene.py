"""A photographic scene while it is painted: greys, which surface each pixel shows, and lines that may be labelled.

Surfaces are painted from back to front. Each pixel keeps the number of the surface that it shows last, so that a line
knows at the end where it can still be seen (`visibility.py`), and so that texture and gradients are laid over each
surface only once, at the size at which the picture is read (`finishing.py`).

Lengths are canvas pixels unless they say that they are shares of the canvas's shorter side.

Shape legend: K quadrilaterals, M lines, N corners.
"""

import math

import cv2
import numpy as np

# Contrast of a surface with its neighbour: log-normal, grey levels.
CONTRAST_MEDIAN, CONTRAST_SIGMA = 25.0, 0.85
CONTRAST_RANGE = (6.0, 170.0)
DARKEST, LIGHTEST = 8, 246
# A stroke up to this width is labelled along its centre, from the other one on along both its sides; none is drawn
# in between, where either label would be half right. Shares of the shorter side.
THIN, WIDE = 0.0075, 0.015
# OpenCV's smoothed and plain filling reach so many pixels further than the corners say.
_EXCESSES = np.array([0.65, 0.47])
_SUBPIXEL_BITS = 8
# They are numbered by a byte; whatever comes later shares the last number. No scene comes near it.
MOST_SURFACES = 256
# Corners farther outside than this many pixels would overflow OpenCV's coordinates.
_FARTHEST = 1e6
# A share of the surfaces is rough: sigma of a texture of fine grains, grey levels, log-normal.
ROUGH, ROUGH_MEDIAN = 0.35, 7.0


class Scene:
    """Greys, surfaces and candidate lines of a picture on a canvas of (H, W) pixels.

    Attributes:
        grey: (H, W) uint8.
        owner: (H, W) uint8, the surface that each pixel shows; 0 is the background.
        texture: of each surface, how strong its 1/f texture is, grey levels.
        leaves: of each surface, how strong its texture of grains or leaves is, grey levels.
        slope: of each surface, grey levels across the shorter side in x and in y.
    """

    def __init__(self, rng: np.random.Generator, canvas: tuple[int, int]) -> None:
        self.rng, self.canvas = rng, canvas
        self.short = min(canvas)
        self.grey = np.full(canvas, rng.integers(DARKEST, LIGHTEST), np.uint8)
        self.owner = np.zeros(canvas, np.uint8)
        self.texture, self.leaves, self.slope = [self._texture()], [self._roughness()], [self._slope()]
        self._lines: list[np.ndarray] = []
        self._owners: list[np.ndarray] = []

    @property
    def lines(self) -> np.ndarray:
        """(M, 4) every candidate line, hidden ones too."""
        return np.concatenate(self._lines) if self._lines else np.zeros((0, 4))

    @property
    def owners(self) -> np.ndarray:
        """(M, 3) for each line the surfaces on either side (-1: none), and 1 where it is a stroke's centre, else 0."""
        return np.concatenate(self._owners) if self._owners else np.zeros((0, 3), np.int64)

    def _texture(self) -> float:
        return min(14.0, float(self.rng.lognormal(math.log(2.5), 0.8)))

    def _roughness(self) -> float:
        return min(30.0, float(self.rng.lognormal(math.log(ROUGH_MEDIAN), 0.7))) if self.rng.random() < ROUGH else 0.0

    def _slope(self) -> tuple[float, float]:
        x, y = self.rng.normal(0.0, 14.0, 2)
        return float(x), float(y)

    def surface(self, *, leaves: float = 0.0, like: int | None = None, plain: bool = False) -> int:
        """The number of a new surface, with its own texture and gradient or those of another one.

        Args:
            leaves: strength of a leafy texture, grey levels.
            plain: without rough texture, which would cut a thin stroke into dashes.
        """
        if len(self.texture) == MOST_SURFACES:
            return MOST_SURFACES - 1
        self.texture.append(self._texture() if like is None else self.texture[like])
        self.slope.append(self._slope() if like is None else self.slope[like])
        self.leaves.append(leaves or (0.0 if plain else self._roughness()))
        return len(self.texture) - 1

    def apart(self, grey: float, factor: float = 1.0) -> int:
        """A grey that differs from another one as the parts of photographs do: mostly a little."""
        contrast = factor * self.rng.lognormal(math.log(CONTRAST_MEDIAN), CONTRAST_SIGMA)
        contrast = min(max(contrast, CONTRAST_RANGE[0]), CONTRAST_RANGE[1])
        up, down = LIGHTEST - grey, grey - DARKEST
        if contrast > max(up, down):
            return LIGHTEST if up > down else DARKEST
        upwards = contrast <= up and (contrast > down or self.rng.random() < 0.5)
        return round(grey + contrast if upwards else grey - contrast)

    def polygon(self, corners: np.ndarray, grey: int, owner: int) -> None:
        """Paint a polygon (N, 2)."""
        if len(corners) < 3:
            return
        smooth, plain = _shrunk(corners)
        cv2.fillPoly(self.grey, [smooth], grey, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.fillPoly(self.owner, [plain], owner, cv2.LINE_8, _SUBPIXEL_BITS)

    def quads(self, corners: np.ndarray, greys: np.ndarray | int, owner: int) -> np.ndarray:
        """Paint convex quadrilaterals (K, 4, 2) with greys (K,); which of them reach into the picture, (K,) bool."""
        limit = np.array(self.canvas[::-1])
        inside = ((corners.max(axis=1) > 0) & (corners.min(axis=1) < limit)).all(axis=1)
        chosen = corners[inside]
        if len(chosen):
            tones = np.broadcast_to(greys, len(corners))[inside].tolist()
            smooth, plain = _shrunk(chosen)
            for a, b, grey in zip(smooth, plain, tones, strict=True):
                cv2.fillConvexPoly(self.grey, a, grey, cv2.LINE_AA, _SUBPIXEL_BITS)
                cv2.fillConvexPoly(self.owner, b, owner, cv2.LINE_8, _SUBPIXEL_BITS)
        return inside

    def edge(
        self, lines: np.ndarray, owner: int | list[int], other: int | list[int] = -1, *, centre: bool = False
    ) -> None:
        """Lines (M, 4) that border on a surface each, or on two, or run along the centre of a stroke."""
        lines = np.asarray(lines, np.float64).reshape(-1, 4)
        owners = np.empty((len(lines), 3), np.int64)
        owners[:, 0], owners[:, 1], owners[:, 2] = owner, other, centre
        self._lines.append(lines)
        self._owners.append(owners)

    def outlined(self, corners: np.ndarray, grey: int, owner: int) -> None:
        """Paint a polygon (N, 2) all of whose sides may be labelled."""
        self.polygon(corners, grey, owner)
        if len(corners) > 2:
            self.edge(outline(corners), owner)

    def outlined_quads(self, corners: np.ndarray, greys: np.ndarray | int, owner: int) -> None:
        """Paint quadrilaterals (K, 4, 2) all of whose sides may be labelled."""
        inside = self.quads(corners, greys, owner)
        chosen = corners[inside]
        self.edge(np.concatenate([chosen, np.roll(chosen, -1, axis=1)], axis=-1).reshape(-1, 4), owner)

    def strokes(self, lines: np.ndarray, width: np.ndarray | float, greys: np.ndarray | int, owner: int) -> None:
        """Paint straight strokes along lines (M, 4), and label their centres, or both sides if they are wide."""
        lines = np.asarray(lines, np.float64).reshape(-1, 4)
        half = np.broadcast_to(np.asarray(width, np.float64), len(lines))[:, None] / 2.0
        step = lines[:, 2:] - lines[:, :2]
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(np.hypot(*step.T), 1e-9)[:, None] * half
        start, end = lines[:, :2], lines[:, 2:]
        corners = np.stack([start - normal, end - normal, end + normal, start + normal], axis=1)
        self.strips(corners, greys, owner)

    def strips(self, corners: np.ndarray, greys: np.ndarray | int, owner: int) -> None:
        """Paint long quadrilaterals (K, 4, 2), corners 0 to 1 along one side; labelled as `strokes`."""
        inside = self.quads(corners, greys, owner)
        chosen = corners[inside]
        sides = np.stack([chosen[:, [0, 1]], chosen[:, [3, 2]]], axis=1)
        middle = sides.mean(axis=1)
        width = np.hypot(*(sides[:, 1] - sides[:, 0]).mean(axis=1).T)
        thin = width < (THIN + WIDE) / 2.0 * self.short
        self.edge(middle[thin].reshape(-1, 4), owner, centre=True)
        self.edge(sides[~thin].reshape(-1, 4), owner)

    def thickness(self, wide: float = 0.2) -> float:
        """A random width of a stroke; with probability `wide` it has two sides to label."""
        if self.rng.random() < wide:
            return float(self.rng.uniform(WIDE, 2.5 * WIDE)) * self.short
        return float(self.rng.uniform(0.25 * THIN, THIN)) * self.short


def _shrunk(corners: np.ndarray) -> np.ndarray:
    """Polygons (..., N, 2) in OpenCV's fixed point, (2, ..., N, 2): so much smaller that smoothed filling, and plain
    filling, cover what lies between the corners."""
    count = corners.shape[-2]
    ahead = np.minimum(np.maximum(corners, -_FARTHEST), _FARTHEST)
    x, y = ahead[..., 0], ahead[..., 1]
    after, before = np.arange(1, count + 1) % count, np.arange(-1, count - 1)
    dx, dy = x[..., after] - x, y[..., after] - y
    area = (x * dy - y * dx).sum(axis=-1, keepdims=True)
    turn = np.where(area < 0.0, -1.0, 1.0) / np.maximum(np.sqrt(dx * dx + dy * dy), 1e-9)
    nx, ny = -dy * turn, dx * turn  # the inward normals of the sides
    bx, by = nx[..., before], ny[..., before]
    # The corner moves along both normals; the bound leaves the tip of a needle where it is.
    scale = 1.0 / np.maximum(1.0 + nx * bx + ny * by, 0.3)
    inward = np.stack([(nx + bx) * scale, (ny + by) * scale], axis=-1)
    moved = ahead + _EXCESSES.reshape(2, *[1] * corners.ndim) * inward
    return np.rint(moved * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def outline(corners: np.ndarray) -> np.ndarray:
    """The sides (N, 4) of a polygon (N, 2)."""
    return np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
