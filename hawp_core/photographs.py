"""The photographs: which there are, what they contain, and how one is read.

A photograph is named by its path relative to its folder, '/' between parts. The fingerprint of a folder is the digest
of all names and contents; it knows neither the folder's place nor any time, so that a copied folder keeps its key.
OpenCV is imported where it is used, because the lineage reads fingerprints without it.
"""

import contextlib
import hashlib
import heapq
import importlib.util
import json
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from tqdm import tqdm

from hawp_core.errors import UserError
from hawp_core.files import replacing, sha256

EXTENSIONS = ("jpg", "jpeg", "png", "tif", "tiff", "webp", "bmp")
_ENDINGS = tuple(f".{extension}" for extension in EXTENSIONS)

# The photographs with straight edges or plain objects among what scikit-image 0.25 and 0.26 install: no microscopy,
# no test chart, no scan, no texture without lines. They are read where they lie and never copied.
BUNDLED: tuple[str, ...] = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "rocket.jpg",
    "text.png",
)

MANIFEST_FORMAT = "hawp-rounds photographs 1"
HASH_THREADS = 8  # reading waits for the disk and hashing releases the interpreter lock
HASH_BATCH = 256  # files handed to the threads at a time
SAVE_SECONDS = 60  # the most hashing that a killed run loses
# A file whose time is this close to the clock may change again without changing its time (FAT counts in 2 s).
UNSETTLED_NS = 2 * 10**9

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
        return f"{_shown(self.path)} cannot be used as a photograph ({self.reason}): replace the file or remove it."


class Photograph(NamedTuple):
    """A file in the folder: its relative name, bytes, and modification time."""

    name: str
    size: int
    mtime_ns: int


class Rejected(NamedTuple):
    """A file that looks like a photograph and cannot be one; unprintable parts of its name are escaped."""

    name: str
    reason: str


class Entry(NamedTuple):
    """A photograph and the SHA-256 of its bytes."""

    name: str
    sha256: str
    size: int
    mtime_ns: int


# Which photographs there are


def bundled_folder() -> Path:
    """The folder of images inside the installed scikit-image; nothing is downloaded, scikit-image is not imported.

    Raises:
        UserError: scikit-image is not installed.
    """
    found = importlib.util.find_spec("skimage")
    if found is None:
        raise UserError("'bundled' photographs come with scikit-image, which is not installed: install scikit-image.")
    return Path(found.submodule_search_locations[0]) / "data"


def locate(folder: Path | str) -> Path:
    """The folder meant: the string "bundled" is scikit-image's; a folder of that name is given as ./bundled."""
    return bundled_folder() if folder == "bundled" else Path(folder)


def scan(folder: Path | str) -> list[Photograph]:
    """The photographs in a folder and below, sorted by name; see `survey`."""
    return survey(folder)[0]


def survey(folder: Path | str) -> tuple[list[Photograph], list[Rejected]]:
    """The photographs in a folder and below, sorted by name, and the files that look like some but cannot be used.

    Hidden files and folders are left out. Links are followed; a folder reached twice counts once, under its real
    name, so that loops end, and a link to a folder that contains `folder` is not followed.

    Raises:
        UserError: `folder` is missing, a file, cannot be listed, or holds no photograph.
    """
    root = locate(folder)
    if not os.path.isdir(root):
        fault = "is a file, not a folder" if os.path.exists(root) else "does not exist or cannot be reached"
        raise UserError(f"{_shown(root)} {fault}: give a folder of photographs ({', '.join(EXTENSIONS)}).")
    files = _bundled_files(root) if folder == "bundled" else _walk(root)
    photographs, rejected = [], []
    for name, path in files:
        reason, found = _examine(name, path)
        if reason:
            rejected.append(Rejected(_shown(name), reason))
        else:
            photographs.append(Photograph(name, found.st_size, found.st_mtime_ns))
    if not photographs:
        refused = f" ({rejected[0].name}, for one, {rejected[0].reason})" if rejected else ""
        raise UserError(
            f"{_shown(root)} holds no usable photograph{refused}: files ending in {', '.join(EXTENSIONS)} "
            "are looked for, in its subfolders too."
        )
    return sorted(photographs), sorted(rejected)


def _bundled_files(root: Path) -> Iterator[tuple[str, str]]:
    for name in BUNDLED:
        if not (root / name).is_file():
            raise UserError(f"{root} lacks {name}: install scikit-image 0.25 or newer, or give your own folder.")
        yield name, str(root / name)


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    """Name and path of every visible file with a photograph's extension: real folders first, then linked ones."""
    real_root = os.path.realpath(root)
    entered: set[str] = set()
    linked = [""]
    while linked:
        waiting = [heapq.heappop(linked)]
        while waiting:
            inside = waiting.pop()
            real = os.path.realpath(root / inside)
            above = inside and os.path.commonpath([real, real_root]) == real
            if above or real in entered:
                continue
            entered.add(real)
            for item in _listed(root / inside):
                name = f"{inside}/{item.name}" if inside else item.name
                if item.name.startswith("."):
                    continue
                if item.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif item.is_symlink() and os.path.isdir(item.path):
                    heapq.heappush(linked, name)
                elif item.name.lower().endswith(_ENDINGS):
                    yield name, item.path


def _listed(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError as error:
        raise UserError(
            f"{_shown(folder)} cannot be listed ({error.strerror}): give permission to read it, or move it elsewhere."
        ) from error


def _examine(name: str, path: str) -> tuple[str, os.stat_result | None]:
    """Why the file cannot be used ('' if it can), and its status."""
    try:
        name.encode("utf-8")
        found = os.stat(path)
    except UnicodeEncodeError:
        return "its name is not valid UTF-8", None
    except OSError as error:
        return f"it cannot be reached: {error.strerror}", None
    return ("" if stat.S_ISREG(found.st_mode) else "it is not a regular file"), found


def _shown(name: Path | str) -> str:
    """A name for one line of text: line breaks, control characters and undecodable bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name))


def resolve(folder: Path | str, name: str) -> Path:
    """The path of the photograph `name` of `folder`.

    Raises:
        UserError: the name is empty, absolute, or leaves the folder by '..'.
    """
    parts = PurePosixPath(name)
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or "\0" in name:
        raise UserError(
            f"{_shown(name)!r} is no path inside {_shown(folder)}: name a photograph relative to the folder."
        )
    return locate(folder) / name


# What they contain


@dataclass(frozen=True)
class Manifest:
    """The content of a folder of photographs.

    Attributes:
        folder: the folder as it was given.
        entries: one a photograph, sorted by name.
        rejected: files that look like photographs and cannot be used, sorted.
    """

    folder: str
    entries: list[Entry]
    rejected: list[Rejected] = field(default_factory=list)

    @cached_property
    def key(self) -> str:
        """SHA-256, hexadecimal, of the names and contents; times and the folder's own place do not count."""
        digest = hashlib.sha256(MANIFEST_FORMAT.encode())
        for entry in sorted(self.entries):
            digest.update(json.dumps([entry.name, entry.sha256]).encode("ascii") + b"\n")
        return digest.hexdigest()

    def write(self, path: Path | str) -> None:
        """Write JSON lines, whole or not at all: a header, an entry a line, then a rejected file a line.

        Raises:
            UserError: the file cannot be written.
        """
        lines = [json.dumps(row) for row in (*self.entries, *self.rejected)]
        header = {
            "format": MANIFEST_FORMAT,
            "folder": self.folder,
            "key": self.key,
            "photographs": len(self.entries),
            "columns": Entry._fields,
            "sum": _sum_of(lines),
        }
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in [json.dumps(header), *lines]), encoding="ascii")

    @classmethod
    def read(cls, path: Path | str) -> "Manifest":
        """Read what `write` wrote.

        Raises:
            UserError: missing, cut short, altered, of another kind, or of another version.
        """
        try:
            first, _, body = Path(path).read_text(encoding="ascii").partition("\n")
            header, lines = json.loads(first), body.splitlines()
            if header["format"] != MANIFEST_FORMAT:
                raise ValueError(f"its format is {header['format']!r}, and this version reads {MANIFEST_FORMAT!r}")
            if _sum_of(lines) != header["sum"]:
                raise ValueError("its lines changed since they were written")
            rows = json.loads(f"[{','.join(lines)}]")
            count = header["photographs"]
            manifest = cls(header["folder"], [Entry(*r) for r in rows[:count]], [Rejected(*r) for r in rows[count:]])
            if manifest.key != header["key"]:
                raise ValueError("its key does not fit its entries")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or _first(error)
            raise UserError(
                f"{_shown(path)} is no readable list of photographs ({_shown(reason)}): delete it and make it again."
            ) from error
        return manifest


def _sum_of(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()


def fingerprint(folder: Path | str, cache: Path | None = None) -> Manifest:
    """Hash the photographs of a folder, or take from `cache` what has the same name, size and time as then.

    A change that keeps a file's name, size and modification time is not noticed while the cache exists. Files that
    may not be opened are listed as rejected and do not count for the key; a damaged cache is made anew.

    Raises:
        UserError: see `survey`; a file changes or fails while it is read; the cache cannot be written.
    """
    photographs, rejected = survey(folder)
    place = os.path.realpath(locate(folder))
    known = _cached(cache, place)
    entries = [Entry(p.name, known[p], p.size, p.mtime_ns) for p in photographs if p in known]
    unknown = [p for p in photographs if p not in known]
    settled = time.time_ns() - UNSETTLED_NS

    def save() -> None:
        if cache is not None:
            Manifest(place, sorted(e for e in entries if e.mtime_ns < settled)).write(cache)

    if unknown:
        try:
            saved = time.monotonic()
            for rows in _hash_all(folder, unknown):
                entries += [row for row in rows if isinstance(row, Entry)]
                rejected += [row for row in rows if isinstance(row, Rejected)]
                if time.monotonic() - saved > SAVE_SECONDS:
                    save()
                    saved = time.monotonic()
        finally:
            save()
    if not entries:
        raise UserError(f"{_shown(place)} holds no photograph that may be opened: give permission to read its files.")
    return Manifest(str(folder), sorted(entries), sorted(rejected))


def _cached(cache: Path | None, place: str) -> dict[Photograph, str]:
    """The digests that a cache of the same folder holds; equal names, sizes and times elsewhere prove nothing."""
    if cache is None or not Path(cache).exists():
        return {}
    try:
        manifest = Manifest.read(cache)
    except UserError:
        return {}
    return {Photograph(e.name, e.size, e.mtime_ns): e.sha256 for e in manifest.entries if manifest.folder == place}


def _hash_all(folder: Path | str, photographs: list[Photograph]) -> Iterator[list[Entry | Rejected]]:
    """Hash in threads, a batch at a time; a bar on standard error counts the bytes once it takes seconds."""
    total = sum(p.size for p in photographs)
    with (
        ThreadPoolExecutor(HASH_THREADS) as threads,
        tqdm(total=total, desc="fingerprint", unit="B", unit_scale=True, delay=2) as bar,
    ):
        for start in range(0, len(photographs), HASH_BATCH):
            batch = photographs[start : start + HASH_BATCH]
            rows = []
            for row in threads.map(lambda photograph: _hashed(folder, photograph), batch):
                bar.update(batch[len(rows)].size)
                rows.append(row)
            yield rows


def _hashed(folder: Path | str, photograph: Photograph) -> Entry | Rejected:
    path = resolve(folder, photograph.name)
    try:
        digest = sha256(path)
        found = path.stat()
    except PermissionError as error:
        return Rejected(_shown(photograph.name), f"it cannot be opened: {error.strerror}")
    except OSError as error:
        raise UserError(
            f"{_shown(path)} could not be read ({error.strerror}): mend or remove it, then run the same command again."
        ) from error
    if (found.st_size, found.st_mtime_ns) != (photograph.size, photograph.mtime_ns):
        raise UserError(f"{_shown(path)} changed while it was read: run the same command again once copying has ended.")
    return Entry(photograph.name, digest, photograph.size, photograph.mtime_ns)


def check_unchanged(folder: Path | str, entry: Entry) -> None:
    """See that a photograph is still what it was; its content is read only where its size or time differs.

    Raises:
        UserError: it changed, or cannot be reached.
    """
    path = resolve(folder, entry.name)
    try:
        found = path.stat()
        same = (found.st_size, found.st_mtime_ns) == (entry.size, entry.mtime_ns)
        changed = not same and (found.st_size != entry.size or sha256(path) != entry.sha256)
    except OSError as error:
        raise UserError(
            f"{_shown(path)} was readable when the run began, not now ({error.strerror}): put it back, or start anew."
        ) from error
    if changed:
        raise UserError(f"{_shown(path)} changed since the run began: put the old file back, or start anew.")


# How one is read


def read_gray(path: Path | str, *, size: int | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """Read a photograph as grey values: JPEG, PNG, TIFF, WebP or BMP, of any colour mode, in any file extension.

    Luma is 0.299 R + 0.587 G + 0.114 B. Transparent pixels show white paper. Sixteen bits are divided by 257; other
    integers, and floats that leave [0, 1], are stretched from their least to their greatest value. The EXIF rotation
    is applied; of several frames the first is read.

    Args:
        size: side of the square to resize to: pixel areas where a side shrinks, linear where it grows.

    Returns:
        gray: (H, W) uint8, or (size, size).
        original: (width, height) in pixels, after rotation, before resizing.

    Raises:
        Unreadable: missing, empty, damaged, of another kind, too small or too large.
    """
    path = Path(path)
    gray = _decoded(path)
    height, width = gray.shape
    return (gray if size is None else _resized(gray, size)), (width, height)


def _resized(gray: np.ndarray, size: int) -> np.ndarray:
    """(size, size): first each side that shrinks, then each that grows."""
    import cv2

    height, width = gray.shape
    gray = cv2.resize(gray, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(gray, (size, size), interpolation=cv2.INTER_LINEAR)


def _decoded(path: Path) -> np.ndarray:
    """(H, W) uint8, upright."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(path, "it is not a regular file")
        if found.st_size == 0:
            raise Unreadable(path, "it is empty")
        gray, orientation = _read_pillow(path)
    except (Unreadable, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(path, _TOO_LARGE) from error
    except OSError as error:
        # What Pillow itself finds wrong carries no error number.
        reason = f"it cannot be opened: {error.strerror}" if error.errno else f"it cannot be decoded: {_first(error)}"
        raise Unreadable(path, reason) from error
    except Exception as error:  # damaged files raise nearly anything in a decoder, and one must not stop a round
        raise Unreadable(path, f"it cannot be decoded: {_first(error)}") from error
    if orientation in _TURNS:
        gray = np.asarray(Image.fromarray(gray).transpose(_TURNS[orientation]))
    return gray


def _read_pillow(path: Path) -> tuple[np.ndarray, int]:
    """(H, W) uint8 as stored, and the EXIF orientation."""
    try:
        image = Image.open(path, formats=_PILLOW_FORMATS)
    except UnidentifiedImageError:
        with open(path, "rb") as stream:
            if stream.read(4) in _TIFF_STARTS:
                return _read_tiff(path)
        raise Unreadable(
            path, "its content is not JPEG, PNG, TIFF, WebP or BMP, or is damaged at the beginning"
        ) from None
    with image:
        _check_sides(path, *image.size)
        image.load()
        orientation = 1
        with contextlib.suppress(Exception):  # a photograph with damaged EXIF is still a photograph
            orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
        gray = _gray_of(image)
        # Of the kinds where 0 means white, Pillow turns round those of 8 bits only.
        wide_inverted = image.mode[0] in "IF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        return (255 - gray if wide_inverted else gray), orientation


def _read_tiff(path: Path) -> tuple[np.ndarray, int]:
    """The TIFF flavours that Pillow does not know, such as planar or 64-bit floats; extra channels are left out."""
    from tifffile import PHOTOMETRIC, TiffFile

    with TiffFile(path) as file:
        page = file.pages.first
        _check_sides(path, page.imagewidth, page.imagelength)
        layout, photometric, extra = page.axes, page.photometric, len(page.extrasamples)
        orientation = int(page.tags.valueof("Orientation", 1))
        values = page.asarray()
    values = {"YX": values[..., None], "YXS": values, "SYX": np.moveaxis(values, 0, -1)}.get(layout)
    known = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB)
    if values is None or photometric not in known or values.shape[-1] - extra not in (1, 3):
        raise ValueError("a TIFF that is neither grey nor RGB")
    values = _eight_bits(values[..., : values.shape[-1] - extra])
    if photometric == PHOTOMETRIC.MINISWHITE:
        values = 255 - values
    if values.shape[-1] == 1:
        return values[..., 0], orientation
    return _gray_of(Image.fromarray(np.ascontiguousarray(values))), orientation


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


def _first(error: Exception) -> str:
    """The first line of an error's text, or its kind."""
    return _shown(str(error).strip().split("\n")[0].rstrip(".")) or type(error).__name__
