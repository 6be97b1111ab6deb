"""What photographs show beside straight edges, painted into a scene without a label: foliage, ellipses, curves,
scribbles, soft shadows, specks.

Where it covers lines they are hidden, as by everything that is painted later.
"""

import math

import cv2
import numpy as np

from hawp_core.data.shapes.scenes.scene import Scene

_SUBPIXEL_BITS = 4


def scatter(scene: Scene, amount: float = 1.0) -> None:
    """Paint a random choice of clutter; `amount` scales how likely each kind is."""
    rng = scene.rng
    for kind, chance in ((foliage, 0.3), (ellipses, 0.25), (curves, 0.2), (scribble, 0.15), (specks, 0.2)):
        if rng.random() < chance * amount:
            kind(scene)


def foliage(scene: Scene, centre: np.ndarray | None = None, radius: float | None = None) -> None:
    """A clump of leaves: overlapping discs of a strong fine texture, with ragged borders."""
    rng, short = scene.rng, scene.short
    centre = rng.random(2) * scene.canvas[::-1] if centre is None else centre
    radius = short * rng.uniform(0.05, 0.3) if radius is None else radius
    owner = scene.surface(leaves=float(rng.uniform(20.0, 65.0)))
    base = float(rng.uniform(30, 170))
    count = int(rng.integers(15, 45))
    spread = centre + rng.normal(0.0, 0.5, (count, 2)) * radius * rng.uniform(0.5, 1.3, 2)
    _ellipses(scene, spread, radius * rng.uniform(0.05, 0.28, (count, 2)), rng.normal(base, 14.0, count), owner)
    leaves = int(rng.integers(40, 160))
    spread = centre + rng.normal(0.0, 0.62, (leaves, 2)) * radius
    _ellipses(scene, spread, short * rng.uniform(0.002, 0.014, (leaves, 2)), rng.normal(base, 35.0, leaves), owner)


def ellipses(scene: Scene) -> None:
    """A few ellipses of any size: lamps, wheels, heads, balls."""
    rng = scene.rng
    for _ in range(rng.integers(1, 6)):
        centre = rng.random((1, 2)) * scene.canvas[::-1]
        radius = scene.short * rng.uniform(0.01, 0.15) * rng.uniform(0.4, 1.0, (1, 2))
        _ellipses(scene, centre, radius, np.array([scene.apart(_beneath(scene, centre[0]))]), scene.surface())


def curves(scene: Scene) -> None:
    """Curved strokes: cables, branches, arches. None is straight enough to be taken for a line."""
    rng, short = scene.rng, scene.short
    for _ in range(rng.integers(1, 5)):
        length = short * rng.uniform(0.1, 0.6)
        turn = rng.choice([-1.0, 1.0]) * max(0.7, length / (0.35 * short)) * rng.uniform(1.0, 2.5)
        heading = rng.uniform(0.0, 2.0 * math.pi) + turn * np.linspace(0.0, 1.0, 28)
        steps = length / 28.0 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        _path(scene, rng.random(2) * scene.canvas[::-1] + np.cumsum(steps, axis=0), scene.thickness(0.15))


def scribble(scene: Scene) -> None:
    """A short thin path with many turns, as writing, ironwork or twigs."""
    rng, short = scene.rng, scene.short
    for _ in range(rng.integers(1, 4)):
        count = int(rng.integers(10, 40))
        heading = np.cumsum(rng.normal(0.0, 0.9, count)) + rng.uniform(0.0, 2.0 * math.pi)
        steps = short * rng.uniform(0.003, 0.012) * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        _path(scene, rng.random(2) * scene.canvas[::-1] + np.cumsum(steps, axis=0), scene.thickness(0.0) * 0.6)


def specks(scene: Scene) -> None:
    """Many small dots in one region: gravel, rivets, distant people, writing."""
    rng, short = scene.rng, scene.short
    count = int(rng.integers(20, 120))
    centre, reach = rng.random(2) * scene.canvas[::-1], short * rng.uniform(0.05, 0.3)
    places = centre + rng.uniform(-1.0, 1.0, (count, 2)) * reach
    owner = scene.surface(like=int(scene.owner[_inside(scene, centre)]))
    _ellipses(
        scene, places, short * rng.uniform(0.002, 0.008, (count, 2)),
        rng.normal(scene.apart(_beneath(scene, centre)), 12.0, count), owner,
    )  # fmt: skip


def _inside(scene: Scene, point: np.ndarray) -> tuple[int, int]:
    """Row and column of the pixel nearest to a point."""
    height, width = scene.canvas
    return min(max(int(point[1]), 0), height - 1), min(max(int(point[0]), 0), width - 1)


def _beneath(scene: Scene, point: np.ndarray) -> int:
    return int(scene.grey[_inside(scene, point)])


def _ellipses(scene: Scene, centres: np.ndarray, radii: np.ndarray, greys: np.ndarray, owner: int) -> None:
    """Paint ellipses with centres (K, 2), radii (K, 2) and greys (K,)."""
    one = 1 << _SUBPIXEL_BITS
    angles = scene.rng.uniform(0.0, 180.0, len(centres)).tolist()
    at, axes = ((values * one).astype(int).tolist() for values in (centres, np.maximum(radii, 0.5)))
    for centre, size, angle, grey in zip(at, axes, angles, np.clip(greys, 4, 251).astype(int).tolist(), strict=True):
        cv2.ellipse(scene.grey, centre, size, angle, 0, 360, grey, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.ellipse(scene.owner, centre, size, angle, 0, 360, owner, -1, cv2.LINE_8, _SUBPIXEL_BITS)


def _path(scene: Scene, points: np.ndarray, thickness: float) -> None:
    """Paint a path (N, 2) in a grey apart from what is beneath its middle."""
    owner, width = scene.surface(plain=True), max(1, round(thickness))
    grey = scene.apart(_beneath(scene, points[len(points) // 2]))
    fixed = [np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)]
    cv2.polylines(scene.grey, fixed, False, grey, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.polylines(scene.owner, fixed, False, owner, width, cv2.LINE_8, _SUBPIXEL_BITS)
