"""Photographic scenes outside: streets, fronts of houses, railings and stairs."""

import math

import numpy as np

from hawp_core.data.shapes.scenes import clutter, facades
from hawp_core.data.shapes.scenes.camera import Camera, Wall, random_camera
from hawp_core.data.shapes.scenes.flat import backdrop
from hawp_core.data.shapes.scenes.scene import Scene
from hawp_core.data.shapes.scenes.solids import DOWN, box, ground, paved


def street(scene: Scene) -> None:
    """Houses along a street, with their windows."""
    rng = scene.rng
    backdrop(scene)
    camera = random_camera(rng, scene.canvas, pitch=(-0.35, 0.05))
    grey = ground(scene, camera)
    if rng.random() < 0.3:
        clutter.foliage(scene)
    if rng.random() < 0.5:
        paved(scene, camera, grey)
    places = []
    for _ in range(rng.integers(2, 5)):
        size = np.array([rng.uniform(5, 16), rng.uniform(5, 22), rng.uniform(5, 16)])
        side, away = rng.choice([-1.0, 1.0]) * rng.uniform(2.0, 12.0), rng.uniform(6.0, 25.0)
        places.append((away, np.array([side if side > 0 else side - size[0], -size[1], away]), size))
    for _, low, size in sorted(places, key=lambda place: -place[0]):
        tone = scene.apart(int(rng.integers(40, 220)))
        floor, base = rng.uniform(2.4, 4.0), rng.choice([0.0, 0.0, 3.0])
        for wall, face in box(scene, camera, low, size, rng.uniform(-0.25, 0.25), tone):
            facades.windows(scene, camera, wall, face, floor=floor, base=base)
    if rng.random() < 0.4:
        _poles(scene, camera)
    clutter.scatter(scene, 0.8)


def front(scene: Scene) -> None:
    """One wall with windows that fills most of the picture."""
    rng = scene.rng
    backdrop(scene)
    camera = random_camera(rng, scene.canvas, yaw=0.25, pitch=(-0.2, 0.1))
    away, turn = rng.uniform(5.0, 22.0), rng.uniform(-0.8, 0.8)
    along = np.array([math.cos(turn), 0.0, math.sin(turn)])
    width, height = away * rng.uniform(0.8, 3.0), away * rng.uniform(0.8, 2.2)
    origin = np.array([0.0, -height * rng.uniform(0.6, 1.0), away]) - along * width * rng.uniform(0.3, 0.7)
    wall = Wall(origin, along, DOWN, (width, height)).turned(camera)
    grey = scene.apart(int(scene.grey[0, 0]))
    facades.paint_wall(scene, camera, wall, grey)
    if rng.random() < 0.2:
        facades.tiles(scene, camera, wall, grey, rng.uniform(0.05, 0.2) * min(width, height))
    facades.windows(
        scene, camera, wall, grey, floor=height / rng.uniform(1.5, 10.0), base=rng.choice([0.0, 0.12]) * height
    )
    if rng.random() < 0.3:
        _poles(scene, camera)
    clutter.scatter(scene, 0.8)


def _poles(scene: Scene, camera: Camera) -> None:
    """Upright poles before everything else."""
    rng = scene.rng
    for _ in range(rng.integers(1, 4)):
        foot = np.array([rng.uniform(-4.0, 4.0), 0.0, rng.uniform(3.0, 10.0)])
        line = camera.line(np.array([foot, foot - [0.0, rng.uniform(2.0, 9.0), 0.0]]))
        scene.strokes(line, scene.thickness(0.3), scene.apart(int(scene.grey.mean())), scene.surface(plain=True))


def railing(scene: Scene) -> None:
    """Upright bars between rails, stairs, or both, among clutter."""
    rng = scene.rng
    backdrop(scene)
    clutter.scatter(scene, 1.5)
    camera = random_camera(rng, scene.canvas, yaw=0.7, pitch=(-0.1, 0.3))
    ground(scene, camera)
    clutter.scatter(scene, 0.6)
    chosen = rng.integers(1, 4)
    if chosen & 1:
        _stairs(scene, camera)
    if chosen & 2:
        _fence(scene, camera)
        if rng.random() < 0.4:
            _fence(scene, camera)
    clutter.scatter(scene, 0.4)


def _fence(scene: Scene, camera: Camera) -> None:
    rng = scene.rng
    away, high, turn = rng.uniform(2.0, 7.0), rng.uniform(0.8, 2.5), rng.uniform(-0.9, 0.9)
    along = np.array([math.cos(turn), 0.0, math.sin(turn)])
    width = away * rng.uniform(0.6, 2.0)
    wall = Wall(np.array([0.0, -high, away]) - along * width * rng.uniform(0.3, 0.7), along, DOWN, (width, high))
    wall = wall.turned(camera)
    gap = rng.uniform(0.04, 0.2) * high * rng.uniform(1.0, 3.0)
    grey, owner = scene.apart(int(scene.grey.mean())), scene.surface(plain=True)
    places = np.arange(0.0, width, gap)[:50]
    bars = [camera.line(wall.at(np.array([[u, 0.0], [u, high]]))) for u in places]
    rails = [camera.line(wall.at(np.array([[0.0, v * high], [width, v * high]]))) for v in (0.0, rng.uniform(0.6, 1.0))]
    lines = np.concatenate([*bars, np.zeros((0, 4))])
    scene.strokes(lines[facades.separate(scene, lines)], scene.thickness(0.2), grey, owner)
    scene.strokes(np.concatenate(rails), scene.thickness(0.5), grey, owner)


def _stairs(scene: Scene, camera: Camera) -> None:
    rng = scene.rng
    steps, rise, depth = int(rng.integers(4, 16)), rng.uniform(0.14, 0.2), rng.uniform(0.25, 0.4)
    left, right, away = -rng.uniform(0.5, 3.0), rng.uniform(0.5, 3.0), rng.uniform(1.5, 4.0)
    tread = scene.apart(int(scene.grey.mean()))
    riser = scene.apart(tread, 0.8)
    above = -1
    # From the top down, since the lower steps stand before the upper ones.
    for k in reversed(range(steps)):
        z, top = away + k * depth, -(k + 1) * rise
        level = np.array([[left, top, z], [right, top, z], [right, top, z + depth], [left, top, z + depth]])
        upright = np.array([[left, top, z], [right, top, z], [right, top + rise, z], [left, top + rise, z]])
        flat, front_side = -1, scene.surface()
        if top > camera.position[1]:
            flat = scene.surface()
            scene.polygon(camera.polygon(level), tread, flat)
            scene.edge(camera.line(level[[2, 3]]), flat, above)
            for pair in ([0, 3], [1, 2]):
                scene.edge(camera.line(level[pair]), flat)
        scene.polygon(camera.polygon(upright), riser, front_side)
        scene.edge(camera.line(level[[0, 1]]), front_side, flat)
        for pair in ([0, 3], [1, 2]):
            scene.edge(camera.line(upright[pair]), front_side)
        above = front_side
    scene.edge(camera.line(upright[[2, 3]]), front_side)
