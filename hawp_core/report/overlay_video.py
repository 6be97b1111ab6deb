"""A video of wireframes drawn over the frames they were found in."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from hawp_core.data.photographs.selection import mp4_signature
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.drawing import overlay
from hawp_core.runtime.files import replacing

_CODEC = "mp4v"  # MPEG-4 part 2: the one that OpenCV writes on every system
_UNKNOWN_RATE = 25.0  # frames a second, where a video does not say


@contextlib.contextmanager
def overlay_video(path: Path, rate: float, made: str) -> Iterator[Callable[[np.ndarray, Wireframe], None]]:
    """Yield a function that draws a wireframe over a frame (H, W) uint8 and adds it to an MP4 file, which takes its place
    when the block succeeds and says what it was made from.

    Odd sides lose their last pixel: the codec does not take them.

    Args:
        rate: frames a second; 0 where it is not known.

    Raises:
        UserError: the file cannot be written.
    """
    writer = cv2.VideoWriter()
    with replacing(path) as temporary:
        # OpenCV chooses the container by the ending.
        drawn = temporary.with_name(temporary.name + path.suffix)

        def add(image: np.ndarray, wireframe: Wireframe) -> None:
            picture = overlay(image, wireframe)
            height, width = (side // 2 * 2 for side in picture.shape[:2])
            if not writer.isOpened():
                code = cv2.VideoWriter.fourcc(*_CODEC)
                if not writer.open(str(drawn), cv2.CAP_FFMPEG, code, rate or _UNKNOWN_RATE, (width, height)):
                    raise UserError(f"{path} could not be written by this OpenCV: leave out --ext mp4.")
            writer.write(cv2.cvtColor(picture[:height, :width], cv2.COLOR_RGB2BGR))

        try:
            yield add
            writer.release()
            with open(drawn, "ab") as stream:
                stream.write(mp4_signature(made))
            os.replace(drawn, temporary)
        finally:
            writer.release()
            drawn.unlink(missing_ok=True)
