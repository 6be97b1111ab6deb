"""Labels that recur: a line becomes a label where enough of the views that show it whole find it again.

Averaged heatmaps (`homographic_adaptation`) still take junctions and verification from the image alone, so that a line which
only one look finds can become a label. Here every view is parsed for itself, its lines are brought back, and each line of
the image is counted; its junctions move to the mean of the places where they were found. The views are those of
homographic adaptation, the distance of two lines is SOLD2's structural one (arXiv 2104.03362, section 4.1).

Shape legend: B images, V views, S x S network input, M lines of the image, N lines of a view.
"""

from dataclasses import replace

import numpy as np
import torch

from hawp_core.evaluation.repeatability import BORDER, THRESHOLD, structural_distances
from hawp_core.geometry.homography import warp_points
from hawp_core.geometry.precision import finest_float
from hawp_core.geometry.warping import warp_images
from hawp_core.model.detection import Detection, detect
from hawp_core.model.network import WireframeNetwork


@torch.no_grad()
def recurring(
    network: WireframeNetwork,
    images: torch.Tensor,
    homographies: torch.Tensor,
    *,
    view_score: float,
    min_score: float,
    min_counts: int,
    padding: str,
    chunk: int,
) -> list[Detection]:
    """Wireframes of images, of lines that recur in their views.

    Args:
        network: in evaluation mode.
        images: (B, 1, S, S) float32 in [0, 1].
        homographies: (B, V, 3, 3) image -> view, pixels.
        view_score: least score of a line in one look.
        min_score: least share of the views that find a line again.
        min_counts: lines that fewer views show whole are left out.
        padding: what lies beyond a view's border, as in `warp_images`.
        chunk: most views that pass at a time.

    Returns:
        One detection an image; a line's score is the share of the views showing it whole that find it again.
    """
    found = detect(network, images, min_score=view_score)
    labelled = []
    for image, mine, detection in zip(images, homographies, found, strict=True):
        looks = []
        for part in mine.split(chunk):
            views = warp_images(
                image[None].expand(len(part), -1, -1, -1), part.to(finest_float(part.device)), padding=padding
            )
            looks += detect(network, views, min_score=view_score)
        labelled.append(count_views(detection, mine.cpu().double().numpy(), looks, min_score, min_counts))
    return labelled


def count_views(
    detection: Detection, homographies: np.ndarray, looks: list[Detection], min_score: float, min_counts: int
) -> Detection:
    """The lines of an image that its views find again.

    Args:
        detection: of the image.
        homographies: (V, 3, 3) image -> view, pixels.
        looks: what was found in each view.
        min_score, min_counts: as in `recurring`.
    """
    ends = detection.lines.numpy().astype(np.float64).reshape(-1, 2, 2)
    edges = detection.edges.numpy()
    last = np.array(detection.input_size) - 1.0 - BORDER
    shown_by, found_by = np.zeros(len(ends), int), np.zeros(len(ends), int)
    # Sums of the places of each junction, its own among them.
    places, looked = detection.junctions.numpy().astype(np.float64), np.ones(len(detection.junctions))
    for homography, look in zip(homographies, looks, strict=True):
        there = warp_points(homography, ends)
        shown = ((there >= BORDER) & (there <= last)).all(axis=(1, 2))
        shown_by += shown
        if not len(ends) or not len(look.lines):
            continue
        back = warp_points(np.linalg.inv(homography), look.lines.numpy().astype(np.float64).reshape(-1, 2, 2))
        distances = structural_distances(ends.reshape(-1, 4), back.reshape(-1, 4))
        again = shown & (distances.min(axis=1) <= THRESHOLD)
        found_by += again
        match, own = back[distances.argmin(axis=1)[again]], ends[again]
        # The ends of a line have no order of their own.
        swapped = np.linalg.norm(match - own, axis=2).sum(1) > np.linalg.norm(match[:, ::-1] - own, axis=2).sum(1)
        match[swapped] = match[swapped, ::-1]
        np.add.at(places, edges[again].reshape(-1), match.reshape(-1, 2))
        np.add.at(looked, edges[again].reshape(-1), 1)
    share = found_by / np.maximum(shown_by, 1)
    kept = (shown_by >= min_counts) & (share >= min_score)
    order = np.flatnonzero(kept)[np.argsort(-share[kept], kind="stable")]
    junctions = torch.from_numpy((places / looked[:, None]).astype(np.float32))
    chosen = detection.edges[torch.from_numpy(order)]
    return replace(
        detection,
        junctions=junctions,
        edges=chosen,
        lines=junctions[chosen].reshape(-1, 4),
        scores=torch.from_numpy(share[order].astype(np.float32)),
    )
