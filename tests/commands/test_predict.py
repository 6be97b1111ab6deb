"""Prediction: what is written in each format, folders with damaged files, and the Python API."""

import json
import shutil
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image

import hawp_core
from hawp_core.data.predicted import SCHEMA
from hawp_core.geometry.line_distances import structural_distances
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.formats import save, to_json, to_svg

SVG = "{http://www.w3.org/2000/svg}"
WIREFRAME = Wireframe([[0, 0], [30, 0], [30.5, 20.25]], [[0, 1], [1, 2]], [0.75, 0.5], 40, 30)


def test_a_folder_with_a_damaged_file_is_finished_and_the_file_named(model, photographs, tmp_path, hawp):
    shutil.copytree(photographs, tmp_path / "in")
    (tmp_path / "in" / "broken.png").write_bytes((photographs / "b.png").read_bytes()[:200])
    (tmp_path / "in" / "sub" / "empty.jpg").touch()
    code, printed = hawp(
        "predict", tmp_path / "in", "--ckpt", model, "--threshold", "0", "--saveto", tmp_path / "out", "--ext", "json",
        "--batch-size", "2", "--device", "cpu", "--threads", "1",
    )  # fmt: skip
    assert code != 0
    assert "broken.png" in printed and "empty.jpg" in printed and "Traceback" not in printed
    done = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.json")}
    whole = {str(path.relative_to(photographs)) for path in photographs.rglob("*.*")}
    assert done == {f"{name}.json" for name in whole}


def test_every_format_holds_the_same_wireframe(model, photographs, tmp_path, hawp):
    code, printed = hawp(
        "predict", photographs / "a.jpg", "-c", model, "--threshold", "0", "--saveto", tmp_path,
        "--ext", "png", "svg", "json", "npz", "--device", "cpu", "--threads", "1",
    )  # fmt: skip
    assert code == 0, printed
    said = json.loads((tmp_path / "a.jpg.json").read_text())
    arrays = np.load(tmp_path / "a.jpg.npz")
    with Image.open(photographs / "a.jpg") as image:
        size = image.size
    assert (said["width"], said["height"]) == size == (int(arrays["width"]), int(arrays["height"]))
    assert said["filename"] == "a.jpg" and said["schema"] == SCHEMA
    assert len(said["edges"]) > 0
    np.testing.assert_array_equal(np.float32(said["vertices"]), arrays["junctions"])
    np.testing.assert_array_equal(said["edges"], arrays["edges"])
    np.testing.assert_array_equal(np.float32(said["edges-weights"]), arrays["scores"])
    np.testing.assert_array_equal(arrays["junctions"][arrays["edges"]].reshape(-1, 4), arrays["lines"])
    drawing = ElementTree.parse(tmp_path / "a.jpg.svg").getroot()
    assert len(drawing.findall(f".//{SVG}line")) == len(said["edges"])
    assert len(drawing.findall(f".//{SVG}circle")) == len(said["vertices"])
    with Image.open(tmp_path / "a.jpg.png") as picture:
        assert picture.size == size and picture.mode == "RGB"


def test_without_a_model_the_shipped_one_is_used(photographs, tmp_path, hawp):
    code, printed = hawp(
        "predict", photographs / "a.jpg", "--saveto", tmp_path, "--ext", "json", "--device", "cpu", "--threads", "1"
    )
    assert code == 0, printed
    said = json.loads((tmp_path / "a.jpg.json").read_text())
    found = hawp_core.load(device="cpu")(np.asarray(Image.open(photographs / "a.jpg").convert("RGB")))
    assert len(found.edges) > 5 and abs(len(said["edges"]) - len(found.edges)) <= 0.2 * len(found.edges)


def test_json_is_the_documented_layout():
    assert to_json("a.png", WIREFRAME, "0123456789abcdef") == {
        "schema": "hawp-rounds wireframe 1",
        "made": "0123456789abcdef",
        "filename": "a.png",
        "width": 40,
        "height": 30,
        "vertices": [[0.0, 0.0], [30.0, 0.0], [30.5, 20.25]],
        "edges": [[0, 1], [1, 2]],
        "edges-weights": [0.75, 0.5],
        "lines": [[0.0, 0.0, 30.0, 0.0], [30.0, 0.0, 30.5, 20.25]],
    }


def test_svg_counts_from_pixel_corners_and_escapes_names():
    root = ElementTree.fromstring(to_svg("<a> & b", WIREFRAME, ""))
    assert root.find(f"{SVG}title").text == "Wireframe of <a> & b"
    assert root.get("viewBox") == "0 0 40 30"
    first = root.find(f".//{SVG}line")
    assert [float(first.get(name)) for name in ("x1", "y1", "x2", "y2")] == [0.5, 0.5, 30.5, 0.5]


def test_png_is_drawn_over_the_image(tmp_path):
    image = np.full((30, 40), 128, np.uint8)
    save(tmp_path / "a.png", "a", image, WIREFRAME, "")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape == (30, 40, 3)
    assert (picture[27] == 128).all() and not (picture[0, 5:25] == 128).all(axis=1).any()


def test_an_unknown_ending_is_a_programming_mistake(tmp_path):
    with pytest.raises(ValueError, match=r"\.tif"):
        save(tmp_path / "a.tif", "a", np.zeros((30, 40), np.uint8), WIREFRAME, "")
    assert list(tmp_path.iterdir()) == []


def test_the_python_interface_takes_three_lines(model, photographs):
    image = np.asarray(Image.open(photographs / "a.jpg"))
    parser = hawp_core.load(model, device="cpu", threshold=0.0)
    wireframe = parser(image)
    assert (wireframe.width, wireframe.height) == (image.shape[1], image.shape[0])
    assert len(wireframe.edges) > 0
    # A batch of images of different sizes gives what they give alone.
    turned = np.ascontiguousarray(np.rot90(image)[: image.shape[1] // 2])
    for alone, together in zip((wireframe, parser(turned)), parser.many([image, turned]), strict=True):
        np.testing.assert_allclose(alone.junctions, together.junctions, atol=1e-3)
        np.testing.assert_array_equal(alone.edges, together.edges)


def test_the_threshold_leaves_out_lines_below_it(model, photographs):
    image = np.asarray(Image.open(photographs / "a.jpg"))
    scores = hawp_core.load(model, device="cpu", threshold=0.0)(image).scores
    middle = float(np.median(scores))
    kept = hawp_core.load(model, device="cpu", threshold=middle)(image).scores
    assert 0 < len(kept) < len(scores) and kept.min() >= middle


def test_views_find_drawn_lines_nearer_and_the_command_finds_what_python_does(tmp_path, hawp):
    """Boxes on a noisy ground: the views' places are no worse than one look's, and nothing else scores more."""
    picture = np.random.default_rng(0).normal(120, 12, (512, 512)).clip(0, 255).astype(np.uint8)
    truth = []
    for left, top, right, bottom in (
        (60, 70, 210, 200),
        (280, 90, 460, 170),
        (110, 280, 240, 440),
        (310, 260, 430, 450),
    ):
        cv2.rectangle(picture, (left, top), (right, bottom), 20 + left // 2, -1)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        truth += [(*corners[i - 1], *corners[i]) for i in range(4)]
    Image.fromarray(picture).save(tmp_path / "boxes.png")

    def errors(views: int) -> np.ndarray:
        found = hawp_core.load(device="cpu", views=views)(picture)
        assert 10 <= len(found.edges) <= 20
        return np.sort(structural_distances(np.array(truth, float), found.lines).min(1))[:10] / 2

    assert errors(4).mean() <= errors(0).mean() + 0.1 and errors(4).max() < 3.0
    words = ("--views", "4", "--ext", "json", "--saveto", tmp_path / "out", "--device", "cpu", "--threads", "1")
    for flag, chosen in (
        ((), {}),
        (("--whole-lines",), {"whole_lines": True}),
        (("--scales", "1,1.5"), {"scales": (1, 1.5)}),
    ):
        assert hawp("predict", tmp_path / "boxes.png", *words, *flag)[0] == 0
        written = json.loads((tmp_path / "out" / "boxes.png.json").read_text())
        same = hawp_core.load(device="cpu", views=4, **chosen)(picture)
        np.testing.assert_allclose(written["edges-weights"], same.scores, atol=1e-4)
    for chosen in ({"views": 4}, {"whole_lines": True}, {"scales": (1, 1.5)}):
        with pytest.raises(ValueError, match="leave size out"):
            hawp_core.load(device="cpu", **chosen)(picture, size="native")


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.float32), np.zeros((8, 8, 4), np.uint8), np.zeros(8, np.uint8)])
def test_images_of_another_kind_are_refused(model, image):
    with pytest.raises(ValueError, match="an image is"):
        hawp_core.load(model, device="cpu")(image)


def test_a_pattern_that_names_nothing_is_a_mistake(model, tmp_path, hawp):
    code, printed = hawp(
        "predict", tmp_path / "*.jpg", "--ckpt", model, "--saveto", tmp_path / "out", "--device", "cpu"
    )
    assert code == 2 and "names no file" in printed
