"""Distances of lines, and the search for near ones, which gives what all distances give."""

import numpy as np
import pytest

from hawp_core.geometry.line_distances import near_pairs, structural_distances

pytestmark = pytest.mark.numeric


def test_near_pairs_are_those_whose_distance_is_in_reach():
    rng = np.random.default_rng(0)
    for reach in (6.0, 12.0, 200.0):
        first, second = rng.uniform(0, 40, (80, 4)), rng.uniform(0, 40, (60, 4))
        second[3] = np.nan
        rows, columns = np.nonzero(structural_distances(first, second) <= reach)
        found = near_pairs(first, second, reach)
        assert len(rows) and np.array_equal(found[0], rows) and np.array_equal(found[1], columns)
    for pair in (near_pairs(first[:0], second, 5.0), near_pairs(first, second[:0], 5.0)):
        assert [len(part) for part in pair] == [0, 0]
