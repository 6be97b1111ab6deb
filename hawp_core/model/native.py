"""A picture at its own size or another: aspect ratio kept, in tiles where it is larger than one pass should be."""

from collections.abc import Callable

import numpy as np
import torch

from hawp_core.geometry.homography import clip_lines
from hawp_core.geometry.resize import to_size
from hawp_core.geometry.tile_merging import merge
from hawp_core.geometry.tiles import LEAST_SIDE, cut
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.detection import detect
from hawp_core.model.network import WireframeNetwork

# What passes the network together: as much as the square of the shipped one, whatever the tiles are.
_PIXELS_AT_ONCE = 512 * 512

# Called with the number of tiles that are done and that there are.
Progress = Callable[[int, int], None]


def scaled(gray: np.ndarray, side: int) -> np.ndarray:
    """(H, W) uint8 with its longer side resized to `side` pixels, and the shorter one in proportion, one pixel at least."""
    height, width = (max(1, round(length * side / max(gray.shape))) for length in gray.shape)
    return to_size(gray, width, height)


def detect_native(
    network: WireframeNetwork,
    gray: np.ndarray,
    *,
    tile: int,
    min_score: float,
    progress: Progress | None = None,
) -> Wireframe:
    """The wireframe of a picture that is not resized, in its own pixels.

    What has a side longer than `tile` is cut into overlapping tiles, each looked at alone, so that the memory does not grow
    with the picture. How lines, junctions and scores come together: `geometry/tile_merging.py`.

    Args:
        network: in evaluation mode.
        gray: (H, W) uint8.
        tile: longest side of what passes the network at once, pixels, rounded up to the network's multiple, LEAST_SIDE at least.
        min_score: of a line in its tile.
        progress: told after each few tiles.
    """
    multiple = network.architecture.multiple
    height, width = gray.shape
    tiles = cut(width, height, -(-max(tile, LEAST_SIDE) // multiple) * multiple)
    at_once = max(1, _PIXELS_AT_ONCE // (tiles[0].width * tiles[0].height))
    found: list[Wireframe] = []
    for start in range(0, len(tiles), at_once):
        pieces = [gray[t.top : t.top + t.height, t.left : t.left + t.width] for t in tiles[start : start + at_once]]
        found += _look(network, np.stack(pieces), min_score)
        if progress is not None:
            progress(len(found), len(tiles))
    return merge(tiles, found, width, height)


def _look(network: WireframeNetwork, pieces: np.ndarray, min_score: float) -> list[Wireframe]:
    """The wireframes of tiles (T, H, W); what their sides lack to the network's multiple repeats the last row and column."""
    (height, width), multiple = pieces.shape[1:], network.architecture.multiple
    padded = np.pad(pieces, ((0, 0), (0, -height % multiple), (0, -width % multiple)), mode="edge")
    device = next(network.parameters()).device
    found = detect(network, torch.from_numpy(padded)[:, None].to(device).float() / 255, min_score=min_score)
    if padded.shape == pieces.shape:
        return [each.to_wireframe(width, height) for each in found]
    wholes = [each.in_input() for each in found]
    cut_off = [clip_lines(whole.lines, width, height) for whole in wholes]
    return [
        Wireframe.from_lines(lines, width, height, whole.scores[rows])
        for whole, (lines, rows) in zip(wholes, cut_off, strict=True)
    ]
