"""The way to network size is OpenCV's to the bit, and greys are those of photographs that are read from files: without either."""

import cv2
import numpy as np
import pytest
from PIL import Image

from hawp_core.geometry.resize import to_grey, to_square


def by_opencv(gray: np.ndarray, size: int) -> np.ndarray:
    height, width = gray.shape
    gray = cv2.resize(gray, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(gray, (size, size), interpolation=cv2.INTER_LINEAR)


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise, or something smooth, whose means are often ties."""
    made = rng.integers(0, 256, (height, width), np.uint8)
    return cv2.GaussianBlur(made, (9, 9), 3) if rng.integers(2) else made


@pytest.mark.parametrize("size", [8, 64, 192, 333, 512])
def test_any_size_becomes_what_opencv_makes_of_it(size):
    rng = np.random.default_rng(size)
    for _ in range(40):
        height, width = rng.integers(1, 1200, 2)
        gray = picture(rng, height, width)
        assert np.array_equal(to_square(gray, size), by_opencv(gray, size)), (height, width)


@pytest.mark.parametrize(("down", "across"), [(1, 1), (2, 2), (3, 4), (5, 2), (1, 3), (7, 7), (6, 6)])
def test_whole_ratios_round_ties_as_opencv_does(down, across):
    gray = picture(np.random.default_rng(down), 128 * down, 128 * across)
    assert np.array_equal(to_square(gray, 128), by_opencv(gray, 128))


@pytest.mark.parametrize("shape", [(64, 200), (200, 64), (30, 200), (1, 1), (63, 65)])
def test_one_side_may_shrink_while_the_other_grows_or_stays(shape):
    gray = picture(np.random.default_rng(1), *shape)
    assert np.array_equal(to_square(gray, 64), by_opencv(gray, 64))


def test_every_colour_has_the_grey_that_it_has_when_its_file_is_read():
    number = np.arange(1 << 24, dtype=np.uint32).reshape(4096, 4096)
    rgb = np.stack([number >> 16, number >> 8 & 255, number & 255], axis=-1).astype(np.uint8)
    assert np.array_equal(to_grey(rgb), np.asarray(Image.fromarray(rgb).convert("L")))
