"""A trained model as a function from an image to its wireframe."""

from pathlib import Path

import numpy as np
import torch

from hawp_core.geometry.resize import to_grey, to_square
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.model.detection import detect
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.shipped import SHIPPED


class Model:
    """A wireframe parser.

    >>> model = load()  # doctest: +SKIP
    >>> model = load("exp-ssl/small-round2/KEY/model-00004.pth")  # doctest: +SKIP
    >>> wireframe = model(image)  # doctest: +SKIP

    Args:
        path: a model of `hawp train` or `hawp import-checkpoint`; the one that comes with the package by default.
        device: "cpu", "cuda", "cuda:1", or None for the GPU where there is one.
        threshold: lines below this score, 0 to 1, are left out.

    Raises:
        UserError: no readable model.
    """

    def __init__(self, path: Path | str = SHIPPED, *, device: str | None = None, threshold: float = 0.5) -> None:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network, self.info = load_checkpoint(path, chosen)
        self.network = fold_batch_norm(network)
        self.device, self.threshold = chosen, threshold
        self.size = network.architecture.image_size

    def __call__(self, image: np.ndarray) -> Wireframe:
        """The wireframe of an image, in its own pixels.

        Args:
            image: (H, W) grey or (H, W, 3) RGB, uint8.

        Raises:
            ValueError: another shape or type.
        """
        return self.many([image])[0]

    def many(self, images: list[np.ndarray]) -> list[Wireframe]:
        """The wireframes of several images, of any sizes, in one pass."""
        squares = [self._square(image) for image in images]
        batch = torch.from_numpy(np.stack(squares))[:, None].to(self.device).float() / 255
        found = detect(self.network, batch, min_score=self.threshold)
        return [d.to_wireframe(image.shape[1], image.shape[0]) for d, image in zip(found, images, strict=True)]

    def _square(self, image: np.ndarray) -> np.ndarray:
        if not isinstance(image, np.ndarray):
            raise ValueError(f"an image is an array, (H, W) or (H, W, 3) uint8, not {type(image).__name__}")
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(f"an image is (H, W) or (H, W, 3) uint8, not {image.shape} {image.dtype}")
        grey = image if image.ndim == 2 else to_grey(image)
        return to_square(grey, self.size)


def load(path: Path | str = SHIPPED, *, device: str | None = None, threshold: float = 0.5) -> Model:
    """Load a trained model; see `Model`."""
    return Model(path, device=device, threshold=threshold)
