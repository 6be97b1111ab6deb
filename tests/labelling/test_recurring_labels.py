"""A network labels by what its views find, whatever number of them passes at a time."""

import numpy as np
import pytest
import torch
from looks import looks

from hawp_core.geometry.line_distances import structural_distances
from hawp_core.labelling.homographic_adaptation import label_images, view_homographies
from hawp_core.model.architecture import Architecture
from hawp_core.model.detection import Detection
from hawp_core.model.network import WireframeNetwork

pytestmark = pytest.mark.numeric


def labelled(labels, scales, chunk) -> list[Detection]:
    """Labels of two images of noise, by a network of noise: many lines with all but equal scores."""
    torch.manual_seed(0)
    small = Architecture(
        image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16
    )
    network = WireframeNetwork(small).eval()
    images = torch.rand(2, 1, 64, 64)
    adaptation = looks(labels=labels, views=6, view_score=0.0, min_score=0.1, min_counts=1, scales=scales)
    views = torch.from_numpy(np.stack([view_homographies(name, 64, adaptation, 0) for name in "ab"]))
    return label_images(network, images, views, adaptation, chunk=chunk)


@pytest.mark.parametrize("labels", ["recurring", "united", "whole"])
def test_a_network_labels_so_and_chunks_change_nothing(labels):
    for a, b in zip(labelled(labels, (1.0,), 1), labelled(labels, (1.0,), 6), strict=True):
        assert len(a.edges) and torch.equal(a.edges, b.edges)
        torch.testing.assert_close(a.junctions, b.junctions, atol=1e-3, rtol=0)
        assert bool((a.scores >= 0.1).all())


@pytest.mark.parametrize("labels", ["recurring", "united", "whole"])
def test_labels_at_several_sizes_hang_on_chunks_no_more_than_rounding_does(labels):
    """Of near lines whose scores differ in the last bit, either may stay."""
    plain = labelled(labels, (1.0,), 6)
    for a, b, once in zip(labelled(labels, (0.75, 1.5), 1), labelled(labels, (0.75, 1.5), 6), plain, strict=True):
        assert len(a.lines) > 20 and bool((a.scores >= 0.1).all())
        apart = structural_distances(*(found.lines.numpy().astype(float) for found in (a, b)))
        assert (apart.min(1) < 0.1).mean() > 0.95 and (apart.min(0) < 0.1).mean() > 0.95
        other = structural_distances(*(found.lines.numpy().astype(float) for found in (a, once)))
        assert (other.min(1) < 0.1).mean() < 0.5
