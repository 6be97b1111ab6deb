"""Many images and videos: what is done stays done, one file of JSON lines, nothing half written, no foreign file lost."""

import json
import os
import shutil
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from hawp_core.data.predicted import JSON_LINES
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.formats import made_by, save
from hawp_core.report.json_lines import JsonLines, json_lines
from hawp_core.runtime.signals import StopRequest


@pytest.fixture
def predict(model, hawp, tmp_path, monkeypatch, photographs):
    """Run the command in a folder with six photographs, `in`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photographs, "in")
    options = ("-c", model, "--threshold", "0", "--device", "cpu", "--threads", "1")
    return lambda *words: hawp("predict", *words, *options)


def rows(folder):
    return [json.loads(line) for line in (folder / JSON_LINES).read_text().splitlines()]


def test_what_is_there_is_not_made_again_unless_image_or_settings_changed(predict, tmp_path):
    words = ("in", "--saveto", "out", "--ext", "json", "svg", "npz", "png")
    assert predict(*words)[0] == 0
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    times = [path.stat().st_mtime_ns for path in files]
    (tmp_path / "out" / "a.jpg.svg").unlink()
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "f.png").read_bytes())
    code, printed = predict(*words)
    assert code == 0 and "4 images had been done before" in printed and "2 images, " in printed
    changed = {path.name for path, time in zip(files, times, strict=True) if path.stat().st_mtime_ns != time}
    assert changed == {"a.jpg.svg", "b.png.json", "b.png.svg", "b.png.npz", "b.png.png"}
    assert "6 images, " in predict(*words, "--size", "64")[1]


def test_json_lines_hold_what_files_of_json_hold_and_carry_on(predict, tmp_path):
    assert predict("in", "--saveto", "out", "--ext", "json", "jsonl")[0] == 0
    files = {
        each["filename"]: each for each in map(json.loads, (p.read_text() for p in tmp_path.glob("out/**/*.json")))
    }
    found = {row["filename"]: row for row in rows(tmp_path / "out")}
    assert found == files and len(found) == 6
    # Killed within a row: the half is gone, the others stay as they are, and the missing ones are made.
    whole = (tmp_path / "out" / JSON_LINES).read_bytes()
    first = whole.splitlines(keepends=True)
    (tmp_path / "out" / JSON_LINES).write_bytes(b"".join(first[:3]) + first[3][:40])
    code, printed = predict("in", "--saveto", "out", "--ext", "jsonl")
    assert code == 0 and "3 images had been done before" in printed and "3 images, " in printed
    assert (tmp_path / "out" / JSON_LINES).read_bytes() == whole
    # Another photograph is added; another setting replaces the row of its own photograph only.
    assert predict("in/a.jpg", "--saveto", "out", "--ext", "jsonl", "--size", "native")[0] == 0
    after = {row["filename"]: row for row in rows(tmp_path / "out")}
    assert {name for name in after if after[name] != found[name]} == {"a.jpg"} and len(after) == 6


def test_a_stopped_command_carries_on(predict, tmp_path, monkeypatch):
    from hawp_core.model.parser import Model
    from hawp_core.runtime.signals import StopRequest

    words = ("in", "--saveto", "out", "--ext", "jsonl", "json", "--batch-size", "2")
    many, asked = Model.many, []
    monkeypatch.setattr(StopRequest, "__init__", lambda self: asked.append(self) or self.__dict__.update(signal=None))

    def stopped_after(model, images):
        asked[-1].ask(15)
        return many(model, images)

    monkeypatch.setattr(Model, "many", stopped_after)
    code, printed = predict(*words)
    assert code == 75 and "stopped by SIGTERM" in printed and "carries on" in printed
    assert len(rows(tmp_path / "out")) == len(list(tmp_path.glob("out/**/*.json"))) == 2
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    code, printed = predict(*words)
    assert code == 0 and "2 images had been done before" in printed and len(rows(tmp_path / "out")) == 6


@pytest.mark.parametrize("name", ["a.jpg.json", "a.jpg.png", "a.jpg.svg", "a.jpg.npz", JSON_LINES])
def test_a_file_that_is_no_result_is_not_written_over(predict, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text('{"mine": 1}\n')
    code, printed = predict("in", "--saveto", "out", "--ext", name.rpartition(".")[2])
    assert code == 2 and f"out/{name} is there already and is no result" in printed
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert (tmp_path / "out" / name).read_text() == '{"mine": 1}\n'


def test_a_full_disk_leaves_whole_rows(tmp_path, monkeypatch):
    lines = JsonLines(tmp_path / JSON_LINES, lambda _: None)
    lines.add([{"schema": "hawp-rounds wireframe 1", "filename": "a"}])
    whole = (tmp_path / JSON_LINES).read_bytes()

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def fileno(self):
            return self.stream.fileno()

        def write(self, content):
            if len(content) < 60:
                raise OSError(28, "No space left on device")
            return self.stream.write(content[:30])

        def close(self):
            self.stream.close()

    monkeypatch.setattr(lines, "_stream", Full(lines._stream))
    with pytest.raises(UserError, match="No space left"):
        lines.add([{"schema": "hawp-rounds wireframe 1", "filename": "b" * 20}])
    lines.close()
    assert (tmp_path / JSON_LINES).read_bytes() == whole


WRITER = """
import sys
from pathlib import Path
from hawp_core.report.json_lines import json_lines
from hawp_core.runtime.signals import StopRequest
with json_lines(Path(sys.argv[1]), lambda _: None, StopRequest()) as rows:
    rows.add([{"schema": "hawp-rounds wireframe 1", "filename": "first"}])
    print("one", flush=True)
    sys.stdin.readline()
    rows.add([{"schema": "hawp-rounds wireframe 1", "filename": "second"}])
"""


def test_two_commands_do_not_write_one_file_at_once(tmp_path):
    """The later one goes over the file, to leave out what it makes again: it waits until the earlier one has ended."""
    out = tmp_path / "out"
    other = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "one\n"
    threading.Timer(0.5, other.stdin.close).start()
    with json_lines(out, lambda name: "again" if name == "first" else None, StopRequest()) as mine:
        assert other.wait(60) == 0
        mine.add([{"schema": "hawp-rounds wireframe 1", "filename": "third"}])
    assert [row["filename"] for row in rows(out)] == ["second", "third"]
    assert [path.name for path in out.iterdir()] == [JSON_LINES]


@pytest.mark.parametrize("ending", ["png", "svg", "json", "npz"])
def test_every_result_says_what_it_was_made_from(tmp_path, ending):
    """What follows the word in a file, as a PNG's check sum does, may look like more of it."""
    for number in range(60 if ending == "png" else 2):
        word = f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"
        save(tmp_path / f"a.{ending}", "a", np.zeros((4, 4), np.uint8), Wireframe.empty(4, 4), word)
        assert made_by(tmp_path / f"a.{ending}") == word


def test_a_pipe_in_the_place_of_a_result_is_refused_at_once(predict, tmp_path):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "a.jpg.json")
    code, printed = predict("in", "--saveto", "out", "--ext", "json")
    assert code == 2 and "out/a.jpg.json is there already and is no result" in printed


def test_names_of_four_byte_letters_are_written(predict, tmp_path):
    name = "\U0001f3e0" * 60 + ".jpg"
    (tmp_path / "in" / "a.jpg").rename(tmp_path / name)
    assert predict(name, "--saveto", "out", "--ext", "json")[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{name}.json"]


# Videos


def film(path, code, frames=9):
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 10, (96, 64))
    for number in range(frames):
        picture = np.full((64, 96, 3), 200, np.uint8)
        cv2.rectangle(picture, (10 + 4 * number, 10), (40 + 4 * number, 50), (30, 30, 30), -1)
        writer.write(picture)
    writer.release()
    return path


@pytest.mark.parametrize(("name", "code"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_frames_of_a_video_are_images_and_an_overlay_is_a_video(predict, tmp_path, name, code):
    film(tmp_path / name, code)
    words = (name, "in/a.jpg", "--saveto", "out", "--every", "4", "--ext", "jsonl", "svg", "mp4", "mp4")
    exit_code, printed = predict(*words)
    assert exit_code == 0, printed
    assert [row["filename"] for row in rows(tmp_path / "out")] == ["a.jpg", *(f"{name}/{n:06d}" for n in (0, 4, 8))]
    assert sorted(p.name for p in (tmp_path / "out" / f"{name}.frames").iterdir()) == [
        "000000.svg",
        "000004.svg",
        "000008.svg",
    ]
    drawn = cv2.VideoCapture(str(tmp_path / "out" / f"{name}.mp4"), cv2.CAP_FFMPEG)
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(2.5)
    there, frame = drawn.read()
    drawn.release()
    assert there and frame.shape == (64, 96, 3) and np.ptp(frame.astype(int), axis=2).max() > 60
    exit_code, printed = predict(*words)
    assert exit_code == 0 and "4 images had been done before" in printed and "nothing was left to do" in printed
    # A video of ours is none to look at.
    assert "hawp predict drew it: 1 picture" in predict(f"out/{name}.mp4", "--saveto", "again")[1]


def test_videos_in_a_folder_are_named_and_looked_at_where_they_are_asked_for(predict, tmp_path):
    film(tmp_path / "in" / "clip.avi", "MJPG", frames=1)
    film(tmp_path / "in" / "other.AVI", "MJPG", frames=1)
    code, printed = predict("in", "in/clip.avi", "--saveto", "out", "--ext", "jsonl")
    assert code == 0 and "1 videos in folders are left out" in printed and "such as in/other.AVI" in printed
    names = [row["filename"] for row in rows(tmp_path / "out")]
    assert "clip.avi/000000" in names and "other.AVI/000000" not in names and "a.jpg" in names
    film(tmp_path / "films.avi", "MJPG", frames=1)
    (tmp_path / "films").mkdir()
    (tmp_path / "films.avi").replace(tmp_path / "films" / "one.avi")
    code, printed = predict("films")
    assert code == 2 and "holds no usable photograph" in printed and "such as films/one.avi" in printed


def test_broken_videos_are_named_and_what_can_be_decoded_is_done(predict, tmp_path):
    content = film(tmp_path / "half.avi", "MJPG").read_bytes()
    (tmp_path / "half.avi").write_bytes(content[: len(content) * 2 // 3])
    (tmp_path / "none.mp4").write_bytes(b"no film")
    (tmp_path / "empty.avi").touch()
    code, printed = predict("half.avi", "none.mp4", "empty.avi", "in/a.jpg", "--saveto", "out", "--ext", "jsonl", "mp4")
    assert code == 2 and "left out: 3 of 4 images" in printed and "Traceback" not in printed
    assert "half.avi cannot be used as a video (it was cut short" in printed
    assert "none.mp4 cannot be used as a video (its content is no video" in printed
    assert "empty.avi cannot be used as a video (it is empty)" in printed
    names = [row["filename"] for row in rows(tmp_path / "out")]
    assert names[:2] == ["a.jpg", "half.avi/000000"] and 3 <= len(names) < 10
    assert [path.name for path in (tmp_path / "out").iterdir()] == [JSON_LINES]


def test_a_list_of_files_in_disguise_opens_none(predict, tmp_path):
    film(tmp_path / "other.mp4", "mp4v")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    code, printed = predict("list.mp4", "--saveto", "out", "--ext", "jsonl")
    assert code == 2 and "list.mp4 cannot be used as a video (its content is no video" in printed
    assert not list(tmp_path.glob("out/*"))


def test_an_image_that_would_grow_beyond_measure_is_named(predict):
    code, printed = predict("in/a.jpg", "--saveto", "out", "--size", "100000")
    assert (
        code == 2 and "in/a.jpg" in printed and "with --size 100000 it would have more than 300 megapixels" in printed
    )


def test_a_video_whose_name_is_too_long_is_named_and_the_rest_is_done(predict, tmp_path):
    long = "v" * 251 + ".mp4"
    film(tmp_path / "usual.mp4", "mp4v").rename(tmp_path / long)
    code, printed = predict(long, "in/a.jpg", "--saveto", "out", "--ext", "png", "mp4")
    assert code == 2 and "its name leaves no room for an ending" in printed and "Traceback" not in printed
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jpg.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "huge"), "neither native nor a whole number"),
        (("--size", "5"), "neither native nor a whole number"),
        (("--tile", "128"), "give --size native"),
        (("--views", "2", "--size", "native"), "leave --size out, or --views"),
        (("--views", "1000"), "from 0 to 100"),
        (("--whole-lines", "--size", "512"), "leave --size out, or --whole-lines"),
        (("--scales", "1,1.5", "--size", "512"), "leave --size out, or --scales"),
        (("--scales", "1,9"), "'1,9' is not up to 8 numbers from 0.25 to 4 with commas between, such as 1,1.5"),
        (("--scales", "1,nan"), "such as 1,1.5"),
        (("--scales", ","), "such as 1,1.5"),
        (("--ext", "mp4"), "none is among the images"),
    ],
)
def test_options_that_make_no_sense_are_told(predict, words, said):
    code, printed = predict("in", *words)
    assert code == 2 and said in printed
