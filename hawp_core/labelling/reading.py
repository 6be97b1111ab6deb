"""Photographs of a list, read ahead by threads, with the views that they will be labelled by."""

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hawp_core.data.photographs.decoding import Unreadable, read_gray
from hawp_core.data.photographs.fingerprint import check_unchanged
from hawp_core.data.photographs.folder import resolve
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.labelling.homographic_adaptation import view_homographies
from hawp_core.labelling.labeller import Labeller
from hawp_core.runtime.ahead import ahead

# Batches that are read ahead while the network works.
AHEAD = 2


@dataclass(frozen=True)
class LoadedPhotograph:
    """A photograph that is ready to be labelled.

    Attributes:
        index: its number in the list.
        gray: (S, S) uint8 at the network's size.
        views: (V, 3, 3) float64, image to view.
        size: width and height of the original.
    """

    index: int
    name: str
    gray: np.ndarray
    views: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class UnreadablePhotograph:
    """A photograph of the list that cannot be read, and why."""

    index: int
    name: str
    reason: str


ReadPhotograph = LoadedPhotograph | UnreadablePhotograph


class Reader:
    """Photographs in order, read ahead by threads.

    Attributes:
        waiting: seconds in which the network had nothing to do.
    """

    def __init__(self, manifest: Manifest, labeller: Labeller, seed: int, threads: int) -> None:
        self._manifest, self._labeller, self._seed, self._threads = manifest, labeller, seed, threads
        self.waiting = 0.0

    def batches(self, indices: list[int]) -> Iterator[list[ReadPhotograph]]:
        """The photographs of these numbers, as many at a time as are labelled together.

        Raises:
            UserError: one changed since it was listed.
        """
        batch = self._labeller.batch
        read = ahead(self._read, indices, threads=self._threads, most=AHEAD * batch)
        with contextlib.closing(read):
            while True:
                began = time.monotonic()
                photographs = list(itertools.islice(read, batch))
                self.waiting += time.monotonic() - began
                if not photographs:
                    return
                yield photographs

    def _read(self, index: int) -> ReadPhotograph:
        entry, size = self._manifest.entries[index], self._labeller.size
        path = resolve(self._manifest.folder, entry.name)
        check_unchanged(self._manifest.folder, entry)
        try:
            gray, original = read_gray(path, size=size, reduced=self._labeller.adaptation.reduced_decoding)
        except Unreadable as error:
            return UnreadablePhotograph(index, entry.name, error.reason)
        views = view_homographies(entry.name, size, self._labeller.adaptation, self._seed)
        return LoadedPhotograph(index, entry.name, gray, views, original)
