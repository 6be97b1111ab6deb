"""What `hawp predict` wrote is read as it was, grows with the file, and what is damaged is a sentence."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from hawp_core.data.own_labels.reading import read_own_labels
from hawp_core.data.photographs.fingerprint import fingerprint
from hawp_core.data.predicted import JSON_LINES, Predicted
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.formats import save, to_json
from hawp_core.report.json_lines import JsonLines

FOUND = Wireframe([[0, 0], [9, 9], [3, 5]], [[0, 1], [1, 2]], [0.5, 0.9], 12, 10)
MADE = "0" * 16


def row(name: str, **changed: object) -> str:
    return json.dumps(to_json(name, FOUND, MADE) | changed) + "\n"


def test_rows_are_read_as_they_were_written_and_grow(tmp_path):
    lines = JsonLines(tmp_path / JSON_LINES, lambda _: None)
    lines.add([to_json(name, FOUND, MADE) for name in ("b.jpg", "sub/a.jpg")])
    found = Predicted(tmp_path / JSON_LINES)
    assert found.names == ["b.jpg", "sub/a.jpg"] and found.line_counts.tolist() == [2, 2]
    assert "sub/a.jpg" in found and "a.jpg" not in found
    for key in (1, "sub/a.jpg"):
        for what in ("junctions", "edges", "scores", "width", "height"):
            np.testing.assert_array_equal(getattr(found[key], what), getattr(FOUND, what))
    # A row that is being written is not there yet.
    whole = (tmp_path / JSON_LINES).read_text()
    (tmp_path / JSON_LINES).write_text(whole + row("c.jpg")[:70])
    assert found.look() and len(found) == 2
    (tmp_path / JSON_LINES).write_text(whole + row("c.jpg"))
    assert found.look() and found.names[-1] == "c.jpg"
    (tmp_path / JSON_LINES).write_text(row("c.jpg"))
    assert not found.look()
    lines.close()


def test_a_folder_of_json_files_is_one_and_others_in_it_are_no_results(tmp_path):
    (tmp_path / "sub").mkdir()
    save(tmp_path / "sub" / "a.jpg.json", "sub/a.jpg", None, FOUND, MADE)
    (tmp_path / "settings.json").write_text('{"schema": "another"}')
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "gone.json").symlink_to("nowhere")
    found = Predicted(tmp_path)
    assert found.names == ["sub/a.jpg"] and len(found[0].edges) == 2
    save(tmp_path / "b.jpg.json", "b.jpg", None, FOUND, MADE)
    assert found.look() and found.names == ["sub/a.jpg", "b.jpg"]
    (tmp_path / "b.jpg.json").unlink()
    assert not found.look()


@pytest.mark.parametrize(
    "changed",
    [{"edges": [[0, 9], [0, 1]]}, {"edges-weights": [0.5]}, {"edges-weights": [0.5, 2.0]}, {"vertices": [[1]]}, {"vertices": [[1e300, 0], [9, 9], [3, 5]]}, {"width": 0}, {"height": "x"}, {"filename": 5}],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_sentence(tmp_path, changed):
    (tmp_path / JSON_LINES).write_text(row("a.jpg") + row("b.jpg", **changed))
    with pytest.raises(UserError, match=r"wireframes\.jsonl.* is not as hawp predict wrote it"):
        _ = Predicted(tmp_path / JSON_LINES)[1]


def test_lines_of_another_program_are_refused(tmp_path):
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UserError, match="no result of hawp predict"):
        Predicted(tmp_path / "other.jsonl")


def test_what_was_found_is_corrected_elsewhere_and_comes_back_as_labels(tmp_path, hawp, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("L", (12, 10)).save("photos/a.png")
    (tmp_path / "out").mkdir()
    save(tmp_path / "out" / "a.png.json", "a.png", None, FOUND, MADE)
    code, said = hawp("export-labels", "out", "--images", "photos", "--saveto", "corrected")
    assert code == 0 and "2 lines on 1 photograph, 1 file" in said
    for labels in ("corrected", "out"):
        came = read_own_labels(labels, "photos", fingerprint("photos")).drawn["a.png"]
        np.testing.assert_allclose(came.lines, FOUND.lines)
        np.testing.assert_allclose(came.scores, FOUND.scores)
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / JSON_LINES).write_text(row("a.png"))
    code, said = hawp("export-labels", "lines", "--images", "photos", "--saveto", "of-lines")
    assert code == 0 and "2 lines on 1 photograph, 1 file" in said
    code, said = hawp("export-labels", "photos", "--saveto", "none")
    assert code == 2 and "photos holds no result of hawp predict" in said
