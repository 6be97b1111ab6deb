"""Homographies: drawn, and applied to points and lines.

A homography is a 3x3 matrix H that takes a point of the image to the point of the warped image that shows it,
both in pixels with the centre of the top-left pixel at (0, 0): (u, v, w) = H (x, y, 1), and the warped point is
(u / w, v / w). Its sign is such that w > 0 in front of the camera; this holds for every matrix made here, and for
their products and inverses. A point with w <= 0 has no image: it becomes NaN, and pixels that would come from
such points are invalid.

Shape legend: M lines, N points.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

# Views without artifacts: a draw whose patch leaves the image is drawn again at most so often.
MAX_DRAWS = 100
# Candidates of which one is taken, as in the published program.
SCALE_STEPS = 5
ANGLE_STEPS = 25
# Of every five views one shows nothing from beyond the image's border (the published program: the first fifth).
WHOLE_VIEW_SHARE = 5
# Pixels. A shorter piece of a line, left over by clipping, shows nothing.
MIN_LINE = 1.0
# Pixels. Single precision at coordinates up to a few thousand; keeps the outermost pixel centres valid.
TOLERANCE = 1e-3
# A homogeneous w below this counts as behind the camera; visible points have w near 1.
MIN_W = 1e-6


def sample_homography(
    rng: np.random.Generator,
    width: int,
    height: int,
    *,
    patch_ratio: float,
    perspective: float,
    scale: float,
    max_angle: float = math.pi / 2,
    translation: bool = True,
    artifacts: bool = True,
    overflow: float = 0.0,
) -> np.ndarray:
    """Draw the homography that takes the whole image frame to a random patch of it (SuperPoint, arXiv 1712.07629, section 5.2).

    The warped image therefore shows the image shrunk into the patch, with nothing around it; the inverse zooms in.
    The frame is the rectangle of the pixels' areas, -0.5 to width - 0.5.

    Args:
        patch_ratio: side of the undisturbed patch as a share of the frame, in (0, 1].
        perspective: amplitude of the corners' displacement, share of the frame; normal, sigma half of it.
        scale: amplitude of the patch's scaling around 1; normal, sigma half of it.
        max_angle: largest rotation, radians; rotations are taken from `ANGLE_STEPS` steps of +-max_angle.
        translation: move the patch to a random place instead of leaving it in the centre.
        artifacts: the patch may leave the image; where not, only draws inside it are taken.
        overflow: with artifacts, how far beyond the frame translation may carry the patch, share of the frame.

    Returns:
        (3, 3) float64, image to warped image.
    """
    margin = (1.0 - patch_ratio) / 2.0
    centred = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]) * patch_ratio + margin
    if not artifacts:
        perspective, overflow = min(perspective, margin), 0.0
    for _ in range(MAX_DRAWS):
        patch = centred + _corner_displacements(rng, perspective)
        patch = _pick(rng, _scaled(patch, rng.normal(1.0, scale / 2.0, SCALE_STEPS)), artifacts)
        if patch is not None and translation:
            patch = _translated(rng, patch, overflow)
        if patch is not None:
            patch = _pick(rng, _rotated(patch, np.linspace(-max_angle, max_angle, ANGLE_STEPS)), artifacts)
        if patch is not None and _is_convex(patch):
            return _frame_to_patch(patch, width, height)
    return _frame_to_patch(centred, width, height)


def sample_views(
    seeds: Sequence[Sequence[int]],
    size: int,
    *,
    enlarge: bool = True,
    patch_ratio: float = 0.85,
    perspective: float = 0.2,
    scale: float = 0.2,
    max_angle: float = math.pi / 2,
) -> np.ndarray:
    """The warped views of a square image: (V, 3, 3) float64, image to view, pixels. The published ones by default.

    Args:
        seeds: of each view.
        size: side of the image and of the views, pixels.
        enlarge: every other view shows a part of the image enlarged, instead of all of it shrunk.
        patch_ratio, perspective, scale, max_angle: as in `sample_homography`.
    """
    views = np.empty((len(seeds), 3, 3))
    for number, seed in enumerate(seeds):
        shrunk = sample_homography(
            np.random.default_rng(seed),
            size,
            size,
            patch_ratio=patch_ratio,
            perspective=perspective,
            scale=scale,
            max_angle=max_angle,
            artifacts=number > len(seeds) // WHOLE_VIEW_SHARE,
        )
        views[number] = np.linalg.inv(shrunk) if enlarge and number % 2 == 1 else shrunk
    return views


def _corner_displacements(rng: np.random.Generator, amplitude: float) -> np.ndarray:
    """(4, 2): left and right edges move sideways, and one of them grows as much as the other shrinks."""
    vertical, left, right = rng.normal(0.0, amplitude / 2.0, 3)
    return np.array([[left, vertical], [left, -vertical], [right, vertical], [right, -vertical]])


def _scaled(patch: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(K, 4, 2): the patch unscaled, then scaled about its centre by every factor."""
    centre = patch.mean(axis=0)
    return (patch - centre) * np.concatenate([[1.0], factors])[:, None, None] + centre


def _rotated(patch: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(K, 4, 2): the patch unrotated, then rotated about its centre by every angle."""
    angles = np.concatenate([[0.0], angles])
    turn = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1).reshape(-1, 2, 2)
    centre = patch.mean(axis=0)
    return (patch - centre) @ turn + centre


def _pick(rng: np.random.Generator, candidates: np.ndarray, artifacts: bool) -> np.ndarray | None:
    """One of the candidates: any but the unchanged first, or, without artifacts, any inside the frame."""
    if artifacts:
        return candidates[1 + rng.integers(len(candidates) - 1)]
    inside = np.flatnonzero(((candidates > -1e-9) & (candidates < 1.0 + 1e-9)).all(axis=(1, 2)))
    return candidates[rng.choice(inside)] if len(inside) else None


def _translated(rng: np.random.Generator, patch: np.ndarray, overflow: float) -> np.ndarray:
    # A patch larger than the frame swaps the bounds: it then moves so that it keeps covering the frame.
    bounds = np.stack([-patch.min(axis=0) - overflow, 1.0 - patch.max(axis=0) + overflow])
    return patch + rng.uniform(bounds.min(axis=0), bounds.max(axis=0))


def _is_convex(patch: np.ndarray) -> bool:
    """Whether the corners turn one way; a patch that crosses itself would fold the image over the horizon."""
    sides = np.roll(patch, -1, axis=0) - patch
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    return bool((turns < 0).all())


def _frame_to_patch(patch: np.ndarray, width: int, height: int) -> np.ndarray:
    """Homography from the unit frame's corners to `patch` (4, 2), expressed in pixels."""
    frame = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    system = np.zeros((8, 8))
    system[0::2, 0:2] = system[1::2, 3:5] = frame
    system[0::2, 2] = system[1::2, 5] = 1.0
    system[:, 6:] = -np.repeat(frame, 2, axis=0) * patch.reshape(8, 1)
    unit = np.append(np.linalg.solve(system, patch.reshape(8)), 1.0).reshape(3, 3)
    to_pixels = np.array([[width, 0.0, -0.5], [0.0, height, -0.5], [0.0, 0.0, 1.0]])
    return to_pixels @ unit @ np.linalg.inv(to_pixels)


def name_number(name: str) -> int:
    """A number of an image's name, below 2^64, to seed its homographies with."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def warp_points(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Warp points (..., 2); float64, NaN where the point lies behind the camera."""
    warped = np.asarray(points, np.float64) @ homography[:, :2].T + homography[:, 2]
    w = warped[..., 2:]
    return np.where(w > MIN_W, warped[..., :2] / np.where(w > MIN_W, w, 1.0), np.nan)


def warp_lines(homography: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Warp lines (M, 4), x1 y1 x2 y2; float64.

    A line that passes behind the camera is first cut where it does; one that lies wholly behind becomes NaN.
    """
    ends = np.asarray(lines, np.float64).reshape(-1, 2, 2)
    w = ends @ homography[2, :2] + homography[2, 2]
    if (w <= MIN_W).any():
        span = w[:, 1] - w[:, 0]
        # The cut lies a little in front, so that rounding does not put it behind again.
        cut = np.clip((2.0 * MIN_W - w[:, 0]) / np.where(span == 0.0, 1.0, span), 0.0, 1.0)
        at_cut = ends[:, 0] + cut[:, None] * (ends[:, 1] - ends[:, 0])
        one_behind = (w <= MIN_W) & (w[:, ::-1] > MIN_W)
        ends = np.where(one_behind[..., None], at_cut[:, None], ends)
    return warp_points(homography, ends).reshape(-1, 4)


def clip_lines(
    lines: np.ndarray, width: int, height: int, *, min_length: float = MIN_LINE
) -> tuple[np.ndarray, np.ndarray]:
    """Cut lines to the rectangle of pixel centres, [0, width - 1] x [0, height - 1] (Liang and Barsky 1984).

    Args:
        lines: (M, 4) x1 y1 x2 y2; rows with NaN are left out.
        min_length: pixels; what is shorter after clipping is left out.

    Returns:
        (K, 4) float64 the clipped lines, direction kept, and (K,) int64 the rows of `lines` they come from.
    """
    lines = np.asarray(lines, np.float64).reshape(-1, 4)
    start, step = lines[:, :2], lines[:, 2:] - lines[:, :2]
    limit = np.array([width - 1.0, height - 1.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        at_low, at_high = -start / step, (limit - start) / step
    # Parallel to a border: never enters or leaves; inside or outside is decided by the start alone.
    parallel = step == 0.0
    enter = np.where(parallel, 0.0, np.minimum(at_low, at_high)).max(axis=1, initial=0.0)
    leave = np.where(parallel, 1.0, np.maximum(at_low, at_high)).min(axis=1, initial=1.0)
    outside = (parallel & ((start < 0.0) | (start > limit))).any(axis=1)
    begin, end = start + enter[:, None] * step, start + leave[:, None] * step
    # An end that was inside keeps its exact coordinates, so that lines which share it still do.
    end = np.where((leave == 1.0)[:, None], lines[:, 2:], end)
    clipped = np.concatenate([np.clip(begin, 0.0, limit), np.clip(end, 0.0, limit)], axis=1)
    length = np.hypot(clipped[:, 2] - clipped[:, 0], clipped[:, 3] - clipped[:, 1])
    kept = np.flatnonzero((enter <= leave) & ~outside & (length >= max(min_length, 1e-9)))
    return clipped[kept], kept
