"""What `hawp predict` reads and writes: nothing overwritten, nothing left out without a word."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from hawp_core.data.photographs.selection import is_own


@pytest.fixture
def predict(model, hawp, tmp_path, monkeypatch):
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    options = ("-c", model, "--device", "cpu", "--threads", "1")
    return lambda *words: hawp("predict", *words, *options)


def photograph(path, width=40, height=30):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([width, height]).integers(0, 255, (height, width), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def written(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("words", [("a/x.png", "b/x.png"), ("a", "b"), ("*/x.png",)])
def test_images_of_one_name_keep_their_paths(predict, tmp_path, words):
    photograph(tmp_path / "a" / "x.png", 40, 30)
    photograph(tmp_path / "b" / "x.png", 50, 30)
    code, printed = predict(*words, "--saveto", "o", "--ext", "json")
    assert code == 0 and "2 images" in printed
    assert written(tmp_path / "o") == ["a/x.png.json", "b/x.png.json"]
    assert [json.loads((tmp_path / "o" / f"{n}/x.png.json").read_text())["width"] for n in "ab"] == [40, 50]


def test_images_that_paths_do_not_tell_apart_are_refused_before_the_first(predict, tmp_path):
    photograph(tmp_path / "a" / "x.png")
    photograph(tmp_path / "work" / "a" / "x.png")
    os.chdir(tmp_path / "work")
    code, printed = predict("a/x.png", "../a/x.png", "--saveto", "o")
    assert code == 2 and "would both be written as a/x.png" in printed
    assert not (tmp_path / "work" / "o").exists()


def test_an_image_named_twice_is_one_image(predict, tmp_path):
    photograph(tmp_path / "a" / "x.png")
    code, printed = predict("a/x.png", "a", "./a/x.png", "--saveto", "o")
    assert code == 0 and "1 image, " in printed
    assert written(tmp_path / "o") == ["x.png.png"]


def test_no_photograph_is_written_over(predict, tmp_path):
    photograph(tmp_path / "in" / "x.jpg")
    other = photograph(tmp_path / "in" / "x.jpg.png")
    before = other.read_bytes()
    code, printed = predict("in", "--saveto", "in")
    assert code == 2 and "would replace the image in/x.jpg.png" in printed and "--saveto" in printed
    assert other.read_bytes() == before and written(tmp_path / "in") == ["x.jpg", "x.jpg.png"]


def test_a_link_to_a_photograph_is_not_written_through(predict, tmp_path):
    photograph(tmp_path / "in" / "x.jpg")
    other = photograph(tmp_path / "in" / "y.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.jpg.png").symlink_to(other)
    before = other.read_bytes()
    assert predict("in", "--saveto", "out")[0] == 2
    assert other.read_bytes() == before


def test_a_second_run_in_the_same_folder_does_the_same(predict, tmp_path):
    photograph(tmp_path / "in" / "x.jpg")
    assert predict("in", "--saveto", "in")[0] == 0
    first = written(tmp_path / "in")
    code, printed = predict("in", "--saveto", "in")
    assert code == 0 and "1 image had been done" in printed and "hawp predict drew it: 1 picture" in printed
    assert written(tmp_path / "in") == first == ["x.jpg", "x.jpg.png"]
    assert is_own(tmp_path / "in" / "x.jpg.png") and not is_own(photograph(tmp_path / "p.png"))


def test_what_cannot_be_read_is_named_and_the_rest_is_done(predict, tmp_path):
    photograph(tmp_path / "in" / "x.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    photograph(tmp_path / "in" / f"{'n' * 251}.png")
    shutil.copy(tmp_path / "in" / "x.png", os.fsencode(tmp_path / "in") + b"/\xff.png")
    code, printed = predict("in", "in/pipe.png", "/dev/null", "--saveto", "out")
    assert code == 2 and "Traceback" not in printed and "defect" not in printed
    for reason in ("pipe.png: it is not a regular file", "gone.png: it cannot be reached", "/dev/null: it is not"):
        assert reason in printed
    assert "is not valid UTF-8" in printed and "its name leaves no room" in printed
    assert written(tmp_path / "out") == ["x.png.png"]


def test_a_subfolder_that_cannot_be_listed_is_named_and_the_rest_is_done(predict, tmp_path, monkeypatch):
    photograph(tmp_path / "in" / "x.png")
    photograph(tmp_path / "in" / "closed" / "y.png", 41)
    listed = os.scandir

    def scandir(folder):
        if os.path.basename(folder) == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    code, printed = predict("in", "--saveto", "out")
    monkeypatch.undo()
    assert code == 2 and "left out: 1 of 2 images; in/closed: it cannot be listed: Permission denied" in printed
    assert written(tmp_path / "out") == ["x.png.png"]


def test_a_picture_beyond_the_memory_is_named(predict, tmp_path, monkeypatch):
    photograph(tmp_path / "in" / "a.png")
    photograph(tmp_path / "in" / "b.png", 41)
    from hawp_core.report import predictions

    read = predictions.read_gray

    def exhausted(path):
        if path.name == "a.png":
            raise MemoryError
        return read(path)

    monkeypatch.setattr(predictions, "read_gray", exhausted)
    code, printed = predict("in", "--saveto", "out")
    assert code == 2 and "a.png cannot be used" in printed and "memory" in printed and "1 of 2" in printed
    assert written(tmp_path / "out") == ["b.png.png"]


@pytest.mark.parametrize("value", ["nan", "2", "-5", "inf", "high"])
def test_a_threshold_is_a_share(predict, tmp_path, value):
    photograph(tmp_path / "x.png")
    code, printed = predict("x.png", f"--threshold={value}")
    assert code == 2 and "is not a number from 0 to 1" in printed


def test_an_empty_name_does_not_mean_the_working_folder(predict, tmp_path):
    photograph(tmp_path / "x.png")
    code, printed = predict("")
    assert code == 2 and "empty name" in printed and not (tmp_path / "wireframes").exists()


def test_the_place_of_results_must_be_a_folder(predict, tmp_path):
    photograph(tmp_path / "x.png")
    code, printed = predict("x.png", "--saveto", "/dev/null")
    assert code == 2 and "/dev/null is no folder" in printed and "free space" not in printed
