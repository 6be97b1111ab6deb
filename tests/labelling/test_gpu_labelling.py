"""Labels and lines found on a GPU, with a card or without: all on one device, few waits, and what a CPU finds."""

import numpy as np
import pytest
import torch
from golden.weights import fill
from gpu import gpu
from looks import looks

from hawp_core.labelling.homographic_adaptation import view_homographies
from hawp_core.labelling.labeller import Labeller
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.detection import detect, detect_votes
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.parser import load

pytestmark = pytest.mark.numeric
SIZE = 64
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE)).astype(np.uint8)


def network() -> WireframeNetwork:
    made = WireframeNetwork(
        Architecture(
            image_size=SIZE, width=16, depth=1, stacks=1, line_points=8, junction_features=8, verification_width=16,
            max_junctions=40, binding_distance2=20.0,
        )
    ).eval()  # fmt: skip
    fill(made, seed=1)
    return made


def assert_same(found: list, expected: list) -> None:
    assert len(found) == len(expected)
    assert sum(len(one.edges) for one in expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.lines, other.lines, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


@pytest.mark.parametrize(
    "find", [lambda net, images: detect(net, images, min_score=0.1), lambda *on: detect_votes(*on, 2)]
)
def test_detection_waits_twice_a_batch(find):
    found = []
    for device in ("cpu", "cuda"):
        with gpu() as card:
            folded = fold_batch_norm(network()).to(device)
            images = (torch.from_numpy(IMAGES)[:, None] / 255).to(device)
            card.waits.clear()
            found.append(find(folded, images))
            if device == "cuda":
                assert card.waits == {"nonzero": 1, "download": 1}
    assert_same(found[1], found[0])


@pytest.mark.parametrize("labels", ["heatmap", "recurring", "united", "whole", "votes"])
def test_labels_of_a_gpu_are_those_of_a_cpu(labels):
    found, waits, uploads = [], [], []
    for device, views in (("cpu", 4), ("cuda", 4), ("cuda", 6)):
        adaptation = looks(labels=labels, views=views, junction_views=True, min_score=0.1, view_score=0.1, min_votes=2)
        homographies = np.stack([view_homographies(name, SIZE, adaptation, 0) for name in "abc"])
        with gpu() as card:
            labeller = Labeller(fold_batch_norm(network()).to(device), adaptation, batch=3, memory=1e9)
            card.waits.clear()
            card.uploads = 0
            found.append(labeller(IMAGES, homographies, [(SIZE, SIZE)] * 3))
            waits.append(sum(card.waits.values()))
            uploads.append(card.uploads)
    assert_same(found[1], found[0])
    # Nothing is made on the host for each view.
    assert waits[1] == waits[2] and uploads[1] == uploads[2]
    # Recurring lines are counted on the host: the image, then its views, each a detection of its own.
    assert waits[1] == (2 if labels in ("heatmap", "votes") else 2 + 3 * 3), waits


def test_a_model_predicts_and_is_written_from_a_gpu(tmp_path):
    save_checkpoint(tmp_path / "model.pth", network(), epoch=1, recipe={})
    on_cpu = load(tmp_path / "model.pth", device="cpu", threshold=0.1)
    expected = on_cpu.many(list(IMAGES))
    with gpu():
        model = load(tmp_path / "model.pth", device="cuda", threshold=0.1)
        found = model.many(list(IMAGES))
        native = model(IMAGES[0], size="native")
        save_checkpoint(tmp_path / "again.pth", network().to("cuda"), epoch=1, recipe={})
    assert_same([*found, native], [*expected, on_cpu(IMAGES[0], size="native")])
    assert_same(load(tmp_path / "again.pth", device="cpu", threshold=0.1).many(list(IMAGES)), expected)
