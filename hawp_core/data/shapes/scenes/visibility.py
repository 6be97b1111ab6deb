"""Which parts of a scene's lines can be seen: not hidden by what was painted later, and not too faint.

Lines are followed in steps of about a pixel. A step counts where one of the line's own surfaces shows beside it, and
where the greys on its two sides differ in the picture without noise.

Shape legend: M lines, T steps of all lines together, R runs of steps that count.
"""

import cv2
import numpy as np

from hawp_core.geometry.homography import clip_lines

# Pixels of the canvas: one step, and how far beside a line its surfaces are looked for.
STEP, BESIDE = 2.0, 2.0
# Pixels of the picture: how far beside a line greys are compared. Farther off, it might be another line that is seen.
REACH = 1.75
# Steps to either side over which greys are averaged along the line, so that texture does not pass for an edge.
WINDOW = 6
# Grey levels: a step is seen from the first on, a line is labelled if the mean of its steps reaches the second.
FAINTEST, LEAST = 5.0, 8.0
# And a step is seen only if the contrast is this multiple of how much it varies along the line nearby: texture.
STANDING_OUT = 0.8
# Shares of the canvas's shorter side: what hides less does not cut a line, nor does what is faint for less than
# `FADING`; what is left closer to a line's own end than `SNAP` is that end; what is shorter than `SHORTEST` is not
# labelled.
BRIDGE, FADING, SNAP, SHORTEST = 0.013, 0.1, 0.012, 0.03
# A line is labelled only if so much of it is seen.
SEEN = 0.7


def visible_lines(
    lines: np.ndarray, owners: np.ndarray, owner: np.ndarray, picture: np.ndarray, noise: float = 0.0
) -> np.ndarray:
    """The parts of a scene's lines that can be seen.

    Args:
        lines: (M, 4) on the canvas, pixels.
        owners: (M, 3) as `Scene.owners`.
        owner: (H, W) the surface that each pixel of the canvas shows.
        picture: (S, S) float32, the finished picture without noise.
        noise: sigma of the noise that will cover it, grey levels.

    Returns:
        (K, 4) float64 in pixels of the picture.
    """
    size, short = len(picture), min(owner.shape)
    factor = np.tile(size / np.array(owner.shape[::-1]), 2)
    clipped, rows = clip_lines((lines + 0.5) * factor - 0.5, size, size)
    drawn = (clipped + 0.5) / factor - 0.5
    length = np.hypot(drawn[:, 2] - drawn[:, 0], drawn[:, 3] - drawn[:, 1])
    long = length >= SHORTEST * short
    drawn, clipped, length, owners = drawn[long], clipped[long], length[long], owners[rows[long]]
    if not len(drawn):
        return np.zeros((0, 4))
    counts = np.maximum(np.ceil(length / STEP).astype(np.intp), 2)
    line = np.repeat(np.arange(len(drawn)), counts)
    first = np.cumsum(counts) - counts
    place = (np.arange(len(line)) - first[line] + 0.5) / counts[line]
    shown = _shown(drawn, owners, line, place, owner)
    contrast, seen = _contrast(picture, clipped, line, place, first, counts)
    seen &= shown
    begin, end = _runs(shown, seen, line, BRIDGE * short / STEP, FADING * short / STEP)
    if not len(begin):
        return np.zeros((0, 4))
    of = line[begin]
    # Shares of the line; near its ends the line's own ends.
    snap = SNAP * short / length[of]
    low = place[begin] - 0.5 / counts[of]
    high = place[end] + 0.5 / counts[of]
    low, high = np.where(low <= snap, 0.0, low), np.where(high >= 1.0 - snap, 1.0, high)
    steps, strength = (
        np.append(0.0, np.cumsum(values))[end + 1] - np.append(0.0, np.cumsum(values))[begin]
        for values in (seen, np.where(shown, contrast, 0.0))
    )
    strong = (strength >= max(LEAST, noise) * (end + 1 - begin)) & (steps >= SEEN * (end + 1 - begin))
    kept = ((high - low) * length[of] >= SHORTEST * short) & strong
    start, step = clipped[of, :2], clipped[of, 2:] - clipped[of, :2]
    ends = np.where(high[:, None] == 1.0, clipped[of, 2:], start + high[:, None] * step)
    return np.concatenate([start + low[:, None] * step, ends], axis=1)[kept]


def _points(lines: np.ndarray, line: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 2) points at shares `place` of their lines, and the unit normals there."""
    step = lines[:, 2:] - lines[:, :2]
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
    return lines[line, :2] + place[:, None] * step[line], normal[line]


def _shown(lines: np.ndarray, owners: np.ndarray, line: np.ndarray, place: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """(T,) bool: whether a surface of the line shows at the step, beside it or, for a stroke, on it."""
    points, normals = _points(lines, line, place)
    beside = np.where(owners[line, 2:] == 1, 0.0, BESIDE) * normals
    limit = np.array(owner.shape[::-1]) - 1
    shown = np.zeros(len(line), bool)
    for sign in (-1.0, 1.0):
        x, y = np.clip(np.rint(points + sign * beside).astype(np.intp), 0, limit).T
        there = owner[y, x]
        shown |= (there == owners[line, 0]) | (there == owners[line, 1])
    return shown


def _contrast(
    picture: np.ndarray, lines: np.ndarray, line: np.ndarray, place: np.ndarray, first: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T,) grey levels across the line at each step, averaged over `WINDOW`, and bool: whether it is seen there.

    It is seen as an edge, by its two sides, or as a thin stroke, by itself and the side that it resembles more.
    """
    points, normals = _points(lines, line, place)
    # OpenCV's remap takes maps of fewer than 32,768 columns.
    width = 4096
    maps = np.zeros((2, 3, -(-len(line) // width) * width), np.float32)
    for k, reach in enumerate((0.0, -REACH, REACH)):
        maps[:, k, : len(line)] = (points + reach * normals).T
    x, y = maps.reshape(2, -1, width)
    greys = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    middle, left, right = greys.reshape(3, -1)[:, : len(line)]
    begin = np.maximum(np.arange(len(line)) - WINDOW, first[line])
    end = np.minimum(np.arange(len(line)) + WINDOW + 1, (first + counts)[line])
    below, above = middle - left, middle - right
    # A ridge or a valley: both sides are darker, or both lighter.
    ridge = np.where(below * above > 0.0, np.where(np.abs(below) < np.abs(above), below, above), np.float32(0.0))
    contrast, seen = np.zeros(len(line)), np.zeros(len(line), bool)
    for across in (left - right, ridge):
        total = np.zeros((2, len(line) + 1))
        np.cumsum([across, across * across], axis=1, out=total[:, 1:])
        mean, square = (total[:, end] - total[:, begin]) / (end - begin)
        strong = np.abs(mean) >= STANDING_OUT * np.sqrt(np.maximum(square - mean * mean, 0.0))
        seen |= strong & (np.abs(mean) >= FAINTEST)
        np.maximum(contrast, np.abs(mean), where=strong, out=contrast)
    return contrast, seen


def _runs(
    shown: np.ndarray, seen: np.ndarray, line: np.ndarray, bridge: float, fading: float
) -> tuple[np.ndarray, np.ndarray]:
    """First and last steps (R,) of the runs of steps that are seen.

    Args:
        shown, seen: (T,) bool; what is seen is shown.
        line: (T,) whose steps they are.
        bridge, fading: so many steps in a row that are hidden, or not seen, do not end a run.
    """
    steps = np.flatnonzero(seen)
    if not len(steps):
        return steps, steps
    hidden = np.diff(np.cumsum(~shown)[steps])
    apart = (np.diff(steps) - 1 > fading) | (hidden > bridge) | (np.diff(line[steps]) != 0)
    return steps[np.append(True, apart)], steps[np.append(apart, True)]
