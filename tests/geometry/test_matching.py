"""Lines in the layouts of line matchers, and the example that matches two photographs."""

import importlib.util

import numpy as np
import pytest
import torch
from places import ROOT

from hawp_core import load
from hawp_core.data.photographs.folder import bundled_folder
from hawp_core.geometry.homography import warp_points
from hawp_core.geometry.matching import gluestick_lines, kornia_segments
from hawp_core.geometry.warping import warp_images
from hawp_core.geometry.wireframe import Wireframe

WIREFRAME = Wireframe(
    [[1, 2], [30, 4], [5, 6], [9, 9]], [[0, 1], [1, 2]], [0.9, 0.5], width=40, height=20
)  # the last junction has no line


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("match_lines", ROOT / "docs" / "examples" / "match_lines.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kornia_takes_rows_before_columns():
    assert kornia_segments(WIREFRAME).tolist() == [[[2, 1], [4, 30]], [[4, 30], [6, 5]]]
    assert kornia_segments(Wireframe.empty(8, 8)).shape == (0, 2, 2)


def test_gluestick_takes_lines_and_the_junctions_that_they_join():
    found = gluestick_lines(WIREFRAME, 1)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "lines1": (1, 2, 2, 2), "line_scores1": (1, 2), "valid_lines1": (1, 2), "lines_junc_idx1": (1, 2, 2),
        "keypoints1": (1, 3, 2), "keypoint_scores1": (1, 3), "pl_associativity1": (1, 3, 3), "num_junctions1": (1,),
    }  # fmt: skip
    ends = found["keypoints1"][0][found["lines_junc_idx1"][0]]
    assert torch.equal(ends, found["lines1"][0])
    torch.testing.assert_close(found["keypoint_scores1"], torch.tensor([[0.9, 0.7, 0.5]]))
    joined = found["pl_associativity1"][0]
    assert torch.equal(joined, joined.T) and joined.sum() == 3 + 4 and not joined[0, 2]
    assert gluestick_lines(Wireframe.empty(8, 8), 0)["lines0"].shape == (1, 0, 2, 2)


@pytest.mark.numeric
def test_lines_of_a_photograph_are_matched_with_those_of_its_warped_copy(example):
    pytest.importorskip("skimage", reason="the extra [bundled] is not installed")
    gray = example.read(bundled_folder() / "motorcycle_left.png")
    homography = np.array([[0.95, 0.04, 9], [-0.03, 0.96, 14], [2e-5, 3e-5, 1]])
    pixels = torch.from_numpy(gray)[None, None].float()
    warped = warp_images(pixels, torch.from_numpy(homography)[None], padding="reflection")[0, 0].round().byte().numpy()
    grays, model = [gray, warped], load(device="cpu", threshold=0.6)
    wireframes = [model(each) for each in grays]
    matches = example.match(grays, wireframes)
    there = warp_points(homography, wireframes[0].lines[matches[:, 0]].reshape(-1, 2, 2))
    other = wireframes[1].lines[matches[:, 1]].reshape(-1, 2, 2)
    apart = np.minimum(*(np.abs(there - each).max((1, 2)) for each in (other, other[:, ::-1])))
    assert len(matches) > 30 and np.mean(apart < 4) > 0.7
    picture = example.draw(grays, wireframes, matches)
    assert picture.shape == (gray.shape[0], 2 * gray.shape[1], 3)
    coloured = np.ptp(picture.astype(int), axis=2) > 60
    assert coloured[:, : gray.shape[1]].any() and coloured[:, gray.shape[1] :].any()
