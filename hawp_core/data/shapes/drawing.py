"""Synthetic shapes: images of eight primitives with their exact wireframes (SuperPoint, arXiv 1712.07629, section 4.1).

They come in three styles: `published`, which this module draws, `photographic` (`photographic.py`), whose primitives
are scenes, and both in turn.

Every published image is drawn on a canvas larger than the network's input, blurred and resized. Coordinates stay floats
from the drawn geometry to the label. A line is labelled if it is long enough inside the image and can be seen there in
the finished drawing, so that neither neighbours of one grey nor later strokes leave a label without an edge. A drawing
in which a long line is faint, or can be seen in part only, is given up, and another one is drawn.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hawp_core.data.label_writing import write_labels
from hawp_core.data.shapes.primitives import PRIMITIVES, PUBLISHED, SCENES, STYLES, WITHOUT_LINES
from hawp_core.data.shapes.published import boards, figures
from hawp_core.data.shapes.published.canvas import SEEN, UNSEEN, Drawn, background, seen_shares, soften
from hawp_core.data.shapes.scenes import photographic
from hawp_core.geometry.homography import clip_lines
from hawp_core.geometry.wireframe import Wireframe

# Height and width of the canvas, and side of the network's input, pixels.
CANVAS = (960, 1280)
IMAGE_SIZE = 512
SPLITS = {"train": 0, "val": 1, "test": 2}

# Shortest labelled line, as a share of the canvas's shorter side.
MIN_LABELLED = 0.099
# Far more than is ever needed; reached only where the canvas is too small for any line.
MAX_DRAWS = 1000

Painter = Callable[[np.random.Generator, np.ndarray], Drawn]
_PAINTERS: dict[str, Painter] = {
    "checkerboard": boards.draw_checkerboard,
    "lines": figures.draw_lines,
    "polygon": figures.draw_polygon,
    "multiple_polygons": figures.draw_multiple_polygons,
    "star": figures.draw_star,
    "stripes": boards.draw_stripes,
    "cube": figures.draw_cube,
    "gaussian_noise": figures.draw_noise,
}


def draw(
    primitive: str,
    *,
    seed: int,
    split: str,
    index: int,
    image_size: int = IMAGE_SIZE,
    canvas: tuple[int, int] = CANVAS,
    style: str = PUBLISHED,
) -> tuple[np.ndarray, Wireframe]:
    """Draw one image. The same arguments give the same pixels and labels, and other splits other geometry.

    Args:
        primitive: one of the style's in `STYLES`.
        seed: of the whole data set, not negative.
        split: one of `SPLITS`.
        index: of the image among those of its primitive and split.
        image_size: side of the image, pixels.
        canvas: height and width of the drawing, pixels; blurs and widths scale with it.
        style: one of `STYLES`.

    Returns:
        (image_size, image_size) uint8 grey, and the wireframe in its pixels.

    Raises:
        ValueError: unknown style, primitive or split, or a canvas too small to draw a line on.
    """
    if style not in STYLES:
        raise ValueError(f"no style {style!r} in {tuple(STYLES)}")
    if primitive not in STYLES[style] or split not in SPLITS:
        raise ValueError(f"no primitive {primitive!r} in {STYLES[style]}, or no split {split!r} in {tuple(SPLITS)}")
    if primitive in SCENES:
        return photographic.draw(primitive, [seed, SPLITS[split], index], image_size, canvas)
    rng = np.random.default_rng([seed, SPLITS[split], PRIMITIVES.index(primitive), index])
    for _ in range(MAX_DRAWS):
        picture = background(rng, canvas)
        drawn = _PAINTERS[primitive](rng, picture)
        lines = None if drawn is None else labelled_lines(picture, *drawn, image_size)
        if lines is not None and (len(lines) or primitive in WITHOUT_LINES):
            return soften(picture, image_size), Wireframe.from_lines(lines, image_size, image_size)
    raise ValueError(
        f"{MAX_DRAWS} draws of {primitive!r} on a canvas of {canvas} for {image_size} px left no line to label"
    )


def labelled_lines(picture: np.ndarray, lines: np.ndarray, widths: np.ndarray, image_size: int) -> np.ndarray | None:
    """The lines to label, (M, 4) in the resized image; None where a long one is neither seen nor unseen."""
    factor = np.tile(image_size / np.array(picture.shape[::-1]), 2)
    resized, rows = clip_lines((lines + 0.5) * factor - 0.5, image_size, image_size)
    clipped = (resized + 0.5) / factor - 0.5
    length = np.hypot(clipped[:, 2] - clipped[:, 0], clipped[:, 3] - clipped[:, 1])
    long = length >= MIN_LABELLED * min(picture.shape)
    seen, traced = seen_shares(picture, clipped[long], widths[rows[long]])
    return None if ((seen < SEEN) & (traced > UNSEEN)).any() else resized[long][seen >= SEEN]


def synthesize(
    path: Path | str,
    *,
    seed: int,
    split: str,
    first: int,
    count: int,
    image_size: int = IMAGE_SIZE,
    canvas: tuple[int, int] = CANVAS,
    style: str = PUBLISHED,
    progress: Callable[[], object] | None = None,
) -> None:
    """Write images `first` to `first + count` of a split, with their labels, as one label file.

    The split's images take the style's primitives in turn: image g shows primitive g % 8 (of both styles: 16), as that
    one's number g // 8. How a split is cut into files therefore changes no image.

    Args:
        path: the label file; it keeps the images too.
        progress: called after each image.

    Raises:
        UserError: the file cannot be written.
        ValueError: as `draw`.
    """
    names, wireframes = [], []
    images = np.empty((count, image_size, image_size), np.uint8)
    for row in range(count):
        index, turn = divmod(first + row, len(STYLES[style]))
        primitive = STYLES[style][turn]
        images[row], wireframe = draw(
            primitive, seed=seed, split=split, index=index, image_size=image_size, canvas=canvas, style=style
        )
        names.append(f"{split}/{primitive}/{index:06d}")
        wireframes.append(wireframe)
        if progress is not None:
            progress()
    about = {"seed": seed, "split": split, "first": first, "count": count, "canvas": list(canvas)}
    if style != PUBLISHED:
        about["style"] = style
    write_labels(path, names, wireframes, images=images, about=about)
