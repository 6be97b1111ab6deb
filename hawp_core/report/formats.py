"""Wireframes written for other programs: JSON, SVG, NPZ, PNG; and what such a file says of itself.

Each says what it was made from (`made`: a digest, `results.made`), so that a result is known as such wherever it lies.
"""

import io
import json
import re
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from hawp_core.data.photographs.selection import SOFTWARE, VIDEO, signed_mp4
from hawp_core.data.predicted import SCHEMA
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.drawing import line_width_of, overlay, save_png
from hawp_core.runtime.files import replacing, write_text
from hawp_core.runtime.text import shown
from hawp_core.workflow.recipe_file import KEY_LENGTH


def to_json(name: str, wireframe: Wireframe, made: str) -> dict[str, object]:
    """A wireframe in the layout that users of HAWP and LIMAP read; docs/formats.md describes every field."""
    return {
        "schema": SCHEMA,
        "made": made,
        "filename": name,
        "width": wireframe.width,
        "height": wireframe.height,
        "vertices": wireframe.junctions.astype(float).tolist(),
        "edges": wireframe.edges.tolist(),
        "edges-weights": wireframe.scores.astype(float).tolist(),
        "lines": wireframe.lines.astype(float).tolist(),
    }


def to_svg(name: str, wireframe: Wireframe, made: str) -> str:
    """A drawing of the lines over a link to the image, in the image's pixels (SVG's origin is a pixel's corner)."""
    line_width = line_width_of(wireframe.width, wireframe.height)
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wireframe.width} {wireframe.height}" data-made="{made}">',
        f"<title>Wireframe of {escape(shown(name))}</title>",
        f'<g stroke="#e69f00" stroke-width="{line_width:g}" stroke-linecap="round">',
    ]
    for x1, y1, x2, y2 in wireframe.lines + 0.5:
        rows.append(f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>')
    rows.append('</g><g fill="#0072b2">')
    for x, y in wireframe.junctions + 0.5:
        rows.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{1.25 * line_width:g}"/>')
    return "\n".join([*rows, "</g></svg>", ""])


def save(path: Path, name: str, image: np.ndarray | None, wireframe: Wireframe, made: str) -> None:
    """Write a wireframe as the file's ending says: .png (drawn over the image, which the others do without), .svg, .json or .npz.

    Raises:
        UserError: the file cannot be written.
    """
    if path.suffix == ".json":
        write_text(path, json.dumps(to_json(name, wireframe, made)) + "\n")
    elif path.suffix == ".svg":
        write_text(path, to_svg(name, wireframe, made))
    elif path.suffix == ".npz":
        content = io.BytesIO()
        np.savez_compressed(
            content, junctions=wireframe.junctions, edges=wireframe.edges, scores=wireframe.scores,
            lines=wireframe.lines, width=wireframe.width, height=wireframe.height, made=made,
        )  # fmt: skip
        with replacing(path) as temporary:
            temporary.write_bytes(content.getvalue())
    elif path.suffix == ".png" and image is not None:
        save_png(path, overlay(image, wireframe), made)
    else:
        raise ValueError(f"wireframes are written as .png, .svg, .json or .npz, not {path.suffix!r}")


# How each kind of file begins that is a result, and what it was made from; files of before this was said lack that. Of a PNG
# a check sum follows, whose bytes may look like digits.
_MADE = rb"([0-9a-f]{%d})" % KEY_LENGTH
_BEGINNINGS = {
    ".json": rb'\{"schema": "' + SCHEMA.encode() + rb'", (?:"made": "' + _MADE + rb'")?',
    ".svg": rb'<svg [^>]*viewBox="[0-9 ]+"(?: data-made="' + _MADE + rb'")?>\n<title>Wireframe of ',
    ".png": rb"\x89PNG.*?tEXtSoftware\0" + SOFTWARE.encode() + rb".{4}(?:.{4}tEXtMade\0" + _MADE + rb")?",
}
_BEGINNING = 1024  # bytes


def made_by(path: Path) -> str | None:
    """What the file `path` says it was made from, "" where it does not say; None for a file that is no result of ours."""
    try:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return str(arrays["made"]) if "made" in arrays else "" if {"junctions", "edges"} <= {*arrays} else None
        if path.suffix == f".{VIDEO}":
            return signed_mp4(path)
        with open(path, "rb") as stream:
            found = re.match(_BEGINNINGS[path.suffix], stream.read(_BEGINNING), re.DOTALL)
    except Exception:  # whatever a foreign file makes of its reader
        return None
    return None if found is None else (found[1] or b"").decode()
