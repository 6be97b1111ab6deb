"""The frames of a video, as grey values."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from hawp_core.data.photographs.decoding import LARGEST_PIXELS, SMALLEST_SIDE
from hawp_core.errors import UserError
from hawp_core.runtime.text import shown

# Containers count their frames exactly or nearly: fewer than this share, but for two, and the file was cut short.
_LEAST_SHARE, _TOLERATED = 0.98, 2
# FFmpeg neither speaks for itself on the terminal nor opens anything but the file: of all its readers only those of the containers
# that are looked at, for a list of files in disguise names others.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file|format_whitelist;mov,matroska,avi")


class Unplayable(UserError):
    """A video that cannot be used, or not to its end."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{shown(path)} cannot be used as a video ({reason}): replace the file or remove it.")


class Video(NamedTuple):
    """What a video says of itself.

    Attributes:
        frames: their number; 0 where it is not known.
        rate: frames a second; 0 where it is not known.
    """

    frames: int
    rate: float


def describe(path: Path) -> Video:
    """What a video says of itself.

    Raises:
        Unplayable: empty, damaged, of another kind, too small or too large.
    """
    video = _opened(path)
    try:
        return _described(video)
    finally:
        video.release()


def _described(video: cv2.VideoCapture) -> Video:
    counted, rate = video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)
    return Video(int(counted) if 0 < counted < 2**40 else 0, float(rate) if 0 < rate < 1e6 else 0.0)


def frames(path: Path, every: int) -> Iterator[tuple[int, np.ndarray]]:
    """Every `every`-th frame of a video from the first on: its number, counted from 0, and (H, W) uint8, upright.

    Raises:
        Unplayable: as `describe`; or, after the frames that there are, the file was cut short.
    """
    video, number = _opened(path), 0
    try:
        counted = _described(video).frames
        while video.grab():
            if number % every == 0:
                there, frame = video.retrieve()
                if not there:
                    raise Unplayable(path, f"its frame {number} is damaged")
                yield number, (frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
            number += 1
    finally:
        video.release()
    if number == 0:
        raise Unplayable(path, "no frame can be decoded")
    if number < _LEAST_SHARE * counted - _TOLERATED:
        raise Unplayable(path, f"it was cut short: {number} of its {counted} frames can be decoded")


def _opened(path: Path) -> cv2.VideoCapture:
    if path.stat().st_size == 0:
        raise Unplayable(path, "it is empty")
    # What OpenCV has to say is said below, in one sentence.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    # By its full path, which is no address of another kind.
    video = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not video.isOpened():
        raise Unplayable(path, "its content is no video, is damaged at the beginning or cut short")
    if min(width, height) < SMALLEST_SIDE or width * height > LARGEST_PIXELS:
        video.release()
        raise Unplayable(path, f"its frames have {width:.0f} x {height:.0f} pixels")
    return video
