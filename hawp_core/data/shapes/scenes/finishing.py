"""From a painted scene to the picture that is read: reduction, texture, light, blur and noise, in that order.

Everything that depends on fineness is done at the size at which the picture is read, so that blur and noise are those
of a photograph reduced to that size, whatever the canvas.

Shape legend: S x S pixels of the picture.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from hawp_core.data.shapes.scenes.scene import Scene

# Sigma of the blur beyond that of the reduction, pixels of the picture; a third of the pictures has none.
BLUR = (0.3, 1.0)
SHARP = 0.35
# Sigma of the noise, grey levels of a picture of `NOISE_SIDE`; a smaller one averages it away.
NOISE, NOISE_SIDE = (0.5, 7.0), 512
# Light falls unevenly: sigma of its logarithm, over so many patches a side.
LIGHT, LIGHT_PATCHES, LIGHT_MAP = 0.1, 4, 32
# The spread of a picture's greys is brought to a random one, by a factor within limits.
SPREAD, STRETCH = (25.0, 70.0), (0.8, 2.0)
DARKEST, LIGHTEST = 90.0, 165.0
# The difference of two bytes has this standard deviation's inverse.
_GRAIN = 1.0 / np.sqrt((256.0**2 - 1.0) / 6.0)
# Patches on a side of the picture in the coarsest octave of 1/f texture, in that of grains and leaves, and in the finest.
COARSEST, GRAINS, FINEST = 8, 32, 256


def finish(scene: Scene, size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The picture of a scene.

    Returns:
        (S, S) uint8; the same as float32 without noise; and the sigma of the noise, grey levels.
    """
    rng = scene.rng
    reduced: np.ndarray = scene.grey
    if scene.short >= 2 * size:
        # Means over two by two pixels are much quicker than those over any other area.
        reduced = cv2.resize(reduced, (reduced.shape[1] // 2, reduced.shape[0] // 2), interpolation=cv2.INTER_AREA)
    reduced = cv2.resize(reduced, (size, size), interpolation=cv2.INTER_AREA)
    picture = cv2.add(_shading(scene, size), reduced, dtype=cv2.CV_32F)
    light = np.exp(rng.normal(0.0, LIGHT, (LIGHT_PATCHES, LIGHT_PATCHES)).astype(np.float32))
    light = cv2.resize(light, (LIGHT_MAP, LIGHT_MAP), interpolation=cv2.INTER_CUBIC)
    picture = cv2.multiply(picture, cv2.resize(light, (size, size), interpolation=cv2.INTER_LINEAR))
    middle, spread = (float(value[0, 0]) for value in cv2.meanStdDev(picture))
    factor = float(np.clip(rng.uniform(*SPREAD) / max(spread, 1.0), *STRETCH))
    sigma = float(rng.uniform(*BLUR)) if rng.random() > SHARP else 0.0
    if sigma:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    picture = cv2.addWeighted(picture, factor, picture, 0.0, min(max(middle, DARKEST), LIGHTEST) - factor * middle)
    # What is burnt out or black shows nothing, and no label is given to it.
    np.clip(picture, 0.0, 255.0, out=picture)
    noise = float(rng.uniform(*NOISE)) * size / NOISE_SIDE
    noisy = cv2.addWeighted(picture, 1.0, _grains(rng, size), noise, 0.0)
    return np.clip(np.rint(noisy, out=noisy), 0.0, 255.0, out=noisy).astype(np.uint8), picture, noise


def _shading(scene: Scene, size: int) -> np.ndarray:
    """(S, S) float32: the texture and the gradient of the surface that each pixel shows."""
    owner = cv2.resize(scene.owner, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    shading = cv2.multiply(_of_owner(scene.texture, owner), field(scene.rng, size, COARSEST))
    across, down = zip(*scene.slope, strict=True)
    # Gradients turn about the middle of the picture; about a far corner they would burn out.
    place = np.tile(np.linspace(-0.5, 0.5, size, dtype=np.float32), (size, 1))
    cv2.accumulateProduct(_of_owner(across, owner), place, shading)
    cv2.accumulateProduct(_of_owner(down, owner), cv2.transpose(place), shading)
    if any(scene.leaves):
        fine = field(scene.rng, size, GRAINS)
        cv2.accumulateProduct(_of_owner(scene.leaves, owner), fine, shading)
    return shading


def _of_owner(values: Sequence[float], owner: np.ndarray) -> np.ndarray:
    """(S, S) float32: the value of the surface that each pixel shows."""
    table = np.zeros(256, np.float32)
    table[: len(values)] = values
    return cv2.LUT(owner, table)


def _grains(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) float32 independent numbers of mean 0 and variance 1, of triangular distribution: quicker than normal ones."""
    bytes_ = rng.integers(0, 256, (2, side, side), np.uint8)
    return cv2.addWeighted(bytes_[0], _GRAIN, bytes_[1], -_GRAIN, 0.0, dtype=cv2.CV_32F)


def field(rng: np.random.Generator, size: int, coarsest: int) -> np.ndarray:
    """(S, S) float32 texture of mean 0 and variance about 1: as much of it in every octave, as in photographs.

    Args:
        coarsest: patches on a side in the coarsest octave.
    """
    total, octaves, side = _grains(rng, coarsest), 1, 2 * coarsest
    while side <= min(size, FINEST):
        total = cv2.add(_grains(rng, side), cv2.resize(total, (side, side), interpolation=cv2.INTER_LINEAR))
        octaves, side = octaves + 1, 2 * side
    # Interpolation takes away about half of the variance of each octave.
    total *= np.float32(1.0 / np.sqrt(0.5 * octaves + 0.5))
    return cv2.resize(total, (size, size), interpolation=cv2.INTER_LINEAR)
