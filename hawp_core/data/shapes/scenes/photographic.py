"""Shapes that look like photographs to a network: eight scenes with occlusion, clutter, faint edges and soft light.

Edges differ by a few grey levels as often as by many, are as short as in photographs of buildings, and stand among
much that is no edge. What is labelled:

- an edge of a painted surface or the centre of a thin stroke, where it can be seen (`visibility.py`), from .03 of the
  canvas's shorter side on;
- from corner to corner, or to where something hides it; a line that others cross or touch is not cut there, so that a
  junction is an end of a line, as in York Urban.
"""

from collections.abc import Callable, Sequence

import numpy as np

from hawp_core.data.shapes.primitives import SCENES, WITHOUT_LINES
from hawp_core.data.shapes.scenes import flat, indoors, outdoors
from hawp_core.data.shapes.scenes.finishing import finish
from hawp_core.data.shapes.scenes.scene import Scene
from hawp_core.data.shapes.scenes.visibility import visible_lines
from hawp_core.geometry.wireframe import Wireframe

_PAINTERS: dict[str, Callable[[Scene], None]] = {
    "street": outdoors.street,
    "front": outdoors.front,
    "room": indoors.room,
    "boxes": indoors.boxes,
    "floor": indoors.floor,
    "railing": outdoors.railing,
    "collage": flat.collage,
    "no_lines": flat.no_lines,
}
# Sets these random streams apart from those of the published shapes.
_STREAM = 1
# A scene may hide or fade all its lines; then it is painted again.
MAX_DRAWS = 100


def draw(primitive: str, key: Sequence[int], image_size: int, canvas: tuple[int, int]) -> tuple[np.ndarray, Wireframe]:
    """Draw one image.

    Args:
        primitive: one of `SCENES`.
        key: numbers, not negative, from which the image follows.
        image_size: side of the image, pixels.
        canvas: height and width of the drawing, pixels.

    Returns:
        (image_size, image_size) uint8 grey, and the wireframe in its pixels.

    Raises:
        ValueError: a canvas too small to draw a line on.
    """
    rng = np.random.default_rng([*key, SCENES.index(primitive), _STREAM])
    for _ in range(MAX_DRAWS):
        scene = Scene(rng, canvas)
        _PAINTERS[primitive](scene)
        image, clean, noise = finish(scene, image_size)
        lines = visible_lines(scene.lines, scene.owners, scene.owner, clean, noise)
        if len(lines) or primitive in WITHOUT_LINES:
            return image, Wireframe.from_lines(lines, image_size, image_size)
    raise ValueError(
        f"{MAX_DRAWS} draws of {primitive!r} on a canvas of {canvas} for {image_size} px left no line to label"
    )
