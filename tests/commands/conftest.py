"""A model that the tests of commands share."""

import pytest
import torch

from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A small untrained model: it finds lines, though no true ones."""
    torch.manual_seed(0)
    network = WireframeNetwork(
        Architecture(
            image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16,
            max_junctions=40,
        )
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model.pth"
    save_checkpoint(path, network, epoch=1, recipe={})
    return path
