"""Candidates drawn for the losses of lines: the same expectation as all of them, and a step that never waits for a count."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.weights import fill
from test_losses import BORDER, NOTHING, SIZE, TRIANGLE, make_batch
from torch.utils._python_dispatch import TorchDispatchMode

from hawp_core.data.batch import Batch
from hawp_core.model.architecture import Architecture
from hawp_core.model.backbone import Prediction
from hawp_core.model.binding import about_nearest_junctions, nearest_junctions
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.score_maps import ScoreMaps
from hawp_core.runtime.signals import StopRequest
from hawp_core.training import draws, line_losses, losses
from hawp_core.training.line_losses import Sampled
from hawp_core.training.place import TrainingPlace
from hawp_core.training.schedule import Schedule
from hawp_core.training.targets import nearest_line_distance2
from hawp_core.training.trainer import Trainer
from hawp_core.workflow.settings import complete

pytestmark = pytest.mark.numeric
LINES = ("pos", "neg", "lineness")
# Operations whose result's size, or a number in Python, hangs on what was computed: a GPU's queue runs dry meanwhile.
WAITS = ("nonzero", "_local_scalar_dense", "item", "masked_select", "unique", "bincount", "equal", "is_nonzero")


class Waits(TorchDispatchMode):
    """Counts the operations for which a program waits."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8)
            for i in (args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ())
        )
        if by_mask or any(name == wait or name.startswith(f"{wait}_") for wait in WAITS):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def network(max_junctions: int = 40) -> WireframeNetwork:
    """A small one whose weights are such that proposals bind."""
    made = WireframeNetwork(
        Architecture(
            image_size=SIZE, width=16, depth=1, stacks=1, line_points=8, junction_features=8, verification_width=16,
            max_junctions=max_junctions, binding_distance2=20.0,
        )
    )  # fmt: skip
    fill(made, seed=1)
    return made


def seeds(step: int, count: int) -> torch.Tensor:
    return draws.image_seeds(0, step, 0, 1, count, torch.device("cpu"))


def many_lines() -> tuple[list, list]:
    """A wireframe with more lines than are drawn."""
    rng = np.random.default_rng(0)
    junctions = rng.uniform(2, SIZE - 3, (24, 2)).tolist()
    return junctions, [[i, i + 1] for i in range(23)]


def test_every_index_is_as_probable_as_any_other():
    total, count = 100, 7
    found = torch.stack([draws.spread(seeds(step, 4), count, total) for step in range(1500)])
    assert found.shape == (1500, 4, count)
    share = torch.bincount(found.flatten(), minlength=total) / found.numel()
    assert (share - 1 / total).abs().max() < 0.2 / total
    assert torch.equal(draws.spread(seeds(0, 2), 500, total), torch.arange(total).expand(2, -1))


def test_a_subset_stands_for_all_that_is_present():
    present = torch.zeros(3, 50, dtype=torch.bool)
    present[0, ::2], present[1, :3] = True, True
    values = torch.arange(50.0) ** 2
    sums = []
    for step in range(2000):
        index, weight = draws.subset(seeds(step, 3), present, 6)
        assert index.shape == weight.shape == (3, 6)
        assert torch.equal((weight > 0).sum(1), torch.tensor([6, 3, 0]))
        assert present.gather(1, index)[weight > 0].all()
        assert all(len(set(row.tolist())) == 6 for row in index)
        sums.append((values[index] * weight).sum(1))
    found, expected = torch.stack(sums).mean(0), (values * present).sum(1)
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=0.02)
    assert torch.equal(found[1:], expected[1:])


def test_draws_follow_from_seed_step_and_place_alone():
    assert torch.equal(seeds(5, 4)[1::2], draws.image_seeds(0, 5, 1, 2, 2, torch.device("cpu")))
    every = torch.cat(
        [draws.image_seeds(seed, step, 0, 1, 50, torch.device("cpu")) for seed in (0, 1) for step in (0, 1)]
    )
    assert len(every.unique()) == len(every)


def test_drawing_all_is_the_published_loss_and_gradient():
    wireframes = [TRIANGLE, NOTHING, BORDER, many_lines()]
    batch, found = make_batch(wireframes), []
    for sampled in (None, Sampled(1 << 20, seeds(0, len(wireframes)))):
        made = network().eval()
        values = losses.compute_losses(made, batch, sampled=sampled)
        sum(values.values()).backward()
        gradients = {name: p.grad for name, p in made.named_parameters() if p.grad is not None}
        found.append((values, gradients))
    assert found[0][0]["neg"].detach() > 0
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_the_mean_over_draws_is_the_loss_of_all():
    batch, made = make_batch([many_lines(), TRIANGLE]), network().eval()
    with torch.no_grad():
        expected = losses.compute_losses(made, batch, LINES)
        found = [losses.compute_losses(made, batch, LINES, Sampled(12, seeds(step, 2))) for step in range(150)]
    for name in LINES:
        values = np.array([float(one[name]) for one in found])
        assert values.std() > 0
        error = 5 * values.std() / len(values) ** 0.5
        assert values.mean() == pytest.approx(float(expected[name]), abs=error + 0.01 * float(expected[name])), name


@pytest.mark.parametrize("left_out", [("heatmap",), ("lineness",), ("pos", "neg"), LINES])
def test_what_no_loss_reads_is_not_computed(left_out):
    names = [name for name in losses.NAMES if name not in left_out]
    whole, made = network().train(), network().train()
    batch = make_batch([TRIANGLE, BORDER])
    expected, found = losses.compute_losses(whole, batch), losses.compute_losses(made, batch, names)
    assert list(found) == names
    assert all(torch.equal(found[name], expected[name]) for name in names)
    sum(found.values()).backward()
    unreached = {id(p) for part in losses.unreached(made, names) for p in part.parameters()}
    for name, p in made.named_parameters():
        assert (p.grad is None) == (id(p) in unreached), name


def trainer(candidates: int) -> Trainer:
    schedule = Schedule.from_settings(complete({"train": {"candidates": candidates}}), "synthetic")
    return Trainer(
        network().train(), None, None, schedule, TrainingPlace(Path("model.pth"), ""), recipe={},
        precision=torch.float32, save_seconds=1e9, stop=StopRequest(),
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 8])
def test_a_step_with_drawn_candidates_waits_for_nothing(count):
    batch = make_batch([many_lines(), TRIANGLE, NOTHING, BORDER, TRIANGLE, NOTHING, TRIANGLE, BORDER][:count])
    for candidates in (0, 16):
        training = trainer(candidates)
        training.step(batch)
        with Waits() as waits:
            training.step(batch)
        assert bool(waits.found) == (not candidates), waits.found


def test_the_losses_compile_as_one_graph():
    torch._dynamo.reset()
    made, batch = network().train(), make_batch([many_lines(), TRIANGLE])
    prediction = made(batch.images)
    heads, features = (value.detach().requires_grad_() for value in (prediction.heads[-1], prediction.features))

    def step(
        heads: torch.Tensor, features: torch.Tensor, junctions: torch.Tensor, given: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        tensors = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
        drawn = Batch(**tensors | {"junctions": junctions}, names=[])
        targets = losses.make_targets(drawn, made.architecture.distance_threshold)
        found = losses.field_losses(ScoreMaps(heads), targets, made)
        return found | line_losses.compute_line_losses(
            made, Prediction([heads], features), drawn, targets, sampled=Sampled(16, given)
        )

    compiled = torch.compile(step, fullgraph=True, backend="eager")
    for number in range(2):
        expected, found = (one(heads, features, batch.junctions, seeds(number, 2)) for one in (step, compiled))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        sum(value.sum() for value in found.values()).backward()


def test_half_precision_of_the_network_leaves_distances_whole():
    rng = torch.Generator().manual_seed(0)
    proposals, lines = torch.rand(1, 500, 4, generator=rng) * 63, torch.rand(1, 5, 4, generator=rng) * 63
    count, points = torch.tensor([5]), torch.rand(1, 500, 2, generator=rng) * 63
    valid = torch.arange(40)[None] < 30
    junctions = torch.rand(1, 40, 2, generator=rng) * 63

    def distances() -> tuple[torch.Tensor, torch.Tensor]:
        nearest = nearest_line_distance2(proposals, lines, count, either_way=True)
        return nearest, about_nearest_junctions(points, junctions, valid)[0]

    expected = distances()
    with torch.autocast("cpu", torch.bfloat16):
        found = distances()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_an_end_binds_to_the_nearest_junction_or_to_one_as_near():
    rng = torch.Generator().manual_seed(0)
    points, junctions = torch.rand(3, 4000, 2, generator=rng) * 63, torch.rand(3, 90, 2, generator=rng) * 63
    valid = torch.arange(90) < torch.tensor([90, 7, 0])[:, None]
    expected, nearest = nearest_junctions(points, junctions, valid)
    found, index = about_nearest_junctions(points, junctions, valid)
    assert (index == nearest).float().mean() > 0.999
    assert torch.equal(found.isinf(), expected.isinf())
    near = expected < 20
    assert (found - expected)[near].abs().max() < 0.02
    assert torch.equal(index[2], nearest[2])
