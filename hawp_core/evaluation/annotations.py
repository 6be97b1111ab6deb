"""Labelled photographs in the layouts of the Wireframe and York Urban sets."""

from pathlib import Path

import numpy as np

from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.runtime.files import LARGEST_JSON, parse_json, read_limited


def read_annotations(path: Path | str, *, origin: float = 0.0) -> list[tuple[str, Wireframe]]:
    """Read labelled images in the JSON layout of L-CNN and HAWP (Wireframe, York Urban).

    A list of objects with `filename`, `width`, `height`, and either `lines` (x1 y1 x2 y2 each) or `junctions` (x y
    each) with `edges_positive` (junction indices); other keys are left alone. Junctions without a line, lines of zero
    length and repeated lines are left out; every score is 1.

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
    if not isinstance(entries, list):
        raise UserError(f"{path} holds a {type(entries).__name__}, not a list of images: give an annotation file.")
    return [_annotated(path, number, entry, origin) for number, entry in enumerate(entries)]


def _annotated(path: Path | str, number: int, entry: object, origin: float) -> tuple[str, Wireframe]:
    try:
        if not isinstance(entry, dict):
            raise TypeError(f"it is a {type(entry).__name__}, not an object")
        name, width, height = entry["filename"], int(entry["width"]), int(entry["height"])
        if not isinstance(name, str) or min(width, height) < 1:
            raise ValueError("filename, width or height is not one")
        if "lines" in entry:
            lines = np.asarray(entry["lines"], np.float64).reshape(-1, 4)
        else:
            junctions = np.asarray(entry["junctions"], np.float64).reshape(-1, 2)
            edges = np.asarray(entry["edges_positive"], np.int64).reshape(-1, 2)
            if (edges < 0).any():
                raise ValueError("an edge names a negative junction")
            lines = junctions[edges].reshape(-1, 4)
        if not np.isfinite(lines).all():
            raise ValueError("a coordinate is not a number")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: image {number} is not annotated as HAWP and L-CNN do ({reason}): give filename, width, height "
            "and lines, or junctions and edges_positive."
        ) from error
    return name, Wireframe.from_lines(lines - origin, width, height)
