"""What `hawp evaluate` writes: the same numbers when they are read again, and one sentence where a file is damaged."""

import json

import pytest

from hawp_core.errors import UserError
from hawp_core.evaluation.results import (
    ComparedPair,
    DetectorRepeatability,
    Evaluation,
    LabelledMetrics,
    MeanScores,
    PairScores,
    ShapeMetrics,
)
from hawp_core.evaluation.wording import as_text, headline

PAIR = ComparedPair("a $b.png#0", (3, 2), PairScores(0.5, 1.25), PairScores(None, None))
FOUND = DetectorRepeatability(1, 5.0, 2.5, MeanScores(0.5, 1.25, 0, 0), MeanScores(None, None, 1, 1), (PAIR,))
WHOLE = Evaluation(
    "model.pth", "photographs", 3,
    ShapeMetrics(10.0, 20.0, 30.0, 40.0, 0.5, 6.0),
    {"model": FOUND, "LSD": FOUND},
    {"model": LabelledMetrics(1.0, 2.0, 3.0, None, 5.0, 6.0, 7.0)},
)  # fmt: skip


def test_an_evaluation_is_read_as_it_was_written(tmp_path):
    for evaluation in (WHOLE, Evaluation("model.pth", "photographs", None)):
        evaluation.write(tmp_path / "e.json")
        assert Evaluation.read(tmp_path / "e.json") == evaluation
    assert json.loads((tmp_path / "e.json").read_text()) == {
        "model": "model.pth", "photographs": "photographs", "epoch": None
    }  # fmt: skip


def test_the_file_keeps_the_layout_that_the_documentation_describes(tmp_path):
    WHOLE.write(tmp_path / "e.json")
    content = json.loads((tmp_path / "e.json").read_text())
    assert content["shapes"]["sAP10"] == 20.0
    assert content["repeatability"]["LSD"]["images"] == [
        {
            "name": "a $b.png#0", "lines": [3, 2], "structural": {"repeatability": 0.5, "localisation": 1.25},
            "orthogonal": {"repeatability": None, "localisation": None},
        }
    ]  # fmt: skip
    assert content["repeatability"]["model"]["orthogonal"]["undefined_localisation"] == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda content: content.clear(), "it lacks model"),
        (lambda content: content["shapes"].pop("sAP10"), "it lacks shapes.sAP10"),
        (lambda content: content.update(epoch="3"), "epoch is '3'"),
        (lambda content: content.update(shapes=[1]), "shapes is a list of 1"),
        (lambda content: content["repeatability"].update(LSD=None), "repeatability.LSD is null"),
        (lambda content: content["repeatability"]["model"]["images"][0].clear(), "it lacks repeatability.model.images[0].name"),
        (lambda content: content["repeatability"]["model"]["images"][0].update(lines=[1]), "images[0].lines is a list of 1"),
        (lambda content: content["labelled"]["model"].update(lines=True), "labelled.model.lines is true"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_with_its_fault_and_the_remedy(tmp_path, change, fault):
    WHOLE.write(tmp_path / "e.json")
    content = json.loads((tmp_path / "e.json").read_text())
    change(content)
    (tmp_path / "e.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as raised:
        Evaluation.read(tmp_path / "e.json")
    said = str(raised.value)
    assert "e.json" in said and fault in said and "measure the model again" in said and "\n" not in said


def test_headline_and_tables_say_what_was_measured_and_no_more():
    assert headline(WHOLE) == "sAP10 20.0, Rep-5 0.500 at 2 lines"
    text = as_text(WHOLE)
    assert "none" in text and "model, held-out shapes" in text and "APH" in text
    nothing = Evaluation("model.pth", "photographs", None)
    assert (headline(nothing), as_text(nothing)) == ("", "")
