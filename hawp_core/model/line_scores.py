"""The score of a line: how bright the line heatmap is along it, and what verification says, together.

Shape legend: B images, H x W pixels, L lines in a flat list.
"""

import math

import torch

from hawp_core.geometry.precision import finest_float
from hawp_core.model.binding import rows_at_once

# Heatmap score (SOLD2, arXiv 2104.03362): samples along a line, radius of the searched disc in pixels, and
# its least and length-dependent reach.
_SAMPLES = 64
_DISC_RADIUS = 3
_LEAST_REACH = 0.5 * 2**0.5
_REACH_PER_DIAGONAL = 2.0
# The heatmap is divided by the mean of this share of its values above this floor.
_BRIGHTEST_SHARE = 0.2
_DARK = 0.1


def refine_heatmap(heatmap: torch.Tensor) -> torch.Tensor:
    """Heatmaps (B, H, W) divided by the mean of their brightest values, clamped to [0, 1].

    The brightest are a fifth of the values above 0.1; a heatmap without any stays as it is.
    """
    values = heatmap.flatten(1).sort(dim=1, descending=True).values
    finest = finest_float(heatmap.device)
    bright = (values > _DARK).sum(dim=1, dtype=finest)
    count = (bright * _BRIGHTEST_SHARE).ceil()
    rank = torch.arange(values.shape[1], device=values.device)
    total = torch.where(rank < count[:, None], values, 0).sum(dim=1, dtype=finest)
    scale = torch.where(count > 0, total / count.clamp(min=1), 1).to(heatmap.dtype)
    return (heatmap / scale[:, None, None]).clamp(0, 1)


def heatmap_scores(heatmap: torch.Tensor, image_index: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
    """(L,) mean over 64 points of the largest heatmap value near each.

    Near are pixels in a disc around the rounded point that are closer to the point itself than a reach that grows
    with the line's length.

    Args:
        heatmap: (B, H, W), refined, in [0, 1].
        image_index: (L,) int64.
        lines: (L, 4) in input pixels.
    """
    x, y = _disc(lines)
    step = rows_at_once(_SAMPLES * len(x), lines.device)
    parts = zip(lines.split(step), image_index.split(step), strict=True)
    return torch.cat([_scores_of_chunk(heatmap, index, chunk, x, y) for chunk, index in parts])


def final_scores(verification: torch.Tensor, heat: torch.Tensor, weight: float) -> torch.Tensor:
    """(L,) the score by which lines are ranked: the geometric mean of verification and heatmap score.

    Args:
        weight: of the heatmap score, 0 to 1; the published mean has a half.
    """
    return (verification * heat).sqrt() if weight == 0.5 else verification ** (1 - weight) * heat**weight


def worth_verifying(heat: torch.Tensor, weight: float, min_score: float) -> torch.Tensor:
    """(L,) bool: a verification score is at most 1, so what the heatmap alone rules out needs no verification."""
    return final_scores(torch.ones_like(heat), heat, weight) > min_score


def _disc(like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns and rows of the disc's pixels from its centre, made where they are read, with a number known beforehand: the
    host would wait for what it sends, and an exported graph counts nothing."""
    reaches = [math.isqrt(_DISC_RADIUS**2 - row**2) for row in range(-_DISC_RADIUS, _DISC_RADIUS + 1)]
    columns = [torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype) for reach in reaches]
    rows = [like.new_full((2 * reach + 1,), row) for row, reach in enumerate(reaches, -_DISC_RADIUS)]
    return torch.cat(columns), torch.cat(rows)


def _scores_of_chunk(
    heatmap: torch.Tensor, image_index: torch.Tensor, lines: torch.Tensor, disc_x: torch.Tensor, disc_y: torch.Tensor
) -> torch.Tensor:
    height, width = heatmap.shape[1:]
    length = (lines[:, :2] - lines[:, 2:]).square().sum(1).sqrt()
    reach = (_LEAST_REACH + _REACH_PER_DIAGONAL * (length / (height**2 + width**2) ** 0.5))[:, None, None]
    t = torch.linspace(0, 1, _SAMPLES, device=lines.device, dtype=lines.dtype)
    x = (lines[:, 0:1] * t + lines[:, 2:3] * (1 - t)).clamp_(0, width - 1)[..., None]
    y = (lines[:, 1:2] * t + lines[:, 3:4] * (1 - t)).clamp_(0, height - 1)[..., None]
    column, row = x.round() + disc_x, y.round() + disc_y
    near = (x - column).square_().add_((y - row).square_()).sqrt_() < reach
    place = row.clamp_(0, height - 1).mul_(width).add_(column.clamp_(0, width - 1)).long()
    place += image_index[:, None, None] * (height * width)
    return (heatmap.reshape(-1).take(place) * near).amax(-1).mean(-1)
