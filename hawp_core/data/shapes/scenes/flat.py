"""Photographic scenes without depth: a heap of flat figures, and pictures of nothing straight."""

import math

import cv2
import numpy as np

from hawp_core.data.shapes.scenes import clutter
from hawp_core.data.shapes.scenes.scene import Scene

# Two neighbouring sides of a polygon turn at a corner by so much at least, radians.
LEAST_TURN = 0.35


def backdrop(scene: Scene) -> None:
    """What lies behind everything: a blotchy field, from even to wild."""
    rng = scene.rng
    side = int(rng.choice([2, 4, 8, 16]))
    blotches = rng.normal(0.0, rng.choice([1.0, 4.0, 12.0]), (side, side)) + rng.uniform(30, 220)
    # Smooth at a coarse size first: cubic interpolation of the whole canvas would take longer than all the rest.
    coarse = cv2.resize(np.clip(blotches, 4, 251).astype(np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
    cv2.resize(coarse, scene.canvas[::-1], scene.grey, interpolation=cv2.INTER_LINEAR)


def collage(scene: Scene) -> None:
    """Four to nine figures one over the other, and clutter between them."""
    rng = scene.rng
    backdrop(scene)
    clutter.scatter(scene, 0.7)
    figures = (_polygon, _polygon, _bars, _star, _strokes, clutter.ellipses)
    for _ in range(rng.integers(4, 10)):
        figures[rng.integers(len(figures))](scene)
    clutter.scatter(scene, 0.5)


def no_lines(scene: Scene) -> None:
    """Nothing that is straight: every kind of clutter, several times."""
    rng = scene.rng
    backdrop(scene)
    kinds = (clutter.foliage, clutter.ellipses, clutter.curves, clutter.scribble, clutter.specks)
    for _ in range(rng.integers(2, 8)):
        kinds[rng.integers(len(kinds))](scene)


def _centre(scene: Scene) -> np.ndarray:
    return scene.rng.random(2) * scene.canvas[::-1]


def _beneath(scene: Scene, point: np.ndarray) -> int:
    height, width = scene.canvas
    return int(scene.grey[min(max(int(point[1]), 0), height - 1), min(max(int(point[0]), 0), width - 1)])


def _polygon(scene: Scene) -> None:
    """A polygon of 3 to 7 sides, and often one more inside it."""
    rng = scene.rng
    centre, radius = _centre(scene), scene.short * rng.uniform(0.05, 0.45)
    count = int(rng.integers(3, 8))
    angles = (np.arange(count) + rng.uniform(0.15, 0.85, count)) * (2.0 * math.pi / count)
    reach = radius * rng.uniform(0.55, 1.0, (count, 1))
    corners = reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    back, ahead = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    turn = back[:, 0] * ahead[:, 1] - back[:, 1] * ahead[:, 0]
    kept = np.arctan2(turn, (back * ahead).sum(axis=1)) > LEAST_TURN
    corners = corners[kept]
    if len(corners) < 3:
        return
    grey = scene.apart(_beneath(scene, centre))
    scene.outlined(centre + corners, grey, scene.surface())
    if rng.random() < 0.4:
        scene.outlined(centre + rng.uniform(0.4, 0.8) * corners, scene.apart(grey), scene.surface())


def _bars(scene: Scene) -> None:
    """A row of parallel bars."""
    rng, short = scene.rng, scene.short
    centre, angle = _centre(scene), rng.uniform(0.0, math.pi)
    along, across = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    length, gap = short * rng.uniform(0.1, 0.8), short * rng.uniform(0.03, 0.1)
    middles = centre + (np.arange(rng.integers(2, 9))[:, None] * gap) * across
    ends = np.concatenate([middles - along * length / 2.0, middles + along * length / 2.0], axis=1)
    width = min(scene.thickness(0.5), 0.5 * gap)
    scene.strokes(ends, width, scene.apart(_beneath(scene, centre)), scene.surface(plain=True))


def _star(scene: Scene) -> None:
    """Strokes from one centre."""
    rng, short = scene.rng, scene.short
    count = int(rng.integers(3, 6))
    centre, width = _centre(scene), scene.thickness(0.0)
    angles = (np.arange(count) + rng.uniform(0.1, 0.8, count)) * (2.0 * math.pi / count)
    reach = short * rng.uniform(0.06, 0.4, (count, 1))
    ends = centre + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    grey = scene.apart(_beneath(scene, centre))
    scene.strokes(np.concatenate([np.tile(centre, (count, 1)), ends], axis=1), width, grey, scene.surface(plain=True))


def _strokes(scene: Scene) -> None:
    """A few strokes anywhere."""
    rng = scene.rng
    for _ in range(rng.integers(1, 5)):
        centre, angle = _centre(scene), rng.uniform(0.0, 2.0 * math.pi)
        reach = scene.short * rng.uniform(0.03, 0.4) * np.array([math.cos(angle), math.sin(angle)])
        line = np.concatenate([centre - reach, centre + reach])
        scene.strokes(line[None], scene.thickness(0.3), scene.apart(_beneath(scene, centre)), scene.surface(plain=True))
