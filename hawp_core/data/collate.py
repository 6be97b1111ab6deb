"""Samples made ready and put together into batches.

Workers read pixels and draw parameters; pixels change on the device.

Shape legend: B images, S x S pixels, N junctions, M edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike

from hawp_core.data.augmentation import (
    Augmentation,
    augment_images,
    cut_out,
    line_heatmap,
    sample_geometry,
    transform_wireframe,
)
from hawp_core.data.batch import WHOLE, Batch, Share
from hawp_core.data.photometry import Photometry, sample_photometry
from hawp_core.data.samples import SampleSet
from hawp_core.geometry.precision import finest_float
from hawp_core.geometry.wireframe import Wireframe

# First words of the keys of random generators; NumPy fills short keys with zeros, so keys must differ in front.
ORDER_KEY, SAMPLE_KEY = 1, 2


class Prepared(NamedTuple):
    """A sample with everything drawn and its labels warped; only the pixels have not changed yet."""

    image: np.ndarray
    homography: np.ndarray
    photometry: Photometry | None
    wireframe: Wireframe
    heatmap: np.ndarray
    name: str


def prepare(
    dataset: SampleSet, augmentation: Augmentation | None, key: Sequence[int], index: int, crop: int = 0
) -> Prepared:
    """Read sample `index`, cut a piece of side `crop` out (0: take all), and draw its augmentation, from `key` and the index."""
    image, wireframe, flip, name = dataset.item(index)
    rng = np.random.default_rng([SAMPLE_KEY, *key, index])
    size = min(crop, dataset.size) or dataset.size
    if size < dataset.size:
        image, wireframe = cut_out(rng, image, wireframe, size)
    homography = sample_geometry(rng, augmentation, size, flip)
    photometric = None if augmentation is None else augmentation.photometric
    photometry = None if photometric is None else sample_photometry(rng, photometric, size)
    warped = transform_wireframe(wireframe, homography, size)
    return Prepared(image, homography, photometry, warped, line_heatmap(warped.lines, size), name)


@dataclass
class RawBatch:
    """Samples put together, their pixels not yet augmented: cheap to send from a worker and to a device.

    Attributes:
        images: (B, 1, S, S) uint8 as stored.
        homographies: (B, 3, 3) float64, image to augmented image.
        photometries: one an image, or None.
        margin: as in `Augmentation`.
        junctions, junction_count, edges, edge_count, scores, heatmap, names, share: as in `Batch`, already augmented.
    """

    images: torch.Tensor
    homographies: torch.Tensor
    photometries: list[Photometry] | None
    margin: float
    junctions: torch.Tensor
    junction_count: torch.Tensor
    edges: torch.Tensor
    edge_count: torch.Tensor
    scores: torch.Tensor
    heatmap: torch.Tensor
    names: list[str]
    share: Share = WHOLE

    @classmethod
    def collate(cls, samples: Sequence[Prepared], margin: float) -> "RawBatch":
        """Stack samples; lists are padded to the longest, and to one slot where all are empty."""
        photometries = [sample.photometry for sample in samples if sample.photometry is not None]
        junctions, junction_count = _padded([sample.wireframe.junctions for sample in samples], np.float32)
        edges, edge_count = _padded([sample.wireframe.edges for sample in samples], np.int64)
        scores, _ = _padded([sample.wireframe.scores for sample in samples], np.float32)
        return cls(
            images=torch.from_numpy(np.stack([sample.image for sample in samples])[:, None]),
            homographies=torch.from_numpy(np.stack([sample.homography for sample in samples])),
            photometries=photometries or None,
            margin=margin,
            junctions=junctions,
            junction_count=junction_count,
            edges=edges,
            edge_count=edge_count,
            scores=scores,
            heatmap=torch.from_numpy(np.stack([sample.heatmap for sample in samples])),
            names=[sample.name for sample in samples],
        )

    def pin_memory(self) -> "RawBatch":
        """The batch in page-locked memory; called by PyTorch's loader."""
        pinned = replace(self)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor):
                setattr(pinned, field.name, value.pin_memory())
        return pinned

    def to_batch(self, device: torch.device | str) -> Batch:
        """Move the batch to `device` and augment its pixels there."""
        images = self.images.to(device, non_blocking=True)
        if self.photometries is None and bool((self.homographies == torch.eye(3, dtype=torch.float64)).all()):
            images, valid = images / 255.0, torch.ones_like(images[:, 0])
        else:
            finest = finest_float(torch.device(device))
            homographies = self.homographies.to(finest).to(device, non_blocking=True)
            images, valid = augment_images(images, homographies, self.photometries, self.margin)
        labels = ("junctions", "junction_count", "edges", "edge_count", "scores", "heatmap")
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in labels}
        return Batch(images=images, valid=valid, names=self.names, share=self.share, **moved)


def _padded(rows: Sequence[np.ndarray], dtype: DTypeLike) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, longest, ...) and the lengths (B,) int64."""
    counts = [len(row) for row in rows]
    padded = np.zeros((len(rows), max(*counts, 1), *rows[0].shape[1:]), dtype)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(padded), torch.tensor(counts)
