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

from hawp_core.geometry.homography import sample_views
from hawp_core.geometry.line_distances import BORDER
from hawp_core.geometry.precision import finest_float
from hawp_core.geometry.warping import warp_images
from hawp_core.model.detection import Detection, detect
from hawp_core.model.joining import best_of_near, joined, nothing_found
from hawp_core.model.looks import ONE_SCALE, PLAIN, Look, Seen
from hawp_core.model.network import WireframeNetwork

# Least score of a line in one look, and most views that pass together.
_LEAST_SCORE, _AT_ONCE = 0.15, 8
# The same where there is no other look.
_LEAST_ALONE = 0.05


@torch.no_grad()
def detect_by_views(
    network: WireframeNetwork, images: torch.Tensor, *, views: int, look: Look = PLAIN, min_score: float = 0.75
) -> list[Detection]:
    """Wireframes of a batch of square images by what recurs in views of them, in 1 + `views` times the time of one look.

    A line's score is the mean over the image and the views that show it whole of the scores with which they find it (`Seen.judge`),
    0 where one does not. The views are the same for every image, so that the result follows from the image alone.

    Args:
        network: in evaluation mode.
        images: (B, 1, S, S) in [0, 1].
        views: of each image, besides itself; 0 is one look.
        look: how the image and each of its views is looked at.
        min_score: keep lines with a score above this.
    """
    if not views and look.plain:
        return detect(network, images, min_score=min_score)
    if not views:
        return [alone(seen, min_score) for seen in look(network, images, _LEAST_ALONE)]
    homographies = torch.from_numpy(sample_views([[0, number] for number in range(views)], images.shape[-1]))
    each = homographies.expand(len(images), -1, -1, -1)
    seen = look_at_views(network, images, each, _LEAST_SCORE, "border", _AT_ONCE, look)
    return [unite([itself, *others], min_score) for itself, others in seen]


def look_at_views(
    network: WireframeNetwork,
    images: torch.Tensor,
    homographies: torch.Tensor,
    least: float,
    padding: str,
    chunk: int,
    look: Look = PLAIN,
) -> Iterator[tuple[Seen, list[Seen]]]:
    """What is found in each image (B, 1, S, S), and in each of its views (B, V, 3, 3)."""
    found = look(network, images, least)
    for image, mine, itself in zip(images, homographies, found, strict=True):
        others: list[Seen] = []
        for part in mine.split(chunk):
            there = part.to(finest_float(images.device))
            views = warp_images(image[None].expand(len(part), -1, -1, -1), there, padding=padding)
            own = part.cpu().double().numpy()
            seen = look(network, views, least)
            others += [replace(each, homography=homography) for each, homography in zip(seen, own, strict=True)]
        yield itself, others


def alone(seen: Seen, min_score: float) -> Detection:
    """What one look found by itself, in pixels of what it looked at, of lines with a score above `min_score`."""
    if seen.scales != ONE_SCALE:
        return unite([replace(seen, homography=np.eye(3))], min_score)
    (found,) = seen.found
    kept = found.scores > min_score
    return replace(found, lines=found.lines[kept], edges=found.edges[kept], scores=found.scores[kept])


def unite(seen: list[Seen], min_score: float) -> Detection:
    """One detection of the lines that looks at one image agree on, the best first.

    Args:
        seen: the looks, all of one input size.
        min_score: keep lines with a score above this.
    """
    size = seen[0].input_size
    last = np.array(size) - 1.0
    back = [each.brought_back() for each in seen]
    found = [lines for own in back for lines in own]
    lines = np.concatenate(
        [each[((each >= -BORDER) & (each <= np.tile(last, 2) + BORDER)).all(axis=1)] for each in found]
    )
    if not len(lines):
        return nothing_found(size)
    total, shown, weights = (np.zeros(len(lines)) for _ in range(3))
    places = np.zeros((len(lines), 4))
    for each, theirs in zip(seen, back, strict=True):
        shows = each.shows(lines)
        shown += shows
        score, weight, place = each.judge(lines[shows], theirs)
        total[shows] += score
        weights[shows] += weight
        places[shows] += place
    score = total / np.maximum(shown, 1)
    places = np.where(weights[:, None] > 0, places / np.maximum(weights, 1e-9)[:, None], lines)
    kept = best_of_near(lines, score, min_score)
    return joined(places[kept], score[kept], size)
