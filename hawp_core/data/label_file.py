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
    label_sums          (I,)    uint32: CRC-32 of each image's junctions, edges and scores; files of before it came have none
    images              (I, H, W) uint8, grey: only where the pixels travel with the labels (synthetic shapes)
    image_sums          (I,)    uint32: CRC-32 of each image's bytes; files of before it came have none
"""

from pathlib import Path

import h5py
import numpy as np

from hawp_core.data.label_tables import (
    BY_IMAGE,
    LABEL_FORMAT,
    RAGGED,
    SUMS,
    UNREADABLE,
    check_labels,
    check_together,
    compare_table,
    image_sum,
    label_sum,
    mapped,
    plain,
    read_names,
)
from hawp_core.data.label_writing import Labels
from hawp_core.data.string_heaps import check_strings
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import parse_json
from hawp_core.runtime.text import first_line, shown


class LabelFile:
    """A label file opened for reading: a sequence of wireframes, also reachable by image name.

    Labels are mapped like images, and compared with the sum of their image when they are first read. Files of before these sums
    came are compared as a whole when they are opened.

    Raises:
        UserError: missing, truncated, damaged, of another kind, or of another version; when a label is read, too.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(
                f"{path} does not exist: give a label file (.h5) written by hawp synthesize or hawp homoadp."
            )
        try:
            with h5py.File(path, "r") as file:
                check_strings(file)
                self._read(file)
        except UNREADABLE as error:
            raise self._damaged(error) from error
        # Which images' labels, and pixels, were compared with their sums.
        self._checked, self._compared = np.zeros(len(self.names), bool), np.zeros(len(self.names), bool)

    def _damaged(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} is not a readable label file ({first_line(error)}): "
            "it is damaged or was made by another program; delete it and make it again."
        )

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
        self.names = read_names(file)
        self._tables = [*BY_IMAGE, *RAGGED, *(name for name in SUMS if name in file)]
        for name in self._tables:
            if name not in RAGGED or "label_sums" not in self._tables:
                compare_table(file, name)
        self._map(file)
        check_together(self.names, self._arrays)

    def _map(self, file: h5py.File) -> None:
        self._arrays = {name: mapped(file, name) for name in self._tables}

    def __getstate__(self) -> dict[str, object]:
        # A mapping would be sent to a worker as a copy; it maps the file itself.
        return {name: value for name, value in self.__dict__.items() if name != "_arrays"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        try:
            with h5py.File(self.path, "r") as file:
                self._map(file)
        except UNREADABLE as error:
            raise self._damaged(error) from error

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def size(self, row: int) -> tuple[int, int]:
        """Width and height of an image, pixels."""
        width, height = self._arrays["sizes"][row]
        return int(width), int(height)

    def __getitem__(self, key: int | str) -> Wireframe:
        row = self.names.row(key) if isinstance(key, str) else key
        if row is None:
            raise KeyError(key)
        a = self._arrays
        j0, j1 = a["junction_offsets"][row : row + 2]
        e0, e1 = a["edge_offsets"][row : row + 2]
        found = np.array(a["junctions"][j0:j1]), np.array(a["edges"][e0:e1]), np.array(a["scores"][e0:e1])
        if not self._checked[row]:
            try:
                if "label_sums" in a and label_sum(*found) != a["label_sums"][row]:
                    raise ValueError(f"the labels of {shown(self.names[row])!r} changed since they were written")
                check_labels(*found)
            except ValueError as error:
                raise self._damaged(error) from error
            self._checked[row] = True
        return Wireframe(*found, *self.size(row))

    @property
    def line_count(self) -> int:
        """Lines in the whole file."""
        return len(self._arrays["edges"])

    @property
    def junction_count(self) -> int:
        """Junctions in the whole file."""
        return len(self._arrays["junctions"])

    def labels(self) -> Labels:
        """All labels, compared with their sums; the ragged tables stay mapped.

        Raises:
            UserError: some changed since they were written.
        """
        self._check_labels()
        a = self._arrays
        sums = a.get("label_sums")
        if sums is None:
            sums = np.array(
                [label_sum(w.junctions, w.edges, w.scores) for w in map(self.__getitem__, range(len(self)))]
            )
        return Labels(
            self.names, a["sizes"], np.diff(a["junction_offsets"]), np.diff(a["edge_offsets"]),
            a["junctions"], a["edges"], a["scores"], sums.astype(np.uint32),
        )  # fmt: skip

    def _check_labels(self) -> None:
        for row in range(len(self)):
            self[row]

    @property
    def line_counts(self) -> np.ndarray:
        """(I,) int64: lines of each image."""
        return np.diff(self._arrays["edge_offsets"])

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
                if data.dtype != np.uint8 or len(data.shape) != 3 or data.shape[0] != len(self):
                    raise ValueError("its images are none of those that are labelled")
                return mapped(file, "images")
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

    def check(self) -> None:
        """Compare the labels and pixels of all images with their sums.

        Raises:
            UserError: some changed, or cannot be read.
        """
        self._check_labels()
        if self.has_images:
            for row, pixels in enumerate(self.images()):
                self.check_image(row, pixels)
