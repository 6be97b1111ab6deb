"""A pinhole camera for photographic scenes, and flat walls in front of it.

World axes follow the picture: x to the right, y down, z away from the viewer; lengths in metres. Image points are
(x, y) in canvas pixels. What lies nearer than `NEAR` is cut off before it is projected.

Shape legend: K quadrilaterals, N points.
"""

from dataclasses import dataclass

import numpy as np

# Metres. Nothing nearer is drawn.
NEAR = 0.25
EYE_HEIGHT = (1.2, 2.2)


@dataclass(frozen=True, eq=False)
class Camera:
    """Where the viewer stands.

    Attributes:
        position: (3,) metres.
        rotation: (3, 3), world to camera.
        focal: pixels.
        centre: (2,) the principal point, pixels.
    """

    position: np.ndarray
    rotation: np.ndarray
    focal: float
    centre: np.ndarray

    def seen(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in the camera's own axes."""
        return (points - self.position) @ self.rotation.T

    def project(self, seen: np.ndarray) -> np.ndarray:
        """Image points (..., 2) of points (..., 3) in the camera's axes; only those beyond `NEAR` are right."""
        return self.centre + self.focal * seen[..., :2] / np.maximum(seen[..., 2:], NEAR)

    def polygon(self, corners: np.ndarray) -> np.ndarray:
        """Image (M, 2) of a flat polygon (N, 3); M is 0 where all of it is behind."""
        return self.project(_beyond_near(self.seen(corners), closed=True))

    def line(self, ends: np.ndarray) -> np.ndarray:
        """Image (K, 4) of the line between two points (2, 3); K is 0 where all of it is behind."""
        seen = self.seen(ends)
        kept = seen if (seen[:, 2] >= NEAR).all() else _beyond_near(seen, closed=False)
        return self.project(kept).reshape(-1, 4)


def _beyond_near(points: np.ndarray, *, closed: bool) -> np.ndarray:
    """The part of a polygon, or of an open line, with z >= NEAR (Sutherland and Hodgman 1974)."""
    inside = points[:, 2] >= NEAR
    if inside.all():
        return points
    kept = []
    for k in range(len(points)):
        ahead = (k + 1) % len(points)
        if inside[k]:
            kept.append(points[k])
        if inside[k] != inside[ahead] and (closed or ahead):
            share = (NEAR - points[k, 2]) / (points[ahead, 2] - points[k, 2])
            kept.append(points[k] + share * (points[ahead] - points[k]))
    return np.array(kept).reshape(-1, 3)


def random_camera(
    rng: np.random.Generator, canvas: tuple[int, int], *, yaw: float = 0.5, pitch: tuple[float, float] = (-0.15, 0.15)
) -> Camera:
    """A camera above the origin at eye height, focal length .7 to 1.7 of the shorter side.

    Args:
        yaw: largest turn to either side, radians.
        pitch: range of the look downwards, radians.
    """
    turn, tilt, roll = rng.uniform(-yaw, yaw), rng.uniform(*pitch), rng.normal(0.0, 0.02)
    (a, b, c), (u, v, w) = np.cos([turn, tilt, roll]), np.sin([turn, tilt, roll])
    about_y = np.array([[a, 0, -u], [0, 1, 0], [u, 0, a]])
    about_x = np.array([[1, 0, 0], [0, b, -v], [0, v, b]])
    about_z = np.array([[c, -w, 0], [w, c, 0], [0, 0, 1]])
    height, width = canvas
    return Camera(
        np.array([0.0, -rng.uniform(*EYE_HEIGHT), 0.0]),
        about_z @ about_x @ about_y,
        min(canvas) * float(rng.uniform(0.7, 1.7)),
        np.array([(width - 1) / 2.0, (height - 1) / 2.0]),
    )


@dataclass(frozen=True, eq=False)
class Wall:
    """A flat rectangle in the world: points are `origin` + u `along` + v `down`, with u and v in metres.

    Attributes:
        origin: (3,) its upper left corner as seen from outside.
        along, down: (3,) unit vectors of its sides.
        size: (2,) lengths of its sides, metres.
    """

    origin: np.ndarray
    along: np.ndarray
    down: np.ndarray
    size: tuple[float, float]

    def at(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) of points (..., 2) on the wall."""
        return self.origin + points[..., :1] * self.along + points[..., 1:] * self.down

    @property
    def corners(self) -> np.ndarray:
        """(4, 3) world points, in turn."""
        width, height = self.size
        return self.at(np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]]))

    def faces(self, camera: Camera) -> bool:
        """Whether the camera is on the side from which `along` runs to the right."""
        (x, y, z), (a, b, c), (u, v, w) = (
            each.tolist() for each in (camera.position - self.origin, self.along, self.down)
        )
        return x * (b * w - c * v) + y * (c * u - a * w) + z * (a * v - b * u) < 0.0

    def turned(self, camera: Camera) -> "Wall":
        """The same wall, described so that the camera sees `along` run to the right."""
        if self.faces(camera):
            return self
        return Wall(self.origin + self.size[0] * self.along, -self.along, self.down, self.size)


def rectangles(camera: Camera, wall: Wall, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images (K, 4, 2) of rectangles (N, 4) u1 v1 u2 v2 on a wall, and which of the N they are, (K,).

    Those that reach nearer than the camera sees are left out.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    seen = camera.seen(wall.at(boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]))
    rows = np.flatnonzero((seen[..., 2] > NEAR).all(axis=1))
    return camera.project(seen[rows]), rows
