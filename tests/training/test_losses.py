"""Losses: the reference's numbers, finite whatever the batch holds, and the same whoever shares the batch."""

import dataclasses

import numpy as np
import pytest
import torch
from golden.weights import fill
from places import GOLDEN

from hawp_core.data.batch import Batch
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.score_maps import ScoreMaps
from hawp_core.training import losses
from hawp_core.training.line_losses import Sampled

pytestmark = pytest.mark.numeric

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
SIZE = 64


def make_batch(wireframes: list[tuple[list, list]], size: int = SIZE) -> Batch:
    """Images of noise with the given (junctions, edges)."""
    slots = max(1, *(len(j) for j, _ in wireframes))
    rows = max(1, *(len(e) for _, e in wireframes))
    junctions, edges = torch.zeros(len(wireframes), slots, 2), torch.zeros(len(wireframes), rows, 2, dtype=torch.long)
    for i, (j, e) in enumerate(wireframes):
        junctions[i, : len(j)] = torch.tensor(j, dtype=torch.float32).reshape(-1, 2)
        edges[i, : len(e)] = torch.tensor(e, dtype=torch.long).reshape(-1, 2)
    images = [torch.rand(1, size, size, generator=torch.Generator().manual_seed(i)) for i in range(len(wireframes))]
    heat = torch.zeros(len(wireframes), size, size, dtype=torch.uint8)
    return Batch(
        torch.stack(images),
        junctions,
        torch.tensor([len(j) for j, _ in wireframes]),
        edges,
        torch.tensor([len(e) for _, e in wireframes]),
        torch.tensor([[float(row < len(e)) for row in range(rows)] for _, e in wireframes]),
        heat,
        torch.ones_like(heat),
        [str(i) for i in range(len(wireframes))],
    )


@pytest.fixture
def network() -> WireframeNetwork:
    torch.manual_seed(0)
    return WireframeNetwork(
        Architecture(
            image_size=SIZE, width=16, depth=2, stacks=2, line_points=8, junction_features=8, verification_width=16
        )
    )


TRIANGLE = ([[3.3, 4.1], [50.2, 9.7], [30.5, 60.9]], [[0, 1], [1, 2], [0, 2]])
BORDER = ([[0, 63], [63, 63], [63, 0]], [[0, 1], [1, 2]])
NOTHING = ([], [])


@pytest.mark.parametrize("device", DEVICES)
def test_the_references_numbers(device):
    with np.load(GOLDEN / "reference.npz") as golden:
        network = WireframeNetwork()
        fill(network, seed=1)
        network.train().to(device)
        junctions = torch.from_numpy(golden["gt_junctions_rowcol"][:, ::-1].copy())[None]
        edges = torch.from_numpy(golden["gt_edges"])[None]
        heat = torch.from_numpy(np.unpackbits(golden["gt_heatmap"]).reshape(1, 512, 512))
        image = torch.from_numpy(golden["image_u8"])[None, None].float() / 255
        counts = [torch.tensor([junctions.shape[1]]), torch.tensor([edges.shape[1]])]
        tensors = [
            image,
            junctions,
            counts[0],
            edges,
            counts[1],
            torch.ones(edges.shape[:2]),
            heat,
            torch.ones_like(heat),
        ]
        batch = Batch(*(tensor.to(device) for tensor in tensors), names=[""])
        with torch.no_grad():
            found = losses.compute_losses(network, batch)
        for name, value in found.items():
            # The reference draws the initial line of a pair at random, which `neg` sees most: it agrees in distribution.
            tolerance = 0.05 if name in ("pos", "neg") else 1e-4
            assert float(value) == pytest.approx(float(golden[f"loss_loss_{name}"]), rel=tolerance), name


@pytest.mark.parametrize(
    "wireframes",
    [
        [NOTHING, NOTHING],
        [([[5, 5], [40, 41]], [[0, 1]]), NOTHING],
        [BORDER, BORDER],
        [([[10, 10]], []), NOTHING],
        [([[10, 10], [10, 10.01]], [[0, 1]]), TRIANGLE],
    ],
    ids=["no lines", "one line", "last row and column", "a lone junction", "a line of no length"],
)
def test_finite_with_finite_gradients(network, wireframes):
    network.train()
    found = losses.compute_losses(network, make_batch(wireframes))
    assert set(found) == set(losses.NAMES)
    sum(found.values()).backward()
    assert all(torch.isfinite(value) for value in found.values())
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_independent_of_the_company(network):
    """In evaluation mode, where batch normalisation does not mix images, a batch's losses are its images' mean."""
    network.eval()
    wireframes = [TRIANGLE, NOTHING, BORDER]
    together = make_batch(wireframes)
    whole = losses.compute_losses(network, together)
    tensors = [f.name for f in dataclasses.fields(Batch) if f.name not in ("names", "share")]
    singles = [
        losses.compute_losses(network, Batch(**{n: getattr(together, n)[i : i + 1] for n in tensors}, names=[""]))
        for i in range(len(wireframes))
    ]
    for name, value in whole.items():
        assert float(value) == pytest.approx(np.mean([float(single[name]) for single in singles]), rel=1e-5), name


def test_images_without_lines_teach_no_lines(network):
    network.eval()
    found = losses.compute_losses(network, make_batch([NOTHING]))
    assert all(float(found[name]) == 0 for name in ("md", "dis", "res", "pos", "neg", "lineness", "aux", "joff"))
    assert all(float(found[name]) > 0 for name in ("jloc", "heatmap"))


def test_a_perfect_field_has_no_field_loss(network):
    batch = make_batch([TRIANGLE])
    targets = losses.make_targets(batch, 2.0)
    perfect = torch.cat([targets.field.angles, targets.field.distance], 1).clamp(1e-6, 1 - 1e-6).logit()
    location = (targets.location * 2 - 1) * 30
    offset = (targets.offset + 0.5).clamp(1e-6, 1 - 1e-6).logit()
    heads = torch.cat([perfect, torch.full_like(location, -30), -location, location, offset], 1)
    found = losses.field_losses(ScoreMaps(heads), targets, network)
    assert all(float(value) < 1e-4 for value in found.values()), found


def test_nearest_line_distance_against_brute_force(rng):
    proposals = torch.from_numpy(rng.uniform(0, 128, (2, 700, 4)).astype(np.float32))
    lines = torch.from_numpy(rng.uniform(0, 128, (2, 9, 4)).astype(np.float32))
    count = torch.tensor([9, 4])
    for either_way in (False, True):
        found = losses.nearest_line_distance2(proposals, lines, count, either_way=either_way)
        for i, n in enumerate(count):
            orders = [lines[i, :n]] + ([lines[i, :n][:, [2, 3, 0, 1]]] if either_way else [])
            expected = torch.stack([((proposals[i][:, None] - o) ** 2).sum(-1).amin(1) for o in orders]).amin(0)
            torch.testing.assert_close(found[i], expected, rtol=1e-4, atol=0.02)
    assert losses.nearest_line_distance2(proposals, lines, torch.tensor([0, 0]), either_way=True).isinf().all()


@pytest.mark.parametrize("sampled", [None, Sampled(64, torch.tensor([1, 2]))], ids=["all", "drawn"])
def test_verification_learns_the_score_of_each_line(network, sampled):
    """Between nothing and a line, in proportion, and whatever the score, a true line is no false one."""
    network.eval()
    batch = make_batch([TRIANGLE, BORDER])

    def found(score: float) -> tuple[float, float]:
        scored = dataclasses.replace(batch, scores=batch.scores * score)
        values = losses.compute_losses(network, scored, sampled=sampled)
        return float(values["pos"]), float(values["neg"])

    (nothing, false), (half, _), (sure, also_false) = (found(score) for score in (0.0, 0.5, 1.0))
    assert half == pytest.approx((nothing + sure) / 2, rel=1e-5)
    assert nothing != pytest.approx(sure, rel=0.01)
    assert false == also_false
