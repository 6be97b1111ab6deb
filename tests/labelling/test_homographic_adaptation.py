"""Homographic adaptation: the reference's arithmetic, and what it is there to do better."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden.weights import fill
from looks import looks
from places import GOLDEN

from hawp_core.labelling.homographic_adaptation import (
    aggregate_views,
    erode,
    label_images,
    view_homographies,
)
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork

pytestmark = pytest.mark.numeric

# The published way: no identity view, black borders, no erosion, a bare mean.
PUBLISHED = looks(identity=False, border="black", border_margin=0, min_counts=1, zoom="out", min_score=-1)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]


@pytest.fixture(scope="module")
def network() -> WireframeNetwork:
    torch.manual_seed(0)
    small = Architecture(
        image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16
    )
    return WireframeNetwork(small).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))


def views(names, adaptation, seed=0) -> torch.Tensor:
    return torch.from_numpy(np.stack([view_homographies(name, 64, adaptation, seed) for name in names]))


@pytest.mark.parametrize("device", DEVICES)
def test_the_references_numbers(device):
    with np.load(GOLDEN / "reference.npz") as golden:
        network = WireframeNetwork()
        fill(network, seed=1)
        network.eval().to(device)
        image = torch.from_numpy(golden["image_u8"])[None, None].to(device).float() / 255
        there = torch.from_numpy(golden["homographies"])[None].to(device)
        heatmap, count, _ = aggregate_views(network, image, network(image), there, PUBLISHED, chunk=2)
        assert np.array_equal(count[0, ::4, ::4].cpu(), golden["adapt_counts_every4"])
        expected = torch.from_numpy(golden["adapt_heatmap_every4"])
        assert (heatmap[0, ::4, ::4].cpu() - expected).abs().max() < 1e-4 * expected.abs().max()
        found = label_images(network, image, there, PUBLISHED, chunk=4)[0]
        lines, truth = found.lines.numpy(), golden["adapt_lines"]
        either = [np.abs(lines[:, None] - t).max(-1) for t in (truth, truth[:, [2, 3, 0, 1]])]
        assert len(lines) == len(truth)
        assert (np.minimum(*either).min(0) < 0.01).all()
        assert (np.minimum(*either).min(1) < 0.01).all()


def test_views_follow_from_seed_name_and_number_alone():
    ten, hundred = looks(views=10), looks(views=100)
    assert np.array_equal(view_homographies("a/b.jpg", 64, ten, 3), view_homographies("a/b.jpg", 64, ten, 3))
    assert not np.allclose(view_homographies("a/b.jpg", 64, ten, 3), view_homographies("a/c.jpg", 64, ten, 3))
    assert not np.allclose(view_homographies("a/b.jpg", 64, ten, 3), view_homographies("a/b.jpg", 64, ten, 4))
    assert view_homographies("a", 64, hundred, 0).shape == (100, 3, 3)


def test_every_other_view_enlarges():
    corners = np.array([[0, 0, 1], [63, 0, 1], [63, 63, 1], [0, 63, 1]]).T

    def area(homography):
        x, y, w = homography @ corners
        x, y = x / w, y / w
        return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))

    areas = np.array([area(h) for h in view_homographies("a", 64, looks(views=40), 0)])
    assert np.median(areas[1::2]) > 63**2 > np.median(areas[0::2])


@pytest.mark.parametrize("adaptation", [looks(views=5), looks(views=5, junction_views=True), PUBLISHED])
def test_chunks_and_company_change_nothing(network, images, adaptation):
    homographies = views("abc", adaptation)
    heatmap, count, _ = aggregate_views(network, images, network(images), homographies, adaptation, chunk=64)
    for chunk in (1, 4):
        again, counted, _ = aggregate_views(network, images, network(images), homographies, adaptation, chunk=chunk)
        torch.testing.assert_close(again, heatmap, rtol=0, atol=1e-6)
        assert torch.equal(counted, count)
    alone, _, _ = aggregate_views(network, images[1:2], network(images[1:2]), homographies[1:2], adaptation, chunk=64)
    torch.testing.assert_close(alone[0], heatmap[1], rtol=0, atol=1e-6)


def test_pixels_seen_by_too_few_views_carry_nothing(network, images):
    adaptation = looks(views=4, min_counts=4)
    heatmap, count, _ = aggregate_views(network, images, network(images), views("abc", adaptation), adaptation, chunk=8)
    assert (heatmap[count < 4] == 0).all()
    assert (heatmap[count >= 4] > 0).any()
    assert count.max() == 5


def test_the_images_themselves_count_as_a_view_through_the_identity_does(network, images):
    adaptation = looks(views=4, junction_views=True)
    warped = views("abc", adaptation)
    own = aggregate_views(network, images, network(images), warped, adaptation, chunk=8)
    through = torch.cat((torch.eye(3, dtype=torch.float64).expand(3, 1, 3, 3), warped), dim=1)
    without = replace(adaptation, identity=False)
    same = aggregate_views(network, images, network(images), through, without, chunk=8)
    for a, b in zip(own, same, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_the_identity_alone_is_the_networks_own_heatmap(network, images):
    adaptation = looks(identity=False, border_margin=0, min_counts=1)
    identity = torch.eye(3, dtype=torch.float64).expand(3, 1, 3, 3)
    heatmap, _, _ = aggregate_views(network, images, network(images), identity, adaptation, chunk=8)
    with torch.no_grad():
        torch.testing.assert_close(heatmap, network.line_heatmap(images), rtol=0, atol=1e-5)


def test_junction_confidence_of_the_identity_is_the_networks_own(network, images):
    adaptation = looks(identity=False, border_margin=0, min_counts=1, junction_views=True)
    identity = torch.eye(3, dtype=torch.float64).expand(3, 1, 3, 3)
    _, _, junctions = aggregate_views(network, images, network(images), identity, adaptation, chunk=8)
    with torch.no_grad():
        expected = network(images).scores.junction_probability()
    torch.testing.assert_close(junctions, expected, rtol=0, atol=1e-5)


def test_both_ways_to_label_give_wireframes(network, images):
    for adaptation in (looks(views=2, min_score=0.0), looks(labels="votes", min_votes=1)):
        found = label_images(network, images, views("abc", adaptation), adaptation, chunk=4)
        assert len(found) == 3
        for detection in found:
            wireframe = detection.to_wireframe(200, 100)
            assert (wireframe.scores >= 0).all()
            assert (wireframe.scores <= 1).all()


@pytest.mark.parametrize("margin", [0, 1, 3, 8])
@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_masks_erode_to_the_bit_as_by_pooling_and_the_frames_border_erodes_nothing(margin, share):
    """Labels of before hold: the addresses of exports say nothing of who erodes."""
    mask = (torch.rand(3, 1, 40, 64, generator=torch.Generator().manual_seed(margin)) >= share).float()
    pooled = -torch.nn.functional.max_pool2d(-mask, 2 * margin + 1, stride=1, padding=margin)
    assert torch.equal(erode(mask, margin), pooled)
    assert share or erode(mask, margin).all()
