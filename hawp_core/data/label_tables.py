"""The tables of a label file: mapped from HDF5, compared with their sums, and with one another."""

import zlib
from collections.abc import Iterator, Mapping

import h5py
import numpy as np

from hawp_core.data.names import CHUNK, Names

LABEL_FORMAT = "hawp-rounds wireframes 1"
# Of each image there is one row, or one more; of the others as many as its offsets say.
BY_IMAGE = ("sizes", "junction_offsets", "edge_offsets")
RAGGED = ("junctions", "edges", "scores")
# Sums of each image's part of the ragged tables, and of its pixels.
SUMS = ("label_sums", "image_sums")
_KINDS = {
    "sizes": ("i", 2), "junction_offsets": ("i", 1), "junctions": ("f", 2), "edge_offsets": ("i", 1), "edges": ("i", 2),
    "scores": ("f", 1), "label_sums": ("u", 1), "image_sums": ("u", 1),
}  # fmt: skip
SUMMED_ROWS = 2**20  # of a table, read at a time
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
    """A dataset that lies in the file itself, in one piece, as label files and the cache of photographs are written.

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


def mapped(file: h5py.File, name: str) -> np.ndarray:
    """A dataset, mapped from the file, read-only.

    Raises:
        KeyError, ValueError: as `plain`, or it is not where the file says.
    """
    data = plain(file, name)
    if 0 in data.shape:
        return np.zeros(data.shape, data.dtype)
    offset = data.id.get_offset()
    if offset is None or data.dtype.hasobject:
        raise ValueError(f"'{name}' is not stored as this program does")
    return np.memmap(file.filename, data.dtype, "r", offset, data.shape)


def read_names(file: h5py.File) -> Names:
    """The names, compared with their sum.

    Raises:
        KeyError, ValueError, TypeError: as `plain`, or they are none.
    """
    data = plain(file, "names")
    if data.ndim != 1:
        raise ValueError("'names' holds something else")
    running = Sum()

    def chunks() -> Iterator[list[bytes]]:
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK].tolist()
            running.add_names(chunk)
            yield chunk

    names = Names(chunks())
    running.compare(data)
    return names


class Sum:
    """The CRC-32 of a table that comes in parts."""

    def __init__(self) -> None:
        self.value, self._any = 0, False

    def add(self, values: np.ndarray) -> None:
        """More rows."""
        self.value = zlib.crc32(np.ascontiguousarray(values).view(np.uint8).reshape(-1).data, self.value)

    def add_names(self, names: np.ndarray | list[bytes]) -> None:
        """More names; a zero byte lies between two."""
        if len(names):
            self.value = zlib.crc32((b"\0" if self._any else b"") + b"\0".join(names), self.value)
            self._any = True

    def compare(self, data: h5py.Dataset) -> None:
        """Compare it with what is kept beside the table.

        Raises:
            KeyError, ValueError: none is, or another.
        """
        if self.value != data.attrs["sum"]:
            raise ValueError(f"the bytes of '{data.name[1:]}' changed since they were written")


def compare_table(file: h5py.File, name: str) -> None:
    """Compare a whole table with its sum, a part at a time.

    Raises:
        KeyError, ValueError: it changed, or see `mapped`.
    """
    running, values = Sum(), mapped(file, name)
    for start in range(0, len(values), SUMMED_ROWS):
        running.add(values[start : start + SUMMED_ROWS])
    running.compare(plain(file, name))


def check_together(names: Names, arrays: Mapping[str, np.ndarray]) -> None:
    """Make sure that the tables of a label file fit together: whoever wrote them made their sums fit as well.

    Raises:
        ValueError: they do not.
    """
    for name, values in arrays.items():
        kind, dimensions = _KINDS[name]
        if values.dtype.kind != kind or values.ndim != dimensions or (dimensions == 2 and values.shape[1] != 2):
            raise ValueError(f"'{name}' holds something else")
    if len(arrays["sizes"]) != len(names) or (arrays["sizes"] < 1).any():
        raise ValueError("its names and sizes are none of images")
    if any(len(arrays[sums]) != len(names) for sums in SUMS if sums in arrays):
        raise ValueError("its tables have different lengths")
    if len(arrays["scores"]) != len(arrays["edges"]):
        raise ValueError("its tables have different lengths")
    for rows in ("junction", "edge"):
        offsets = arrays[f"{rows}_offsets"]
        ends = len(offsets) == len(names) + 1 and offsets[0] == 0 and offsets[-1] == len(arrays[f"{rows}s"])
        if not ends or (np.diff(offsets) < 0).any():
            raise ValueError(f"its {rows}s belong to no images")


def check_labels(junctions: np.ndarray, edges: np.ndarray, scores: np.ndarray) -> None:
    """Make sure that an image's edges have junctions, and that its numbers are some.

    Raises:
        ValueError: they do not, or are none.
    """
    if len(edges) and not (edges.min() >= 0 and edges.max() < len(junctions)):
        raise ValueError("an edge names a junction that is none")
    if not (np.isfinite(junctions).all() and np.isfinite(scores).all()):
        raise ValueError("a number is not finite")


def label_sum(junctions: np.ndarray, edges: np.ndarray, scores: np.ndarray) -> int:
    """The CRC-32 of an image's labels."""
    running = Sum()
    for values in (junctions, edges, scores):
        running.add(values)
    return running.value


def image_sum(pixels: np.ndarray) -> int:
    """The CRC-32 of an image's bytes."""
    return zlib.crc32(pixels.tobytes())
