"""The JSON layout of L-CNN and HAWP (Wireframe, York Urban): one list of images."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hawp_core.data.own_labels.drawn import Drawn, rows
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import LARGEST_JSON, parse_json, read_limited


def read_annotations(path: Path | str, *, origin: float = 0.0) -> list[tuple[str, Wireframe]]:
    """Read labelled images as `drawn_in` does; every score is 1.

    Junctions without a line, lines of zero length and repeated lines are left out.

    Args:
        origin: what the file calls the centre of the top-left pixel, in x and in y. York Urban's lines count from 1,
            as Matlab does (they lie 0.8 pixels right of and below the image's edges); the published programs take
            them as they stand, so 0 compares with published numbers, and 1 adds about 0.1 points.

    Returns: file names and wireframes, in the file's order.

    Raises:
        UserError: no such file, not JSON, or not in this layout.
    """
    try:
        entries = parse_json(read_limited(path, LARGEST_JSON))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give an existing annotation file.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): give an annotation file as of HAWP or L-CNN.") from error
    found = []
    for drawn in drawn_in(path, entries):
        assert drawn.size is not None
        found.append((drawn.names[0], Wireframe.from_lines(drawn.lines - origin, *drawn.size)))
    return found


def drawn_in(path: Path | str, entries: object) -> list[Drawn]:
    """The images of a file's content: a list of objects with `filename`, `width`, `height`, and either `lines` (x1 y1 x2 y2
    each) or `junctions` (x y each) with `edges_positive` (junction indices); `scores` of the lines where there are some.
    Other keys are left alone.

    Raises:
        UserError: it is not in this layout.
    """
    if not isinstance(entries, list):
        raise UserError(f"{path} holds a {type(entries).__name__}, not a list of images: give an annotation file.")
    return [_drawn(path, number, entry) for number, entry in enumerate(entries)]


def _drawn(path: Path | str, number: int, entry: object) -> Drawn:
    try:
        if not isinstance(entry, dict):
            raise TypeError(f"it is a {type(entry).__name__}, not an object")
        name, width, height = entry["filename"], int(entry["width"]), int(entry["height"])
        if not isinstance(name, str):
            raise ValueError("filename is none")
        if "lines" in entry:
            lines = rows(entry["lines"], 4, "lines")
        else:
            junctions, edges = rows(entry["junctions"], 2, "junctions"), rows(entry["edges_positive"], 2, "edges")
            if (edges < 0).any() or (edges % 1).any():
                raise ValueError("an edge names a junction by a negative number, or by a broken one")
            lines = junctions[edges.astype(np.int64)].reshape(-1, 4)
        return Drawn((name,), (width, height), lines, entry.get("scores", np.ones(len(lines))))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: image {number} is not annotated as HAWP and L-CNN do ({reason}): give filename, width, height "
            "and lines, or junctions and edges_positive."
        ) from error


def content_of(labelled: Iterable[tuple[str, Wireframe]]) -> list[dict[str, object]]:
    """The content of a file that holds these images, as HAWP reads it for training; `scores` is ours."""
    return [
        {
            "filename": name, "width": w.width, "height": w.height, "junctions": w.junctions.tolist(),
            "edges_positive": w.edges.tolist(), "edges_negative": [], "scores": w.scores.tolist(),
        }
        for name, w in labelled
    ]  # fmt: skip
