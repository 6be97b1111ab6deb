"""Photographs to wireframes on one device, with as many views at a time as the memory allows.

Shape legend: B photographs, V views, S x S network input.
"""

import math

import numpy as np
import torch

from hawp_core.errors import UserError
from hawp_core.geometry.precision import finest_float
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.labelling.homographic_adaptation import label_images
from hawp_core.model.architecture import STRIDE, Architecture
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.progress import log
from hawp_core.runtime.setting_types import ExportSettings

# Most views that pass at a time.
VIEWS_AT_ONCE = 64
# What one view holds at most while it passes, in feature maps of the network's width and in float32 planes of the image's
# size for warping it there and back (less was measured: benchmarks/RESULTS.md, "views at a time").
FEATURE_MAPS, PLANES = 8, 24
# Where no budget is given: the share of the GPU's free memory, and the bytes on a CPU, where more is no faster
# (benchmarks/RESULTS.md, "views at a time").
FREE_SHARE, CPU_BYTES = 0.7, 0.64e9


def view_bytes(architecture: Architecture, precision: torch.dtype, scale: float = 1.0) -> float:
    """Memory that one view takes while it passes through the network, at this scale of its side."""
    side = architecture.image_size
    features = FEATURE_MAPS * architecture.width * (side // STRIDE) ** 2
    return scale**2 * (features * precision.itemsize + PLANES * side**2 * torch.float32.itemsize)


def _rounded_up(number: float) -> float:
    """To two digits."""
    unit = 10 ** (math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit) * unit


class Labeller:
    """Labels photographs by homographic adaptation. The memory, like the device, changes no label beyond rounding.

    Args:
        network: folded for inference, on its device.
        batch: photographs to label together; on a CPU it is always one, where company must not change a bit.
        precision: of its forward passes.
        memory: bytes that the views in work may take; None is most of what a GPU has free, and what a CPU works best with.

    Raises:
        UserError: the memory is too small for one view.
    """

    def __init__(
        self,
        network: WireframeNetwork,
        adaptation: ExportSettings,
        *,
        batch: int,
        precision: torch.dtype = torch.float32,
        memory: float | None = None,
    ) -> None:
        self.network, self.adaptation, self.precision = network, adaptation, precision
        self.size = network.architecture.image_size
        self.device = next(network.parameters()).device
        self._batch = 1 if self.device.type == "cpu" else batch
        # Of what is enlarged, a look itself takes fewer at a time (`model.looks`), and one at least.
        least = view_bytes(network.architecture, precision, max(1.0, *adaptation.scales))
        if memory is not None and memory < least:
            raise UserError(
                f"{memory / 1e9:g} GB (--memory-gb, compute.memory_gb) are too little for one view of {self.size} x "
                f"{self.size} pixels: give at least {_rounded_up(least) / 1e9:g}, or nothing, to have it chosen."
            )
        each = view_bytes(network.architecture, precision)
        self.at_once = max(1, int(min(VIEWS_AT_ONCE, (memory or self._suitable_memory()) / each)))

    def _suitable_memory(self) -> float:
        return FREE_SHARE * torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else CPU_BYTES

    @property
    def batch(self) -> int:
        """Photographs that it labels together."""
        return min(self._batch, self.at_once)

    def __call__(self, images: np.ndarray, views: np.ndarray, sizes: list[tuple[int, int]]) -> list[Wireframe]:
        """Wireframes in original pixels.

        A GPU whose memory runs out, for whatever else runs there, gets half as many views from then on.

        Args:
            images: (B, S, S) uint8.
            views: (B, V, 3, 3) float64 image -> view.
            sizes: width and height of each original.

        Raises:
            UserError: not even one view fits on the GPU.
        """
        found: list[Wireframe] = []
        while len(found) < len(images):
            part = slice(len(found), len(found) + self.batch)
            try:
                found += self._together(images[part], views[part], sizes[part])
            except torch.OutOfMemoryError as error:
                if self.at_once == 1:
                    raise UserError(
                        f"the GPU has no room for one view of {self.size} x {self.size} pixels: end what else runs there."
                    ) from error
                self.at_once //= 2
                torch.cuda.empty_cache()
                log.warning("the GPU's memory ran out: %d views at a time from here on", self.at_once)
        return found

    def _together(self, images: np.ndarray, views: np.ndarray, sizes: list[tuple[int, int]]) -> list[Wireframe]:
        pixels = torch.from_numpy(images[:, None])
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()
        pixels = pixels.to(self.device, non_blocking=True).float() / 255
        homographies = torch.from_numpy(views).to(finest_float(self.device)).to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            found = label_images(self.network, pixels, homographies, self.adaptation, chunk=self.at_once)
        return [detection.to_wireframe(*size) for detection, size in zip(found, sizes, strict=True)]
