"""The classic line segment detector, which needs no training: what every learned detector is compared with."""

import cv2
import numpy as np

from hawp_core.geometry.wireframe import Wireframe

# Von Gioi et al. 2010: the image is first scaled by 0.8, against staircases.
SCALE = 0.8
# OpenCV brings coordinates back by dividing by the scale, as if pixel corners and not pixel areas had been scaled.
CENTRE_SHIFT = 0.5 / SCALE - 0.5
# The -log10 of the number of false alarms that scores 0.5: about the median on photographs of buildings.
EVEN_SCORE = 10.0


def lsd(image: np.ndarray) -> Wireframe:
    """OpenCV's LSD (von Gioi, Jakubowicz, Morel, Randall 2010) with its published settings and full refinement.

    Args:
        image: (H, W) uint8, grey.

    Returns:
        Lines in pixels. With n = -log10(number of false alarms) of a line, its score is n / (n + 10): L-CNN's order
        of the baseline's lines, brought into [0, 1). Lines seldom share a junction, for LSD knows none.

    Raises:
        ValueError: not a grey image of bytes.
    """
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"LSD takes (H, W) uint8, not {image.shape} {image.dtype}")
    height, width = image.shape
    detector = cv2.createLineSegmentDetector(cv2.LSD_REFINE_ADV, SCALE)
    lines, _, _, meaning = detector.detect(np.ascontiguousarray(image))
    if lines is None:
        return Wireframe.empty(width, height)
    meaning = np.maximum(np.ravel(meaning), 0.0)
    return Wireframe.from_lines(lines.reshape(-1, 4) + CENTRE_SHIFT, width, height, meaning / (meaning + EVEN_SCORE))
