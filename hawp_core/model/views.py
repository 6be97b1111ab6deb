"""Detection by views: an image and warped views of it are parsed, and a line is worth what all of these looks find of it.

Each look misses lines and invents others, but seldom the same ones: what one look finds and the others do not falls behind
what they agree on, wherever it was found first. The views are those of homographic adaptation (SuperPoint, arXiv 1712.07629,
section 5.2), the distance of two lines is SOLD2's structural one (arXiv 2104.03362, section 4.1).

Shape legend: B images, V views, S x S network input, C candidates, M lines.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from hawp_core.geometry.homography import sample_views, warp_points
from hawp_core.geometry.line_distances import BORDER, THRESHOLD, near_pairs
from hawp_core.geometry.precision import finest_float
from hawp_core.geometry.warping import warp_images
from hawp_core.model.detection import Detection, detect
from hawp_core.model.joining import best_of_near, joined, nothing_found
from hawp_core.model.looks import PLAIN, Look
from hawp_core.model.network import WireframeNetwork

# Least score of a line in one look, and most views that pass together.
_LEAST_SCORE, _AT_ONCE = 0.15, 8
# The same where there is no other look.
_LEAST_ALONE = 0.05


@torch.no_grad()
def detect_by_views(
    network: WireframeNetwork, images: torch.Tensor, *, views: int, look: Look = PLAIN, min_score: float = 0.75
) -> list[Detection]:
    """Wireframes of a batch of square images by what recurs in views of them, in 1 + `views` times the time of `detect`.

    A line's score is the mean over the image and the views that show it whole of the best score with which they find it,
    0 where one does not. The views are the same for every image, so that the result follows from the image alone.

    Args:
        network: in evaluation mode.
        images: (B, 1, S, S) in [0, 1].
        views: of each image, besides itself; 0 is one look.
        look: how the image and each of its views is looked at.
        min_score: keep lines with a score above this.
    """
    if not views:
        if look.plain:
            return detect(network, images, min_score=min_score)
        return [_above(found, min_score) for found in look(network, images, _LEAST_ALONE)]
    homographies = torch.from_numpy(sample_views([[0, number] for number in range(views)], images.shape[-1]))
    each = homographies.expand(len(images), -1, -1, -1)
    seen = look_at_views(network, images, each, _LEAST_SCORE, "border", _AT_ONCE, look)
    return [unite([image, *looks], np.stack([np.eye(3), *own]), min_score) for image, looks, own in seen]


def look_at_views(
    network: WireframeNetwork,
    images: torch.Tensor,
    homographies: torch.Tensor,
    least: float,
    padding: str,
    chunk: int,
    look: Look = PLAIN,
) -> Iterator[tuple[Detection, list[Detection], np.ndarray]]:
    """Of each image (B, 1, S, S) what is found in itself and in each of its views, and the views (V, 3, 3) float64."""
    found = look(network, images, least)
    for image, mine, detection in zip(images, homographies, found, strict=True):
        looks: list[Detection] = []
        for part in mine.split(chunk):
            there = part.to(finest_float(images.device))
            views = warp_images(image[None].expand(len(part), -1, -1, -1), there, padding=padding)
            looks += look(network, views, least)
        yield detection, looks, mine.cpu().double().numpy()


def _above(found: Detection, min_score: float) -> Detection:
    """The lines with a score above this."""
    kept = found.scores > min_score
    return replace(found, lines=found.lines[kept], edges=found.edges[kept], scores=found.scores[kept])


def unite(looks: list[Detection], homographies: np.ndarray, min_score: float) -> Detection:
    """One detection of the lines that looks at one image agree on, the best first.

    Args:
        looks: what was found in each; all of one input size.
        homographies: (V, 3, 3) from the image to each look, pixels; that of the image itself is the identity.
        min_score: keep lines with a score above this.
    """
    size = looks[0].input_size
    last = np.array(size) - 1.0
    back = [_brought_back(look, homography) for look, homography in zip(looks, homographies, strict=True)]
    found = [lines[((lines >= -BORDER) & (lines <= np.tile(last, 2) + BORDER)).all(axis=1)] for lines in back]
    lines = np.concatenate(found)
    if not len(lines):
        return nothing_found(size)
    total, shown = np.zeros(len(lines)), np.zeros(len(lines))
    places = np.zeros((len(lines), 4))
    for look, theirs, homography in zip(looks, back, homographies, strict=True):
        there = warp_points(homography, lines.reshape(-1, 2, 2))
        shows = ((there >= BORDER) & (there <= last - BORDER)).all(axis=(1, 2)) | (homography == np.eye(3)).all()
        shown += shows
        if not len(theirs):
            continue
        rows, best = _best_match(lines, theirs, look.scores.numpy())
        rows, best = rows[shows[rows]], best[shows[rows]]
        score = look.scores.numpy()[best]
        total[rows] += score
        places[rows] += score[:, None] * _turned(theirs[best], lines[rows])
    score = total / np.maximum(shown, 1)
    places = np.where(total[:, None] > 0, places / np.maximum(total, 1e-9)[:, None], lines)
    kept = best_of_near(lines, score, min_score)
    return joined(places[kept], score[kept], size)


def _brought_back(look: Detection, homography: np.ndarray) -> np.ndarray:
    """(N, 4) the lines of a look in the image's pixels, NaN where they lie behind the camera."""
    ends = look.lines.numpy().astype(np.float64).reshape(-1, 2, 2)
    return warp_points(np.linalg.inv(homography), ends).reshape(-1, 4)


def _best_match(lines: np.ndarray, theirs: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (P,) of lines (C, 4) that a look found, each once, and of its lines (N, 4) the best one near to each."""
    rows, columns = near_pairs(lines, theirs, THRESHOLD)
    order = np.lexsort((-scores[columns], rows))
    rows, columns = rows[order], columns[order]
    first = np.r_[True, rows[1:] != rows[:-1]] if len(rows) else np.zeros(0, bool)
    return rows[first], columns[first]


def _turned(lines: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Lines (C, 4) with their ends in the order of those of `like` (C, 4): a line's ends have none of their own."""
    other = lines[:, [2, 3, 0, 1]]
    nearer = np.abs(lines - like).sum(1) <= np.abs(other - like).sum(1)
    return np.where(nearer[:, None], lines, other)
