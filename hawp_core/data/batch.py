"""What a training step reads: images and their wireframes, padded so that no step loops over images.

Shape legend: B images, N junctions (padded), M edges (padded), H x W input pixels.
"""

from dataclasses import dataclass, fields

import torch


@dataclass
class Batch:
    """Images with wireframes in input pixels, centre of the top-left pixel at (0, 0).

    Attributes:
        images: (B, 1, H, W) float32 in [0, 1].
        junctions: (B, N, 2) float32, x and y in input pixels; rows from `junction_count` on are padding.
        junction_count: (B,) int64.
        edges: (B, M, 2) int64, junction indices, smaller first; rows from `edge_count` on are padding (0, 0).
        edge_count: (B,) int64.
        heatmap: (B, H, W) uint8, 1 on the pixels of a line.
        valid: (B, H, W) uint8, 1 where the pixel shows the image and not what lies beyond its border.
        names: the images' names, for messages.
    """

    images: torch.Tensor
    junctions: torch.Tensor
    junction_count: torch.Tensor
    edges: torch.Tensor
    edge_count: torch.Tensor
    heatmap: torch.Tensor
    valid: torch.Tensor
    names: list[str]

    def to(self, device: torch.device | str) -> "Batch":
        """The batch with its tensors on `device`, copied without blocking the host where they are pinned."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in values.items()}
        return Batch(**moved)

    def __len__(self) -> int:
        return len(self.images)
