"""Whether a detector finds the same lines in an image and in its warped copy, without any label.

The definitions are those of SOLD2 (Pautrat et al. 2021, arXiv 2104.03362, section 4.1), as HAWPv3's program computes
them (`hawp/ssl/evaluate.py`), on images resized to 512 x 512 and two copies of each. DeepLSD (2023) defines them
otherwise, so do not mix the numbers: half the structural distance, lines paired one to one and cut to the common area.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from scipy.spatial.distance import cdist

from hawp_core.evaluation.results import ComparedPair, DetectorRepeatability, MeanScores, PairScores
from hawp_core.geometry.homography import warp_points
from hawp_core.geometry.wireframe import Wireframe

THRESHOLD = 5.0  # pixels: Rep-5 and Loc-5
# Pixels. Lines that end on the warped image's border are as a rule cut there, and do not count.
BORDER = 2
MIN_OVERLAP = 0.5  # share of a line's length, mean over both lines, for the orthogonal distance
ROWS = 512  # lines compared at once with all others, so that memory stays bounded for thousands of lines


def structural_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(M, N): sum of the distances of both ends, the smaller over the swap, of lines (M, 4) and (N, 4); pixels."""
    (a, b), (c, d) = (first[:, :2], first[:, 2:]), (second[:, :2], second[:, 2:])
    return np.minimum(cdist(a, c) + cdist(b, d), cdist(a, d) + cdist(b, c))


def orthogonal_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(M, N): how far lines (M, 4) and (N, 4) lie beside each other; pixels.

    Sum of the distances of one line's ends from the other line drawn out to infinity, mean over which line is which.
    Infinite where the lines' overlap, seen along each and taken as the mean of both shares, is below one half.
    """
    onto_first, overlap_first = _beside(first, second)
    onto_second, overlap_second = _beside(second, first)
    distances = (onto_first + onto_second.T) / 2.0
    return np.where((overlap_first + overlap_second.T) / 2.0 >= MIN_OVERLAP, distances, np.inf)


def _beside(lines: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, N) distance sum of the ends of `others` from `lines`, and (M, N) share of the lines beside which they run."""
    step = lines[:, 2:] - lines[:, :2]
    squared = np.maximum((step**2).sum(axis=1), np.finfo(float).tiny)[:, None, None]
    x, y = np.moveaxis(others.reshape(1, -1, 2, 2) - lines[:, None, None, :2], -1, 0)
    step_x, step_y = step[:, None, None, 0], step[:, None, None, 1]
    along = (x * step_x + y * step_y) / squared
    beside = np.abs(x * step_y - y * step_x) / np.sqrt(squared)
    overlap = np.minimum(along.max(axis=-1), 1.0) - np.maximum(along.min(axis=-1), 0.0)
    return beside.sum(axis=-1), np.maximum(overlap, 0.0)


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
    to_second, to_first = _nearest(first, second, DISTANCES[distance])
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
    return ((ends >= low) & (ends < high)).all(axis=(1, 2))


def _nearest(
    first: np.ndarray, second: np.ndarray, distances: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) and (N,): the distance of every line to the nearest one of the other image; infinite if there is none."""
    to_second, to_first = np.full(len(first), np.inf), np.full(len(second), np.inf)
    for start in range(0, len(first), ROWS):
        block = distances(first[start : start + ROWS], second)
        to_second[start : start + ROWS] = block.min(axis=1, initial=np.inf)
        to_first = np.minimum(to_first, block.min(axis=0, initial=np.inf))
    return to_second, to_first


def evaluate_repeatability(
    detect: Callable[[np.ndarray], Wireframe],
    images: Iterable[tuple[str, np.ndarray]],
    homographies: Callable[[str, int, int], np.ndarray],
) -> DetectorRepeatability:
    """Repeatability and localisation error of a detector over images, each with one warped copy (Rep-5, Loc-5).

    The copy has the size of the image, is sampled bilinearly and black beyond the image, as in the published protocol.

    Args:
        detect: takes a grey image (H, W) uint8, returns its wireframe.
        images: names and grey images (H, W) uint8, read one after the other.
        homographies: takes an image's name, width and height; returns the (3, 3) homography of its copy. The name is
            the place to draw from a seed; an image may come twice under two names.
    """
    pairs = tuple(_compare_pair(detect, name, image, homographies) for name, image in images)
    return DetectorRepeatability(
        pairs=len(pairs),
        threshold=THRESHOLD,
        lines_per_image=_mean([count for pair in pairs for count in pair.lines]),
        structural=_mean_scores([pair.structural for pair in pairs]),
        orthogonal=_mean_scores([pair.orthogonal for pair in pairs]),
        images=pairs,
    )


def _compare_pair(
    detect: Callable[[np.ndarray], Wireframe],
    name: str,
    image: np.ndarray,
    homographies: Callable[[str, int, int], np.ndarray],
) -> ComparedPair:
    height, width = image.shape
    homography = homographies(name, width, height)
    lines = detect(image).lines
    warped_lines = detect(cv2.warpPerspective(image, homography, (width, height), flags=cv2.INTER_LINEAR)).lines

    def scores(distance: str) -> PairScores:
        values = repeatability(lines, warped_lines, homography, (height, width), THRESHOLD, distance)
        return PairScores(*(None if math.isnan(value) else value for value in values))

    return ComparedPair(name, (len(lines), len(warped_lines)), scores("structural"), scores("orthogonal"))


def _mean_scores(scores: list[PairScores]) -> MeanScores:
    repeated, located = [each.repeatability for each in scores], [each.localisation for each in scores]
    return MeanScores(_mean(repeated), _mean(located), repeated.count(None), located.count(None))


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
