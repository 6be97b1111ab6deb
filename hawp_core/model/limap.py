"""A model as a line detector of LIMAP (arXiv 2303.17504), which builds 3D lines from many photographs.

LIMAP is not imported: its base class is given, so that this stays what it is where LIMAP is not installed.

>>> from limap.line2d.base_detector import BaseDetector  # doctest: +SKIP
>>> detector = detector_class(BaseDetector)()  # doctest: +SKIP
>>> segments = detector.detect_all_images(folder, imagecols)  # doctest: +SKIP

Interface: `src/limap/line2d/base_detector.py` and `src/limap/util/io.py` of cvg/limap, as of 2025-12.
"""

from pathlib import Path
from typing import cast

import numpy as np

from hawp_core.model.parser import Model, load
from hawp_core.model.shipped import SHIPPED
from hawp_core.runtime.files import write_text

MODULE_NAME = "hawp_rounds"


class Segments:
    """What LIMAP's `BaseDetector` leaves to a detector: its name, and the lines of an image.

    Descriptors (`extract`, `detect_and_extract`) stay with LIMAP's extractors, which describe the lines of any detector, as they
    do for LSD, DeepLSD and its HAWPv3: name one in `line2d.extractor.method`.
    """

    model: Model | None = None

    def get_module_name(self) -> str:
        """How LIMAP names folders of what is made here."""
        return MODULE_NAME

    def detect(self, camview: object) -> np.ndarray:
        """(N, 5) float64: x1, y1, x2, y2 and score of every line, in pixels of the image, the centre of the first at (0, 0).

        Args:
            camview: LIMAP's `CameraView`, or an image, (H, W) grey or (H, W, 3) RGB uint8.

        Raises:
            ValueError: another kind of image.
            UserError: `weight_path` was given and holds no readable `line2d/hawp_rounds/model.pth`.
        """
        if self.model is None:
            weights = getattr(self, "weight_path", None)
            self.model = load(Path(weights) / "line2d" / MODULE_NAME / "model.pth" if weights else SHIPPED)
        read = getattr(camview, "read_image", None)
        image = np.ascontiguousarray(read(set_gray=True)) if read else cast(np.ndarray, camview)
        wireframe = self.model(image)
        return np.column_stack([wireframe.lines, wireframe.scores]).astype(np.float64)


def detector_class(base: type, model: Model | None = None) -> type:
    """A detector on LIMAP's base class, made with LIMAP's options as its own detectors are.

    Args:
        base: `limap.line2d.base_detector.BaseDetector`.
        model: what detects; by default the shipped weights, or those below `options.weight_path`, where LIMAP's own lie too.
    """
    return type("HawpRoundsDetector", (Segments, base), {"model": model})


def save_segments(folder: Path | str, image_id: int, segments: np.ndarray) -> Path:
    """Write `segments_{id}.txt` as LIMAP does, for detection where LIMAP is not: whole or not at all.

    Args:
        folder: LIMAP's folder `segments`; made where it is missing.
        image_id: LIMAP's (COLMAP's) number of the image.
        segments: (N, 5) or (N, 4), from `detect`; LIMAP's file has no scores.

    Raises:
        UserError: the folder cannot be written.
    """
    lines = np.asarray(segments, np.float64)[:, :4].tolist()
    text = "".join(f"{row}\n" for row in [len(lines), *(" ".join(map(str, line)) for line in lines)])
    path = Path(folder) / f"segments_{int(image_id)}.txt"
    write_text(path, text)
    return path
