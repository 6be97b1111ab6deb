"""A sleep that libfaketime 0.9.10 lets through: its clock_nanosleep refuses the monotonic clock where that is not faked (EINVAL)."""

import select
import time


def sleep(seconds):
    """As `time.sleep`, by a call that is not told a clock."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)


time.sleep = sleep
