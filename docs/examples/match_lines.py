"""Match the lines of two photographs, and draw the matches: each in its own colour, side by side.

    python docs/examples/match_lines.py FIRST SECOND --out matches.png

Lines are found by the shipped weights and matched by kornia's line matcher (SOLD2, arXiv 2104.03362), with dense SIFT as
descriptors: nothing is downloaded. Without photographs it takes the stereo pair that scikit-image brings.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from kornia.feature import DenseSIFTDescriptor
from kornia.feature.sold2.sold2 import WunschLineMatcher
from PIL import Image

from hawp_core import load
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import bundled_folder
from hawp_core.errors import UserError
from hawp_core.geometry.matching import kornia_segments
from hawp_core.geometry.wireframe import Wireframe


def descriptors(gray: np.ndarray) -> torch.Tensor:
    """(1, 128, H/4, W/4) SIFT around the middle of every 4 x 4 pixels of an image (H, W), uint8, sides multiples of 4."""
    describe = DenseSIFTDescriptor(stride=4, padding=4)
    return describe(torch.from_numpy(gray)[None, None].float() / 255)


def match(grays: list[np.ndarray], wireframes: list[Wireframe]) -> np.ndarray:
    """(M, 2) the rows of lines of the first and of the second image that are one line."""
    first, second = (kornia_segments(wireframe) for wireframe in wireframes)
    with torch.no_grad():
        found = WunschLineMatcher()(first, second, *(descriptors(gray) for gray in grays)).numpy()
    return np.column_stack([np.flatnonzero(found >= 0), found[found >= 0]])


def draw(grays: list[np.ndarray], wireframes: list[Wireframe], matches: np.ndarray) -> np.ndarray:
    """Both images side by side, each match in a colour, what has no match thin and grey."""
    colours = np.full((len(matches), 1, 3), 255, np.uint8)
    colours[:, 0, 0] = np.linspace(0, 179, len(matches), endpoint=False)
    colours = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB).reshape(-1, 3) if len(matches) else colours
    height = max(len(gray) for gray in grays)
    pictures = []
    for view, (gray, wireframe) in enumerate(zip(grays, wireframes, strict=True)):
        picture = np.repeat(gray[..., None], 3, axis=2) // 2
        known = {row: colour.tolist() for row, colour in zip(matches[:, view], colours, strict=True)}
        for row, (x1, y1, x2, y2) in enumerate(np.rint(wireframe.lines).astype(int).tolist()):
            colour, width = (known[row], 2) if row in known else ((150, 150, 150), 1)
            cv2.line(picture, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)
        pictures.append(np.pad(picture, ((0, height - len(gray)), (0, 0), (0, 0))))
    return np.hstack(pictures)


def read(path: Path) -> np.ndarray:
    """(H, W) uint8, at most 640 pixels long, sides cut to multiples of 4."""
    gray = read_gray(path)[0]
    scale = min(1.0, 640 / max(gray.shape))
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(gray[: len(gray) // 4 * 4, : gray.shape[1] // 4 * 4])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE", help="two photographs [a stereo pair]")
    parser.add_argument("--out", type=Path, default=Path("matches.png"), help="the picture [%(default)s]")
    args = parser.parse_args(argv)
    pair = [bundled_folder() / f"motorcycle_{side}.png" for side in ("left", "right")]
    if len(args.images) not in (0, 2):
        parser.error("give two photographs, or none")
    try:
        grays = [read(path) for path in args.images or pair]
    except UserError as error:
        parser.error(str(error))
    model = load(threshold=0.5)
    wireframes = [model(gray) for gray in grays]
    matches = match(grays, wireframes)
    Image.fromarray(draw(grays, wireframes, matches)).save(args.out)
    counts = " and ".join(str(len(wireframe.edges)) for wireframe in wireframes)
    print(f"{args.out}: {len(matches)} matches of {counts} lines")


if __name__ == "__main__":
    main()
