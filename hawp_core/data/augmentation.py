"""Augmentation: drawn on the host for one sample at a time, applied to whole batches on the device.

Everything random about a sample is drawn from one NumPy generator, which the caller seeds with what the sample is
(seed, epoch, index), so that a sample does not depend on its batch, its worker or the device. The photometric
operators change the image first, then one homography carries flip, scaling and perspective, so that pixels are
resampled once. Parameters are those of the published recipe (its configuration files).

Shape legend: B images, S x S pixels, N junctions, M edges.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hawp_core.data.photometry import Photometric, Photometry, Range, change_levels
from hawp_core.geometry.homography import MIN_LINE, clip_lines, sample_homography, warp_lines
from hawp_core.geometry.warping import warp_images, warp_validity
from hawp_core.geometry.wireframe import Wireframe


@dataclass(frozen=True)
class Homographic:
    """Parameters of `sample_homography`, shares of the image side."""

    patch_ratio: float = 0.8
    perspective: float = 0.2
    scale: float = 0.2
    max_angle: float = math.pi / 2
    overflow: float = 0.05


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image.

    Attributes:
        photometric: ranges, or None to leave grey levels alone.
        homographic: parameters, or None to leave perspective alone.
        scaling: range of the zoom factor that precedes the homography, or None.
        margin: pixels around the image's border that do not count as valid.
    """

    photometric: Photometric | None
    homographic: Homographic | None
    scaling: Range | None
    margin: float


# synthetic_dataset.yaml of the published recipe, with its operators' defaults.
SYNTHETIC = Augmentation(
    Photometric(
        brightness=(0.5, 1.5),
        contrast=(0.5, 1.5),
        noise=(5.0, 95.0),
        speckle=(0.0, 0.005),
        shade=(-0.5, 0.8),
        shade_kernel=(250.0, 350.0),
        blur=10.0,
    ),
    Homographic(),
    scaling=None,
    margin=0.0,
)
# The configuration of the Wireframe photographs.
REAL = Augmentation(
    Photometric(
        brightness=(0.8, 1.2),
        contrast=(0.3, 1.5),
        noise=(0.0, 10.0),
        speckle=(0.0, 0.0035),
        shade=(-0.5, 0.5),
        shade_kernel=(100.0, 150.0),
        blur=3.0,
    ),
    Homographic(patch_ratio=0.85, overflow=0.0),
    scaling=(0.7, 1.5),
    margin=3.0,
)


# Geometry and labels, on the host


def flip_homography(flip: int, size: int) -> np.ndarray:
    """Mirror a square image: bit 0 of `flip` swaps left and right, bit 1 top and bottom (3 is half a turn)."""
    matrix = np.eye(3)
    for axis in (0, 1):
        if flip >> axis & 1:
            matrix[axis, axis], matrix[axis, 2] = -1.0, size - 1.0
    return matrix


def sample_geometry(
    rng: np.random.Generator, augmentation: Augmentation | None, size: int, flip: int = 0
) -> np.ndarray:
    """Draw the homography (3, 3), image to augmented image, of a square image: flip, then zoom, then perspective.

    Zooming in shows a random crop and zooming out centres the image. Unlike in the reference, what the crop leaves
    out is not lost where the perspective brings it back into view.
    """
    matrix = flip_homography(flip, size)
    if augmentation is None:
        return matrix
    if augmentation.scaling is not None:
        factor = rng.uniform(*augmentation.scaling)
        place = rng.uniform(0.0, 1.0, 2) if factor > 1.0 else np.full(2, 0.5)
        shift = 0.5 * factor - 0.5 - (factor - 1.0) * size * place
        matrix = np.array([[factor, 0.0, shift[0]], [0.0, factor, shift[1]], [0.0, 0.0, 1.0]]) @ matrix
    if augmentation.homographic is not None:
        matrix = sample_homography(rng, size, size, **vars(augmentation.homographic)) @ matrix
    return matrix


def transform_wireframe(
    wireframe: Wireframe, homography: np.ndarray, size: int, min_length: float = MIN_LINE
) -> Wireframe:
    """Warp a wireframe and cut it to the image.

    Edges that share a junction still do; an edge that is cut ends in a junction of its own on the border.

    Args:
        homography: (3, 3) image to warped image.
        min_length: pixels; what is shorter after cutting is left out.

    Returns:
        In pixels of the warped image, never rounded; every edge with its score.
    """
    warped = warp_lines(homography, wireframe.lines)
    lines, rows = clip_lines(warped, size, size, min_length=min_length)
    ends, count = lines.reshape(-1, 2), len(wireframe.junctions)
    # An end that was not cut is still the junction it was; a cut one gets a number of its own.
    uncut = (ends == warped[rows].reshape(-1, 2)).all(axis=1)
    numbers = np.where(uncut, wireframe.edges[rows].reshape(-1), count + np.arange(len(ends)))
    _, first, renumbered = np.unique(numbers, return_index=True, return_inverse=True)
    edges = np.sort(renumbered.reshape(-1, 2), axis=1)
    return Wireframe(ends[first], edges, wireframe.scores[rows], size, size)


def cut_out(
    rng: np.random.Generator, image: np.ndarray, wireframe: Wireframe, side: int
) -> tuple[np.ndarray, Wireframe]:
    """A square piece of an image at a random place, with what of its wireframe lies there.

    Args:
        image: (S, S) grey.
        side: of the piece, pixels, at most S.
    """
    x, y = rng.integers(0, len(image) - side + 1, 2)
    shift = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, 1.0]])
    return image[y : y + side, x : x + side], transform_wireframe(wireframe, shift, side)


def line_heatmap(lines: np.ndarray, size: int) -> np.ndarray:
    """(S, S) uint8: 1 on the pixels of lines (M, 4), one pixel wide and without gaps.

    Every pixel is the nearest one to the line in its row or column; OpenCV would round the endpoints first.
    """
    ends = np.asarray(lines, np.float64).reshape(-1, 2, 2)
    # Columns are stepped through where the line is wider than high, otherwise rows.
    steep = np.abs(ends[:, 1, 1] - ends[:, 0, 1]) > np.abs(ends[:, 1, 0] - ends[:, 0, 0])
    ends = np.where(steep[:, None, None], ends[..., ::-1], ends)
    start, step = ends[:, 0], ends[:, 1] - ends[:, 0]
    slope = step[:, 1] / np.where(step[:, 0] == 0.0, 1.0, step[:, 0])
    first, last = np.floor(np.sort(ends[..., 0], axis=1).T + 0.5).astype(np.int64)
    counts = last - first + 1
    line = np.repeat(np.arange(len(ends)), counts)
    place = np.arange(len(line)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    across = np.floor(start[line, 1] + slope[line] * (place - start[line, 0]) + 0.5).astype(np.int64)
    across = np.clip(across, 0, size - 1)
    heatmap = np.zeros((size, size), np.uint8)
    heatmap[np.where(steep[line], place, across), np.where(steep[line], across, place)] = 1
    return heatmap


# Pixels, on the device


def augment_images(
    images: torch.Tensor, homographies: torch.Tensor, photometries: Sequence[Photometry] | None, margin: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change the grey levels of images, then warp them; each image's result is independent of the others.

    The operators take their turns image by image, because each image has an order of its own; warping is batched on
    CUDA. On a CPU all steps follow one another for each image, while its pixels are in the cache.

    Args:
        images: (B, 1, S, S) uint8.
        homographies: (B, 3, 3) float64, image to augmented image.
        photometries: one an image, or None.
        margin: pixels along the warped border that do not count as valid.

    Returns:
        images: (B, 1, S, S) float32 in [0, 1], 0 beyond the image.
        valid: (B, S, S) uint8, 1 inside the image.

    Raises:
        ValueError: not one photometry an image.
    """
    if photometries is not None and len(photometries) != len(images):
        raise ValueError(f"{len(photometries)} photometric changes for {len(images)} images")
    generator, size = torch.Generator(images.device), images.shape[-1]
    warped = torch.empty(images.shape, device=images.device)
    # All in one copy: a card would wait for one after the other.
    shades = None
    if photometries is not None:
        maps = np.stack([photometry.shade_map for photometry in photometries])
        shades = torch.from_numpy(maps).to(images.device, non_blocking=True)
    at_a_time = 1 if images.device.type == "cpu" else len(images)
    for start in range(0, len(images), at_a_time):
        part = slice(start, start + at_a_time)
        levels = images[part].float()
        if photometries is not None and shades is not None:
            for level, photometry, shade in zip(levels[:, 0], photometries[part], shades[part], strict=True):
                change_levels(level, photometry, generator, shade)
        warped[part] = warp_images(levels.mul_(1.0 / 255.0), homographies[part])
    return warped, warp_validity(homographies, size, size, margin).to(torch.uint8)
