"""What a training step reads: images and their wireframes, padded so that no step loops over images.

Shape legend: B images, N junctions (padded), M edges (padded), H x W input pixels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch


class Share(NamedTuple):
    """How a step's images are spread over the processes that train together.

    Attributes:
        images: in the step, over all processes.
        own: how many of them this process has. Where it has none, its batch is one image that must not count.
    """

    images: int
    own: int


WHOLE = Share(0, 0)  # stands for all images of the batch, however many they are


@dataclass
class Batch:
    """Images with wireframes in input pixels, centre of the top-left pixel at (0, 0).

    Attributes:
        images: (B, 1, H, W) float32 in [0, 1].
        junctions: (B, N, 2) float32, x and y in input pixels; rows from `junction_count` on are padding.
        junction_count: (B,) int64.
        edges: (B, M, 2) int64, junction indices, smaller first; rows from `edge_count` on are padding (0, 0).
        edge_count: (B,) int64.
        scores: (B, M) float32 in [0, 1], how sure each edge is; 0 in padding.
        heatmap: (B, H, W) uint8, 1 on the pixels of a line.
        valid: (B, H, W) uint8, 1 where the pixel shows the image and not what lies beyond its border.
        names: the images' names, for messages.
        share: of this process in the step's images; a batch is a whole step where nothing else is said.
    """

    images: torch.Tensor
    junctions: torch.Tensor
    junction_count: torch.Tensor
    edges: torch.Tensor
    edge_count: torch.Tensor
    scores: torch.Tensor
    heatmap: torch.Tensor
    valid: torch.Tensor
    names: list[str]
    share: Share = WHOLE

    def __post_init__(self) -> None:
        if self.share is WHOLE:
            self.share = Share(len(self), len(self))

    def __len__(self) -> int:
        return len(self.images)
