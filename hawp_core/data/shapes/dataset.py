"""Synthetic shapes by index, their pixels mapped from the shards."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hawp_core.data.label_file import LabelFile
from hawp_core.data.samples import Sample
from hawp_core.errors import UserError


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

    def __getstate__(self) -> dict[str, object]:
        # A mapping would be sent to a worker as a copy of the pixels; it maps the files itself.
        return {**self.__dict__, "_pixels": None}

    def _mapped(self) -> list[np.ndarray]:
        if self._pixels is None:
            self._pixels = [shard.images() for shard in self._shards]
        return self._pixels

    def item(self, index: int) -> Sample:
        """Sample `index`, counted through all shards.

        Raises:
            UserError: its pixels changed since they were written.
        """
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        row = index - int(self._starts[shard])
        labels = self._shards[shard]
        pixels = np.array(self._mapped()[shard][row])
        labels.check_image(row, pixels)
        return Sample(pixels, labels[row], 0, labels.names[row])
