"""A network labels by what its views find, whatever number of them passes at a time."""

import numpy as np
import pytest
import torch
from looks import looks

from hawp_core.labelling.homographic_adaptation import label_images, view_homographies
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("scales", [(1.0,), (0.75, 1.5)])
@pytest.mark.parametrize("labels", ["recurring", "united", "whole"])
def test_a_network_labels_so_and_chunks_change_nothing(labels, scales):
    torch.manual_seed(0)
    small = Architecture(
        image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16
    )
    network = WireframeNetwork(small).eval()
    images = torch.rand(2, 1, 64, 64)
    adaptation = looks(labels=labels, views=6, view_score=0.0, min_score=0.1, min_counts=1, scales=scales)
    views = torch.from_numpy(np.stack([view_homographies(name, 64, adaptation, 0) for name in "ab"]))
    one, other = (label_images(network, images, views, adaptation, chunk=chunk) for chunk in (1, 6))
    for a, b in zip(one, other, strict=True):
        assert len(a.edges) and torch.equal(a.edges, b.edges)
        torch.testing.assert_close(a.junctions, b.junctions, atol=1e-3, rtol=0)
        assert bool((a.scores >= 0.1).all())
