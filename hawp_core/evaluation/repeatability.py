"""Whether a detector finds the same lines in an image and in its warped copy, without any label.

The definitions are those of SOLD2 (Pautrat et al. 2021, arXiv 2104.03362, section 4.1), as HAWPv3's program computes
them (`hawp/ssl/evaluate.py`), on images resized to 512 x 512 and two copies of each. DeepLSD (2023) defines them
otherwise (`one_to_one.py`), so do not mix the numbers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hawp_core.evaluation.results import ComparedPair, DetectorRepeatability, MeanScores, PairScores
from hawp_core.geometry.homography import warp_points
from hawp_core.geometry.line_distances import BORDER, THRESHOLD, structural_distances
from hawp_core.geometry.wireframe import Wireframe

MIN_OVERLAP = 0.5  # share of a line's length, mean over both lines, for the orthogonal distance
ROWS = 512  # lines compared at once with all others, so that memory stays bounded for thousands of lines


def orthogonal_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(M, N): how far lines (M, 4) and (N, 4) lie beside each other; pixels.

    Sum of the distances of one line's ends from the other line drawn out to infinity, mean over which line is which.
    Infinite where the lines' overlap, seen along each and taken as the mean of both shares, is below one half.
    """
    onto_first, overlap_first = beside(first, second)
    onto_second, overlap_second = beside(second, first)
    distances = (onto_first + onto_second.T) / 2.0
    return np.where((overlap_first + overlap_second.T) / 2.0 >= MIN_OVERLAP, distances, np.inf)


def beside(lines: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, N) distance sum of the ends of `others` from `lines`, and (M, N) share of the lines beside which they run."""
    step = lines[:, 2:] - lines[:, :2]
    squared = np.maximum((step**2).sum(axis=1), np.finfo(float).tiny)[:, None, None]
    x, y = np.moveaxis(others.reshape(1, -1, 2, 2) - lines[:, None, None, :2], -1, 0)
    step_x, step_y = step[:, None, None, 0], step[:, None, None, 1]
    along = (x * step_x + y * step_y) / squared
    apart = np.abs(x * step_y - y * step_x) / np.sqrt(squared)
    # Of two each: NumPy's reductions take ten times as long over an axis of two.
    begin, end = np.minimum(along[..., 0], along[..., 1]), np.maximum(along[..., 0], along[..., 1])
    overlap = np.minimum(end, 1.0) - np.maximum(begin, 0.0)
    return apart[..., 0] + apart[..., 1], np.maximum(overlap, 0.0)


DISTANCES = {"structural": structural_distances, "orthogonal": orthogonal_distances}


def repeatability(
    lines: np.ndarray,
    warped_lines: np.ndarray,
    homography: np.ndarray,
    shape: tuple[int, int],
    threshold: float = THRESHOLD,
    distance: str = "structural",
) -> tuple[float, float]:
    """Repeatability and localisation error between an image and its warped copy of the same size.

    Only lines with both ends in both images count. Those of the warped image are brought back to the image; a line is
    repeated when the nearest line of the other image is within `threshold`, and may be the nearest of several.

    Args:
        lines: (M, 4) found in the image.
        warped_lines: (N, 4) found in the warped image.
        homography: (3, 3) takes the image to the warped image, as in `cv2.warpPerspective`.
        shape: height and width of both images.
        threshold: pixels of the image.
        distance: "structural" (sum of the distances of both ends) or "orthogonal" (beside each other).

    Returns:
        repeatability: repeated lines of both images over lines of both images, in [0, 1]; 0 where one image has
            lines and the other has none, NaN where neither has.
        localisation error: mean distance of the warped image's repeated lines, pixels; NaN without any. (The published
            program has 0 for both NaNs and averages them in.)

    Raises:
        ValueError: no such distance.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance is {distance!r}, not one of {', '.join(DISTANCES)}")
    first, second = _in_both(lines, warped_lines, homography, shape)
    if not len(first) + len(second):
        return math.nan, math.nan
    to_second, to_first = nearest(first, second, DISTANCES[distance])
    repeated = int((to_second <= threshold).sum()) + int((to_first <= threshold).sum())
    near = to_first[to_first <= threshold]
    return repeated / (len(first) + len(second)), float(near.mean()) if len(near) else math.nan


def _in_both(
    lines: np.ndarray, warped_lines: np.ndarray, homography: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The lines of either image that the other shows whole, in the first image's coordinates: (M', 4) and (N', 4)."""
    last = np.array([shape[1], shape[0]]) - 1.0
    ends = np.asarray(lines, np.float64).reshape(-1, 2, 2)
    warped_ends = np.asarray(warped_lines, np.float64).reshape(-1, 2, 2)
    back = warp_points(np.linalg.inv(homography), warped_ends)
    shown = _within(warp_points(homography, ends), BORDER, last - BORDER + 1)
    warped_shown = _within(warped_ends, BORDER, last - BORDER + 1) & _within(back, 0.0, last)
    return ends[shown].reshape(-1, 4), back[warped_shown].reshape(-1, 4)


def _within(ends: np.ndarray, low: float, high: np.ndarray) -> np.ndarray:
    """(M,) bool: both ends (M, 2, 2) in [low, high); not so for NaN, a point behind the camera."""
    return np.asarray(((ends >= low) & (ends < high)).all(axis=(1, 2)))


def nearest(
    first: np.ndarray, second: np.ndarray, distances: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) and (N,): the distance of every line to the nearest one of the other image; infinite if there is none."""
    to_second, to_first = np.full(len(first), np.inf), np.full(len(second), np.inf)
    for start in range(0, len(first), ROWS):
        block = distances(first[start : start + ROWS], second)
        to_second[start : start + ROWS] = block.min(axis=1, initial=np.inf)
        to_first = np.minimum(to_first, block.min(axis=0, initial=np.inf))
    return to_second, to_first


@dataclass(frozen=True, eq=False)
class FoundPair:
    """What a detector found in an image and in its warped copy of the same size, the best lines first.

    Attributes:
        name: of the image.
        homography: (3, 3) takes the image to the copy.
        shape: height and width of both.
        lines, warped_lines: (M, 4) and (N, 4).
        scores, warped_scores: (M,) and (N,), as the detector gives them.
    """

    name: str
    homography: np.ndarray
    shape: tuple[int, int]
    lines: np.ndarray
    warped_lines: np.ndarray
    scores: np.ndarray
    warped_scores: np.ndarray


def by_score(found: Wireframe) -> np.ndarray:
    """(M,) what ranks a detector's lines: their scores."""
    return found.scores


def by_length(found: Wireframe) -> np.ndarray:
    """(M,) what ranks a detector's lines: their lengths, pixels."""
    return np.hypot(*(found.lines[:, 2:] - found.lines[:, :2]).T)


def find_pairs(
    detect: Callable[[np.ndarray], Wireframe],
    images: Iterable[tuple[str, np.ndarray]],
    homographies: Callable[[str, int, int], np.ndarray],
    rank: Callable[[Wireframe], np.ndarray] = by_score,
) -> list[FoundPair]:
    """The lines of a detector in images, each with one warped copy.

    The copy has the size of the image, is sampled bilinearly and black beyond the image, as in the published protocol.

    Args:
        detect: takes a grey image (H, W) uint8, returns its wireframe.
        images: names and grey images (H, W) uint8, read one after the other. An image that comes several times in a row,
            under several names, is itself looked at once.
        homographies: takes an image's name, width and height; returns the (3, 3) homography of its copy. The name is
            the place to draw from a seed.
        rank: which lines are best.
    """
    found: list[FoundPair] = []
    before = None
    for name, image in images:
        height, width = image.shape
        homography = homographies(name, width, height)
        if image is not before:
            lines, scores = _ranked(detect(image), rank)
        copied = cv2.warpPerspective(image, homography, (width, height), flags=cv2.INTER_LINEAR)
        warped, warped_scores = _ranked(detect(copied), rank)
        found.append(FoundPair(name, homography, (height, width), lines, warped, scores, warped_scores))
        before = image
    return found


def _ranked(found: Wireframe, rank: Callable[[Wireframe], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-rank(found), kind="stable")
    return found.lines[order], found.scores[order]


def compare_pairs(pairs: Sequence[FoundPair], counts: Sequence[tuple[int, int]] | None = None) -> DetectorRepeatability:
    """Repeatability and localisation error over pairs (Rep-5, Loc-5), every line with its nearest.

    Args:
        counts: how many of the best lines of image and copy are compared; all where None.
    """
    counts = counts or [(len(pair.lines), len(pair.warped_lines)) for pair in pairs]
    compared = tuple(_compared(pair, *count) for pair, count in zip(pairs, counts, strict=True))
    return DetectorRepeatability(
        pairs=len(compared),
        threshold=THRESHOLD,
        lines_per_image=mean([count for pair in compared for count in pair.lines]),
        structural=mean_scores([pair.structural for pair in compared]),
        orthogonal=mean_scores([pair.orthogonal for pair in compared]),
        images=compared,
    )


def _compared(pair: FoundPair, first: int, second: int) -> ComparedPair:
    lines, warped_lines = pair.lines[:first], pair.warped_lines[:second]

    def scores(distance: str) -> PairScores:
        return pair_scores(*repeatability(lines, warped_lines, pair.homography, pair.shape, THRESHOLD, distance))

    return ComparedPair(pair.name, (len(lines), len(warped_lines)), scores("structural"), scores("orthogonal"))


def pair_scores(repeated: float, located: float) -> PairScores:
    """The scores of a pair, None for NaN."""
    return PairScores(*(None if math.isnan(value) else value for value in (repeated, located)))


def mean_scores(scores: Sequence[PairScores]) -> MeanScores:
    """The means of the pairs where they are defined, and how many are not."""
    repeated, located = [each.repeatability for each in scores], [each.localisation for each in scores]
    return MeanScores(mean(repeated), mean(located), repeated.count(None), located.count(None))


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
