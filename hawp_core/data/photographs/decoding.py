"""How a photograph is read: any common format, depth and colour mode, as upright grey values.

OpenCV is imported where it is used, because the lineage imports this module and must not wait for it.
"""

import contextlib
import stat
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from hawp_core.errors import UserError
from hawp_core.geometry.resize import to_square
from hawp_core.runtime.text import first_line, shown

# A JPEG may be decoded to a half, a quarter or an eighth of its sides, in a third of the time, where as many times the wanted size
# are left on each side: the mean of areas that follows then still decides what is seen.
KEPT_TIMES = 2
SMALLEST_SIDE = 16  # pixels: four cells of the field grid, fewer cannot hold a line
LARGEST_PIXELS = 300 * 10**6  # beyond the largest cameras; more is a mistake or a decompression bomb
Image.MAX_IMAGE_PIXELS = LARGEST_PIXELS

# Named, so that a file in disguise cannot reach Pillow's other decoders (EPS starts Ghostscript).
_PILLOW_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF 6.0, section 8
_TOO_LARGE = f"it has more than {LARGEST_PIXELS // 10**6} megapixels"
# What undoes each EXIF orientation (EXIF 2.32, tag 0x0112).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPING = (5, 6, 7, 8)  # those that make a wide photograph a high one


class Unreadable(UserError):
    """A photograph that cannot be used.

    Attributes:
        path: the file.
        reason: why, a clause without the file's name.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        # Both arguments go to Exception, so that worker processes can send the error back.
        super().__init__(path, reason)
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{shown(self.path)} cannot be used as a photograph ({self.reason}): replace the file or remove it."


def read_gray(
    path: Path | str, *, size: int | None = None, reduced: bool = False
) -> tuple[np.ndarray, tuple[int, int]]:
    """Read a photograph as grey values: JPEG, PNG, TIFF, WebP or BMP, of any colour mode, in any file extension.

    Luma is 0.299 R + 0.587 G + 0.114 B. Transparent pixels show white paper. Sixteen bits are divided by 257; other
    integers, and floats that leave [0, 1], are stretched from their least to their greatest value. The EXIF rotation
    is applied; of several frames the first is read.

    Args:
        size: side of the square to resize to: pixel areas where a side shrinks, linear where it grows.
        reduced: decode a JPEG that is at least four times as large on both sides at a half, a quarter or an eighth of them.

    Returns:
        gray: (H, W) uint8, or (size, size).
        original: (width, height) in pixels, after rotation, before resizing.

    Raises:
        Unreadable: missing, empty, damaged, of another kind, too small or too large.
    """
    path = Path(path)
    gray, (width, height) = _decoded(path, size if reduced else None)
    return (gray if size is None else to_square(gray, size)), (width, height)


def read_size(path: Path | str) -> tuple[tuple[int, int], int]:
    """Width and height of a photograph, upright, in pixels, and its EXIF orientation; the pixels are not decoded.

    Raises:
        Unreadable: as `read_gray`, as far as the beginning of the file tells.
    """
    path = Path(path)
    try:
        size, orientation = _stored_size(path)
    except Exception as error:  # see _decoded
        raise Unreadable(path, f"it cannot be decoded: {first_line(error)}") from error
    _check_sides(path, *size)
    return (size[::-1] if orientation in _SWAPPING else size), orientation


def _stored_size(path: Path) -> tuple[tuple[int, int], int]:
    try:
        with Image.open(path, formats=_PILLOW_FORMATS) as image:
            return image.size, _orientation(image)
    except UnidentifiedImageError:
        from tifffile import TiffFile

        with TiffFile(path) as file:
            page = file.pages.first
            return (page.imagewidth, page.imagelength), int(page.tags.valueof("Orientation", 1))


def _orientation(image: Image.Image) -> int:
    with contextlib.suppress(Exception):  # a photograph with damaged EXIF is still a photograph
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _decoded(path: Path, size: int | None) -> tuple[np.ndarray, tuple[int, int]]:
    """(H, W) uint8, upright, and the sides (width, height) of the photograph, which may have been reduced for a square of `size`."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(path, "it is not a regular file")
        if found.st_size == 0:
            raise Unreadable(path, "it is empty")
        gray, orientation, (width, height) = _read_pillow(path, size)
    except (Unreadable, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(path, _TOO_LARGE) from error
    except OSError as error:
        # What Pillow itself finds wrong carries no error number.
        reason = (
            f"it cannot be opened: {error.strerror}" if error.errno else f"it cannot be decoded: {first_line(error)}"
        )
        raise Unreadable(path, reason) from error
    except Exception as error:  # damaged files raise nearly anything in a decoder, and one must not stop a round
        raise Unreadable(path, f"it cannot be decoded: {first_line(error)}") from error
    if orientation in _TURNS:
        gray = np.asarray(Image.fromarray(gray).transpose(_TURNS[orientation]))
    return gray, ((height, width) if orientation in _SWAPPING else (width, height))


def _read_pillow(path: Path, size: int | None) -> tuple[np.ndarray, int, tuple[int, int]]:
    """(H, W) uint8 as stored or reduced, the EXIF orientation, and the width and height that are stored."""
    try:
        image = Image.open(path, formats=_PILLOW_FORMATS)
    except UnidentifiedImageError:
        with open(path, "rb") as stream:
            if stream.read(4) in _TIFF_STARTS:
                gray, orientation = _read_tiff(path)
                return gray, orientation, gray.shape[::-1]
        raise Unreadable(
            path, "its content is not JPEG, PNG, TIFF, WebP or BMP, or is damaged at the beginning"
        ) from None
    with image:
        sides = image.size
        _check_sides(path, *sides)
        if size is not None and image.mode in ("L", "RGB"):
            # Does nothing but to a JPEG, and nothing to one that is not large enough.
            image.draft(None, (KEPT_TIMES * size, KEPT_TIMES * size))
        image.load()
        orientation = _orientation(image)
        gray = _gray_of(image)
        # Of the kinds where 0 means white, Pillow turns round those of 8 bits only.
        wide_inverted = image.mode[0] in "IF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        return (255 - gray if wide_inverted else gray), orientation, sides


def _read_tiff(path: Path) -> tuple[np.ndarray, int]:
    """The TIFF flavours that Pillow does not know, such as planar or 64-bit floats; extra channels are left out."""
    from tifffile import PHOTOMETRIC, TiffFile

    with TiffFile(path) as file:
        page = file.pages.first
        _check_sides(path, page.imagewidth, page.imagelength)
        layout, photometric, extra = page.axes, page.photometric, len(page.extrasamples)
        orientation = int(page.tags.valueof("Orientation", 1))
        values = page.asarray()
    # Channels last.
    bands = {"YX": values[..., None], "YXS": values, "SYX": np.moveaxis(values, 0, -1)}.get(layout)
    known = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB)
    if bands is None or photometric not in known or bands.shape[-1] - extra not in (1, 3):
        raise ValueError("a TIFF that is neither grey nor RGB")
    bands = _eight_bits(bands[..., : bands.shape[-1] - extra])
    if photometric == PHOTOMETRIC.MINISWHITE:
        bands = 255 - bands
    if bands.shape[-1] == 1:
        return bands[..., 0], orientation
    return _gray_of(Image.fromarray(np.ascontiguousarray(bands))), orientation


def _check_sides(path: Path, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise Unreadable(path, f"it has {width} x {height} pixels, and {SMALLEST_SIDE} are needed on each side")
    if width * height > LARGEST_PIXELS:
        raise Unreadable(path, _TOO_LARGE)


def _gray_of(image: Image.Image) -> np.ndarray:
    """(H, W) uint8: luma, with transparent pixels as white paper."""
    if image.mode[0] in "IF":
        return _eight_bits(np.asarray(image))
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    gray, alpha = np.moveaxis(np.asarray(image.convert("RGBA").convert("LA")).astype(np.uint16), -1, 0)
    return ((gray * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Any real numbers as uint8 of the same shape: see `read_gray`; what is not finite is black."""
    if values.dtype in (np.uint8, np.bool_):
        return values * np.uint8(255 if values.dtype == np.bool_ else 1)
    whole = values.dtype.kind in "iu"
    finite = values if whole else values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("no pixel is a finite number")
    low, high = float(finite.min()), float(finite.max())
    if whole and low >= 0 and high <= 65535:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not whole and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    # Halves, because the difference of two float64 may overflow.
    halves = np.nan_to_num(values, nan=low, posinf=low, neginf=low).astype(np.float64) / 2 - low / 2
    return np.rint(halves / max(high / 2 - low / 2, np.finfo(np.float64).tiny) * 255).astype(np.uint8)
