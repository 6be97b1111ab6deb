"""The one way of an image to the size of the network, in NumPy alone.

The results are those of OpenCV to the bit (`INTER_AREA` where a side shrinks, `INTER_LINEAR` where it grows), and greys are
Pillow's, by which photographs are read: a model needs neither to see what it was trained on.

Shape legend: H x W pixels of the given image, h x w of the resized one, K source pixels behind a resized one.
"""

import numpy as np

# Weights of red, green and blue in a grey (ITU-R BT.601), rounded to 16 bits.
GREY_WEIGHTS = np.array([19595, 38470, 7471], np.float32) / 2**16

# Linear interpolation takes weights of so many bits.
_LINEAR_BITS = 11

# A share of a pixel below this is left out of an area.
_LEAST_SHARE = 1e-3

# Pixels worked on at once: what a core's cache holds.
_AT_ONCE = 1 << 16


def to_square(gray: np.ndarray, size: int) -> np.ndarray:
    """(H, W) uint8 resized to (size, size), as `to_size` does."""
    return to_size(gray, size, size)


def to_size(gray: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W) uint8 resized to (`height`, `width`): first each side that shrinks, by pixel areas, then each that grows, linearly.

    The only way to network size, so that a model sees at prediction what it saw when it was trained.
    """
    shrunk = shrink(gray, min(gray.shape[0], height), min(gray.shape[1], width))
    return enlarge(shrunk, height, width)


def to_grey(rgb: np.ndarray) -> np.ndarray:
    """(H, W) uint8 grey of an (H, W, 3) RGB image, uint8."""
    height, width, _ = rgb.shape
    grey = np.empty((height, width), np.uint8)
    step = max(1, _AT_ONCE // width)
    for start in range(0, height, step):
        # Whole numbers below 2^24 over 2^16: single precision holds them exactly, in whatever order they are added.
        part = rgb[start : start + step].reshape(-1, 3).astype(np.float32) @ GREY_WEIGHTS + np.float32(0.5)
        grey[start : start + step] = part.astype(np.uint8).reshape(-1, width)
    return grey


def shrink(gray: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) uint8 to (`height`, `width`), neither larger than before: each pixel is the mean of the area behind it."""
    if gray.shape == (height, width):
        return gray
    down, across = _ratio(gray.shape[0], height), _ratio(gray.shape[1], width)
    if down.is_integer() and across.is_integer():
        return _mean_of_blocks(gray, int(down), int(across))
    return _mean_of_areas(gray, _areas(gray.shape[0], height, down), _areas(gray.shape[1], width, across))


def enlarge(gray: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) uint8 to (`height`, `width`), neither smaller than before, by linear interpolation of 11-bit weights."""
    if gray.shape == (height, width):
        return gray
    above, below, upper, lower = _neighbours(gray.shape[0], height)
    left, right, first, second = _neighbours(gray.shape[1], width, clamp=True)
    # Sums below 2^19; four bits go before the second product, as OpenCV's 16-bit registers want it.
    rows = (gray[:, left] * first + gray[:, right] * second) >> 4
    mixed = ((rows[above] * upper[:, None]) >> 16) + ((rows[below] * lower[:, None]) >> 16)
    return ((mixed + 2) >> 2).astype(np.uint8)


def _ratio(before: int, after: int) -> float:
    """How many pixels of a side become one, with the rounding of OpenCV, which decides what is a whole number."""
    return 1.0 / (after / before)


def _mean_of_blocks(gray: np.ndarray, down: int, across: int) -> np.ndarray:
    """Means of blocks of `down` x `across` pixels."""
    height, width = gray.shape[0] // down, gray.shape[1] // across
    total = np.zeros((height, width), np.int32)
    for y in range(down):
        for x in range(across):
            total += gray[y : height * down : down, x : width * across : across]
    if down == across == 2:
        return ((total + 2) >> 2).astype(np.uint8)
    return np.rint(total.astype(np.float32) * (np.float32(1) / np.float32(down * across))).astype(np.uint8)


def _areas(before: int, after: int, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """The pixels behind each resized one along a side: (K, after) indices, and (K, after) float32 shares.

    Shares that are missing at the end are 0.
    """
    start = np.arange(after) * ratio
    end = start + ratio
    length = np.minimum(ratio, before - start)
    last = np.minimum(np.floor(end).astype(int), before - 1)
    first = np.minimum(np.ceil(start).astype(int), last)
    begins, ends = first - start > _LEAST_SHARE, end - last > _LEAST_SHARE
    places = (first - begins) + np.arange(int((last - first).max()) + 2)[:, None]
    shares = np.where((places >= first) & (places < last), 1.0 / length, 0.0)
    shares = np.where((places == first - 1) & begins, (first - start) / length, shares)
    shares = np.where((places == last) & ends, np.minimum(np.minimum(end - last, 1.0), length) / length, shares)
    return np.minimum(places, before - 1), shares.astype(np.float32)


def _mean_of_areas(
    gray: np.ndarray, rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Weighted sums over `columns`, then `rows`, of `_areas`; in single precision, one summand after the other."""
    # Columns become rows, so that every summand is read in one piece.
    across = _weighted_sum(np.ascontiguousarray(gray.T), *columns)
    return np.rint(_weighted_sum(np.ascontiguousarray(across.T), *rows)).astype(np.uint8)


def _weighted_sum(values: np.ndarray, places: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(n, m) float32: the sum over K of rows `places` (K, n) of `values` (N, m), times `shares` (K, n)."""
    total = np.zeros((places.shape[1], values.shape[1]), np.float32)
    step = max(1, _AT_ONCE // values.shape[1])
    for start in range(0, len(total), step):
        part = total[start : start + step]
        product = np.empty_like(part)
        for place, share in zip(places[:, start : start + step], shares[:, start : start + step], strict=True):
            part += np.multiply(values[place], share[:, None], out=product)
    return total


def _neighbours(before: int, after: int, *, clamp: bool = False) -> tuple[np.ndarray, ...]:
    """The two pixels that each resized one lies between along a side, and their weights, of 2^11; (after,) int32 each.

    Args:
        clamp: beyond the outermost pixels that pixel alone counts, instead of twice with a weight each.
    """
    place = ((np.arange(after) + 0.5) * _ratio(before, after) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int32)
    share = place - first.astype(np.float32)
    if clamp:
        share[(first < 0) | (first >= before - 1)] = 0
    weights = np.rint(np.stack([np.float32(1) - share, share]) * np.float32(1 << _LINEAR_BITS)).astype(np.int32)
    return np.clip(first, 0, before - 1), np.clip(first + 1, 0, before - 1), weights[0], weights[1]
