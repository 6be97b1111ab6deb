"""Labelled photographs by index, decoded once into a cache.

Shape legend: S x S pixels, I images.
"""

import copy
import hashlib
import json
import os
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from hawp_core.data.hdf5_files import new_hdf5
from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_tables import UNREADABLE, image_sum, plain
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import resolve
from hawp_core.data.samples import Sample
from hawp_core.data.string_heaps import check_strings
from hawp_core.errors import UserError
from hawp_core.runtime.files import replacing

# How often each photograph is seen in an epoch, and mirrored how (see augmentation.flip_homography).
FLIPS = {1: (0,), 2: (0, 1), 4: (0, 1, 2, 3)}
# Photographs decoded at a time while a cache is built, and in how many threads; bounds what waits to be written.
CACHE_BATCH, CACHE_THREADS = 64, 8


class PhotographSet:
    """Labelled photographs, read as squares of side `size`, each seen once for every mirroring.

    Args:
        folder: where the names of `labels` lead.
        labels: wireframes in original pixels.
        flips: 1, 2 (left-right) or 4 (left-right, top-bottom, both).
        cache: file that keeps the resized photographs; built at once if it is missing or the photographs differ.
        soft: give lines the square roots of their labels' scores, which is how sure a look that finds one is of it; otherwise all are sure (1).

    Raises:
        UserError: no labelled photograph; or, when it is read, one that is missing or of another size than its labels.
    """

    def __init__(
        self,
        folder: Path | str,
        labels: LabelFile,
        size: int,
        flips: int = 1,
        cache: Path | str | None = None,
        soft: bool = False,
    ) -> None:
        if flips not in FLIPS:
            raise ValueError(f"flips is {flips}, not one of {sorted(FLIPS)}")
        if not len(labels):
            raise UserError(f"{labels.path} labels no photograph: export labels from a folder of photographs first.")
        self.folder, self.size = folder, size
        self._labels, self._flips, self._soft = labels, FLIPS[flips], soft
        self._rows = np.arange(len(labels))
        self._cache = None if cache is None else _PhotographCache(self, Path(cache))

    def __len__(self) -> int:
        return len(self._rows) * len(self._flips)

    @property
    def labels(self) -> LabelFile:
        """The labels in original pixels."""
        return self._labels

    def without(self, names: Container[str]) -> "PhotographSet":
        """The same set with some of its photographs left out, perhaps all of them."""
        other = copy.copy(self)
        other._rows = np.array([row for row in self._rows.tolist() if self._labels.names[row] not in names], np.int64)
        return other

    def item(self, index: int) -> Sample:
        """Sample `index`; the mirrorings of a photograph follow one another."""
        place, turn = divmod(index, len(self._flips))
        row = int(self._rows[place])
        image = self.read(row) if self._cache is None else self._cache.read(row)
        wireframe = self._labels[row].resized(self.size, self.size)
        sure = np.sqrt(wireframe.scores.clip(0, 1)) if self._soft else np.ones_like(wireframe.scores)
        return Sample(image, replace(wireframe, scores=sure), self._flips[turn], self._labels.names[row])

    def read(self, row: int) -> np.ndarray:
        """Decode photograph `row`: (size, size) uint8."""
        path = resolve(self.folder, self._labels.names[row])
        image, found = read_gray(path, size=self.size)
        width, height = self._labels.size(row)
        if found != (width, height):
            raise UserError(
                f"{path} is {found[0]} x {found[1]} pixels, but {self._labels.path} was made from "
                f"{width} x {height}: restore the photograph, or export the labels again."
            )
        return image


class _PhotographCache:
    """The resized photographs of a set, in one file mapped from the disk."""

    def __init__(self, photographs: PhotographSet, path: Path) -> None:
        self._path = path
        self._pixels: np.ndarray | None = None
        self._sums = np.zeros(0, np.uint32)
        self._compared = np.zeros(len(photographs.labels), bool)
        key = self._key(photographs)
        if not self._fits(key):
            self._build(photographs, key)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pixels": None}

    @staticmethod
    def _key(photographs: PhotographSet) -> str:
        """Digest of what the pixels depend on; a photograph's content is known by its file's size and time."""
        # Of the JSON of [size, rows], which is never in memory as a whole.
        digest, between = hashlib.sha256(f"[{photographs.size}, [".encode()), b""
        for row, name in enumerate(photographs.labels.names):
            path = resolve(photographs.folder, name)
            try:
                found = path.stat()
            except OSError as error:
                raise UserError(
                    f"{path} is labelled but cannot be read ({error.strerror}): restore it, or export the labels again."
                ) from error
            known = [name, found.st_size, found.st_mtime_ns, *photographs.labels.size(row)]
            digest.update(between + json.dumps(known).encode())
            between = b", "
        digest.update(b"]]")
        return digest.hexdigest()

    def _fits(self, key: str) -> bool:
        try:
            with h5py.File(self._path, "r") as file:
                check_strings(file)
                self._sums = _sums(file)
                return bool(file.attrs["key"] == key)
        except UNREADABLE:
            return False

    def _build(self, photographs: PhotographSet, key: str) -> None:
        rows = range(len(photographs.labels))
        shape = (len(rows), photographs.size, photographs.size)
        with (
            replacing(self._path) as temporary,
            new_hdf5(temporary) as file,
            # Decoding releases the interpreter lock.
            ThreadPoolExecutor(min(CACHE_THREADS, os.cpu_count() or 1)) as threads,
            tqdm(total=len(rows), desc="photographs", delay=2) as bar,
        ):
            images = file.create_dataset("images", shape, np.uint8)
            sums = np.zeros(len(rows), np.uint32)
            for start in range(0, len(rows), CACHE_BATCH):
                batch = rows[start : start + CACHE_BATCH]
                pixels = np.stack(list(threads.map(photographs.read, batch)))
                images[batch.start : batch.stop] = pixels
                sums[batch.start : batch.stop] = [image_sum(image) for image in pixels]
                bar.update(len(batch))
            of_images = file.create_dataset("sums", data=sums)
            of_images.attrs["sum"] = image_sum(sums)
            file.attrs["key"] = key
        self._sums = sums

    def read(self, row: int) -> np.ndarray:
        if self._pixels is None:
            self._pixels = _mapped(self._path)
        image = np.array(self._pixels[row])
        # Once is enough: what was read stays in this process's memory, or comes from the same disk.
        if not self._compared[row] and image_sum(image) != self._sums[row]:
            raise UserError(_changed(self._path))
        self._compared[row] = True
        return image


def _changed(path: Path) -> str:
    return f"{path} changed since it was written: remove it, and it is made again from the photographs."


def _sums(file: h5py.File) -> np.ndarray:
    """The CRC-32 of each image of a cache.

    Raises:
        ValueError: they are none, or do not fit the images.
    """
    sums = plain(file, "sums")[()]
    if image_sum(sums) != file["sums"].attrs["sum"] or sums.shape != plain(file, "images").shape[:1]:
        raise ValueError("its sums do not fit")
    return sums


def _mapped(path: Path) -> np.ndarray:
    with h5py.File(path, "r") as file:
        images = plain(file, "images")
        return np.memmap(path, np.uint8, "r", images.id.get_offset(), images.shape)


def cache_faults(path: Path) -> list[str] | None:
    """What is wrong with a cache of photographs: a sentence, or none; None for one of before there were sums."""
    try:
        with h5py.File(path, "r") as file:
            check_strings(file)
            if set(file) == {"images"}:
                return None
            sums = _sums(file)
        whole = all(image_sum(image) == kept for image, kept in zip(_mapped(path), sums, strict=True))
    except UNREADABLE:
        whole = False
    return [] if whole else [_changed(path)]
