"""Ends bind to the same junctions whichever way these are looked for."""

import pytest
import torch

from hawp_core.model.binding import junctions_within, nearest_junctions

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("radius2", [0.5, 10.0, 2000.0])
def test_within_a_radius_the_same_junction_is_found_as_among_all(radius2):
    rng = torch.Generator().manual_seed(0)
    junctions = torch.rand(4, 90, 2, generator=rng) * 63
    junctions[0, 40:60] = junctions[0, 20:40]  # Of two at one place, the first.
    junctions[1, :, 0] = 31.25  # All of them in one column.
    valid = torch.arange(90) < torch.tensor([90, 80, 7, 0])[:, None]
    points = torch.rand(4, 5000, 2, generator=rng) * 90 - 13
    points[0, ::3] = junctions[0, torch.arange(len(points[0, ::3])) % 90]
    points[2, :9] = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -1e6, 0, 63, 1e9, torch.nan])[:, None]
    expected, nearest = nearest_junctions(points, junctions, valid)
    found, index = junctions_within(points, junctions, valid, radius2)
    near = expected < radius2
    assert torch.equal(near, found < radius2)
    assert [bool(each.any()) for each in near] == [True, True, True, False]
    assert torch.equal(found[near], expected[near]) and torch.equal(index[near], nearest[near])


def test_a_junction_at_the_edge_of_a_band_is_asked():
    """One point alone is a band of no width, and its junction lies as far beside it as it may."""
    for beside in (3.16, -3.16):
        points = torch.tensor([[[20.0, 20.0]]])
        junctions = torch.tensor([[[20.0 + beside, 20.0], [60.0, 20.0]]])
        distance, index = junctions_within(points, junctions, torch.ones(1, 2, dtype=torch.bool), 10.0)
        assert float(distance) == pytest.approx(3.16**2, rel=1e-4) and int(index) == 0
