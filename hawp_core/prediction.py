"""A trained model as a function from an image to its wireframe, and wireframes written for other programs."""

import io
import json
from pathlib import Path
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import torch

from hawp_core.checkpoint import load_checkpoint
from hawp_core.decoding import to_square
from hawp_core.detector import detect
from hawp_core.files import replacing, write_text
from hawp_core.network import fold_batch_norm
from hawp_core.overlay import overlay, save_png
from hawp_core.wireframe import Wireframe

JSON_SCHEMA = "hawp-rounds wireframe 1"


class Model:
    """A wireframe parser.

    >>> model = load("exp-ssl/small-round2/KEY/model-00004.pth")  # doctest: +SKIP
    >>> wireframe = model(image)  # doctest: +SKIP

    Args:
        path: a model of `hawp train` or `hawp import-checkpoint`.
        device: "cpu", "cuda", "cuda:1", or None for the GPU where there is one.
        threshold: lines below this score, 0 to 1, are left out.

    Raises:
        UserError: no readable model.
    """

    def __init__(self, path: Path | str, *, device: str | None = None, threshold: float = 0.5) -> None:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network, self.info = load_checkpoint(path, chosen)
        self.network = fold_batch_norm(network)
        self.device, self.threshold = chosen, threshold
        self.size = network.architecture.image_size

    def __call__(self, image: np.ndarray) -> Wireframe:
        """The wireframe of an image, in its own pixels.

        Args:
            image: (H, W) grey or (H, W, 3) RGB, uint8.

        Raises:
            ValueError: another shape or type.
        """
        return self.many([image])[0]

    def many(self, images: list[np.ndarray]) -> list[Wireframe]:
        """The wireframes of several images, of any sizes, in one pass."""
        squares = [self._square(image) for image in images]
        batch = torch.from_numpy(np.stack(squares))[:, None].to(self.device).float() / 255
        found = detect(self.network, batch, min_score=self.threshold)
        return [d.to_wireframe(image.shape[1], image.shape[0]) for d, image in zip(found, images, strict=True)]

    def _square(self, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(f"an image is (H, W) or (H, W, 3) uint8, not {image.shape} {image.dtype}")
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return to_square(grey, self.size)


def load(path: Path | str, *, device: str | None = None, threshold: float = 0.5) -> Model:
    """Load a trained model; see `Model`."""
    return Model(path, device=device, threshold=threshold)


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
        f"<title>Wireframe of {quoteattr(name)[1:-1]}</title>",
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
