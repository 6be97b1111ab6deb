"""The attraction field against its definition, and reading maps between cells."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hawp_core.model import attraction_field
from hawp_core.model.attraction_field import decode, encode, encode_junctions
from hawp_core.model.sampling import sample, sample_dense

pytestmark = pytest.mark.numeric

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
SIZE = 24
THRESHOLD = 2.0

coordinate = st.floats(0, SIZE - 1, width=32)
segments = st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=1, max_size=6)


def encode_one(lines, height=SIZE, width=SIZE, threshold=THRESHOLD) -> attraction_field.Field:
    tensor = torch.tensor(lines, dtype=torch.float32).reshape(1, -1, 4)
    return encode(tensor, torch.tensor([tensor.shape[1]]), height, width, threshold)


def point_distances(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every grid point (M, h, w) to every segment, and position in [0, 1] along it, in float64."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    x1, y1, x2, y2 = (v[:, None, None] for v in np.asarray(lines, np.float64).T)
    length2 = (x2 - x1) ** 2 + (y2 - y1) ** 2
    t = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / (length2 + 1e-6), 0, 1)
    return np.hypot(x1 + t * (x2 - x1) - x, y1 + t * (y2 - y1) - y), t


@settings(max_examples=60, deadline=None)
@given(segments)
def test_decoding_recovers_the_endpoints_of_the_nearest_segment(lines):
    made = encode_one(lines)
    found = decode(made.angles, made.distance, None, THRESHOLD)[0, 0].numpy()
    distance, along = point_distances(np.array(lines))
    owner = distance.argmin(0)
    second = np.sort(np.concatenate([distance, np.full_like(distance[:1], np.inf)]), axis=0)[1]
    nearest = distance.min(0)
    t = np.take_along_axis(along, owner[None], 0)[0]
    # Degenerate: close to a segment the slope to its far end drowns in the rounding of float32 (error about 2e-5 times
    # length squared over distance), beyond its ends the foot is no
    # perpendicular, and where two segments are equally near either may win.
    regular = (made.mask[0, 0].numpy() > 0) & (nearest > 0.35) & (t > 1e-3) & (t < 1 - 1e-3) & (second > nearest + 1e-3)
    expected = np.array(lines)[owner]
    swapped = expected[..., [2, 3, 0, 1]]
    error = np.minimum(np.abs(found - expected).max(-1), np.abs(found - swapped).max(-1))
    assert np.all(error[regular] < 0.1)


def test_the_property_above_speaks_of_many_points():
    made = encode_one([(3.3, 4.2, 19.1, 15.7)])
    _, along = point_distances(np.array([(3.3, 4.2, 19.1, 15.7)]))
    assert ((made.mask[0, 0].numpy() > 0) & (along[0] > 1e-3) & (along[0] < 1 - 1e-3)).sum() > 40


@settings(max_examples=60, deadline=None)
@given(segments)
def test_distance_and_mask_follow_the_definition(lines):
    made = encode_one(lines)
    nearest = point_distances(np.array(lines))[0].min(0)
    np.testing.assert_allclose(made.distance[0, 0].numpy(), np.minimum(nearest, THRESHOLD) / THRESHOLD, atol=1e-4)
    clear = np.abs(nearest - THRESHOLD) > 1e-3
    assert np.all((made.mask[0, 0].numpy() > 0)[clear] <= (nearest < THRESHOLD)[clear])
    for values in made:
        assert torch.isfinite(values).all()
        assert (values >= 0).all()
        assert (values <= 1).all()


@pytest.mark.parametrize("device", DEVICES)
def test_segments_on_the_border_and_of_zero_length(device):
    last = SIZE - 1
    lines = [(0, 0, last, 0), (last, 0, last, last), (0, last, last, last), (0, 0, 0, last), (7, 7, 7, 7)]
    tensor = torch.tensor(lines, dtype=torch.float32, device=device)[None]
    made = encode(tensor, torch.tensor([5], device=device), SIZE, SIZE, THRESHOLD)
    assert all(torch.isfinite(v).all() for v in made)
    found = decode(made.angles, made.distance, None, THRESHOLD)[0, 0]
    # One row inside, the line on the border is recovered from end to end.
    torch.testing.assert_close(found[1, 12, [0, 2]].sort().values.cpu(), torch.tensor([0.0, last]), atol=0.1, rtol=0)
    torch.testing.assert_close(found[1, 12, [1, 3]].cpu(), torch.zeros(2), atol=0.1, rtol=0)


@pytest.mark.parametrize("slots", [0, 3])
def test_images_without_segments_are_zero(slots):
    lines = torch.zeros(2, slots, 4)
    made = encode(lines, torch.zeros(2, dtype=torch.int64), 5, 7, THRESHOLD)
    assert made.angles.shape == (2, 3, 5, 7)
    assert made.distance.shape == made.mask.shape == (2, 1, 5, 7)
    assert all((values == 0).all() for values in made)


def test_padding_and_neighbours_in_the_batch_change_nothing():
    generator = torch.Generator().manual_seed(3)
    lines = torch.rand(3, 9, 4, generator=generator) * (SIZE - 1)
    count = torch.tensor([9, 4, 0])
    together = encode(lines, count, SIZE, SIZE, THRESHOLD)
    for i in range(2):
        alone = encode(lines[i : i + 1, : count[i]], count[i : i + 1], SIZE, SIZE, THRESHOLD)
        for whole, one in zip(together, alone, strict=True):
            assert torch.equal(whole[i], one[0])
    assert all((values[2] == 0).all() for values in together)


def test_of_equal_segments_the_first_wins():
    # Both are nearest to everything left of x = 4 by their common end; the far ends tell them apart.
    first, second = (4.0, 8.0, 12.0, 2.0), (4.0, 8.0, 12.0, 14.0)
    one, other = encode_one([first, second]).angles, encode_one([second, first]).angles
    assert torch.equal(one[..., 8, 2], encode_one([first]).angles[..., 8, 2])
    assert torch.equal(other[..., 8, 2], encode_one([second]).angles[..., 8, 2])


def test_thousands_of_segments_are_compared_in_parts(monkeypatch):
    generator = torch.Generator().manual_seed(5)
    starts = torch.rand(2, 3000, 2, generator=generator) * (SIZE - 3)
    lines = torch.cat((starts, starts + torch.rand(2, 3000, 2, generator=generator) * 2), dim=-1)
    count = torch.tensor([3000, 2500])
    largest = []
    distances = attraction_field._squared_distances
    monkeypatch.setattr(
        attraction_field, "_squared_distances", lambda *a: largest.append((d := distances(*a)).numel()) or d
    )
    whole = encode(lines, count, SIZE, SIZE, THRESHOLD)
    monkeypatch.setattr(attraction_field, "_DISTANCES_AT_ONCE", 10_000)
    largest.clear()
    parts = encode(lines, count, SIZE, SIZE, THRESHOLD)
    assert max(largest) <= 10_000 < 2 * 3000 * SIZE * SIZE
    for a, b in zip(whole, parts, strict=True):
        assert torch.equal(a, b)


def test_residual_gives_a_shorter_and_a_longer_hypothesis_clamped_to_the_grid():
    made = encode_one([(2.0, 6.0, 20.0, 6.0)])
    lines = decode(made.angles, made.distance, torch.full_like(made.distance, 0.25), THRESHOLD)
    assert lines.shape == (1, 3, SIZE, SIZE, 4)
    assert torch.equal(lines[:, 1:2], decode(made.angles, made.distance, None, THRESHOLD))
    # From one row above, the line lies at distance 1; a quarter of the threshold is half a cell.
    torch.testing.assert_close(lines[0, :, 5, 10, 1], torch.tensor([5.5, 6.0, 6.5]), atol=1e-3, rtol=0)
    assert lines.min() >= 0
    assert lines.max() <= SIZE - 1


def test_decoding_is_differentiable():
    values = torch.rand(1, 5, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    decode(values[:, :3], values[:, 3:4], values[:, 4:], THRESHOLD).sum().backward()
    assert torch.isfinite(values.grad).all()


@pytest.mark.parametrize("device", DEVICES)
def test_junctions_on_and_beyond_the_border_stay_in_the_outermost_cells(device):
    points = [(0.0, 0.0), (8.0, 5.0), (7.9, 2.2), (3.0, 5.0), (9.4, -1.0), (2.6, 3.1)]
    junctions = torch.tensor([points], device=device)
    location, offset = encode_junctions(junctions, torch.tensor([len(points)], device=device), 5, 8)
    cells = {(0, 0), (7, 4), (7, 2), (3, 4), (7, 0), (2, 3)}
    assert {(x, y) for y, x in location[0, 0].nonzero().tolist()} == cells
    assert offset.abs().max() <= 0.5
    torch.testing.assert_close(offset[0, :, 3, 2].cpu(), torch.tensor([0.1, -0.4]))
    torch.testing.assert_close(offset[0, :, 4, 7].cpu(), torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("device", DEVICES)
def test_of_junctions_in_one_cell_the_last_wins_and_padding_never(device):
    junctions = torch.tensor([[(2.1, 1.2), (2.9, 1.8), (2.5, 1.5)]], device=device)
    for count, expected in ((3, (0.0, 0.0)), (2, (0.4, 0.3)), (1, (-0.4, -0.3))):
        location, offset = encode_junctions(junctions, torch.tensor([count], device=device), 4, 4)
        assert location.sum() == 1
        torch.testing.assert_close(offset[0, :, 1, 2].cpu(), torch.tensor(expected))


def test_no_junctions():
    for slots in (0, 2):
        location, offset = encode_junctions(torch.zeros(2, slots, 2), torch.zeros(2, dtype=torch.int64), 3, 4)
        assert location.shape == (2, 1, 3, 4)
        assert offset.shape == (2, 2, 3, 4)
        assert not location.any()
        assert not offset.any()


def bilinear(features: np.ndarray, x: float, y: float) -> np.ndarray:
    """One value by the published formula: clamped neighbours, weights from the point itself."""
    height, width = features.shape[1:]
    x0, y0 = (int(np.clip(math.floor(v), 0, n - 1)) for v, n in ((x, width), (y, height)))
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    top = features[:, y0, x0] * (x1 - x) + features[:, y0, x1] * (x - x0)
    bottom = features[:, y1, x0] * (x1 - x) + features[:, y1, x1] * (x - x0)
    return top * (y1 - y) + bottom * (y - y0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 7.5, width=32), st.floats(-1, 5.5, width=32)), min_size=1, max_size=8))
def test_sampling_follows_the_published_formula_at_the_borders_too(points):
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(2, 3, 6, 8, generator=generator)
    tensor = torch.tensor(points)
    found = sample(features, torch.ones(len(points), dtype=torch.int64), tensor[:, None])
    expected = np.stack([bilinear(features[1].double().numpy(), *p) for p in tensor.double().tolist()])
    np.testing.assert_allclose(found[..., 0].numpy(), expected, atol=1e-5)
    # Just below the last column and row the value jumps to zero; rounding may put a point on either side.
    clear = torch.tensor([abs(x - 7) > 1e-4 and abs(y - 5) > 1e-4 for x, y in points])
    dense = sample_dense(features[1:], tensor[None, :, None])[0, :, :, 0].T
    np.testing.assert_allclose(dense[clear].numpy(), expected[clear.numpy()], atol=1e-4)


def test_sampling_keeps_images_apart_and_lines_in_order():
    features = torch.arange(2.0)[:, None, None, None].expand(2, 1, 4, 4)
    image = torch.tensor([1, 0, 1])
    values = sample(features, image, torch.ones(3, 5, 2))
    assert values.shape == (3, 1, 5)
    assert torch.equal(values, image[:, None, None].expand(3, 1, 5).float())
    assert sample(features, image[:0], torch.ones(0, 5, 2)).shape == (0, 1, 5)
