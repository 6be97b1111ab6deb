"""Wireframes written for other programs: JSON, SVG, NPZ, PNG."""

import io
import json
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.drawing import overlay, save_png
from hawp_core.runtime.files import replacing, write_text
from hawp_core.runtime.text import shown

JSON_SCHEMA = "hawp-rounds wireframe 1"


def to_json(name: str, wireframe: Wireframe) -> dict:
    """A wireframe in the layout that users of HAWP and LIMAP read; docs/formats.md describes every field."""
    return {
        "schema": JSON_SCHEMA,
        "filename": name,
        "width": wireframe.width,
        "height": wireframe.height,
        "vertices": wireframe.junctions.astype(float).tolist(),
        "edges": wireframe.edges.tolist(),
        "edges-weights": wireframe.scores.astype(float).tolist(),
        "lines": wireframe.lines.astype(float).tolist(),
    }


def to_svg(name: str, wireframe: Wireframe) -> str:
    """A drawing of the lines over a link to the image, in the image's pixels (SVG's origin is a pixel's corner)."""
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wireframe.width} {wireframe.height}">',
        f"<title>Wireframe of {escape(shown(name))}</title>",
        '<g stroke="#e69f00" stroke-width="2" stroke-linecap="round">',
    ]
    for x1, y1, x2, y2 in wireframe.lines + 0.5:
        rows.append(f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>')
    rows.append('</g><g fill="#0072b2">')
    for x, y in wireframe.junctions + 0.5:
        rows.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="2.5"/>')
    return "\n".join([*rows, "</g></svg>", ""])


def save(path: Path, name: str, image: np.ndarray, wireframe: Wireframe) -> None:
    """Write a wireframe as the file's ending says: .png (drawn over the image), .svg, .json or .npz.

    Raises:
        UserError: the file cannot be written.
    """
    if path.suffix == ".json":
        write_text(path, json.dumps(to_json(name, wireframe)) + "\n")
    elif path.suffix == ".svg":
        write_text(path, to_svg(name, wireframe))
    elif path.suffix == ".npz":
        content = io.BytesIO()
        np.savez_compressed(
            content, junctions=wireframe.junctions, edges=wireframe.edges, scores=wireframe.scores,
            lines=wireframe.lines, width=wireframe.width, height=wireframe.height,
        )  # fmt: skip
        with replacing(path) as temporary:
            temporary.write_bytes(content.getvalue())
    elif path.suffix == ".png":
        save_png(path, overlay(image, wireframe))
    else:
        raise ValueError(f"wireframes are written as .png, .svg, .json or .npz, not {path.suffix!r}")
