"""Lines that recur: each view of an image is parsed for itself, and a line is worth what the views find of it again.

Averaged heatmaps (`labelling/homographic_adaptation.py`) still take junctions and verification from the image alone, so that a
line which only one look finds passes. Here the lines of every view are brought back and each line of the image is counted; its
junctions move to the mean of the places where they were found. So labels are chosen, and so a photograph is parsed with more
care than one look takes. The distance of two lines is SOLD2's structural one (arXiv 2104.03362, section 4.1).

Shape legend: B images, V views, S x S network input, M lines of the image, N lines of a view.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from hawp_core.geometry.homography import sample_views, warp_points
from hawp_core.geometry.line_distances import BORDER, THRESHOLD, structural_distances
from hawp_core.geometry.precision import finest_float
from hawp_core.geometry.warping import warp_images
from hawp_core.model.detection import Detection, detect
from hawp_core.model.network import WireframeNetwork

# Detection by views. Least score of a line in one look; views of which fewer show a line whole say nothing of it; most
# views that pass together.
_VIEW_SCORE, _LEAST_VIEWS, _AT_ONCE = 0.3, 3, 8


@torch.no_grad()
def detect_by_views(
    network: WireframeNetwork, images: torch.Tensor, *, views: int, min_score: float = 0.75
) -> list[Detection]:
    """Wireframes of a batch of square images by what recurs in views of them, in 1 + `views` times the time of `detect`.

    A line's score is the mean of its scores in the image and in the views that show it whole, nothing where a view does not
    find it. The views are the same for every image, so that the result follows from the image alone.

    Args:
        network: in evaluation mode.
        images: (B, 1, S, S) in [0, 1].
        views: of each image, besides itself; 0 is `detect`.
        min_score: keep lines with a score above this.
    """
    if not views:
        return detect(network, images, min_score=min_score)
    homographies = torch.from_numpy(sample_views([[0, number] for number in range(views)], images.shape[-1]))
    seen = _look(network, images, homographies.expand(len(images), -1, -1, -1), _VIEW_SCORE, "border", _AT_ONCE)
    least = min(_LEAST_VIEWS, views)
    found = []
    for image, looks, own in seen:
        counts = count_views(image, own, looks)
        kept = (counts.shown >= least) & (counts.score > min_score)
        found.append(_chosen(image, counts, kept, counts.score))
    return found


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
    labelled = []
    for image, looks, own in _look(network, images, homographies, view_score, padding, chunk):
        counts = count_views(image, own, looks)
        kept = (counts.shown >= min_counts) & (counts.share >= min_score)
        labelled.append(_chosen(image, counts, kept, counts.share))
    return labelled


def _look(
    network: WireframeNetwork,
    images: torch.Tensor,
    homographies: torch.Tensor,
    least: float,
    padding: str,
    chunk: int,
) -> Iterator[tuple[Detection, list[Detection], np.ndarray]]:
    """Of each image what is found in itself and in each of its views, and the views (V, 3, 3) float64."""
    found = detect(network, images, min_score=least)
    for image, mine, detection in zip(images, homographies, found, strict=True):
        looks: list[Detection] = []
        for part in mine.split(chunk):
            there = part.to(finest_float(images.device))
            views = warp_images(image[None].expand(len(part), -1, -1, -1), there, padding=padding)
            looks += detect(network, views, min_score=least)
        yield detection, looks, mine.cpu().double().numpy()


@dataclass(frozen=True, eq=False)
class Counts:
    """What the views say of an image's lines.

    Attributes:
        shown: (M,) int, views that show the line whole.
        share: (M,) of these that find it again; 0 where none shows it.
        score: (M,) mean of its score in the image and in these views, where one that does not find it counts as 0.
        junctions: (K, 2) x, y of the image's junctions, each the mean of the places where it was found, pixels.
    """

    shown: np.ndarray
    share: np.ndarray
    score: np.ndarray
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
    total = detection.scores.numpy().astype(np.float64)
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
        total[again] += look.scores.numpy()[nearest]
        match, own = back[nearest], ends[again]
        # The ends of a line have no order of their own.
        swapped = np.linalg.norm(match - own, axis=2).sum(1) > np.linalg.norm(match[:, ::-1] - own, axis=2).sum(1)
        match[swapped] = match[swapped, ::-1]
        np.add.at(places, edges[again].reshape(-1), match.reshape(-1, 2))
        np.add.at(looked, edges[again].reshape(-1), 1)
    return Counts(shown_by, found_by / np.maximum(shown_by, 1), total / (1 + shown_by), (places / looked[:, None]))


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
