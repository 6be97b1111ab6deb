"""Photometric augmentation: brightness, contrast, noise, speckle, shade and motion blur, in random order.

Parameters are drawn on the host, one image at a time; operators change the pixels in place on the device. Grey levels
run from 0 to 255. Ranges are those of the published recipe (its configuration files). Lengths in
pixels hold for images of 512 x 512 and scale with the image.

Shape legend: S x S pixels.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

Range = tuple[float, float]

# The image side for which the recipe's lengths in pixels are given.
RECIPE_SIDE = 512
# Shade is blurred so widely that a map of an eighth of the side holds all of it.
SHADE_STRIDE = 8
SHADE_ELLIPSES = 20
# Directions (dx, dy) of motion blur: horizontal, vertical, and both diagonals.
BLUR_DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))
# Fractional bits of OpenCV's drawing coordinates.
DRAW_SHIFT = 8
# By how much OpenCV's filled, smoothed ellipses are larger than their radii, pixels (measured).
OUTLINE = 0.6


@dataclass(frozen=True)
class Photometric:
    """Ranges from which the photometric operators draw uniformly; their values are in `augmentation.py`.

    Attributes:
        brightness: factor on the grey levels.
        contrast: factor on the difference from the image's mean.
        noise: sigma of additive Gaussian noise, grey levels.
        speckle: share of pixels that turn black, and again that turn white.
        shade: opacity of the shade; negative lightens.
        shade_kernel: width of the Gaussian kernel that blurs the shade, pixels.
        blur: longest motion blur, pixels.
    """

    brightness: Range
    contrast: Range
    noise: Range
    speckle: Range
    shade: Range
    shade_kernel: Range
    blur: float


@dataclass(frozen=True, eq=False)
class Photometry:
    """The photometric change of one image.

    Attributes:
        order: names of the operators of `OPERATORS`, in the order of their turns.
        brightness, contrast, noise, speckle, shade: values as in `Photometric`.
        shade_map: (S / 8, S / 8) float32 in [0, 1], where the shade lies.
        blur: a direction (dx, dy) and an odd number of weights along it, summing to 1.
        seed: of the noise.
    """

    order: tuple[str, ...]
    brightness: float
    contrast: float
    noise: float
    speckle: float
    shade: float
    shade_map: np.ndarray
    blur: tuple[tuple[int, int], list[float]]
    seed: int


def sample_photometry(rng: np.random.Generator, photometric: Photometric, size: int) -> Photometry:
    """Draw the photometric change of a square image of side `size`."""
    names = list(OPERATORS)
    return Photometry(
        order=tuple(names[i] for i in rng.permutation(len(names))),
        brightness=rng.uniform(*photometric.brightness),
        contrast=rng.uniform(*photometric.contrast),
        noise=rng.uniform(*photometric.noise),
        speckle=rng.uniform(*photometric.speckle),
        shade=rng.uniform(*photometric.shade),
        shade_map=_sample_shade(rng, photometric, size),
        blur=_sample_blur(rng, photometric, size),
        seed=int(rng.integers(2**63)),
    )


def _sample_shade(rng: np.random.Generator, photometric: Photometric, size: int) -> np.ndarray:
    """Overlapping ellipses, at most a quarter of the image in radius, blurred; at an eighth of the resolution."""
    side = max(size // SHADE_STRIDE, 1)
    mask = np.zeros((side, side), np.uint8)
    radii = np.maximum(rng.uniform(0.0, side / 4, (SHADE_ELLIPSES, 2)), side / 20)
    reach = radii.max(axis=1, keepdims=True)
    centres = rng.uniform(reach, side - reach, (SHADE_ELLIPSES, 2)) - 0.5
    angles = rng.uniform(0.0, 90.0, SHADE_ELLIPSES)
    drawn = np.concatenate([centres, np.maximum(radii - OUTLINE, 0.0)], axis=1)
    fixed = np.round(drawn * (1 << DRAW_SHIFT)).astype(int).tolist()
    for (x, y, a, b), angle in zip(fixed, angles.tolist(), strict=True):
        cv2.ellipse(mask, (x, y), (a, b), angle, 0, 360, 255, -1, cv2.LINE_AA, DRAW_SHIFT)
    width = rng.uniform(*photometric.shade_kernel) * size / RECIPE_SIDE
    # OpenCV's sigma for a kernel of that width, which the recipe leaves to it.
    sigma = 0.3 * ((width - 1.0) * 0.5 - 1.0) + 0.8
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(sigma / SHADE_STRIDE, 0.5))
    return smooth / 255.0


def _sample_blur(rng: np.random.Generator, photometric: Photometric, size: int) -> tuple[tuple[int, int], list[float]]:
    """A direction, and Gaussian weights over 1, 3, 5, ... steps along it, sigma a quarter of their number in pixels."""
    direction = BLUR_DIRECTIONS[rng.integers(len(BLUR_DIRECTIONS))]
    longest = photometric.blur * size / RECIPE_SIDE
    radius = int(rng.integers(max(round((longest + 1.0) / 2.0), 1)))
    distance = np.arange(-radius, radius + 1) * math.hypot(*direction)
    taps = np.exp(-0.5 * (distance * 4.0 / (2 * radius + 1)) ** 2)
    return direction, (taps / taps.sum()).tolist()


def change_levels(
    level: torch.Tensor, photometry: Photometry, generator: torch.Generator, shade: torch.Tensor | None = None
) -> None:
    """Change the grey levels (S, S) float32 of one image in place.

    Args:
        generator: one of the same device.
        shade: the photometry's shade map on the same device, where that is not the host's.
    """
    generator.manual_seed(photometry.seed)
    lying = torch.from_numpy(photometry.shade_map) if shade is None else shade
    for name in photometry.order:
        OPERATORS[name](level, photometry, generator, lying)


def _brightness(level: torch.Tensor, photometry: Photometry, _: torch.Generator, __: torch.Tensor) -> None:
    level.mul_(photometry.brightness).clamp_(0.0, 255.0)


def _contrast(level: torch.Tensor, photometry: Photometry, _: torch.Generator, __: torch.Tensor) -> None:
    offset = level.mean() * (1.0 - photometry.contrast)
    level.mul_(photometry.contrast).add_(offset).clamp_(0.0, 255.0)


def _noise(level: torch.Tensor, photometry: Photometry, generator: torch.Generator, _: torch.Tensor) -> None:
    noise = torch.randn(level.shape, generator=generator, device=level.device)
    level.add_(noise, alpha=photometry.noise).clamp_(0.0, 255.0)


def _speckle(level: torch.Tensor, photometry: Photometry, generator: torch.Generator, _: torch.Tensor) -> None:
    # Places are drawn instead of a number for every pixel: a few hundred times fewer, and as good as never one twice.
    count = round(photometry.speckle * level.numel())
    for value in (0.0, 255.0):
        places = torch.randint(level.numel(), (count,), generator=generator, device=level.device)
        level.view(-1).index_fill_(0, places, value)


def _shade(level: torch.Tensor, photometry: Photometry, _: torch.Generator, lying: torch.Tensor) -> None:
    shade = F.interpolate(lying[None, None], level.shape, mode="bilinear")[0, 0]
    level.mul_(shade.mul_(-photometry.shade).add_(1.0)).clamp_(0.0, 255.0)


def _blur(level: torch.Tensor, photometry: Photometry, _: torch.Generator, __: torch.Tensor) -> None:
    # A sum of shifted images: the kernel is a line, and a dense convolution would be ten times the work.
    (dx, dy), taps = photometry.blur
    radius = len(taps) // 2
    padded = F.pad(level[None, None], (radius,) * 4, mode="reflect")[0, 0] if radius else level.clone()
    height, width = level.shape
    level.zero_()
    for step, weight in enumerate(taps, -radius):
        top, left = radius + dy * step, radius + dx * step
        level.add_(padded[top : top + height, left : left + width], alpha=weight)


OPERATORS = {
    "brightness": _brightness,
    "contrast": _contrast,
    "noise": _noise,
    "speckle": _speckle,
    "shade": _shade,
    "blur": _blur,
}
