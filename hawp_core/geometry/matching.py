"""Wireframes in the layouts that line matchers take: kornia's, after SOLD2, and GlueStick's."""

import numpy as np
import torch

from hawp_core.geometry.wireframe import Wireframe


def kornia_segments(wireframe: Wireframe) -> torch.Tensor:
    """(N, 2, 2) float32: two ends of each line as (row, column), pixels.

    What `kornia.feature.sold2.sold2.WunschLineMatcher` and `SOLD2.match` take beside a map of descriptors at a quarter of the
    image's size.
    """
    return torch.from_numpy(wireframe.lines.reshape(-1, 2, 2)[..., ::-1].copy())


def gluestick_lines(wireframe: Wireframe, view: int) -> dict[str, torch.Tensor]:
    """What GlueStick (arXiv 2304.02008) knows of the lines of one of two images, a batch of one.

    Points that belong to no line, and descriptors, are the caller's: both come behind the junctions. Given to
    `two_view_pipeline` with its images, `lines`, `line_scores` and `valid_lines` stand in for LSD's.

    Args:
        view: 0 or 1; the names end with it.

    Returns:
        `lines` (1, N, 2, 2) float32 x, y of both ends; `line_scores` (1, N); `valid_lines` (1, N) bool, all true;
        `lines_junc_idx` (1, N, 2) int64 into `keypoints` (1, J, 2), the junctions; `keypoint_scores` (1, J), the mean over the
        lines at each; `pl_associativity` (1, J, J) bool, true for two that a line joins and on the diagonal; `num_junctions`
        (1,) int64.
    """
    joined = wireframe.without_lone_junctions()
    edges, scores = torch.from_numpy(joined.edges).long(), torch.from_numpy(joined.scores)
    count = len(joined.junctions)
    associated = torch.eye(count, dtype=torch.bool)
    associated[edges[:, 0], edges[:, 1]] = associated[edges[:, 1], edges[:, 0]] = True
    total = torch.from_numpy(np.bincount(joined.edges.reshape(-1), joined.scores.repeat(2), minlength=count)).float()
    lines_at = torch.from_numpy(np.bincount(joined.edges.reshape(-1), minlength=count))
    found = {
        "lines": torch.from_numpy(joined.lines.reshape(-1, 2, 2)),
        "line_scores": scores,
        "valid_lines": torch.ones(len(scores), dtype=torch.bool),
        "lines_junc_idx": edges,
        "keypoints": torch.from_numpy(joined.junctions),
        "keypoint_scores": total / lines_at,
        "pl_associativity": associated,
    }
    named = {f"{name}{view}": value[None] for name, value in found.items()}
    return {**named, f"num_junctions{view}": torch.tensor([count])}
