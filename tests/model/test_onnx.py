"""The network as ONNX gives what PyTorch gives, for any batch."""

import json
import sys

import numpy as np
import pytest
import torch

from hawp_core.errors import UserError
from hawp_core.model import onnx
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork

pytestmark = pytest.mark.numeric

pytest.importorskip("onnxscript", reason="the extra [onnx] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")


@pytest.fixture(scope="module")
def network() -> WireframeNetwork:
    """A small network with two stacks whose normalisation has seen something."""
    torch.manual_seed(0)
    network = WireframeNetwork(Architecture(image_size=64, width=16, depth=2, stacks=2, verification_width=16))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2.0)
    return network.eval()


@pytest.fixture(scope="module")
def graph(network, tmp_path_factory):
    """The network as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    onnx.export_onnx(network, path, {"epoch": 3})
    return path


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_outputs_are_those_of_pytorch_for_any_batch(network, graph, batch):
    images = np.random.default_rng(batch).random((batch, 1, 64, 64), np.float32)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    scores, features, heatmap = session.run(list(onnx.OUTPUTS), {onnx.INPUT: images})
    with torch.no_grad():
        heads, expected = network(torch.from_numpy(images))
        lines = network.line_heatmap(torch.from_numpy(images))
    np.testing.assert_allclose(scores, heads[-1].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(heatmap, lines.numpy(), rtol=1e-4, atol=1e-5)


def test_the_file_says_what_it_is(graph):
    about = onnxruntime.InferenceSession(str(graph)).get_modelmeta().custom_metadata_map
    assert about["image_size"] == "64" and json.loads(about["about"]) == {"epoch": 3}
    assert [path.name for path in graph.parent.iterdir()] == [graph.name]


def test_another_network_is_found_out(network, graph):
    assert onnx.largest_difference(network, graph) < onnx.TOLERANCE
    torch.manual_seed(1)
    other = WireframeNetwork(network.architecture).eval()
    assert onnx.largest_difference(other, graph) > 10 * onnx.TOLERANCE


def test_the_command_checks_what_it_wrote(network, tmp_path, hawp):
    save_checkpoint(tmp_path / "model.pth", network, epoch=3, recipe={"key": "0" * 16})
    code, printed = hawp("export-onnx", tmp_path / "model.pth", tmp_path / "out" / "model.onnx")
    assert code == 0 and "differs from PyTorch by at most" in printed
    assert (tmp_path / "out" / "model.onnx").stat().st_size > 10_000


def test_missing_packages_are_named(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"onnxscript is not installed.*\[onnx\]"):
        onnx.export_onnx(network, tmp_path / "x.onnx", {})
