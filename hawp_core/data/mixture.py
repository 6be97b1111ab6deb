"""Data sets learned from together, each with its share of every epoch."""

from collections.abc import Sequence

import numpy as np

from hawp_core.data.samples import Sample, SampleSet
from hawp_core.errors import UserError


class Mixture:
    """Several data sets one behind the other, of which an epoch takes so many samples each.

    Args:
        parts: data sets, and how many samples of each an epoch takes: some of them, drawn anew for every epoch, or all,
            or, where more are wanted than there are, each as often as any other but for one time.

    Raises:
        UserError: images of different sides.
    """

    def __init__(self, parts: Sequence[tuple[SampleSet, int]]) -> None:
        self.sets, self.counts = [part for part, _ in parts], [count for _, count in parts]
        self._starts = np.cumsum([0] + [len(part) for part in self.sets])
        self.size = self.sets[0].size
        for part in self.sets:
            if part.size != self.size:
                raise UserError(
                    f"images of {part.size} and of {self.size} pixels cannot be learned from together: make both with the same "
                    "model.image_size."
                )

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def drawn(self) -> int:
        """Samples of an epoch."""
        return sum(self.counts)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The samples of an epoch in a random order, (drawn,) indices."""
        chosen = [
            start + _take(rng, len(part), count)
            for start, part, count in zip(self._starts, self.sets, self.counts, strict=False)
        ]
        return rng.permutation(np.concatenate(chosen))

    def item(self, index: int) -> Sample:
        """Sample `index`, counted through all sets."""
        which = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.sets[which].item(index - int(self._starts[which]))


def _take(rng: np.random.Generator, there: int, count: int) -> np.ndarray:
    whole, rest = divmod(count, there)
    return np.concatenate([np.tile(np.arange(there), whole), rng.permutation(there)[:rest]])
