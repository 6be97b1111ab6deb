"""Labelled photographs that models are measured on: what would give wrong numbers is refused."""

import json

import numpy as np
import pytest

from hawp_core.data.own_labels.labelled_set import read_labelled_set
from hawp_core.errors import UserError


@pytest.fixture
def annotated(tmp_path):
    """Write annotations of images of 60 x 40 pixels, which are there, and give their file."""

    def write(*images: tuple[str, list[list[float]]]) -> str:
        entries = []
        for name, lines in images:
            (tmp_path / name).write_bytes(b"")
            entries.append({"filename": name, "width": 60, "height": 40, "lines": lines})
        file = tmp_path / "test.json"
        file.write_text(json.dumps(entries))
        return str(file)

    return write


def test_lines_may_end_a_little_over_the_edge(annotated, tmp_path):
    drawn = [[-2.4, 5.0, 61.0, 42.0], [10.0, 10.0, 20.0, 20.0]]
    ((name, wireframe),) = read_labelled_set(annotated(("a.png", drawn)), tmp_path)
    assert name == "a.png"
    np.testing.assert_allclose(wireframe.lines, drawn)


def test_an_image_that_would_count_twice_is_refused(annotated, tmp_path):
    lines = [[1.0, 2.0, 30.0, 20.0]]
    with pytest.raises(UserError, match=r"test\.json has 2 entries of b\.png, which would count 2 times"):
        read_labelled_set(annotated(("a.png", lines), ("b.png", lines), ("b.png", lines)), tmp_path)


@pytest.mark.parametrize("line", [[5.0, 10.0, 10.0, 55.0], [-30.0, 5.0, 10.0, 5.0]])
def test_lines_drawn_on_an_image_of_another_size_are_refused(annotated, tmp_path, line):
    with pytest.raises(
        UserError, match=r"test\.json: a line of a\.png ends (16|30) pixels beside its image of 60 x 40"
    ):
        read_labelled_set(annotated(("a.png", [line])), tmp_path)
