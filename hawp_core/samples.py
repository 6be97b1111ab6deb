"""Labelled images by index: synthetic shapes from shards, photographs from a folder.

Shape legend: S x S pixels, I images.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

import h5py
import numpy as np
from tqdm import tqdm

from hawp_core.decoding import read_gray
from hawp_core.errors import UserError
from hawp_core.files import replacing
from hawp_core.photographs import resolve
from hawp_core.wireframe import LabelFile, Wireframe

# How often each photograph is seen in an epoch, and mirrored how (see augment.flip_homography).
FLIPS = {1: (0,), 2: (0, 1), 4: (0, 1, 2, 3)}
# Photographs decoded at a time while a cache is built, and in how many threads; bounds what waits to be written.
CACHE_BATCH, CACHE_THREADS = 64, 8


class Sample(NamedTuple):
    """An image as it is stored, and its wireframe.

    Attributes:
        image: (S, S) uint8, grey.
        wireframe: in the image's pixels.
        flip: how it is to be mirrored.
        name: for messages.
    """

    image: np.ndarray
    wireframe: Wireframe
    flip: int
    name: str


class SampleSet(Protocol):
    """Samples by index, all with images of side `size`."""

    size: int

    def __len__(self) -> int: ...

    def item(self, index: int) -> Sample: ...


class ShapeSet:
    """Synthetic shapes of one or more shards, whose pixels are mapped from the disk.

    Raises:
        UserError: a shard is unreadable, holds no pixels, or holds images of another size.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self._shards = [LabelFile(path) for path in paths]
        self._pixels: list[np.ndarray] | None = None
        self._starts = np.cumsum([0] + [len(shard) for shard in self._shards])
        if not len(self):
            raise UserError(
                f"{', '.join(map(str, paths)) or 'An empty list of shards'} holds no image: give full shards."
            )
        sides = {}
        for shard, pixels in zip(self._shards, self._mapped(), strict=True):
            if len(shard):
                sides[shard.path] = pixels.shape[1:]
        self.size = next(iter(sides.values()))[0]
        for path, (height, width) in sides.items():
            if not height == width == self.size:
                raise UserError(
                    f"{path} holds images of {width} x {height} pixels where {self.size} x {self.size} are expected: "
                    "make all shards with one square image size."
                )

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict:
        # A mapping would be sent to a worker as a copy of the pixels; it maps the files itself.
        return {**self.__dict__, "_pixels": None}

    def _mapped(self) -> list[np.ndarray]:
        if self._pixels is None:
            self._pixels = [shard.images() for shard in self._shards]
        return self._pixels

    def item(self, index: int) -> Sample:
        """Sample `index`, counted through all shards."""
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        row = index - int(self._starts[shard])
        labels = self._shards[shard]
        return Sample(np.array(self._mapped()[shard][row]), labels[row], 0, labels.names[row])


class PhotographSet:
    """Labelled photographs, read as squares of side `size`, each seen once for every mirroring.

    Args:
        folder: where the names of `labels` lead.
        labels: wireframes in original pixels.
        flips: 1, 2 (left-right) or 4 (left-right, top-bottom, both).
        cache: file that keeps the resized photographs; built at once if it is missing or the photographs differ.

    Raises:
        UserError: no labelled photograph; or, when it is read, one that is missing or of another size than its labels.
    """

    def __init__(
        self, folder: Path | str, labels: LabelFile, size: int, flips: int = 1, cache: Path | str | None = None
    ) -> None:
        if flips not in FLIPS:
            raise ValueError(f"flips is {flips}, not one of {sorted(FLIPS)}")
        if not len(labels):
            raise UserError(f"{labels.path} labels no photograph: export labels from a folder of photographs first.")
        self.folder, self.size = folder, size
        self._labels, self._flips = labels, FLIPS[flips]
        self._cache = None if cache is None else _PhotographCache(self, Path(cache))

    def __len__(self) -> int:
        return len(self._labels) * len(self._flips)

    @property
    def labels(self) -> LabelFile:
        """The labels in original pixels."""
        return self._labels

    def item(self, index: int) -> Sample:
        """Sample `index`; the mirrorings of a photograph follow one another."""
        row, turn = divmod(index, len(self._flips))
        image = self.read(row) if self._cache is None else self._cache.read(row)
        wireframe = self._labels[row].resized(self.size, self.size)
        return Sample(image, wireframe, self._flips[turn], self._labels.names[row])

    def read(self, row: int) -> np.ndarray:
        """Decode photograph `row`: (size, size) uint8."""
        path = resolve(self.folder, self._labels.names[row])
        image, found = read_gray(path, size=self.size)
        labelled = self._labels[row]
        if found != (labelled.width, labelled.height):
            raise UserError(
                f"{path} is {found[0]} x {found[1]} pixels, but {self._labels.path} was made from "
                f"{labelled.width} x {labelled.height}: restore the photograph, or export the labels again."
            )
        return image


class _PhotographCache:
    """The resized photographs of a set, in one file mapped from the disk."""

    def __init__(self, photographs: PhotographSet, path: Path) -> None:
        self._path, self._pixels = path, None
        key = self._key(photographs)
        if not self._fits(key):
            self._build(photographs, key)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_pixels": None}

    @staticmethod
    def _key(photographs: PhotographSet) -> str:
        """Digest of what the pixels depend on; a photograph's content is known by its file's size and time."""
        rows = []
        for row, name in enumerate(photographs.labels.names):
            path, wireframe = resolve(photographs.folder, name), photographs.labels[row]
            try:
                found = path.stat()
            except OSError as error:
                raise UserError(
                    f"{path} is labelled but cannot be read ({error.strerror}): restore it, or export the labels again."
                ) from error
            rows.append([name, found.st_size, found.st_mtime_ns, wireframe.width, wireframe.height])
        return hashlib.sha256(json.dumps([photographs.size, rows]).encode()).hexdigest()

    def _fits(self, key: str) -> bool:
        try:
            with h5py.File(self._path, "r") as file:
                return file.attrs["key"] == key
        except (OSError, KeyError):
            return False

    def _build(self, photographs: PhotographSet, key: str) -> None:
        rows = range(len(photographs.labels))
        shape = (len(rows), photographs.size, photographs.size)
        with (
            replacing(self._path) as temporary,
            h5py.File(temporary, "w") as file,
            # Decoding releases the interpreter lock.
            ThreadPoolExecutor(min(CACHE_THREADS, os.cpu_count() or 1)) as threads,
            tqdm(total=len(rows), desc="photographs", delay=2) as bar,
        ):
            images = file.create_dataset("images", shape, np.uint8)
            for start in range(0, len(rows), CACHE_BATCH):
                batch = rows[start : start + CACHE_BATCH]
                images[batch.start : batch.stop] = np.stack(list(threads.map(photographs.read, batch)))
                bar.update(len(batch))
            file.attrs["key"] = key

    def read(self, row: int) -> np.ndarray:
        if self._pixels is None:
            with h5py.File(self._path, "r") as file:
                images = file["images"]
                self._pixels = np.memmap(self._path, np.uint8, "r", images.id.get_offset(), images.shape)
        return np.array(self._pixels[row])
