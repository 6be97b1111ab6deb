"""What a training step shall find: the wireframes of a batch on the grid, and how far proposals are from their lines.

Shape legend: B images, N junctions and M edges (padded), h x w grid cells, P proposals (hypotheses x h x w).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hawp_core.data.batch import Batch
from hawp_core.model import attraction_field
from hawp_core.model.architecture import STRIDE

PROPOSAL_CHUNK = 8192  # proposals compared with all lines at a time: bounds the distance matrix


@dataclass
class Targets:
    """Ground truth on the grid.

    Attributes:
        junctions: (B, N, 2) grid cells.
        lines: (B, M, 4) grid cells, padded with zeros.
        line_count: (B,).
        field: attraction field of the lines.
        location: (B, 1, h, w) 1 in the cell of a junction.
        offset: (B, 2, h, w) in [-0.5, 0.5].
    """

    junctions: Tensor
    lines: Tensor
    line_count: Tensor
    field: attraction_field.Field
    location: Tensor
    offset: Tensor


def make_targets(batch: Batch, threshold: float) -> Targets:
    """Encode the wireframes of a batch."""
    height, width = (side // STRIDE for side in batch.images.shape[-2:])
    junctions = batch.junctions / STRIDE
    lines = torch.take_along_dim(junctions, batch.edges.reshape(len(batch), -1, 1), dim=1).reshape(len(batch), -1, 4)
    location, offset = attraction_field.encode_junctions(junctions, batch.junction_count, height, width)
    encoded = attraction_field.encode(lines, batch.edge_count, height, width, threshold)
    return Targets(junctions, lines, batch.edge_count, encoded, location, offset)


def nearest_line_distance2(proposals: Tensor, lines: Tensor, count: Tensor, *, either_way: bool) -> Tensor:
    """Squared 4-vector distance from each proposal to its nearest line: (B, P), infinite where there is no line.

    Args:
        proposals: (B, P, 4).
        lines: (B, M, 4).
        count: (B,) lines of each image.
        either_way: a line may also be compared with its ends swapped.
    """
    # Centred coordinates keep the expansion |p|^2 - 2 p.q + |q|^2 precise in float32.
    centre = lines.abs().amax().clamp_min(1) / 2
    proposals, lines = proposals - centre, lines - centre
    length2 = (lines**2).sum(-1)
    padding = torch.arange(lines.shape[1], device=lines.device) >= count[:, None]
    length2 = length2.masked_fill(padding, torch.inf)[:, None]
    orders = [lines, lines.roll(2, -1)] if either_way else [lines]
    nearest = []
    # In bfloat16, as autocast would have products, a coordinate knows three digits and a squared distance none.
    with torch.autocast(proposals.device.type, enabled=False):
        for part in proposals.split(PROPOSAL_CHUNK, dim=1):
            best = [torch.baddbmm(length2, part, order.transpose(1, 2), alpha=-2).amin(2) for order in orders]
            nearest.append(torch.stack(best).amin(0) + (part**2).sum(-1))
    return torch.cat(nearest, 1)
