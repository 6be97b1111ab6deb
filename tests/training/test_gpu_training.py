"""A training on a GPU, with a card or without: all on one device, nothing waited for, and the numbers of a CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden.weights import fill
from gpu import gpu

from hawp_core.data.augmentation import SYNTHETIC
from hawp_core.data.collate import RawBatch, prepare
from hawp_core.data.samples import Sample
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.signals import StopRequest
from hawp_core.training import losses
from hawp_core.training.place import TrainingPlace
from hawp_core.training.schedule import Schedule
from hawp_core.training.trainer import Trainer
from hawp_core.workflow.settings import complete

pytestmark = pytest.mark.numeric
SIZE = 64
SMALL = Architecture(
    image_size=SIZE, width=16, depth=1, stacks=1, line_points=8, junction_features=8, verification_width=16, max_junctions=40,
    binding_distance2=20.0,
)  # fmt: skip


class Pictures:
    """Noise with a few lines; every third has none."""

    size = SIZE

    def __len__(self) -> int:
        return 8

    def item(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        lines = rng.uniform(4, SIZE - 5, (0 if index % 3 == 2 else 12, 4))
        wireframe = Wireframe.from_lines(lines, SIZE, SIZE)
        return Sample(rng.integers(0, 256, (SIZE, SIZE)).astype(np.uint8), wireframe, 0, str(index))


def raw(count: int) -> RawBatch:
    return RawBatch.collate([prepare(Pictures(), SYNTHETIC, (0, 0), i) for i in range(count)], SYNTHETIC.margin)


def trainer(device: str, precision: torch.dtype = torch.float32, **train: object) -> Trainer:
    schedule = Schedule.from_settings(complete({"train": {"clip_norm": 1.0, **train}}), "synthetic")
    network = WireframeNetwork(SMALL)
    fill(network, seed=1)
    return Trainer(
        network.train().to(device), None, None, schedule, TrainingPlace(Path("model.pth"), ""), recipe={},
        precision=precision, save_seconds=1e9, stop=StopRequest(),
    )  # fmt: skip


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_step_on_a_gpu_waits_for_nothing(precision):
    uploads = []
    with gpu() as card:
        training = trainer("cuda", precision, candidates=16, average=0.9)
        for count in (1, 8):
            card.uploads = 0
            card.waits.clear()
            found = training.step(raw(count).to_batch(training.device))
            assert not card.waits, card.waits
            uploads.append(card.uploads)
        assert set(found) == {*losses.NAMES, "loss"}
        assert all(value.device.type == "cuda" and float(value) > 0 for value in found.values()), found
        states = [state for one in training.optimiser.state.values() for state in one.values()]
        weights = [*training.network.parameters(), *training.result.parameters(), *training.result.buffers()]
        assert states and all(tensor.device.type == "cuda" for tensor in states + weights)
    # As many copies to the card for eight images as for one.
    assert len(set(uploads)) == 1, uploads


def test_all_candidates_wait_for_their_numbers_alone():
    with gpu() as card:
        training = trainer("cuda", candidates=0)
        card.waits.clear()
        training.step(raw(8).to_batch(training.device))
        assert card.waits == {"nonzero": 2}


@pytest.mark.parametrize("candidates", [0, 16])
def test_a_gpu_learns_what_a_cpu_does(candidates):
    found = []
    for device in ("cpu", "cuda"):
        with gpu():
            training = trainer(device, candidates=candidates, average=0.5)
            # Without noise, whose numbers are another device's own.
            batch = RawBatch.collate([prepare(Pictures(), None, (0, 0), i) for i in range(3)], 0.0)
            losses_of_steps = [training.step(batch.to_batch(device)) for _ in range(2)]
            values = [{name: float(value) for name, value in one.items()} for one in losses_of_steps]
            weights = {name: value.cpu().detach().numpy() for name, value in training.result.state_dict().items()}
        found.append((values, weights))
    for first, second in zip(*(values for values, _ in found), strict=True):
        assert second == pytest.approx(first, rel=1e-3, abs=1e-5)
    for name, weight in found[0][1].items():
        np.testing.assert_allclose(found[1][1][name], weight, rtol=1e-2, atol=1e-3, err_msg=name)
