"""A trained model as a function from an image to its wireframe."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from hawp_core.geometry.resize import to_grey, to_square
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.architecture import TILE
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.looks import ONE_SCALE, Look
from hawp_core.model.native import Progress, detect_native, scaled
from hawp_core.model.shipped import SHIPPED
from hawp_core.model.views import detect_by_views


class Model:
    """A wireframe parser.

    >>> model = load()  # doctest: +SKIP
    >>> model = load("exp-ssl/small-round2/KEY/model-00016.pth")  # doctest: +SKIP
    >>> wireframe = model(image)  # doctest: +SKIP

    Args:
        path: a model of `hawp train` or `hawp import-checkpoint`; the one that comes with the package by default.
        device: "cpu", "cuda", "cuda:1", "mps", or None for the GPU where there is one.
        threshold: lines below this score, 0 to 1, are left out.
        views: warped views by which lines are found, besides the image itself; lines that recur there score more, and lie
            better, in 1 + `views` times the time.
        whole_lines: look for whole lines: pieces of longer lines and lines that point at no vanishing point score less.
        scales: at which the network looks, relative to the square that it was trained on: (0.75, 1, 1.5) tells lines from
            what is none more surely and places their ends nearer, in 3.8 times the time; scores are lower.

    Raises:
        UserError: no readable model.
        ValueError: scales that are no numbers from 0.25 to 4, a threshold that is none from 0 to 1, or views below 0.
    """

    def __init__(
        self,
        path: Path | str = SHIPPED,
        *,
        device: str | None = None,
        threshold: float = 0.5,
        views: int = 0,
        whole_lines: bool = False,
        scales: Sequence[float] = ONE_SCALE,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is a score from 0 to 1, not {threshold!r}")
        if isinstance(views, bool) or not isinstance(views, int) or views < 0:
            raise ValueError(f"views is how many are looked at besides the image itself, 0 or more, not {views!r}")
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network, self.info = load_checkpoint(path, chosen)
        self.network = fold_batch_norm(network)
        self.device, self.threshold, self.views = chosen, threshold, views
        self.look = Look(_numbers(scales), whole_lines)
        self.size = network.architecture.image_size

    def __repr__(self) -> str:
        return f"Model(size={self.size}, views={self.views}, scales={self.look.scales}, threshold={self.threshold:g}, device='{self.device}')"

    def __call__(
        self,
        image: np.ndarray,
        *,
        size: int | Literal["native"] | None = None,
        tile: int = TILE,
        progress: Progress | None = None,
    ) -> Wireframe:
        """The wireframe of an image, in its own pixels.

        Args:
            image: (H, W) grey or (H, W, 3) RGB, uint8.
            size: what the network sees: None is the square that it was trained on, "native" the image as it is, and a
                number the image resized to so many pixels on its longer side, aspect ratio kept.
            tile: with `size`, the longest side that passes the network at once, pixels; what is larger is cut into
                overlapping tiles, so that memory does not grow with the image.
            progress: with `size`, called after each tile with the number of those that are done and of all.

        Raises:
            ValueError: another shape or type, or `size` for a model that looks at views, at scales or for whole lines,
                which are of the square.
        """
        if size is None:
            return self.many([image])[0]
        if self.views or not self.look.plain:
            raise ValueError(
                "views, scales and whole lines are of the square that the network was trained on: leave size out, or these"
            )
        grey = _grey(image)
        seen = grey if size == "native" else scaled(grey, size)
        found = detect_native(self.network, seen, tile=tile, min_score=self.threshold, progress=progress)
        return found.resized(grey.shape[1], grey.shape[0])

    def many(self, images: list[np.ndarray]) -> list[Wireframe]:
        """The wireframes of several images, of any sizes, in one pass."""
        squares = [self.square(image) for image in images]
        batch = torch.from_numpy(np.stack(squares))[:, None].to(self.device).float() / 255
        found = detect_by_views(self.network, batch, views=self.views, look=self.look, min_score=self.threshold)
        return [d.to_wireframe(image.shape[1], image.shape[0]) for d, image in zip(found, images, strict=True)]

    def square(self, image: np.ndarray) -> np.ndarray:
        """What the network sees of an image by default: (S, S) uint8. Safe to call from several threads."""
        return to_square(_grey(image), self.size)


def _numbers(scales: Sequence[float]) -> tuple[float, ...]:
    """The scales as they were given, whatever holds them."""
    if isinstance(scales, (str, bytes)) or not isinstance(scales, Iterable):
        raise ValueError(f"scales are numbers such as (1, 1.5), not {scales!r}")
    return tuple(scales)


def _grey(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"an image is an array, (H, W) or (H, W, 3) uint8, not {type(image).__name__}")
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[2] != 3)
        or not image.size
    ):
        raise ValueError(f"an image is (H, W) or (H, W, 3) uint8, not {image.shape} {image.dtype}")
    return image if image.ndim == 2 else to_grey(image)


def load(
    path: Path | str = SHIPPED,
    *,
    device: str | None = None,
    threshold: float = 0.5,
    views: int = 0,
    whole_lines: bool = False,
    scales: Sequence[float] = ONE_SCALE,
) -> Model:
    """A trained model, a function from an image to its wireframe; `Model` says what the arguments mean.

    `load(views=10, scales=(0.75, 1, 1.5), threshold=0.4)` is surest, and slowest: scores are lower the more looks must agree.
    """
    return Model(path, device=device, threshold=threshold, views=views, whole_lines=whole_lines, scales=scales)
