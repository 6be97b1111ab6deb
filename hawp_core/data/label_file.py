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
"""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import replacing

LABEL_FORMAT = "hawp-rounds wireframes 1"


def write_labels(
    path: Path | str,
    names: Sequence[str],
    wireframes: Sequence[Wireframe],
    *,
    images: np.ndarray | None = None,
    about: dict | None = None,
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
        for name in list(file):
            file[name].attrs["sum"] = _checksum(file[name][()])
        if images is not None:
            file["images"] = images


def _offsets(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _checksum(values: np.ndarray) -> int:
    import zlib

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
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(
                f"{path} is not a readable label file ({str(error).splitlines()[0]}): "
                "it is damaged or was made by another program; delete it and make it again."
            ) from error
        self._index = {name: i for i, name in enumerate(self.names)}

    def _read(self, file: h5py.File) -> None:
        found = file.attrs.get("format", "none")
        if found != LABEL_FORMAT:
            raise UserError(
                f"{self.path} has the label format {found!r}, and this version reads {LABEL_FORMAT!r}: "
                "make it again with this version of hawp-rounds."
            )
        self.about: dict = json.loads(file.attrs["about"])
        arrays = {}
        for name in ("names", "sizes", "junction_offsets", "junctions", "edge_offsets", "edges", "scores"):
            arrays[name] = file[name][()]
            if _checksum(arrays[name]) != file[name].attrs["sum"]:
                raise ValueError(f"the bytes of '{name}' changed since they were written")
        self.names: list[str] = [name.decode("utf-8") for name in arrays.pop("names")]
        self._arrays = arrays
        count = len(self.names)
        if not (len(arrays["sizes"]) == count and len(arrays["edge_offsets"]) == count + 1):
            raise ValueError("its tables have different lengths")
        self.has_images = "images" in file

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
        with h5py.File(self.path, "r") as file:
            if "images" not in file:
                raise UserError(f"{self.path} holds labels without pixels: give a shard made by hawp synthesize.")
            data = file["images"]
            shape, offset = data.shape, data.id.get_offset()
        if 0 in shape:
            return np.zeros(shape, np.uint8)
        try:
            return np.memmap(self.path, np.uint8, "r", offset, shape)
        except ValueError as error:
            raise UserError(f"{self.path} is cut short ({error}): delete it and make it again.") from error
