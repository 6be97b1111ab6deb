"""Photographic scenes with depth: streets, rooms, floors, heaps of boxes, fronts, railings and stairs."""

import itertools
import math

import numpy as np

from hawp_core.data.shapes import clutter, facades
from hawp_core.data.shapes.camera import Camera, Wall, random_camera
from hawp_core.data.shapes.flat import backdrop
from hawp_core.data.shapes.scene import Scene

RIGHT, DOWN, AWAY = np.eye(3)
# Metres to the end of the ground.
HORIZON = 400.0
# Corner k of a box has the bits of k as coordinates; each face by its corners in turn, each edge by its two faces.
_FACES = ((0, 2, 6, 4), (1, 5, 7, 3), (0, 4, 5, 1), (2, 3, 7, 6), (0, 1, 3, 2), (4, 6, 7, 5))


def _ground(scene: Scene, camera: Camera) -> int:
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


def _least_tile(scene: Scene, camera: Camera, away: float) -> float:
    """Side of level tiles whose joints can be told apart up to a distance, metres."""
    return away**2 * 1.4 * facades.CLOSEST * scene.short / (camera.focal * 1.2)


def _paved(scene: Scene, camera: Camera, grey: int) -> None:
    """Tiles on the ground before the viewer, as far as they can be told apart."""
    side = scene.rng.uniform(0.3, 2.0)
    away = _farthest_tile(scene, camera, side) * scene.rng.uniform(0.5, 1.0)
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
    seen: list[tuple[Wall | None, int]] = []
    owners: dict[int, int] = {}
    for number, face in enumerate(_FACES):
        points = corners[list(face)]
        outward = np.cross(points[1] - points[0], points[3] - points[0])
        middle = corners.mean(axis=0)
        outward *= np.sign(outward @ (points.mean(axis=0) - middle))
        if outward @ (camera.position - points[0]) <= 0.0:
            continue
        tone = grey if not seen else scene.apart(grey, 0.8)
        owners[number] = scene.surface()
        scene.polygon(camera.polygon(points), tone, owners[number])
        seen.append((_upright(points), tone))
    for a in range(8):
        for bit in (1, 2, 4):
            if not a & bit:
                touching = [owners[n] for n, face in enumerate(_FACES) if n in owners and {a, a | bit} <= set(face)]
                if touching:
                    scene.edge(camera.line(corners[[a, a | bit]]), *touching)
    return [(wall, tone) for wall, tone in seen if wall is not None]


def _upright(points: np.ndarray) -> Wall | None:
    """A face of a box (4, 3) as a wall seen from outside, or None where it lies level."""
    if np.ptp(points[:, 1]) < 1e-9:
        return None
    upper = points[np.argsort(points[:, 1])[:2]]
    height = float(np.ptp(points[:, 1]))
    # Whichever end makes the wall run to the right, seen from outside, is chosen by the caller's camera.
    along = upper[1] - upper[0]
    width = float(np.hypot(along[0], along[2]))
    return Wall(upper[0], along / width, DOWN, (width, height))


def _facing(wall: Wall, camera: Camera) -> Wall:
    if wall.faces(camera):
        return wall
    return Wall(wall.origin + wall.size[0] * wall.along, -wall.along, wall.down, wall.size)


def street(scene: Scene) -> None:
    """Houses along a street, with their windows."""
    rng = scene.rng
    backdrop(scene)
    camera = random_camera(rng, scene.canvas, pitch=(-0.35, 0.05))
    grey = _ground(scene, camera)
    if rng.random() < 0.3:
        clutter.foliage(scene)
    if rng.random() < 0.3:
        _paved(scene, camera, grey)
    places = []
    for _ in range(rng.integers(2, 5)):
        size = np.array([rng.uniform(5, 16), rng.uniform(5, 22), rng.uniform(5, 16)])
        side, away = rng.choice([-1.0, 1.0]) * rng.uniform(2.0, 12.0), rng.uniform(6.0, 25.0)
        places.append((away, np.array([side if side > 0 else side - size[0], -size[1], away]), size))
    for _, low, size in sorted(places, key=lambda place: -place[0]):
        tone = scene.apart(int(rng.integers(40, 220)))
        floor, base = rng.uniform(2.4, 4.0), rng.choice([0.0, 0.0, 3.0])
        for wall, face in box(scene, camera, low, size, rng.uniform(-0.25, 0.25), tone):
            facades.windows(scene, camera, _facing(wall, camera), face, floor=floor, base=base)
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
    wall = _facing(Wall(origin, along, DOWN, (width, height)), camera)
    grey = scene.apart(int(scene.grey[0, 0]))
    facades.paint_wall(scene, camera, wall, grey)
    if rng.random() < 0.2:
        facades.tiles(scene, camera, wall, grey, rng.uniform(0.05, 0.2) * min(width, height))
    facades.windows(
        scene, camera, wall, grey, floor=height / rng.uniform(1.2, 9.0), base=rng.choice([0.0, 0.12]) * height
    )
    if rng.random() < 0.3:
        _poles(scene, camera)
    clutter.scatter(scene, 0.8)


def room(scene: Scene) -> None:
    """A room from inside: walls, floor, ceiling, what hangs on them, and furniture."""
    rng = scene.rng
    camera = random_camera(rng, scene.canvas, yaw=0.6)
    left, right, away, high = (
        -rng.uniform(1.2, 4.0),
        rng.uniform(1.2, 4.0),
        rng.uniform(3.0, 8.0),
        rng.uniform(2.4, 3.6),
    )
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
    if rng.random() < 0.4:
        facades.tiles(
            scene, camera, inside["floor"], greys["floor"], max(rng.uniform(0.3, 0.9), _least_tile(scene, camera, away))
        )
    if rng.random() < 0.25:
        facades.tiles(
            scene,
            camera,
            inside["ceiling"],
            greys["ceiling"],
            max(rng.uniform(0.5, 1.2), _least_tile(scene, camera, away)),
        )
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
    _boxes(scene, camera, int(rng.integers(0, 6)), (left + 0.2, right - 0.2), (1.0, away - 0.2), (0.3, 1.3))
    clutter.scatter(scene, 0.4)


def _slots(rng: np.random.Generator, width: float) -> list[tuple[float, float]]:
    """Places side by side along a wall, some of them left empty."""
    cuts = np.linspace(0.0, width, int(rng.integers(1, 5)) + 1)
    slots = [
        (a + rng.uniform(0.05, 0.25) * (b - a), b - rng.uniform(0.05, 0.25) * (b - a))
        for a, b in itertools.pairwise(cuts)
    ]
    return [slot for slot in slots if rng.random() < 0.75]


def _boxes(
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
                (facades.poster, facades.panels)[rng.integers(2)](scene, camera, _facing(wall, camera), grey, area)


def boxes(scene: Scene) -> None:
    """Three to eight boxes on the ground, one before the other."""
    rng = scene.rng
    backdrop(scene)
    camera = random_camera(rng, scene.canvas, pitch=(0.05, 0.45))
    _ground(scene, camera)
    clutter.scatter(scene, 0.8)
    _boxes(scene, camera, int(rng.integers(4, 10)), (-2.5, 2.5), (2.0, 7.0), (0.3, 1.6))
    clutter.scatter(scene, 0.5)


def floor(scene: Scene) -> None:
    """A tiled ground, and a few things on it."""
    rng = scene.rng
    backdrop(scene)
    camera = random_camera(rng, scene.canvas, yaw=0.8, pitch=(0.1, 0.7))
    grey = _ground(scene, camera)
    _paved(scene, camera, grey)
    clutter.scatter(scene, 0.8)
    _boxes(scene, camera, int(rng.integers(0, 4)), (-2.0, 2.0), (1.5, 6.0), (0.2, 1.2))
    clutter.scatter(scene, 0.4)


def _poles(scene: Scene, camera: Camera) -> None:
    """Upright poles before everything else."""
    rng = scene.rng
    for _ in range(rng.integers(1, 4)):
        foot = np.array([rng.uniform(-4.0, 4.0), 0.0, rng.uniform(3.0, 10.0)])
        line = camera.line(np.array([foot, foot - [0.0, rng.uniform(2.0, 9.0), 0.0]]))
        scene.strokes(line, scene.thickness(0.3), scene.apart(int(scene.grey.mean())), scene.surface())


def railing(scene: Scene) -> None:
    """Upright bars between rails, in front of clutter; or stairs."""
    rng = scene.rng
    backdrop(scene)
    clutter.scatter(scene, 1.5)
    camera = random_camera(rng, scene.canvas, yaw=0.7, pitch=(-0.1, 0.3))
    _ground(scene, camera)
    clutter.scatter(scene, 0.6)
    (_stairs if rng.random() < 0.5 else _fence)(scene, camera)
    clutter.scatter(scene, 0.4)


def _fence(scene: Scene, camera: Camera) -> None:
    rng = scene.rng
    away, high, turn = rng.uniform(2.0, 7.0), rng.uniform(0.8, 2.5), rng.uniform(-0.9, 0.9)
    along = np.array([math.cos(turn), 0.0, math.sin(turn)])
    width = away * rng.uniform(0.6, 2.0)
    wall = _facing(
        Wall(np.array([0.0, -high, away]) - along * width * rng.uniform(0.3, 0.7), along, DOWN, (width, high)), camera
    )
    gap = rng.uniform(0.04, 0.2) * high * rng.uniform(1.0, 3.0)
    grey, owner = scene.apart(int(scene.grey.mean())), scene.surface()
    places = np.arange(0.0, width, gap)[:50]
    bars = [camera.line(wall.at(np.array([[u, 0.0], [u, high]]))) for u in places]
    rails = [camera.line(wall.at(np.array([[0.0, v * high], [width, v * high]]))) for v in (0.0, rng.uniform(0.6, 1.0))]
    lines = np.concatenate([*bars, np.zeros((0, 4))])
    scene.strokes(lines[facades._separate(scene, lines)], scene.thickness(0.2), grey, owner)
    scene.strokes(np.concatenate(rails), scene.thickness(0.5), grey, owner)


def _stairs(scene: Scene, camera: Camera) -> None:
    rng = scene.rng
    steps, rise, depth = int(rng.integers(3, 14)), rng.uniform(0.14, 0.2), rng.uniform(0.25, 0.4)
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
