"""What covers walls: windows in rows, doors, cornices, tiles, panels, shelves.

Every function paints onto a `Wall` of a scene, seen by a camera. Lengths on the wall are metres.

Shape legend: K rectangles (K, 4) as u1 v1 u2 v2 on the wall.
"""

import numpy as np

from hawp_core.data.shapes.scenes.camera import NEAR, Camera, Wall, rectangles
from hawp_core.data.shapes.scenes.scene import WIDE, Scene

# Lines of a grid nearer to each other than this share of the shorter side are not painted: no label could tell them apart.
CLOSEST = 0.014
# Joints nearer to each other than this share are a texture, and have no label; so many are painted at most.
UNLABELLED, MOST_COURSES = 0.009, 120
# A window whose shorter side is below this share is a dark speck without a frame.
SMALLEST = 0.02
# Makes a rectangle smaller on all sides.
_INWARD = np.array([1.0, 1.0, -1.0, -1.0])


def paint_wall(scene: Scene, camera: Camera, wall: Wall, grey: int) -> int:
    """Paint the wall itself, its sides labelled, and return its surface."""
    owner = scene.surface()
    scene.polygon(camera.polygon(wall.corners), grey, owner)
    corners = wall.corners
    sides = [camera.line(corners[[k, (k + 1) % 4]]) for k in range(4)]
    scene.edge(np.concatenate(sides), owner)
    return owner


def windows(scene: Scene, camera: Camera, wall: Wall, grey: int, *, floor: float = 3.2, base: float = 0.0) -> None:
    """Windows in rows and columns, all alike, with their frames, bars, sills and the cornices between the floors.

    Args:
        grey: of the wall.
        floor: height of a storey.
        base: height that stays free at the bottom.
    """
    rng = scene.rng
    width, height = wall.size
    bay = rng.uniform(0.8, 1.5) * floor * rng.uniform(0.5, 1.0)
    columns, rows = int(width / bay), int((height - base) / floor)
    if columns < 1 or rows < 1:
        return
    if rng.random() < 0.2:
        courses(scene, camera, wall, grey)
    bay = width / columns
    w, h = bay * rng.uniform(0.35, 0.75), floor * rng.uniform(0.4, 0.75)
    u = (np.arange(columns) + 0.5) * bay
    v = height - base - (np.arange(rows) + rng.uniform(0.45, 0.6)) * floor
    u, v = (grid.reshape(-1) for grid in np.meshgrid(u, v))
    if rng.random() < 0.3:
        kept = rng.random(len(u)) > 0.2
        u, v = u[kept], v[kept]
    boxes = np.stack([u - w / 2.0, v - h / 2.0, u + w / 2.0, v + h / 2.0], axis=1)
    if rng.random() < 0.35:
        _cornices(scene, camera, wall, grey, height - base - np.arange(int(base == 0.0), rows) * floor)
    framed = rng.random() < 0.7
    frame = scene.apart(grey, 0.7)
    quads, chosen = rectangles(camera, wall, boxes)
    boxes = boxes[chosen]
    if not len(quads):
        return
    # Each glass reflects something else.
    glass = scene.apart(frame if framed else grey)
    greys = np.clip(rng.normal(glass, rng.choice([2.0, 15.0]), len(boxes)), 4, 251).astype(int)
    if not framed:
        scene.outlined_quads(quads, greys, scene.surface())
    else:
        scene.outlined_quads(quads, frame, scene.surface())
        thick = rng.uniform(0.04, 0.14) * min(w, h)
        _inside(scene, quads, rectangles(camera, wall, boxes + thick * _INWARD)[0], greys)
    _bars(scene, camera, wall, boxes, quads, frame if framed else scene.apart(glass))
    if rng.random() < 0.3:
        over = np.array([-0.08 * w, 0.0, 0.08 * w, 0.0])
        sills = np.stack([boxes[:, 0], boxes[:, 3], boxes[:, 2], boxes[:, 3] + 0.06 * h], axis=1) + over
        # So close under the windows that a label of their own would be the windows' once more.
        scene.quads(rectangles(camera, wall, sills)[0], scene.apart(grey), scene.surface())


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.hypot(*(a - b).T)


def _bars(scene: Scene, camera: Camera, wall: Wall, boxes: np.ndarray, quads: np.ndarray, grey: int) -> None:
    """Bars that divide windows, where these are large enough to show them."""
    rng = scene.rng
    upright, level = ((1, 0), (1, 1), (2, 0), (0, 1), (2, 2), (0, 0))[rng.integers(6)]
    large = _distance(quads[:, 0], quads[:, 1]) > 2.5 * SMALLEST * (upright + 1) * scene.short
    large &= _distance(quads[:, 0], quads[:, 3]) > 2.5 * SMALLEST * (level + 1) * scene.short
    boxes = boxes[large]
    if not len(boxes) or not upright + level:
        return
    size = boxes[:, 2:] - boxes[:, :2]
    half = rng.uniform(0.006, 0.015) * size.min(axis=1)
    strips = []
    for k in range(upright):
        u = boxes[:, 0] + size[:, 0] * (k + 1) / (upright + 1)
        # Corners 0 to 1 lie along the strip, so that an upright one is turned.
        upright_quads, _ = rectangles(camera, wall, np.stack([u - half, boxes[:, 1], u + half, boxes[:, 3]], axis=1))
        strips.append(upright_quads[:, [1, 2, 3, 0]])
    for k in range(level):
        v = boxes[:, 1] + size[:, 1] * (k + 1) / (level + 1)
        strips.append(rectangles(camera, wall, np.stack([boxes[:, 0], v - half, boxes[:, 2], v + half], axis=1))[0])
    scene.strips(np.concatenate(strips), grey, scene.surface(plain=True))


def _cornices(scene: Scene, camera: Camera, wall: Wall, grey: int, heights: np.ndarray) -> None:
    """Level bands across the wall."""
    thick = scene.rng.uniform(0.05, 0.4)
    bands = np.array([[0.0, v - thick / 2.0, wall.size[0], v + thick / 2.0] for v in heights]).reshape(-1, 4)
    scene.strips(rectangles(camera, wall, bands)[0], scene.apart(grey, 0.7), scene.surface(plain=True))


def courses(scene: Scene, camera: Camera, wall: Wall, grey: int) -> None:
    """Bricks or boards: level joints so close to each other that nobody labels them."""
    seen = camera.seen(wall.corners)[:, 2]
    if seen.min() <= NEAR:
        return
    step = scene.rng.uniform(0.5, 0.95) * UNLABELLED * scene.short * float(seen.min()) / camera.focal
    places = np.arange(step, wall.size[1], step)[:MOST_COURSES]
    half = scene.rng.uniform(0.1, 0.25) * step
    joints = np.stack([0.0 * places, places - half, 0.0 * places + wall.size[0], places + half], axis=1)
    scene.quads(rectangles(camera, wall, joints)[0], scene.apart(grey, 0.4), scene.surface())


def tiles(scene: Scene, camera: Camera, wall: Wall, grey: int, side: float) -> None:
    """Square tiles over the whole wall: joints between them, or two alternating greys.

    Joints that would come too close to each other in the picture are left out, from the first such one on.
    """
    rng = scene.rng
    width, height = wall.size
    shift = rng.uniform(0.3 * side, side, 2)
    stretch = rng.choice([1.0, 1.0, 1.5, 2.0])
    lines = []
    for axis, length, other, step in ((0, width, height, side * stretch), (1, height, width, side)):
        places = np.arange(shift[axis], length - 0.25 * step, step)[:60]
        ends = np.zeros((len(places), 2, 2))
        ends[:, :, axis] = places[:, None]
        ends[:, 1, 1 - axis] = other
        lines.append([camera.line(wall.at(pair)) for pair in ends])
    drawn = [np.concatenate([*group, np.zeros((0, 4))]) for group in lines]
    if rng.random() < 0.25:
        _checkers(scene, camera, wall, grey, shift, np.array([side * stretch, side]))
        return
    owner, joint = scene.surface(plain=True), scene.apart(grey, 0.5)
    thick = scene.thickness(0.0)
    for group in drawn:
        scene.strokes(group[separate(scene, group)], thick, joint, owner)


def separate(scene: Scene, lines: np.ndarray) -> np.ndarray:
    """(M,) bool: which of neighbouring lines (M, 4) stay apart over most of their length inside the picture."""
    if len(lines) < 2:
        return np.ones(len(lines), bool)
    limit = np.array(scene.canvas[::-1]) - 1.0
    share = np.linspace(0.0, 1.0, 9)[:, None, None]
    points = lines[:, :2] + share * (lines[:, 2:] - lines[:, :2])
    inside = ((points >= 0) & (points <= limit)).all(axis=2)
    step = lines[:, 2:] - lines[:, :2]
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    gaps = np.abs(((points[:, 1:] - lines[:-1, :2]) * normal[:-1]).sum(axis=2))
    wide = np.where(inside[:, 1:], gaps >= CLOSEST * scene.short, True).mean(axis=0) > 0.7
    return np.append(True, wide) & np.append(wide, True)


def _checkers(scene: Scene, camera: Camera, wall: Wall, grey: int, shift: np.ndarray, side: np.ndarray) -> None:
    """Alternating tiles, and the lines between them where they are large enough to be told apart."""
    count = np.minimum(((np.array(wall.size) - shift) / side).astype(int), 14)
    u, v = np.meshgrid(np.arange(count[0]), np.arange(count[1]))
    dark = ((u + v) % 2).reshape(-1) == 1
    low = shift + np.stack([u.reshape(-1), v.reshape(-1)], axis=1) * side
    quads, chosen = rectangles(camera, wall, np.concatenate([low, low + side], axis=1))
    greys = np.clip(scene.rng.normal(scene.apart(grey), 3.0, len(low)), 4, 251).astype(int)
    owner = scene.surface()
    kept = dark[chosen]
    quads, greys = quads[kept], greys[chosen][kept]
    large = np.minimum(_distance(quads[:, 0], quads[:, 1]), _distance(quads[:, 1], quads[:, 2]))
    wide = large >= SMALLEST * scene.short
    scene.quads(quads[~wide], greys[~wide], owner)
    scene.outlined_quads(quads[wide], greys[wide], owner)


def panels(scene: Scene, camera: Camera, wall: Wall, grey: int, box: np.ndarray) -> None:
    """Cupboards in one rectangle (4,) of a wall: a grid of doors, some with a panel inside."""
    rng = scene.rng
    whole, _ = rectangles(camera, wall, box)
    if not len(whole):
        return
    columns, rows = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    u, v = np.linspace(box[0], box[2], columns + 1), np.linspace(box[1], box[3], rows + 1)
    if rng.random() < 0.4:
        u[1:-1] += rng.uniform(-0.3, 0.3, columns - 1) * (u[1] - u[0])
    body = scene.apart(grey)
    slit = scene.apart(body, 0.6)
    scene.outlined_quads(whole, slit, scene.surface())
    cells = np.array([[u[i], v[j], u[i + 1], v[j + 1]] for i in range(columns) for j in range(rows)])
    gap = rng.uniform(0.01, 0.05) * min(u[-1] - u[0], v[-1] - v[0])
    greys = np.clip(rng.normal(body, rng.choice([0.0, 12.0]), len(cells)), 4, 251).astype(int)
    doors, chosen = rectangles(camera, wall, cells + gap * _INWARD)
    owner = scene.surface()
    if _distance(whole[:, 0], doors[:1, 0]).sum() * 0.7 >= CLOSEST * scene.short:
        scene.outlined_quads(doors, greys[chosen], owner)
    else:
        # The slits are lines then, not bands with two sides.
        scene.quads(doors, greys[chosen], owner)
        level = np.array([[u[0], y - gap, u[-1], y + gap] for y in v[1:-1]]).reshape(-1, 4)
        upright = np.array([[x - gap, v[0], x + gap, v[-1]] for x in u[1:-1]]).reshape(-1, 4)
        owner = scene.surface(plain=True)
        scene.strips(rectangles(camera, wall, level)[0], slit, owner)
        scene.strips(rectangles(camera, wall, upright)[0][:, [1, 2, 3, 0]], slit, owner)
    if rng.random() < 0.5:
        inset = rng.uniform(0.15, 0.3) * np.minimum(cells[:, 2] - cells[:, 0], cells[:, 3] - cells[:, 1])
        _inside(scene, doors, rectangles(camera, wall, cells + inset[:, None] * _INWARD)[0], scene.apart(body, 0.7))


def _inside(scene: Scene, outer: np.ndarray, inner: np.ndarray, greys: np.ndarray | int) -> None:
    """Paint quadrilaterals (K, 4, 2) inside others, labelled where they are far enough from them."""
    owner = scene.surface()
    if len(outer) != len(inner):
        return
    wide = _distance(outer[:, 0], inner[:, 0]) * 0.7 >= WIDE * scene.short
    tones = np.broadcast_to(greys, len(inner))
    scene.outlined_quads(inner[wide], tones[wide], owner)
    scene.quads(inner[~wide], tones[~wide], owner)


def books(scene: Scene, camera: Camera, wall: Wall, grey: int, box: np.ndarray) -> None:
    """Shelves in one rectangle (4,) of a wall, with upright spines of many greys."""
    rng = scene.rng
    whole, _ = rectangles(camera, wall, box)
    if not len(whole):
        return
    back = scene.apart(grey)
    scene.outlined_quads(whole, back, scene.surface())
    heights = np.linspace(box[1], box[3], int(rng.integers(2, 5)) + 1)
    step = heights[1] - heights[0]
    board = 0.08 * step
    owner = scene.surface()
    for bottom in heights[1:] - board:
        ends = box[0] + np.cumsum(np.concatenate([[0.0], rng.uniform(0.06, 0.3, 40) * step]))
        ends = ends[ends < box[2] - rng.uniform(0.0, 0.4) * (box[2] - box[0])]
        tops = bottom - rng.uniform(0.55, 0.85, len(ends)) * step
        spines = np.stack([ends[:-1], tops[1:], ends[1:], 0.0 * ends[1:] + bottom], axis=1)
        quads, _ = rectangles(camera, wall, spines)
        if len(quads) < max(len(spines), 1):
            continue
        scene.quads(quads, np.array([scene.apart(back) for _ in quads], int), owner)
        # One line between two spines, as high as the higher one.
        higher = np.minimum(np.append(tops[1:], bottom), np.append(bottom, tops[1:]))
        sides, _ = rectangles(camera, wall, np.stack([ends, higher, ends + 1e-3, 0.0 * ends + bottom], axis=1))
        if len(sides) == len(ends):
            apart = np.append(np.inf, _distance(sides[1:, 0], sides[:-1, 0])) > CLOSEST * scene.short
            scene.edge(sides[apart][:, [0, 3]], owner)
    boards = np.array([[box[0], v - board, box[2], v] for v in heights[1:-1]])
    scene.strips(rectangles(camera, wall, boards.reshape(-1, 4))[0], scene.apart(back), scene.surface(plain=True))


def poster(scene: Scene, camera: Camera, wall: Wall, grey: int, box: np.ndarray) -> None:
    """A picture, door or board in one rectangle (4,) of a wall, often framed."""
    quads, _ = rectangles(camera, wall, box)
    edge = scene.apart(grey)
    scene.outlined_quads(quads, edge, scene.surface())
    if scene.rng.random() < 0.6:
        thick = scene.rng.uniform(0.06, 0.2) * min(box[2] - box[0], box[3] - box[1])
        _inside(scene, quads, rectangles(camera, wall, box + thick * _INWARD)[0], scene.apart(edge))
