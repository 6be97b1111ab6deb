"""Candidate lines that the attraction field does not reach: pairs of junctions between which the line heatmap is bright all along.

A grid point says where its line ends by an angle, and the further the end, the finer that angle would have to be: the field
proposes few lines beyond 150 pixels, though both their junctions are found (docs/learning.md). Asking the heatmap of
every pair of junctions is not part of HAWP; SOLD2 (arXiv 2104.03362) asks it so of all its candidates.

Shape legend: B images, H x W input pixels, K junction slots, Q pairs of slots.
"""

import math

import torch
import torch.nn.functional as F

from hawp_core.model.architecture import STRIDE
from hawp_core.model.binding import rows_at_once

# Points of a line that are read at first, of all pairs, and then, of those that are left.
_FEW, _MANY = 8, 32
# So many pairs go on to the second reading for each that is wanted.
_CONSIDERED = 4
# A pair is as bright as the darkest share of its points, on average: one dark gap speaks against it. Below the least
# brightness it is no candidate.
_DARKEST_SHARE = 0.2
_LEAST_BRIGHTNESS = 0.3
# Pixels around a point within which the brightest counts.
_REACH = 2
# Grid cells; what is shorter the field proposes itself.
_LEAST_LENGTH = 12.0
# Where what is no candidate is put: no junction is near.
_NOWHERE = -1e6


@torch.no_grad()
def bright_pairs(heatmap: torch.Tensor, junctions: torch.Tensor, valid: torch.Tensor, count: int) -> torch.Tensor:
    """The brightest pairs of junctions, as proposals; shapes hang on those of the arguments alone.

    Args:
        heatmap: (B, H, W), refined, in [0, 1].
        junctions: (B, K, 2) x, y in grid units.
        valid: (B, K) bool.
        count: most pairs of an image.

    Returns:
        (B, Q, 4) lines in grid units, the brightest first, Q at most `count`; rows that stand for none lie far beyond the
        grid, so that they bind to no junction.
    """
    bright = F.max_pool2d(heatmap[:, None].float(), 2 * _REACH + 1, stride=1, padding=_REACH)[:, 0]
    slots = junctions.shape[1]
    first, second = torch.triu_indices(slots, slots, 1, device=junctions.device)
    lines = torch.cat((junctions[:, first], junctions[:, second]), dim=-1)
    length2 = (lines[..., :2] - lines[..., 2:]).square().sum(-1)
    possible = valid[:, first] & valid[:, second] & (length2 >= _LEAST_LENGTH**2)
    for points, most in ((_FEW, _CONSIDERED * count), (_MANY, count)):
        brightness = torch.where(possible, _darkest(bright, lines, points), 0)
        brightness, best = brightness.topk(min(most, lines.shape[1]), dim=1)
        lines = torch.take_along_dim(lines, best[..., None], 1)
        possible = brightness >= _LEAST_BRIGHTNESS
    return torch.where(possible[..., None], lines, _NOWHERE)


def _darkest(bright: torch.Tensor, lines: torch.Tensor, points: int) -> torch.Tensor:
    """(B, Q) mean of the darkest share of `points` points inside each line."""
    height, width = bright.shape[1:]
    t = torch.arange(1, points + 1, device=lines.device, dtype=lines.dtype) / (points + 1)
    start = torch.arange(len(lines), device=lines.device)[:, None, None] * (height * width)
    parts = []
    for part in lines.split(rows_at_once(points * len(lines), lines.device), dim=1):
        x, y = ((part[..., i, None] * t + part[..., i + 2, None] * (1 - t)) * STRIDE for i in (0, 1))
        column, row = x.round_().clamp_(0, width - 1), y.round_().clamp_(0, height - 1)
        values = bright.reshape(-1).take(row.mul_(width).add_(column).long().add_(start))
        parts.append(values.topk(math.ceil(points * _DARKEST_SHARE), dim=2, largest=False).values.mean(2))
    return torch.cat(parts, dim=1)
