"""The label file that keeps the wireframes of many images.

Coordinates are (x, y) in pixels, the centre of the top-left pixel at (0, 0): the convention of OpenCV.
A label file is HDF5 with ragged arrays, so that its size does not depend on the number of groups and
millions of images stay a handful of datasets:

    names               (I,)    UTF-8 strings: each image's path relative to its folder, '/' between parts
    sizes               (I, 2)  int32: width, height of the original image, pixels
    junction_offsets    (I + 1,) int64: junctions of image i are rows offsets[i] to offsets[i + 1]
    junctions           (J, 2)  float32: x, y in original pixels
    edge_offsets        (I + 1,) int64
    edges               (E, 2)  int32: junction indices within the image, smaller first
    scores              (E,)    float32: in [0, 1]
    images              (I, H, W) uint8, grey: only where the pixels travel with the labels (synthetic shapes)
    image_sums          (I,)    uint32: CRC-32 of each image's bytes; files of before it came have none
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import parse_json, replacing
from hawp_core.runtime.text import first_line, shown

LABEL_FORMAT = "hawp-rounds wireframes 1"


def write_labels(
    path: Path | str,
    names: Sequence[str],
    wireframes: Sequence[Wireframe],
    *,
    images: np.ndarray | None = None,
    about: Mapping[str, object] | None = None,
) -> None:
    """Write a label file, whole or not at all.

    Args:
        names: one unique name an image.
        wireframes: one an image, in the images' own pixels.
        images: (I, H, W) uint8 grey pixels to keep beside the labels, uncompressed so that readers can map them.
        about: JSON-serialisable record of how the labels were made; never affects how they are read.
    """
    if len(set(names)) != len(names) or len(names) != len(wireframes):
        raise ValueError("label files hold one wireframe for each unique name")
    with replacing(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        file.attrs["format"] = LABEL_FORMAT
        file.attrs["about"] = json.dumps(about or {}, sort_keys=True)
        file.create_dataset("names", data=list(names), dtype=h5py.string_dtype("utf-8"), shape=(len(names),))
        file["sizes"] = np.array([(w.width, w.height) for w in wireframes], np.int32).reshape(-1, 2)
        file["junction_offsets"] = _offsets([len(w.junctions) for w in wireframes])
        file["junctions"] = np.concatenate([w.junctions for w in wireframes] or [np.zeros((0, 2), np.float32)])
        file["edge_offsets"] = _offsets([len(w.edges) for w in wireframes])
        file["edges"] = np.concatenate([w.edges for w in wireframes] or [np.zeros((0, 2), np.int32)])
        file["scores"] = np.concatenate([w.scores for w in wireframes] or [np.zeros(0, np.float32)])
        if images is not None:
            file["image_sums"] = np.array([image_sum(image) for image in images], np.uint32)
        for name in list(file):
            file[name].attrs["sum"] = _checksum(file[name][()])
        if images is not None:
            file["images"] = images


def image_sum(pixels: np.ndarray) -> int:
    """The CRC-32 of an image's bytes."""
    return zlib.crc32(pixels.tobytes())


TABLES = ("names", "sizes", "junction_offsets", "junctions", "edge_offsets", "edges", "scores")
# What damaged and foreign files raise in h5py, NumPy and here.
UNREADABLE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)


def plain(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset that lies in the file itself, in one piece, as `write_labels` and the cache of photographs write them.

    Raises:
        KeyError: there is none.
        ValueError: it leads to other files, or says that it is larger than the file.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"'{name}' lies in another file")
    data = file[name]
    if not isinstance(data, h5py.Dataset) or data.chunks or data.is_virtual or data.external:
        raise ValueError(f"'{name}' is not stored as this program does")
    if data.size * data.dtype.itemsize > file.id.get_filesize():
        raise ValueError(f"'{name}' is larger than the file")
    return data


def _table(file: h5py.File, name: str) -> np.ndarray:
    """A dataset in memory, compared with its sum."""
    data = plain(file, name)
    values = data[()]
    if _checksum(values) != data.attrs["sum"]:
        raise ValueError(f"the bytes of '{name}' changed since they were written")
    return values


def check_tables(names: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
    """Make sure that the tables of a label file fit together: whoever wrote them made their sums fit as well.

    Raises:
        ValueError: they do not.
    """
    kinds = {
        "sizes": ("i", 2), "junction_offsets": ("i", 1), "junctions": ("f", 2), "edge_offsets": ("i", 1), "edges": ("i", 2),
        "scores": ("f", 1), "image_sums": ("u", 1),
    }  # fmt: skip
    for name, values in arrays.items():
        kind, dimensions = kinds[name]
        if values.dtype.kind != kind or values.ndim != dimensions or (dimensions == 2 and values.shape[1] != 2):
            raise ValueError(f"'{name}' holds something else")
    if len(set(names)) != len(names) or len(arrays["sizes"]) != len(names) or (arrays["sizes"] < 1).any():
        raise ValueError("its names and sizes are none of images")
    if len(arrays.get("image_sums", names)) != len(names) or len(arrays["scores"]) != len(arrays["edges"]):
        raise ValueError("its tables have different lengths")
    for rows in ("junction", "edge"):
        offsets = arrays[f"{rows}_offsets"]
        ends = len(offsets) == len(names) + 1 and offsets[0] == 0 and offsets[-1] == len(arrays[f"{rows}s"])
        if not ends or (np.diff(offsets) < 0).any():
            raise ValueError(f"its {rows}s belong to no images")
    junctions = np.repeat(np.diff(arrays["junction_offsets"]), np.diff(arrays["edge_offsets"]))
    if (arrays["edges"] < 0).any() or (arrays["edges"] >= junctions[:, None]).any():
        raise ValueError("an edge names a junction that is none")
    if not (np.isfinite(arrays["junctions"]).all() and np.isfinite(arrays["scores"]).all()):
        raise ValueError("a number is not finite")


def _offsets(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _checksum(values: np.ndarray) -> int:
    if values.dtype == object:
        return zlib.crc32(b"\0".join(values))
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


class LabelFile:
    """A label file opened for reading: a sequence of wireframes, also reachable by image name.

    Labels are read into memory (a hundred lines an image are about 2.4 kB); images stay on the disk.

    Raises:
        UserError: missing, truncated, damaged, of another kind, or of another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(
                f"{path} does not exist: give a label file (.h5) written by hawp synthesize or hawp homoadp."
            )
        try:
            with h5py.File(path, "r") as file:
                self._read(file)
        except UNREADABLE as error:
            raise UserError(
                f"{path} is not a readable label file ({first_line(error)}): "
                "it is damaged or was made by another program; delete it and make it again."
            ) from error
        self._index = {name: i for i, name in enumerate(self.names)}
        # Which images' pixels were compared with their sums.
        self._compared = np.zeros(len(self.names), bool)

    def _read(self, file: h5py.File) -> None:
        found = file.attrs.get("format", "none")
        if not isinstance(found, str) or found != LABEL_FORMAT:
            raise UserError(
                f"{self.path} has the label format {shown(str(found))[:80]!r}, and this version reads {LABEL_FORMAT!r}: "
                "make it again with this version of hawp-rounds."
            )
        about = parse_json(file.attrs["about"])
        if not isinstance(about, dict):
            raise ValueError("it does not say how it was made")
        self.about: dict[str, object] = about
        self.has_images = "images" in file
        names = [*TABLES, *(["image_sums"] if "image_sums" in file else [])]
        arrays = {name: _table(file, name) for name in names}
        self.names: list[str] = [name.decode("utf-8") for name in arrays.pop("names")]
        self._arrays = arrays
        check_tables(self.names, arrays)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __getitem__(self, key: int | str) -> Wireframe:
        i = self._index[key] if isinstance(key, str) else key
        a = self._arrays
        j0, j1 = a["junction_offsets"][i : i + 2]
        e0, e1 = a["edge_offsets"][i : i + 2]
        width, height = (int(v) for v in a["sizes"][i])
        return Wireframe(a["junctions"][j0:j1], a["edges"][e0:e1], a["scores"][e0:e1], width, height)

    @property
    def line_count(self) -> int:
        """Lines in the whole file."""
        return len(self._arrays["edges"])

    def images(self) -> np.ndarray:
        """(I, H, W) uint8: the pixels kept beside the labels, memory-mapped, read-only.

        Raises:
            UserError: the file holds labels only, or is shorter than it says.
        """
        if not self.has_images:
            raise UserError(f"{self.path} holds labels without pixels: give a shard made by hawp synthesize.")
        try:
            with h5py.File(self.path, "r") as file:
                data = plain(file, "images")
                shape, offset = data.shape, data.id.get_offset()
                if data.dtype != np.uint8 or len(shape) != 3 or shape[0] != len(self):
                    raise ValueError("its images are none of those that are labelled")
            return np.zeros(shape, np.uint8) if 0 in shape else np.memmap(self.path, np.uint8, "r", offset, shape)
        except UNREADABLE as error:
            raise UserError(f"{self.path} is cut short ({first_line(error)}): delete it and make it again.") from error

    def check_image(self, row: int, pixels: np.ndarray) -> None:
        """Compare an image's pixels with the sum that was kept of them, the first time that they are read.

        Raises:
            UserError: they changed since they were written.
        """
        sums = self._arrays.get("image_sums")
        if sums is None or self._compared[row]:
            return
        if image_sum(pixels) != sums[row]:
            raise UserError(
                f"{self.path}: the pixels of {shown(self.names[row])!r} changed since they were written: delete the file and "
                "make it again."
            )
        self._compared[row] = True

    def check_images(self) -> None:
        """Compare all images with their sums.

        Raises:
            UserError: some changed, or cannot be read.
        """
        if self.has_images:
            for row, pixels in enumerate(self.images()):
                self.check_image(row, pixels)
