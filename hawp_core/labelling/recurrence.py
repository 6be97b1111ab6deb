"""Labels that recur: each view of an image is parsed for itself, and a line is worth what the views find of it again.

Averaged heatmaps (`labelling/homographic_adaptation.py`) still take junctions and verification from the image alone, so that a
line which only one look finds passes. Here the lines of every view are brought back and each line of the image is counted; its
junctions move to the mean of the places where they were found. The distance of two lines is SOLD2's structural one (arXiv 2104.03362, section 4.1).

Shape legend: B images, V views, S x S network input, M lines of the image, N lines of a view.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from hawp_core.geometry.homography import warp_points
from hawp_core.geometry.line_distances import BORDER, THRESHOLD, structural_distances
from hawp_core.model.detection import Detection
from hawp_core.model.looks import Look
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.views import alone, look_at_views


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
    look: Look,
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
        look: how the image and each of its views is looked at.

    Returns:
        One detection an image; a line's score is the share of the views showing it whole that find it again.
    """
    labelled = []
    for itself, others in look_at_views(network, images, homographies, view_score, padding, chunk, look):
        image, looks = alone(itself, view_score), [alone(each, view_score) for each in others]
        counts = count_views(image, np.array([each.homography for each in others]), looks)
        kept = (counts.shown >= min_counts) & (counts.share >= min_score)
        labelled.append(_chosen(image, counts, kept, counts.share))
    return labelled


@dataclass(frozen=True, eq=False)
class Counts:
    """What the views say of an image's lines.

    Attributes:
        shown: (M,) int, views that show the line whole.
        share: (M,) of these that find it again; 0 where none shows it.
        junctions: (K, 2) x, y of the image's junctions, each the mean of the places where it was found, pixels.
    """

    shown: np.ndarray
    share: np.ndarray
    junctions: np.ndarray


def count_views(detection: Detection, homographies: np.ndarray, looks: list[Detection]) -> Counts:
    """How often the views of an image find each of its lines again.

    Args:
        detection: of the image.
        homographies: (V, 3, 3) image -> view, pixels.
        looks: what was found in each view.
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
        nearest = distances.argmin(axis=1)[again]
        match, own = back[nearest], ends[again]
        # The ends of a line have no order of their own.
        swapped = np.linalg.norm(match - own, axis=2).sum(1) > np.linalg.norm(match[:, ::-1] - own, axis=2).sum(1)
        match[swapped] = match[swapped, ::-1]
        np.add.at(places, edges[again].reshape(-1), match.reshape(-1, 2))
        np.add.at(looked, edges[again].reshape(-1), 1)
    return Counts(shown_by, found_by / np.maximum(shown_by, 1), (places / looked[:, None]))


def _chosen(detection: Detection, counts: Counts, kept: np.ndarray, scores: np.ndarray) -> Detection:
    """The lines that are kept (M,), the best first, between the junctions where the views found them."""
    order = np.flatnonzero(kept)[np.argsort(-scores[kept], kind="stable")]
    junctions = torch.from_numpy(counts.junctions.astype(np.float32))
    edges = detection.edges[torch.from_numpy(order)]
    return replace(
        detection,
        junctions=junctions,
        edges=edges,
        lines=junctions[edges].reshape(-1, 4),
        scores=torch.from_numpy(scores[order].astype(np.float32)),
    )
