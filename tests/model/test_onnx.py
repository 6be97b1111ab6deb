"""A model as ONNX gives what PyTorch gives: the network for any batch, and lines with scores for photographs."""

import dataclasses
import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch

from hawp_core import load
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from hawp_core.errors import UserError
from hawp_core.geometry.resize import to_grey, to_square
from hawp_core.model import onnx
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import load_checkpoint, save_checkpoint
from hawp_core.model.fixed_detection import FixedDetection
from hawp_core.model.network import WireframeNetwork
from hawp_core.model.shipped import SHIPPED

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
    onnx.export_network(network, path, {"epoch": 3})
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


SIDE = 256
VOTES = 3


@pytest.mark.parametrize("recipe", [{}, {"votes": VOTES}])
def test_lines_of_ten_photographs_are_those_of_pytorch(recipe, tmp_path, hawp):
    pytest.importorskip("skimage", reason="the extra [bundled] is not installed")
    photographs = [bundled_folder() / name for name in BUNDLED]
    graph = tmp_path / "lines.onnx"
    chosen = "shipped"
    if recipe:
        chosen = tmp_path / "model.pth"
        network, info = load_checkpoint(SHIPPED)
        network.architecture = dataclasses.replace(network.architecture, image_size=SIDE, **recipe)
        save_checkpoint(chosen, network, epoch=info.epoch, recipe={})
    options = ("--size", SIDE, "--images", *photographs)
    code, printed = hawp("export-onnx", chosen, graph, *options)
    assert code == 0, printed
    same, lines, pictures = map(int, re.search(r"(\d+) of (\d+) lines of (\d+) pictures", printed).groups())
    assert pictures == 10 and lines > 100 and same >= 0.98 * lines and "no room" not in printed

    # As a program without PyTorch reads it.
    image = to_square(read_gray(photographs[0])[0], SIDE)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["width"] == str(SIDE)
    found, scores, count, _ = session.run(None, {"image": image})
    assert (np.diff(scores) <= 0).all() and (scores[:count] >= 0.5).all()
    assert not found[count:].any() and not scores[count:].any()
    model = load(chosen if recipe else SHIPPED, device="cpu")
    model.size = SIDE
    expected = model(image)
    assert abs(count - len(expected.lines)) <= 0.02 * count
    # Their order is free, but the sum over all of them is not.
    np.testing.assert_allclose(scores.sum(), expected.scores.sum(), rtol=0.02)
    np.testing.assert_allclose(np.sort(found[:count].sum(1))[count // 2], np.median(expected.lines.sum(1)), rtol=0.05)


def test_the_same_lines_are_counted_whichever_way_round():
    image = onnx.drawings((64, 64), colour=True)[0]
    assert image.shape == (64, 64, 3) and np.array_equal(onnx.drawings((64, 64), colour=True)[0], image)
    lines = np.array([[1.0, 2, 30, 40], [5, 5, 9, 9]])
    turned = lines[:, [2, 3, 0, 1]]
    assert onnx._same(lines, np.array([0.9, 0.8]), turned, np.array([0.9, 0.7])) == 1
    assert onnx._same(lines, np.array([0.9, 0.8]), turned + 1, np.array([0.9, 0.8])) == 0
    assert onnx._same(lines, np.ones(2), np.zeros((0, 4)), np.zeros(0)) == 0


def test_what_finds_no_room_is_counted(network):
    image = torch.from_numpy(onnx.drawings((64, 64), colour=True)[0])
    with torch.no_grad():
        _, scores, _, left_out = FixedDetection(network, 0.0)(image)
        lines, _, count, without_room = FixedDetection(network, 0.0, candidates=50)(image)
        _, scores_of_grey, _, _ = FixedDetection(network, 0.0)(torch.from_numpy(to_grey(image.numpy())))
    assert int(left_out) == 0 and int(without_room) > 0
    assert int(count) <= 50 == len(lines)
    assert torch.equal(scores_of_grey, scores)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--size", "500"), "no multiple of 64: say --size 512x512"),
        (("--size", "0x64"), "neither S nor WxH"),
        (("--network", "--rgb"), "leave out --network"),
        (("--images", "absent.jpg"), "absent.jpg"),
    ],
)
def test_options_that_make_no_graph_are_refused(options, said, tmp_path, hawp):
    code, printed = hawp("export-onnx", "shipped", tmp_path / "x.onnx", *options)
    assert code == 2 and said in printed and not list(tmp_path.iterdir()), printed


def test_the_command_writes_the_network_alone(network, graph, tmp_path, hawp, monkeypatch):
    save_checkpoint(tmp_path / "model.pth", network, epoch=3, recipe={"key": "0" * 16})
    # What the fixture exported is what the command would export, in seconds.
    told = {}
    monkeypatch.setattr(
        onnx, "export_network", lambda network, path, about: (told.update(about), shutil.copy(graph, path))
    )
    code, printed = hawp("export-onnx", tmp_path / "model.pth", tmp_path / "model.onnx", "--network")
    assert code == 0 and "differs from PyTorch by at most" in printed
    assert told == {"epoch": 3, "key": "0" * 16, "model": "model.pth"}


def test_a_graph_that_finds_other_lines_is_told(network, tmp_path, hawp, monkeypatch):
    save_checkpoint(tmp_path / "model.pth", network, epoch=3, recipe={})
    monkeypatch.setattr(onnx, "export_lines", lambda detection, path, about, **_: path.write_bytes(b"a graph"))
    monkeypatch.setattr(onnx, "agreement", lambda *_, **__: onnx.Agreement(100, 50, 0))
    code, printed = hawp("export-onnx", tmp_path / "model.pth", tmp_path / "model.onnx")
    assert code == 2 and "50 of 100 lines" in printed


def test_missing_packages_are_named(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"onnxscript is not installed.*\[onnx\]"):
        onnx.export_network(network, tmp_path / "x.onnx", {})
