"""CVAT's XML ("CVAT for images 1.1"): polylines of all images of a task in one file.

CVAT puts (0, 0) at the corner of the top-left pixel, so that its centre is at (0.5, 0.5).
"""

import re
from collections.abc import Iterable
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

import numpy as np

from hawp_core.data.own_labels.drawn import Drawn, segments
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.text import shown

CENTRE = 0.5  # pixels: what the file calls the centre of the top-left pixel

_NO_XML = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # characters that XML 1.0 has no way to write


def drawn_in(text: str) -> tuple[list[Drawn], int]:
    """The images that have a polyline, and how many shapes of other kinds there are.

    CVAT also lists the images that nobody has labelled yet: those without a polyline are left out.

    Raises:
        ValueError: it is no such file, or declares a document type: without one there are no entities, so that nothing can
            grow or be read from elsewhere.
        expat.ExpatError: no XML.
    """
    if "<!DOCTYPE" in text:
        raise ValueError("it declares a document type, which labels have none of")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.words
    parser.Parse(text, True)
    return [Drawn((name,), size, np.concatenate(lines), np.array(scores)) for name, size, lines, scores in reader.images
            if lines], reader.others  # fmt: skip


class _Reader:
    """Takes the elements as they come, so that a large file becomes no tree.

    Attributes:
        images: name, size, and lines and scores, an array for each polyline and a number for each line.
        others: shapes of an image that are no polylines.
    """

    def __init__(self) -> None:
        self.images: list[tuple[str, tuple[int, int], list[np.ndarray], list[float]]] = []
        self.others = 0
        self._open: list[str] = []
        self._score: str | None = None

    def start(self, tag: str, given: dict[str, str]) -> None:
        """An element begins."""
        if not self._open and tag != "annotations":
            raise ValueError(f"it begins with <{tag[:40]}>, not with <annotations>")
        parent = self._open[-1] if self._open else ""
        self._open.append(tag)
        if tag == "image":
            size = int(_needed(given, "image", "width")), int(_needed(given, "image", "height"))
            self.images.append((_needed(given, "image", "name"), size, [], []))
        elif parent == "image" and tag == "polyline":
            pairs = [point.split(",") for point in _needed(given, "polyline", "points").split(";")]
            if any(len(pair) != 2 for pair in pairs):
                raise ValueError("the points of a polyline are not of the form x,y;x,y")
            lines = segments(np.array(pairs, np.float64)) - CENTRE
            self.images[-1][2].append(lines)
            self.images[-1][3].extend([1.0] * len(lines))
        elif parent == "image" and tag != "tag":
            self.others += 1
        elif parent == "polyline" and tag == "attribute" and given.get("name") == "score" and "image" in self._open:
            self._score = ""

    def words(self, text: str) -> None:
        """Text of an element."""
        if self._score is not None:
            self._score += text

    def end(self, tag: str) -> None:
        """An element ends."""
        self._open.pop()
        if self._score is not None:
            lines, scores = self.images[-1][2:]
            count = len(lines[-1])
            scores[len(scores) - count :] = [float(self._score or 1)] * count
            self._score = None


def _needed(given: dict[str, str], tag: str, name: str) -> str:
    if name not in given:
        raise ValueError(f"it has a <{tag}> without {name}")
    return given[name]


def text_of(labelled: Iterable[tuple[str, Wireframe]]) -> str:
    """The text of a file that holds these images; the attribute `score` is kept by a task whose label has one of that name.

    Raises:
        UserError: the name of an image cannot be written in XML.
    """
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    for number, (name, w) in enumerate(labelled):
        if _NO_XML.search(name):
            raise UserError(
                f"{shown(name)} has a character that CVAT's XML cannot name: rename the photograph and label it again, or choose "
                "another --layout."
            )
        lines.append(f'  <image id="{number}" name={quoteattr(name)} width="{w.width}" height="{w.height}">')
        for (x1, y1, x2, y2), score in zip(
            (w.lines.astype(np.float64) + CENTRE).tolist(), w.scores.tolist(), strict=True
        ):
            lines += [
                f'    <polyline label="line" source="auto" occluded="0" points="{x1!r},{y1!r};{x2!r},{y2!r}" z_order="0">',
                f'      <attribute name="score">{score!r}</attribute>',
                "    </polyline>",
            ]
        lines.append("  </image>")
    return "\n".join([*lines, "</annotations>", ""])
