"""The network's shapes, its settings, and its faster copy for inference."""

import pytest
import torch
from torch import nn

from hawp_core.errors import UserError
from hawp_core.model.architecture import Architecture
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.pointwise import Pointwise
from hawp_core.model.score_maps import HEAD_CHANNELS, ScoreMaps

pytestmark = pytest.mark.numeric

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
TINY = Architecture(
    image_size=64, width=16, depth=2, junction_features=6, verification_width=24, lineness_widths=(8, 4)
)


@pytest.fixture
def network() -> WireframeNetwork:
    """Tiny, in evaluation mode, with running statistics that are not those of a fresh network."""
    torch.manual_seed(0)
    made = WireframeNetwork(TINY)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, 0, 0.1)
    return made.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_outputs_have_the_documented_shapes(network):
    images = torch.rand(2, 1, 64, 96)
    heads, features = network(images)
    assert [h.shape for h in heads] == [(2, sum(HEAD_CHANNELS), 16, 24)] * TINY.stacks
    assert features.shape == (2, TINY.width, 16, 24)
    assert network.heatmap_logits(features).shape == (2, 2, 64, 96)
    maps = network.line_features(features)
    assert [m.shape[1] for m in maps] == [TINY.junction_features, TINY.line_features, TINY.line_features]
    lines = torch.rand(2, 5, 4) * 15
    assert network.lineness(maps, lines).shape == (2, 5)
    assert network.verify(maps, lines[0], lines[1], torch.tensor([0, 1, 1, 0, 1])).shape == (5, 2)
    assert network.verify(maps, lines[0, :0], lines[1, :0], torch.zeros(0, dtype=torch.int64)).shape == (0, 2)


def test_the_names_of_a_score_map_are_views_of_it():
    raw = torch.arange(9.0)[None, :, None, None].repeat(2, 1, 3, 4)
    scores = ScoreMaps(raw)
    parts = {"angles": [0, 1, 2], "distance": [3], "residual": [4], "junction": [5, 6], "offset": [7, 8]}
    for name, channels in parts.items():
        part = getattr(scores, name)
        assert part[0, :, 0, 0].tolist() == channels
        assert part.untyped_storage().data_ptr() == raw.untyped_storage().data_ptr()
    assert [part.shape[1] for part in scores.field()] == list(HEAD_CHANNELS[:3])
    assert scores.junction_probability().shape == (2, 1, 3, 4)
    torch.testing.assert_close(scores.junction_probability()[0, 0, 0, 0], torch.tensor(6.0 - 5.0).sigmoid())
    assert scores.junction_offset().abs().max() <= 0.5


@pytest.mark.parametrize("shape", [(1, 1, 60, 64), (1, 3, 64, 64), (1, 64, 64)])
def test_images_of_a_wrong_shape_are_refused(network, shape):
    with pytest.raises(ValueError, match="multiples of 16"):
        network(torch.zeros(shape))


@torch.no_grad()
def test_the_last_stack_is_the_prediction(network, images):
    """Damage to the last stack's heads leaves the first stack's scores, and the heatmap, as they were."""
    before, heat = network(images), network.line_heatmap(images)
    network.backbone.score[-1].heads[0][0].weight.add_(1)
    after = network(images)
    assert torch.equal(before.heads[0], after.heads[0])
    assert not torch.equal(before.heads[-1], after.heads[-1])
    assert torch.equal(heat, network.line_heatmap(images))


@torch.no_grad()
def test_line_heatmap_is_the_probability_of_the_decoder(network, images):
    expected = network.heatmap_logits(network(images).features).softmax(1)[:, 1]
    torch.testing.assert_close(network.line_heatmap(images), expected)


@pytest.mark.parametrize("device", DEVICES)
@torch.no_grad()
def test_folding_batch_norm_changes_no_result(network, images, device):
    network, images = network.to(device), images.to(device)
    folded = fold_batch_norm(network)
    left = [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(left) * 3 < sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) * 2
    for found, expected in zip(folded(images).heads, network(images).heads, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(folded.line_heatmap(images), network.line_heatmap(images), rtol=1e-4, atol=1e-4)
    assert not any(p.requires_grad for p in folded.parameters())
    assert all(p.requires_grad for p in network.parameters())


@torch.no_grad()
def test_lines_of_several_images_are_verified_together(network, images):
    maps = network.line_features(network(images).features)
    generator = torch.Generator().manual_seed(2)
    adjusted, initial = torch.rand(2, 12, 4, generator=generator) * 15
    index = torch.randint(0, 3, (12,), generator=generator)
    together = network.verify(maps, adjusted, initial, index)
    for i in range(3):
        chosen = index == i
        one = type(maps)(*(m[i : i + 1] for m in maps))
        alone = network.verify(
            one, adjusted[chosen], initial[chosen], torch.zeros(int(chosen.sum()), dtype=torch.int64)
        )
        torch.testing.assert_close(together[chosen], alone)


@torch.no_grad()
def test_as_many_lines_of_every_image_are_verified_as_a_flat_list_is(network, images):
    maps = network.line_features(network(images).features)
    adjusted, initial = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(2)) * 16
    index = torch.arange(3).repeat_interleave(5)
    flat = network.verify(maps, adjusted.flatten(0, 1), initial.flatten(0, 1), index)
    torch.testing.assert_close(
        network.verify_dense(maps, adjusted, initial), flat.reshape(3, 5, 2), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("device", DEVICES)
def test_a_pointwise_convolution_is_a_product_of_channels(device):
    layer = Pointwise(8, 3).to(device)
    x = torch.rand(2, 8, 5, 4, device=device, requires_grad=True)
    found = layer(x)
    expected = torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0], x) + layer.bias[:, None, None]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    wanted = (x, layer.weight, layer.bias)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), wanted),
        torch.autograd.grad(expected.square().sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_every_parameter_but_the_unused_head_is_trained(network, images):
    network.train()
    prediction = network(images)
    maps = network.line_features(prediction.features)
    lines = torch.rand(3, 4, 4) * 15
    index = torch.arange(3)
    parts = [*prediction.heads, network.heatmap_logits(prediction.features), network.lineness(maps, lines)]
    parts.append(network.verify(maps, lines[:, 0], lines[:, 1], index))
    sum(part.square().sum() for part in parts).backward()
    untrained = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A convolution's bias before a batch normalisation has no effect, so its gradient may be exactly zero.
    assert {n for n in untrained if not n.endswith("bias")} == {"regional_head.weight"}


@torch.no_grad()
def test_half_precision_stays_close(network, images):
    with torch.autocast("cpu", torch.bfloat16):
        half = network.line_heatmap(images)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, network.line_heatmap(images), rtol=0, atol=0.05)


def test_architecture_round_trip_and_defaults():
    assert Architecture.from_dict({}) == Architecture()
    assert Architecture.from_dict(TINY.to_dict()) == TINY
    assert Architecture.from_dict({"distance_threshold": 5}).distance_threshold == 5.0
    assert isinstance(Architecture.from_dict({"distance_threshold": 5}).distance_threshold, float)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"widht": 32}, "model.widht"),
        ({"width": 40}, "40"),
        ({"width": "wide"}, "'wide'"),
        ({"depth": 0}, "model.depth"),
        ({"stacks": True}, "model.stacks"),
        ({"line_points": 2}, "model.line_points"),
        ({"residual": 1}, "true or false"),
        ({"lineness_widths": [8]}, "two"),
        ({"distance_threshold": 0}, "model.distance_threshold"),
        ({"junction_threshold": -0.1}, "model.junction_threshold"),
        ({"image_size": 100}, "128"),
        ({"image_size": 320, "depth": 6}, "256"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(values, named):
    with pytest.raises(UserError) as caught:
        Architecture.from_dict(values)
    message = str(caught.value)
    assert named in message
    assert message.endswith(".")
    assert "\n" not in message
