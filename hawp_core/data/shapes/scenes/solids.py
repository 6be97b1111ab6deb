"""What stands in a scene with depth: the ground, pavements, upright boxes."""

import math

import numpy as np

from hawp_core.data.shapes.scenes import facades
from hawp_core.data.shapes.scenes.camera import NEAR, Camera, Wall
from hawp_core.data.shapes.scenes.scene import Scene

RIGHT, DOWN, AWAY = np.eye(3)
# Metres to the end of the ground.
HORIZON = 400.0
# Corner k of a box has the bits of k as coordinates (x, y, z). Its faces, by their corners in turn: those towards the
# viewer, away, to the left, to the right, and on top; nobody looks from below.
_FACES = ((0, 1, 3, 2), (5, 4, 6, 7), (4, 0, 2, 6), (1, 5, 7, 3), (4, 5, 1, 0))
_EDGES = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]
_TOUCHING = [[number for number, face in enumerate(_FACES) if {a, b} <= set(face)] for a, b in _EDGES]


def ground(scene: Scene, camera: Camera) -> int:
    """Paint the ground to the horizon and return its grey."""
    grey, owner = scene.apart(int(scene.grey[0, 0]), 0.8), scene.surface()
    ahead = camera.rotation[2] * [1.0, 0.0, 1.0]
    ahead /= np.hypot(*ahead[[0, 2]])
    across = np.array([ahead[2], 0.0, -ahead[0]])
    foot = camera.position * [1.0, 0.0, 1.0]
    far = foot + HORIZON * np.array([ahead - 4.0 * across, ahead + 4.0 * across])
    scene.polygon(camera.polygon(np.concatenate([far, foot + 4.0 * np.array([across, -across])])), grey, owner)
    scene.edge(camera.line(far), owner)
    return grey


def _farthest_tile(scene: Scene, camera: Camera, side: float) -> float:
    """Distance, metres, up to which level tiles of a side show their joints apart from each other."""
    return math.sqrt(camera.focal * abs(camera.position[1]) * side / (1.4 * facades.CLOSEST * scene.short))


def least_tile(scene: Scene, camera: Camera, away: float) -> float:
    """Side of level tiles whose joints can be told apart up to a distance, metres."""
    return away**2 * 1.4 * facades.CLOSEST * scene.short / (camera.focal * 1.2)


def paved(scene: Scene, camera: Camera, grey: int) -> None:
    """Tiles on the ground before the viewer, as far as they can be told apart."""
    side = scene.rng.uniform(0.25, 1.4)
    away = _farthest_tile(scene, camera, side) * scene.rng.uniform(0.6, 1.0)
    half = away * scene.rng.uniform(0.3, 1.2)
    shift = scene.rng.uniform(-0.3, 0.3) * half
    area = Wall(np.array([shift - half, 0.0, away]), RIGHT, -AWAY, (2.0 * half, away - 0.3))
    tone = scene.apart(grey)
    facades.paint_wall(scene, camera, area, tone)
    facades.tiles(scene, camera, area, tone, side)


def box(
    scene: Scene, camera: Camera, low: np.ndarray, size: np.ndarray, turn: float, grey: int
) -> list[tuple[Wall, int]]:
    """Paint an upright box and label its edges; its walls that can be seen, with their greys.

    Args:
        low: (3,) the corner with the least coordinates before it is turned about its upright axis.
        size: (3,) metres.
        turn: radians.
        grey: of one face; the others get greys near it, as light falls on them.
    """
    c, s = math.cos(turn), math.sin(turn)
    axes = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    corners = low + (((np.arange(8)[:, None] >> np.arange(3)) & 1) * size) @ axes
    x, z = axes[0], axes[2]
    upright = [
        Wall(corners[start], along, DOWN, (float(size[axis]), float(size[1])))
        for start, along, axis in ((0, x, 0), (5, -x, 0), (4, -z, 2), (1, z, 2))
    ]
    seen = [number for number, wall in enumerate(upright) if wall.faces(camera)]
    walls: list[tuple[Wall, int]] = []
    owners: dict[int, int] = {}
    points = camera.seen(corners)
    whole = bool((points[:, 2] > NEAR).all())
    image = camera.project(points)
    for number in seen + [4] * bool(camera.position[1] < low[1]):
        tone = scene.apart(grey, 0.8) if owners else grey
        owners[number] = scene.surface()
        face = list(_FACES[number])
        scene.polygon(image[face] if whole else camera.polygon(corners[face]), tone, owners[number])
        if number < len(upright):
            walls.append((upright[number], tone))
    for ends, touching in zip(_EDGES, _TOUCHING, strict=True):
        sides = [owners[number] for number in touching if number in owners]
        if sides:
            scene.edge(image[list(ends)] if whole else camera.line(corners[list(ends)]), *sides)
    return walls


def furniture(
    scene: Scene,
    camera: Camera,
    count: int,
    across: tuple[float, float],
    away: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """Boxes that stand on the ground, the farthest painted first; some have panels or a poster on them."""
    rng = scene.rng
    where = sorted(((rng.uniform(*away), rng.uniform(*across)) for _ in range(count)), reverse=True)
    for z, x in where:
        sides = rng.uniform(*size, 3)
        turn = rng.choice([0.0, rng.uniform(-0.8, 0.8)])
        for wall, grey in box(
            scene,
            camera,
            np.array([x - sides[0] / 2.0, -sides[1], z]),
            sides,
            turn,
            scene.apart(int(rng.integers(30, 225))),
        ):
            u, v = wall.size
            if rng.random() < 0.4:
                area = np.array([0.1 * u, 0.1 * v, 0.9 * u, 0.9 * v])
                (facades.poster, facades.panels)[rng.integers(2)](scene, camera, wall, grey, area)
