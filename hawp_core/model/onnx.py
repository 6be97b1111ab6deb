"""The network for other runtimes: ONNX, checked against PyTorch.

The graph is the network alone. Junctions, binding and verification depend on how much is found and stay in Python; a
program of another language reads score maps, features and the line heatmap and does them as `detector` does.
"""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.extras import require
from hawp_core.runtime.files import replacing

# The first opset with everything that the exporter of PyTorch writes for this network.
OPSET = 18
INPUT, OUTPUTS = "images", ("scores", "features", "heatmap")
# Largest difference from PyTorch that rounding in another order of additions explains, relative to the largest value.
TOLERANCE = 1e-4


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


def export_onnx(network: WireframeNetwork, path: Path | str, about: dict) -> None:
    """Write the network as ONNX, whole or not at all; the batch is free, the image size is the model's.

    Args:
        network: on the CPU.
        about: JSON-serialisable; kept in the file's metadata with the image size.

    Raises:
        UserError: packages are missing, or the file cannot be written.
    """
    require("onnx", "onnxscript", "onnxruntime")
    size = network.architecture.image_size
    # Two images: an exporter takes a batch of one for a constant.
    example = torch.zeros(2, 1, size, size)
    graph = Graph(fold_batch_norm(network).to(memory_format=torch.contiguous_format)).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph, (example,), dynamo=True, verbose=False, opset_version=OPSET, input_names=[INPUT],
            output_names=list(OUTPUTS), dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
        )  # fmt: skip
    assert program is not None  # PyTorch's exporter returns none where it writes a file itself
    program.model.metadata_props.update({"image_size": str(size), "about": json.dumps(about, sort_keys=True)})
    with replacing(path) as temporary:
        program.save(temporary, external_data=False)


def largest_difference(network: WireframeNetwork, path: Path | str, batch: int = 3) -> float:
    """Run a written graph in onnxruntime on random images, beside PyTorch.

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
