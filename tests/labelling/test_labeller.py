"""Labelling within a memory: the budget, and a GPU that runs out of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from looks import looks

from hawp_core.errors import UserError
from hawp_core.labelling.homographic_adaptation import view_homographies
from hawp_core.labelling.labeller import VIEWS_AT_ONCE, Labeller, view_bytes
from hawp_core.model.architecture import Architecture
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork

pytestmark = pytest.mark.numeric

SMALL = Architecture(
    image_size=64, width=16, depth=2, stacks=1, line_points=8, junction_features=8, verification_width=16
)
ADAPTATION = looks(views=5, min_score=0.0)
SIZES = [(200, 100), (64, 64), (10, 900)]


@pytest.fixture
def network() -> WireframeNetwork:
    torch.manual_seed(0)
    return fold_batch_norm(WireframeNetwork(SMALL).eval())


@pytest.fixture
def batch(rng) -> tuple:
    images = rng.integers(0, 256, (3, 64, 64)).astype(np.uint8)
    return images, np.stack([view_homographies(name, 64, ADAPTATION, 0) for name in "abc"]), SIZES


def assert_same(found, expected) -> None:
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.edges, other.edges)
        np.testing.assert_allclose(one.junctions, other.junctions, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_a_memory_bounds_how_many_views_pass_at_a_time(network, batch):
    each = view_bytes(SMALL, torch.float32)
    passes = []
    network.backbone.register_forward_hook(lambda _module, inputs, _output: passes.append(len(inputs[0])))
    narrow = Labeller(network, ADAPTATION, batch=3, memory=2.5 * each)
    found = narrow(*batch)
    assert max(passes) == 2
    assert_same(found, Labeller(network, ADAPTATION, batch=3)(*batch))
    assert max(passes) == ADAPTATION.views


def test_larger_scales_take_fewer_views_at_a_time_and_no_more_memory(network, batch):
    wide = replace(ADAPTATION, labels="whole", scales=(1.0, 2.0))
    passes = []
    network.backbone.register_forward_hook(lambda _module, inputs, _output: passes.append(inputs[0].shape))
    narrow = Labeller(network, wide, batch=3, memory=8.5 * view_bytes(SMALL, torch.float32))
    found = narrow(*batch)
    assert {shape[-1] for shape in passes} == {64, 128}
    assert max(shape[0] * shape[-1] ** 2 for shape in passes) <= 8 * 64**2
    assert_same(found, Labeller(network, wide, batch=3)(*batch))
    with pytest.raises(UserError, match="too little for one view"):
        Labeller(network, wide, batch=3, memory=3 * view_bytes(SMALL, torch.float32))


def test_too_little_memory_is_one_clear_sentence(network):
    with pytest.raises(UserError, match=r"1e-06 GB .* too little for one view of 64 x 64 pixels: give at least 0\.00"):
        Labeller(network, ADAPTATION, batch=3, memory=1000)


def test_all_the_memory_there_is_takes_no_more_views_than_help(network):
    assert Labeller(network, ADAPTATION, batch=3, memory=1e300).at_once == VIEWS_AT_ONCE


def test_a_gpu_that_runs_out_of_memory_gets_fewer_views(network, batch, caplog):
    expected = Labeller(network, ADAPTATION, batch=3)(*batch)

    def refuse(_module, inputs):
        if len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    network.backbone.register_forward_pre_hook(refuse)
    labeller = Labeller(network, ADAPTATION, batch=3)
    assert_same(labeller(*batch), expected)
    assert labeller.at_once == 1


def test_a_gpu_without_room_for_one_view_says_so(network, batch):
    def refuse(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    network.backbone.register_forward_pre_hook(refuse)
    with pytest.raises(UserError, match="no room for one view of 64 x 64"):
        Labeller(network, ADAPTATION, batch=3)(*batch)


@torch.no_grad()
def test_half_precision_weights_change_nothing_but_their_conversion(batch):
    torch.manual_seed(0)
    network = WireframeNetwork(SMALL).eval()
    images = torch.from_numpy(batch[0][:, None]).float() / 255
    with torch.autocast("cpu", torch.bfloat16):
        expected = fold_batch_norm(network).line_heatmap(images)
        found = fold_batch_norm(network, torch.bfloat16).line_heatmap(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
