"""What a data set is: samples by index, each an image with its wireframe."""

from typing import NamedTuple, Protocol

import numpy as np

from hawp_core.geometry.wireframe import Wireframe


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
