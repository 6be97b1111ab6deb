"""First steps of a training, as each of several processes takes its share of them, and as one process takes all."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import torch
from places import TINY

from hawp_core.data.batch import Batch, Share
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.signals import StopRequest
from hawp_core.training import distributed
from hawp_core.training.place import TrainingPlace
from hawp_core.training.schedule import Schedule
from hawp_core.training.trainer import Trainer
from hawp_core.workflow import settings

SIDE = 64
# Lines of each image: batches of one step, the second one without any line, others that two processes share unequally.
# The last ones with candidates drawn: their images' draws are the same in whichever process.
DRAWN = 6
BATCHES = {
    "lines": [3, 2, 5, 1],
    "no lines": [0, 0, 0, 0],
    "some": [0, 4, 0, 2, 3],
    "fewer than processes": [3],
    "drawn": [3, 2, 5, 1, 2],
}
# 16 shapes: steps of 13 images (7 and 6) and of 3 (2 and 1).
CURVE = {"epochs": 2, "batch_size": 13, "base_lr": 0.001, "steps": [1]}


def make_batch(lines: list[int]) -> Batch:
    """Noise with random lines."""
    draw = torch.Generator().manual_seed(len(lines))
    count, most = len(lines), max(*lines, 1)
    edges = torch.arange(2 * most).reshape(1, most, 2).repeat(count, 1, 1)
    edge_count = torch.tensor(lines)
    edges[torch.arange(most) >= edge_count[:, None]] = 0
    return Batch(
        images=torch.rand(count, 1, SIDE, SIDE, generator=draw),
        junctions=torch.rand(count, 2 * most, 2, generator=draw) * (SIDE - 1),
        junction_count=2 * edge_count,
        edges=edges,
        edge_count=edge_count,
        scores=(torch.arange(most) < edge_count[:, None]).float(),
        heatmap=(torch.rand(count, SIDE, SIDE, generator=draw) < 0.1).byte() * (edge_count > 0)[:, None, None].byte(),
        valid=torch.ones(count, SIDE, SIDE, dtype=torch.uint8),
        names=[f"{i}.png" for i in range(count)],
    )


def share(batch: Batch) -> Batch:
    """This process's images; the first one where there is none for it, as the loader has it."""
    mine = range(distributed.rank(), len(batch), distributed.world())
    chosen, own = mine or [0], len(mine)
    values = {name: v[list(chosen)] for name, v in vars(batch).items() if isinstance(v, torch.Tensor)}
    return Batch(**values, names=[batch.names[i] for i in chosen], share=Share(len(batch), own))


def make_trainer(folder: Path, data: object, validation: object, candidates: int = 0) -> Trainer:
    changes = {"train": {"candidates": candidates, "synthetic": CURVE}}
    tiny = settings.changed(settings.load(TINY), changes, "")
    torch.manual_seed(0)
    return Trainer(
        WireframeNetwork(Architecture.from_dict(asdict(tiny.model))), data, validation,
        Schedule.from_settings(tiny, "synthetic"), TrainingPlace(folder / "model.pth", "k"), recipe={}, precision=torch.float32,
        save_seconds=1e9, stop=StopRequest(),
    )  # fmt: skip


@contextlib.contextmanager
def double() -> Iterator[None]:
    """Everything in float64: in float32, rounding turns a ReLU or a nearest line over, and gradients by 0.3 %."""
    torch.set_default_dtype(torch.float64)
    try:
        with patch.object(torch.Tensor, "float", torch.Tensor.double):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


@double()
def first_step(name: str) -> dict[str, dict[str, torch.Tensor]]:
    """Losses, gradients and statistics of a training's first step."""
    trainer = make_trainer(Path(), None, None, DRAWN if name == "drawn" else 0)
    losses = trainer.step(share(make_batch(BATCHES[name])))
    gradients = {name: p.grad for name, p in trainer.network.named_parameters()}
    statistics = {name: v for name, v in trainer.network.state_dict().items() if "running" in name or "num_" in name}
    return {"losses": losses, "gradients": gradients, "statistics": statistics}


Step = dict[str, dict[str, torch.Tensor]]


def check_first_step(found: Step, expected: Step) -> None:
    """Whether one of several processes took the step that one process takes alone."""
    for loss, value in expected["losses"].items():
        torch.testing.assert_close(found["losses"][loss], value, rtol=1e-9, atol=1e-12)
    largest = max(float(g.abs().max()) for g in expected["gradients"].values() if g is not None)
    for parameter, gradient in expected["gradients"].items():
        if gradient is None:
            assert parameter.startswith("regional_head")
            assert found["gradients"][parameter] is None
        else:
            # The bias of a convolution before a normalisation has no gradient but rounding.
            torch.testing.assert_close(found["gradients"][parameter], gradient, rtol=1e-6, atol=1e-9 * largest)
    assert found["statistics"].keys() == expected["statistics"].keys()
    for statistic, value in expected["statistics"].items():
        torch.testing.assert_close(found["statistics"][statistic], value, rtol=1e-9, atol=1e-12)
