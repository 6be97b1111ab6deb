"""A model is a line detector of LIMAP: by its own base class where LIMAP's source is (HAWP_LIMAP), else by what is recorded."""

import importlib.util
import inspect
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from places import STORED

from hawp_core import load
from hawp_core.errors import UserError
from hawp_core.model.limap import Segments, detector_class, save_segments

RECORD = json.loads((STORED / "limap.json").read_text())
CHECKOUT = os.environ.get("HAWP_LIMAP")


class Views:
    """What a detector uses of LIMAP's `ImageCollection`: images by number, each read by its view."""

    def __init__(self, images: dict[int, np.ndarray]) -> None:
        self.images = images

    def get_img_ids(self) -> list[int]:
        return list(self.images)

    def camview(self, image_id: int) -> SimpleNamespace:
        return SimpleNamespace(read_image=lambda set_gray=False: self.images[image_id] if set_gray else None)


@pytest.fixture(scope="module")
def views(photographs) -> Views:
    files = [photographs / "a.jpg", photographs / "f.png"]
    return Views({3 * i + 1: np.asarray(Image.open(file).convert("L")) for i, file in enumerate(files)})


@pytest.fixture(scope="module")
def found(model):
    """A model whose untrained lines are all kept."""
    return load(model, device="cpu", threshold=0.0)


def test_lines_and_scores_are_the_models(found, views):
    detector = detector_class(object, found)()
    for image_id, image in views.images.items():
        segments = detector.detect(views.camview(image_id))
        expected = found(image)
        assert segments.shape == (len(expected.edges), 5) and len(segments) and segments.dtype == np.float64
        np.testing.assert_array_equal(segments[:, :4], expected.lines)
        np.testing.assert_array_equal(segments[:, 4], expected.scores)
        np.testing.assert_array_equal(detector.detect(image), segments)
    assert detector.get_module_name() == "hawp_rounds"
    with pytest.raises(ValueError, match="an image is"):
        detector.detect("photo.jpg")


def test_weights_lie_where_limap_keeps_them(model, views, tmp_path):
    place = tmp_path / "line2d" / "hawp_rounds" / "model.pth"
    place.parent.mkdir(parents=True)
    detector = detector_class(object)()
    detector.weight_path = str(tmp_path)
    with pytest.raises(UserError, match=r"model\.pth does not exist"):
        detector.detect(views.images[1])
    place.write_bytes(model.read_bytes())
    assert detector.detect(views.images[1]).shape[1] == 5
    assert detector.model.size == 64


def test_its_methods_have_limaps_arguments():
    for name in ("detect", "get_module_name"):
        assert list(inspect.signature(getattr(Segments, name)).parameters) == RECORD["methods"][name]
    # What they do not define is the base's.
    assert not set(vars(Segments)) & (set(RECORD["methods"]) - {"detect", "get_module_name"})


def test_a_file_of_segments_is_limaps(tmp_path):
    path = save_segments(tmp_path / "segments", 12, np.array([[0.5, 1, 2.25, 3, 0.9], [-0.5, 0.1, 7, 8, 0.5]]))
    assert path.name == "segments_12.txt"
    assert path.read_text() == "2\n0.5 1.0 2.25 3.0\n-0.5 0.1 7.0 8.0\n"
    assert save_segments(tmp_path, 3, np.zeros((0, 5))).read_text() == "0\n"


def module(name: str, **contents: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(contents)
    return made


@pytest.fixture
def limap(monkeypatch) -> ModuleType:
    """LIMAP's base class and its reading and writing, from their source; what is compiled or draws is left out."""
    if not CHECKOUT:
        pytest.skip("HAWP_LIMAP names no checkout of cvg/limap")
    source = Path(CHECKOUT) / "src" / "limap"

    def from_source(name: str, path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, path)
        made = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, made)
        spec.loader.exec_module(made)
        return made

    for name in ("limap", "limap.base", "limap.util", "limap.visualize"):
        monkeypatch.setitem(sys.modules, name, module(name, __path__=[]))
    monkeypatch.setitem(sys.modules, "pycolmap", module("pycolmap", logging=None))
    for parent, child in (("limap", "base"), ("limap", "util"), ("limap", "visualize")):
        setattr(sys.modules[parent], child, sys.modules[f"{parent}.{child}"])
    sys.modules["limap.util"].io = from_source("limap.util.io", source / "util" / "io.py")
    return from_source("limap.line2d.base_detector", source / "line2d" / "base_detector.py")


def test_limaps_own_base_class_runs_it(limap, found, views, tmp_path):
    options = limap.BaseDetectorOptions(max_num_2d_segs=5)
    detector = detector_class(limap.BaseDetector, found)(options)
    segments = detector.detect_all_images(str(tmp_path), views)
    assert list(segments) == [1, 4]
    for image_id, image in views.images.items():
        longest, _ = detector.take_longest_k(detector.detect(image), 5)
        assert len(longest) == 5
        np.testing.assert_array_equal(segments[image_id], longest[:, :4])
        ours = save_segments(tmp_path / "ours", image_id, longest)
        assert ours.read_bytes() == (tmp_path / "segments" / ours.name).read_bytes()
    with pytest.raises(NotImplementedError):
        detector.extract(views.camview(1), segments[1])
    with pytest.raises(NotImplementedError):
        detector.detect_and_extract(views.camview(1))


def test_what_is_recorded_is_what_limap_has(limap):
    has = {name: list(inspect.signature(getattr(limap.BaseDetector, name)).parameters) for name in RECORD["methods"]}
    assert has == RECORD["methods"]
    assert list(limap.BaseDetectorOptions._fields) == RECORD["options"]
