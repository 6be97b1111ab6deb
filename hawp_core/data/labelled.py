"""What label files and the results of `hawp predict` have in common: wireframes by photograph."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from hawp_core.geometry.wireframe import Wireframe


class Labelled(Protocol):
    """Photographs, by name and by number, with their wireframes."""

    @property
    def path(self) -> Path:
        """Where they lie."""

    @property
    def names(self) -> Sequence[str]:
        """Of the photographs, unique, in the order of their numbers."""

    @property
    def line_counts(self) -> np.ndarray:
        """(I,) int64: lines of each."""

    def __len__(self) -> int: ...

    def __contains__(self, name: str) -> bool: ...

    def __getitem__(self, key: int | str) -> Wireframe: ...
