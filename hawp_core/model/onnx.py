"""A model for other runtimes: ONNX, checked against PyTorch.

Two graphs: the whole way from an image to lines and scores, with fixed shapes; and the network alone, for programs that read
its maps themselves.
"""

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from hawp_core.model.detection import detect
from hawp_core.model.fixed_detection import FOUND, FixedDetection, grey_levels
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.extras import require
from hawp_core.runtime.files import replacing

# The first opset with everything that the exporter of PyTorch writes for this network.
OPSET = 18
INPUT, OUTPUTS = "images", ("scores", "features", "heatmap")
IMAGE = "image"
# Largest difference from PyTorch that rounding in another order of additions explains, relative to the largest value.
TOLERANCE = 1e-4
# A line is the same where its ends lie within so many pixels and its score within so much.
SAME_PIXELS, SAME_SCORE = 0.05, 1e-3
# Least share of lines that both find: rounding decides ties, and what lies at the threshold.
LEAST_AGREEMENT = 0.98


class Graph(nn.Module):
    """The network as one function of grey images (B, 1, H, W) in [0, 1].

    Returns: score map (B, 9, H/4, W/4) of raw values, its channels as in `score_maps.HEAD_CHANNELS`; features
    (B, C, H/4, W/4); line heatmap (B, H, W), probabilities.
    """

    def __init__(self, network: WireframeNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        prediction = self.network.backbone(images)
        heatmap = self.network.heatmap_logits(prediction.features).softmax(dim=1)[:, 1]
        return prediction.scores.raw, prediction.features, heatmap


def export_network(network: WireframeNetwork, path: Path | str, about: Mapping[str, object]) -> None:
    """Write the network alone, whole or not at all; the batch is free, the image size is the model's.

    Args:
        network: on the CPU.
        about: JSON-serialisable; kept in the file's metadata with the image size.

    Raises:
        UserError: packages are missing, or the file cannot be written.
    """
    size = network.architecture.image_size
    # Two images: an exporter takes a batch of one for a constant.
    example = torch.zeros(2, 1, size, size)
    shapes = {INPUT: {0: torch.export.Dim("batch")}}
    _export(Graph(_plain(network)), example, (INPUT, OUTPUTS), path, {"image_size": str(size)}, about, shapes)


def export_lines(
    network: WireframeNetwork,
    path: Path | str,
    about: Mapping[str, object],
    *,
    size: tuple[int, int],
    min_score: float = 0.5,
    colour: bool = False,
) -> None:
    """Write the way from an image to lines and scores, whole or not at all; every shape is fixed.

    Args:
        network: on the CPU; its architecture says whether lines are verified or scored by votes.
        about: JSON-serialisable; kept in the file's metadata.
        size: width and height of the image, pixels, multiples of `architecture.multiple`.
        min_score: lines above this are counted.
        colour: the image is (H, W, 3) RGB and not (H, W) grey; uint8 both.

    Raises:
        UserError: packages are missing, or the file cannot be written.
    """
    width, height = size
    example = torch.zeros((height, width, 3) if colour else (height, width), dtype=torch.uint8)
    metadata = {"width": str(width), "height": str(height), "min_score": str(min_score)}
    _export(FixedDetection(_plain(network), min_score), example, (IMAGE, FOUND), path, metadata, about)


def _plain(network: WireframeNetwork) -> WireframeNetwork:
    return fold_batch_norm(network).to(memory_format=torch.contiguous_format)


def _export(
    module: nn.Module,
    example: torch.Tensor,
    names: tuple[str, Sequence[str]],
    path: Path | str,
    metadata: dict[str, str],
    about: Mapping[str, object],
    shapes: dict[str, dict[int, torch.export.Dim]] | None = None,
) -> None:
    """Write a function of one tensor; `names` are those of its argument and of what it returns."""
    require("onnx", "onnxscript", "onnxruntime")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for log in ("torch.onnx", "onnxscript", "onnx_ir"):
            logging.getLogger(log).setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(), (example,), dynamo=True, verbose=False, opset_version=OPSET, input_names=[names[0]],
            output_names=list(names[1]), dynamic_shapes=shapes,
        )  # fmt: skip
    assert program is not None  # PyTorch's exporter returns none where it writes a file itself
    program.model.metadata_props.update({**metadata, "about": json.dumps(about, sort_keys=True)})
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)


def largest_difference(network: WireframeNetwork, path: Path | str, batch: int = 3) -> float:
    """Run a written network in onnxruntime on random images, beside PyTorch.

    Returns: largest difference of any output, relative to that output's largest value.
    """
    import onnxruntime

    size = network.architecture.image_size
    images = np.random.default_rng([size, batch]).random((batch, 1, size, size), np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(list(OUTPUTS), {INPUT: images})
    with torch.no_grad():
        expected = [value.numpy() for value in Graph(network.eval())(torch.from_numpy(images))]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True))


class Agreement(NamedTuple):
    """How a written graph and PyTorch agree: lines that either finds, those that both find, and candidates that found no
    room in the graph."""

    lines: int
    common: int
    left_out: int

    @property
    def share(self) -> float:
        """Of the lines, those in common; 1 where there is none."""
        return self.common / self.lines if self.lines else 1.0


def agreement(network: WireframeNetwork, path: Path | str, images: Sequence[np.ndarray], min_score: float) -> Agreement:
    """Run a graph of `export_lines` in onnxruntime beside PyTorch.

    Args:
        images: uint8, of the size and colour that the graph was written for.
        min_score: as the graph was written with.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    total = common = left_out = 0
    for image in images:
        lines, scores, count, beyond = session.run(list(FOUND), {IMAGE: image})
        expected = detect(network, grey_levels(torch.from_numpy(image))[None, None] / 255, min_score=min_score)[0]
        limits = np.array((image.shape[1], image.shape[0]) * 2) - 0.5
        inside = expected.lines.numpy().clip(-0.5, limits)
        same = _same(lines[:count], scores[:count], inside, expected.scores.numpy())
        common, total = common + same, total + int(count) + len(inside) - same
        left_out += int(beyond)
    return Agreement(total, common, left_out)


def _same(lines: np.ndarray, scores: np.ndarray, others: np.ndarray, other_scores: np.ndarray) -> int:
    """How many lines (N, 4) have a counterpart of the same score among `others` (M, 4), in either direction."""
    turned = others[:, [2, 3, 0, 1]]
    apart = np.minimum(*(np.abs(lines[:, None] - each).max(-1, initial=0) for each in (others, turned)))
    near = (apart < SAME_PIXELS) & (np.abs(scores[:, None] - other_scores) < SAME_SCORE)
    return int(near.any(1).sum())


def drawings(size: tuple[int, int], colour: bool, count: int = 3) -> list[np.ndarray]:
    """Pictures of grey and coloured boxes to compare runtimes on, uint8: the same for everybody, from no file.

    Args:
        size: width and height, pixels.
        colour: (H, W, 3) RGB instead of (H, W).
    """
    width, height = size
    rng = np.random.default_rng([width, height])
    pictures = []
    for _ in range(count):
        picture = rng.integers(90, 160, (height, width, 3)).astype(np.uint8)
        for _ in range(12):
            (left, right), (top, bottom) = np.sort(rng.integers(0, width, 2)), np.sort(rng.integers(0, height, 2))
            picture[top : bottom + 1, left : right + 1] = rng.integers(0, 256, 3)
        pictures.append(picture if colour else np.ascontiguousarray(picture[..., 1]))
    return pictures
