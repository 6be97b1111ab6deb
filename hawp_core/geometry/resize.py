"""The one way of an image to the size of the network."""

import numpy as np


def to_square(gray: np.ndarray, size: int) -> np.ndarray:
    """(H, W) uint8 resized to (size, size): first each side that shrinks, by pixel areas, then each that grows, linearly.

    The only way to network size, so that a model sees at prediction what it saw when it was trained.
    """
    import cv2

    height, width = gray.shape
    gray = cv2.resize(gray, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(gray, (size, size), interpolation=cv2.INTER_LINEAR)
