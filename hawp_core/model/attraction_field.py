"""The attraction field on the stride-4 grid: line segments to dense maps and back.

Every line segment attracts the grid points nearest to it; each point keeps the way to its segment in four numbers
(three angles, one distance). Source: HAWP (arXiv 2210.12971), "holistic attraction field".

Grid units: image pixels / 4. Cell (x, y) stands for the point (x, y) when lines are encoded and decoded; a junction
in cell (x, y) with offset (dx, dy) lies at (x + dx + 0.5, y + dy + 0.5); features are read at a point minus 0.5.

Shape legend: B images, M segments (padded), N junctions (padded), h x w grid, R distance hypotheses.
"""

import math
from typing import NamedTuple

import torch

# Components of the rotated endpoints are kept this far from zero before the angle is taken.
_SMALLEST = 1e-9
# Keeps divisions by a length, or a squared length, finite.
_EPSILON = 1e-6
# Segment-to-point distances held at once while encoding: 16 MB of float32 for each of a few buffers.
_DISTANCES_AT_ONCE = 1 << 22


class Field(NamedTuple):
    """What the network learns to predict.

    Attributes:
        angles: (B, 3, h, w) in [0, 1]: direction to the nearest point of the segment (a turn), slope to the endpoint
            on its left and on its right (quarter turns).
        distance: (B, 1, h, w) in [0, 1]: distance to the segment over the threshold, clamped.
        mask: (B, 1, h, w) float, 1 where the point is within the threshold and the angles are in their open range.
    """

    angles: torch.Tensor
    distance: torch.Tensor
    mask: torch.Tensor


def encode(lines: torch.Tensor, count: torch.Tensor, height: int, width: int, threshold: float) -> Field:
    """Attraction field of padded line segments.

    Of segments at the same distance the first one wins. Images without segments get zeros. Memory does not grow with
    the number of segments beyond the segments themselves.

    Args:
        lines: (B, M, 4) x1, y1, x2, y2 in grid units.
        count: (B,) int64, segments of each image; later rows are padding.
        height, width: of the grid.
        threshold: distance in grid units beyond which a point is not attracted.
    """
    if lines.shape[1] == 0:
        zeros = lines.new_zeros(len(lines), 5, height, width)
        return Field(zeros[:, :3], zeros[:, 3:4], zeros[:, 4:])
    nearest = _nearest_segment(lines, count, height, width)
    x, y = _grid(height, width, lines)
    columns = nearest.flatten(1)[:, :, None].expand(-1, -1, 4)
    x1, y1, x2, y2 = lines.gather(1, columns).reshape(len(lines), height, width, 4).unbind(-1)
    along = _foot_position((x - x1) * (x2 - x1), (y - y1) * (y2 - y1), _squared_length(x1, y1, x2, y2))
    foot = torch.stack((x1 + along * (x2 - x1) - x, y1 + along * (y2 - y1) - y))
    to_first, to_second = torch.stack((x1 - x, y1 - y)), torch.stack((x2 - x, y2 - y))
    first_is_nearer = to_first.square().sum(0) < to_second.square().sum(0)
    near = torch.where(first_is_nearer, to_first, to_second)
    far = torch.where(first_is_nearer, to_second, to_first)
    return _angles_and_distance(foot, near, far, threshold, count)


def _nearest_segment(lines: torch.Tensor, count: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B, h, w) index of the segment nearest to each grid point, the first of equals."""
    batch, total, _ = lines.shape
    x, y = torch.arange(width, device=lines.device).to(lines), torch.arange(height, device=lines.device).to(lines)
    missing = torch.arange(total, device=lines.device) >= count[:, None]
    best = lines.new_full((batch, height, width), math.inf)
    index = torch.zeros(batch, height, width, dtype=torch.int64, device=lines.device)
    step = max(1, _DISTANCES_AT_ONCE // (batch * height * width))
    for start in range(0, total, step):
        chunk = slice(start, start + step)
        squared = _squared_distances(lines[:, chunk], x, y)
        squared.masked_fill_(missing[:, chunk, None, None], math.inf)
        value, place = squared.min(dim=1)
        closer = value < best
        best = torch.where(closer, value, best)
        index = torch.where(closer, place + start, index)
    return index


def _squared_distances(lines: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(B, m, h, w) squared distances of the grid points at columns `x` (w,) and rows `y` (h,) to `lines` (B, m, 4)."""
    x1, y1, x2, y2 = (v[:, :, None, None] for v in lines.unbind(-1))
    x, y = x[None, None, None, :], y[None, None, :, None]
    along = _foot_position((x - x1) * (x2 - x1), (y - y1) * (y2 - y1), _squared_length(x1, y1, x2, y2))
    # The same order of operations as in `encode`: shared endpoints make exact ties, and rounding decides them.
    across = (along * (x2 - x1)).add_(x1).sub_(x).square_()
    return across.add_(along.mul_(y2 - y1).add_(y1).sub_(y).square_())


def _squared_length(x1: torch.Tensor, y1: torch.Tensor, x2: torch.Tensor, y2: torch.Tensor) -> torch.Tensor:
    return (x2 - x1).square() + (y2 - y1).square()


def _foot_position(along_x: torch.Tensor, along_y: torch.Tensor, squared_length: torch.Tensor) -> torch.Tensor:
    """Position in [0, 1] of the nearest point along a segment, from the two summands of the scalar product."""
    return (along_x + along_y).div_(squared_length + _EPSILON).clamp_(0, 1)


def _angles_and_distance(
    foot: torch.Tensor, near: torch.Tensor, far: torch.Tensor, threshold: float, count: torch.Tensor
) -> Field:
    """The field of three vectors from each grid point, (2, B, h, w) each: to the foot and to the two endpoints."""
    distance = foot.square().sum(0).sqrt()
    cos, sin = foot / (distance + _EPSILON)
    near_x, near_y = cos * near[0] + sin * near[1], cos * near[1] - sin * near[0]
    far_x, far_y = cos * far[0] + sin * far[1], cos * far[1] - sin * far[0]
    swap = (near_y < 0) & (far_y > 0)
    left_x, left_y = torch.where(swap, far_x, near_x), torch.where(swap, far_y, near_y)
    right_x, right_y = torch.where(swap, near_x, far_x), torch.where(swap, near_y, far_y)
    left = torch.atan2(left_y.clamp(min=_SMALLEST), left_x.clamp(min=_SMALLEST))
    right = torch.atan2(right_y.clamp(max=-_SMALLEST), right_x.clamp(min=_SMALLEST))
    quarter, turn = math.pi / 2, math.pi * 2
    angles = torch.stack((torch.atan2(sin, cos) / turn + 0.5, left / quarter, -right / quarter), dim=1)
    mask = (distance <= threshold) & (left > 0) & (right < 0)
    has_lines = (count > 0)[:, None, None, None].to(foot.dtype)
    scaled = distance.clamp(max=threshold) / threshold
    return Field(angles * has_lines, scaled[:, None] * has_lines, mask[:, None].to(foot.dtype) * has_lines)


def decode(
    angles: torch.Tensor, distance: torch.Tensor, residual: torch.Tensor | None, threshold: float
) -> torch.Tensor:
    """Line segments that the grid points propose, clamped to the grid.

    Args:
        angles: (B, 3, h, w) in [0, 1].
        distance: (B, 1, h, w) in [0, 1].
        residual: (B, 1, h, w) in [0, 1], uncertainty of the distance; None for one hypothesis.
        threshold: as in `encode`.

    Returns:
        (B, R, h, w, 4) x1, y1, x2, y2 in grid units. R is 3 with a residual r (distances d - r, d, d + r, each clamped
        to [0, 1]) and 1 without. Differentiable.
    """
    height, width = angles.shape[-2:]
    if residual is not None:
        distance = torch.cat((distance - residual, distance, distance + residual), dim=1)
    reach = distance.clamp(0, 1)
    direction = (angles[:, :1] - 0.5) * (math.pi * 2)
    cos, sin = direction.cos(), direction.sin()
    left, right = torch.tan(angles[:, 1:2] * (math.pi / 2)), torch.tan(-angles[:, 2:3] * (math.pi / 2))
    x, y = _grid(height, width, angles)
    ends = []
    for slope in (left, right):
        ends.append(((cos - sin * slope) * reach * threshold + x).clamp(0, width - 1))
        ends.append(((sin + cos * slope) * reach * threshold + y).clamp(0, height - 1))
    return torch.stack(ends, dim=-1)


def encode_junctions(
    junctions: torch.Tensor, count: torch.Tensor, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Junction map and offsets of padded junctions.

    Junctions beyond the grid count in its outermost cells, with the offset clamped. Of junctions that share a cell the
    last one wins, on every device.

    Args:
        junctions: (B, N, 2) x, y in grid units.
        count: (B,) int64, junctions of each image; later rows are padding.

    Returns:
        location (B, 1, h, w), 1 in the cell of each junction, and offset (B, 2, h, w) from the cell's centre (x, y) in
        [-0.5, 0.5], 0 in cells without a junction.
    """
    batch, total, _ = junctions.shape
    cell = torch.stack(
        (junctions[..., 0].floor().clamp(0, width - 1), junctions[..., 1].floor().clamp(0, height - 1)), -1
    )
    offset = (junctions - cell - 0.5).clamp(-0.5, 0.5)
    rank = torch.arange(total, device=junctions.device).expand(batch, total)
    rank = torch.where(rank < count[:, None], rank, -1)
    place = cell[..., 1].long() * width + cell[..., 0].long()
    # A maximum does not depend on the order of the writes, unlike indexed assignment on a GPU.
    winner = rank.new_full((batch, height * width), -1).scatter_reduce(1, place, rank, "amax")
    location = (winner >= 0).to(junctions.dtype)
    if total == 0:
        return location.reshape(batch, 1, height, width), junctions.new_zeros(batch, 2, height, width)
    kept = offset.gather(1, winner.clamp(min=0)[:, :, None].expand(-1, -1, 2)) * location[:, :, None]
    return location.reshape(batch, 1, height, width), kept.transpose(1, 2).reshape(batch, 2, height, width)


def _grid(height: int, width: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns (1, w) and rows (h, 1) of the grid points, on the device and of the type of `like`."""
    x = torch.arange(width, device=like.device).to(like.dtype)[None, :]
    return x, torch.arange(height, device=like.device).to(like.dtype)[:, None]
