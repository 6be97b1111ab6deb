"""What two label files have in common, photograph by photograph: how far a round repeats the one before."""

import hashlib
import heapq
import math
from collections.abc import Iterable

import numpy as np

from hawp_core.data.labelled import Labelled
from hawp_core.evaluation.repeatability import nearest, repeatability
from hawp_core.geometry.line_distances import THRESHOLD, structural_distances
from hawp_core.geometry.wireframe import Wireframe

# Photographs whose labels are compared between rounds; a mean over so many is known to about a hundredth.
MOST_COMPARED = 2000


def chosen(names: Iterable[str], most: int) -> list[str]:
    """At most `most` of the names: always the same ones, spread over all."""
    return heapq.nsmallest(most, names, key=lambda name: hashlib.sha256(name.encode()).digest())


def agreement(first: Labelled, second: Labelled, size: int) -> dict[str, float]:
    """The share of lines that two label files have in common, by photograph.

    A line is common to both when the other file has one within 5 pixels of the network's input (structural distance),
    so the number means what repeatability means. Photographs without a line in either are left out.

    Args:
        size: side of the network's square input, pixels.
    """
    common = {}
    for name in chosen((name for name in first.names if name in second), MOST_COMPARED):
        one, other = (labels[name].resized(size, size).lines for labels in (first, second))
        share, _ = repeatability(one, other, np.eye(3), (size, size), THRESHOLD, "structural")
        if not math.isnan(share):
            common[name] = share
    return common


def common_lines(first: Wireframe, second: Wireframe, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which lines of two labellings of a photograph the other has too, in the sense of `agreement`.

    Args:
        size: side of the network's square input, pixels.

    Returns: (M,) and (N,) bool, for the lines of each. Lines that end on the border, which `agreement` leaves out, are compared.
    """
    one, other = (found.resized(size, size).lines for found in (first, second))
    to_second, to_first = nearest(one, other, structural_distances)
    return to_second <= THRESHOLD, to_first <= THRESHOLD
