"""Pictures to look at: wireframes drawn over images, and contact sheets.

Pictures are (H, W, 3) uint8, RGB. Lines are vermilion and junctions sky blue on a dark rim: two of the eight colours of
Okabe and Ito (2008), which stay apart for colour-blind readers, in print, and on dark and light images alike.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from hawp_core.data.photographs.selection import SOFTWARE
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import replacing

LINE_COLOUR = (213, 94, 0)
JUNCTION_COLOUR = (86, 180, 233)
RIM_COLOUR = (20, 20, 20)
# Pixels; of larger pictures a share of the longer side, so that lines are seen where the whole of it is.
LINE_WIDTH, LINE_SHARE = 2.0, 1 / 600
# Radius of a junction's dot and width of its rim, in line widths.
DOT, RIM = 1.2, 0.5

# Contact sheets: space around tiles, height of a title and its letters, pixels.
GUTTER = 12
TITLE_HEIGHT, TITLE_SIZE, SMALLEST_TITLE = 28, 20, 9
PREVIEW_COLUMNS = 4

_SUBPIXEL_BITS = 6

# Pillow has letters that scale, or where it was built without FreeType, others.
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def overlay(image: np.ndarray, wireframe: Wireframe, *, scale: float = 1.0) -> np.ndarray:
    """Draw a wireframe over its image.

    Args:
        image: (H, W) or (H, W, 3) uint8, of any size: the wireframe is resized to the picture.
        scale: size of the picture relative to the image.

    Returns:
        (round(H * scale), round(W * scale), 3) uint8.

    Raises:
        ValueError: an image of another kind.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"an overlay needs (H, W) or (H, W, 3) uint8, not {image.shape} {image.dtype}")
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    smooth = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    picture = cv2.resize(image, (width, height), interpolation=smooth)
    picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture.copy()
    fitted = wireframe.resized(width, height)
    line_width = line_width_of(width, height)
    one = 1 << _SUBPIXEL_BITS
    for x1, y1, x2, y2 in np.rint(fitted.lines * one).astype(int).tolist():
        # OpenCV's antialiased lines are about a pixel wider than their thickness.
        thickness = max(1, round(line_width - 0.5))
        cv2.line(picture, (x1, y1), (x2, y2), LINE_COLOUR, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    for x, y in np.rint(fitted.junctions * one).astype(int).tolist():
        for radius, colour in ((DOT + RIM, RIM_COLOUR), (DOT, JUNCTION_COLOUR)):
            cv2.circle(picture, (x, y), round(radius * line_width * one), colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return picture


def line_width_of(width: int, height: int) -> float:
    """Pixels of a line that is drawn over a picture of this size."""
    return max(LINE_WIDTH, LINE_SHARE * max(width, height))


def contact_sheet(tiles: Sequence[np.ndarray], columns: int, titles: Sequence[str] | None = None) -> np.ndarray:
    """Arrange pictures (H, W, 3) on white, row by row, each in the centre of a cell as large as the largest.

    Args:
        columns: pictures in a row.
        titles: one a picture, written above it, all as large as the longest allows, and cut where even small letters are
            longer than a cell.

    Raises:
        ValueError: no picture, no column, or another number of titles.
    """
    if not tiles or columns < 1 or (titles is not None and len(titles) != len(tiles)):
        raise ValueError(f"{len(tiles)} pictures in {columns} columns with titles {titles} make no contact sheet")
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    header = TITLE_HEIGHT if titles else 0
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    down, across = height + header + GUTTER, width + GUTTER
    font = _font(titles or [], width)
    sheet = np.full((rows * down + GUTTER, columns * across + GUTTER, 3), 255, np.uint8)
    for k, tile in enumerate(tiles):
        top, left = GUTTER + k // columns * down, GUTTER + k % columns * across
        if titles:
            sheet[top : top + header, left : left + width] = _title(titles[k], width, font)
        top += header + (height - tile.shape[0]) // 2
        left += (width - tile.shape[1]) // 2
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _font(titles: Sequence[str], width: int) -> Font:
    """The largest font in which every title is at most `width` pixels long, or the smallest."""
    fonts = [ImageFont.load_default(size) for size in range(TITLE_SIZE, SMALLEST_TITLE - 1, -1)]
    return next((font for font in fonts if all(font.getlength(title) <= width for title in titles)), fonts[-1])


def _title(text: str, width: int, font: Font) -> np.ndarray:
    """(TITLE_HEIGHT, width, 3): black letters on white."""
    strip = Image.new("RGB", (width, TITLE_HEIGHT), "white")
    ImageDraw.Draw(strip).text((0, TITLE_HEIGHT // 2), text, fill="black", font=font, anchor="lm")
    return np.asarray(strip)


def save_png(path: Path | str, rgb: np.ndarray, made: str = "") -> None:
    """Write a picture (H, W, 3) or (H, W) uint8 as PNG that says who drew it, and from what, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    about = PngInfo()
    about.add_text("Software", SOFTWARE)
    about.add_text("Made", made)
    with replacing(path) as temporary:
        Image.fromarray(rgb).save(temporary, format="PNG", pnginfo=about)
