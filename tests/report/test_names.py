"""Names of photographs are text everywhere in a report: dollars, markup and control characters change nothing."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.formats import to_svg
from hawp_core.report.galleries import Ranking, _gallery

ODD = ["cost $x_{ and $y.png", r"a\frac{1}.png", "a&b<c>.png", "bell\x07 and \x1b.png", "line\nbreak.png", "ü'\".png"]


class Labels(dict):
    """Labels of photographs by name, as a label file gives them."""


class Round:
    number = 0


@pytest.mark.parametrize("name", ODD)
def test_a_gallery_shows_any_name(tmp_path, name):
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / name)
    labels = Labels({name: Wireframe.empty(60, 40)})
    ranked = Ranking([name], lambda _: "3 lines", "best", "worst")
    picture = _gallery("best", [name], ranked, str(tmp_path), [Round()], [labels])
    assert picture.png.startswith(b"\x89PNG") and picture.about.isprintable()


def test_a_gallery_leaves_room_for_the_others_beside_a_strip_of_a_photograph(tmp_path):
    shapes = {"tall.png": (2000, 16), "wide.png": (16, 2000)}
    for name, shape in shapes.items():
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / name)
    labels = Labels({name: Wireframe.empty(*shape[::-1]) for name, shape in shapes.items()})
    ranked = Ranking([*shapes], lambda _: "3 lines", "best", "worst")
    picture = _gallery("best", [*shapes], ranked, str(tmp_path), [Round()], [labels])
    assert max(Image.open(io.BytesIO(picture.png)).size) < 1200


@pytest.mark.parametrize("name", [*ODD, "\udcff.png", "\x00.png"])
def test_a_drawing_is_well_formed_whatever_its_name(name):
    title = ElementTree.fromstring(to_svg(name, Wireframe.empty(60, 40), ""))[0]
    assert title.text.startswith("Wireframe of ") and title.text.isprintable()
