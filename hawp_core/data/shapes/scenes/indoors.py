"""Photographic scenes with furniture: rooms from inside, boxes one before the other, tiled floors."""

import itertools

import numpy as np

from hawp_core.data.shapes.scenes import clutter, facades
from hawp_core.data.shapes.scenes.camera import Wall, random_camera
from hawp_core.data.shapes.scenes.flat import backdrop
from hawp_core.data.shapes.scenes.scene import Scene
from hawp_core.data.shapes.scenes.solids import AWAY, DOWN, RIGHT, furniture, ground, least_tile, paved


def room(scene: Scene) -> None:
    """A room from inside: walls, floor, ceiling, what hangs on them, and furniture."""
    rng = scene.rng
    camera = random_camera(rng, scene.canvas, yaw=0.6)
    left, right = -rng.uniform(1.2, 4.0), rng.uniform(1.2, 4.0)
    away, high = rng.uniform(3.0, 8.0), rng.uniform(2.4, 3.6)
    back = -0.5
    corner = {
        (i, j, k): np.array([(left, right)[i], (-high, 0.0)[j], (back, away)[k]])
        for i in (0, 1)
        for j in (0, 1)
        for k in (0, 1)
    }
    deep = away - back
    inside = {
        "floor": Wall(corner[0, 1, 1], RIGHT, -AWAY, (right - left, deep)),
        "ceiling": Wall(corner[0, 0, 0], RIGHT, AWAY, (right - left, deep)),
        "left": Wall(corner[0, 0, 0], AWAY, DOWN, (deep, high)),
        "right": Wall(corner[1, 0, 1], -AWAY, DOWN, (deep, high)),
        "back": Wall(corner[0, 0, 1], RIGHT, DOWN, (right - left, high)),
    }
    wall_grey = int(rng.integers(40, 225))
    greys = {name: scene.apart(wall_grey, 0.45 if name in ("left", "right", "back") else 0.9) for name in inside}
    owners = {}
    for name, wall in inside.items():
        owners[name] = scene.surface()
        scene.polygon(camera.polygon(wall.corners), greys[name], owners[name])
    for ends, pair in (
        (((0, 1, 0), (0, 1, 1)), ("floor", "left")), (((1, 1, 0), (1, 1, 1)), ("floor", "right")),
        (((0, 1, 1), (1, 1, 1)), ("floor", "back")), (((0, 0, 0), (0, 0, 1)), ("ceiling", "left")),
        (((1, 0, 0), (1, 0, 1)), ("ceiling", "right")), (((0, 0, 1), (1, 0, 1)), ("ceiling", "back")),
        (((0, 0, 1), (0, 1, 1)), ("left", "back")), (((1, 0, 1), (1, 1, 1)), ("right", "back")),
    ):  # fmt: skip
        scene.edge(camera.line(np.array([corner[ends[0]], corner[ends[1]]])), owners[pair[0]], owners[pair[1]])
    level = least_tile(scene, camera, away)
    for name, chance, side in (("floor", 0.5, 0.3), ("ceiling", 0.35, 0.5), ("left", 0.2, 0.6), ("right", 0.2, 0.6)):
        if rng.random() < chance:
            side = max(side * rng.uniform(1.0, 3.0), level) if name in ("floor", "ceiling") else rng.uniform(0.6, 1.5)
            facades.tiles(scene, camera, inside[name], greys[name], side)
    hung = (facades.poster, facades.poster, facades.panels, facades.books)
    for name in ("left", "right", "back"):
        wall = inside[name]
        for begin, end in _slots(rng, wall.size[0]):
            low = rng.uniform(0.1, 0.5) * high
            tall = rng.uniform(0.2, 1.0) * (high - low)
            if rng.random() < 0.3:
                tall = high - low
            hung[rng.integers(len(hung))](scene, camera, wall, greys[name], np.array([begin, low, end, low + tall]))
    if rng.random() < 0.4:
        clutter.scatter(scene, 0.6)
    furniture(scene, camera, int(rng.integers(0, 6)), (left + 0.2, right - 0.2), (1.0, away - 0.2), (0.3, 1.3))
    clutter.scatter(scene, 0.4)


def _slots(rng: np.random.Generator, width: float) -> list[tuple[float, float]]:
    """Places side by side along a wall, some of them left empty."""
    cuts = np.linspace(0.0, width, int(rng.integers(1, 5)) + 1)
    slots = [
        (a + rng.uniform(0.05, 0.25) * (b - a), b - rng.uniform(0.05, 0.25) * (b - a))
        for a, b in itertools.pairwise(cuts)
    ]
    return [slot for slot in slots if rng.random() < 0.75]


def boxes(scene: Scene) -> None:
    """Three to eight boxes on the ground, one before the other."""
    rng = scene.rng
    backdrop(scene)
    camera = random_camera(rng, scene.canvas, pitch=(0.05, 0.45))
    ground(scene, camera)
    clutter.scatter(scene, 0.8)
    furniture(scene, camera, int(rng.integers(4, 10)), (-2.5, 2.5), (2.0, 7.0), (0.3, 1.6))
    clutter.scatter(scene, 0.5)


def floor(scene: Scene) -> None:
    """A tiled ground, and a few things on it."""
    rng = scene.rng
    backdrop(scene)
    camera = random_camera(rng, scene.canvas, yaw=0.8, pitch=(0.1, 0.7))
    grey = ground(scene, camera)
    paved(scene, camera, grey)
    clutter.scatter(scene, 0.8)
    furniture(scene, camera, int(rng.integers(1, 6)), (-2.0, 2.0), (1.5, 6.0), (0.2, 1.2))
    clutter.scatter(scene, 0.4)
