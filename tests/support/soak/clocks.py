"""Disturbances of time: a clock that is set back or forward, and files from the past and the future."""

import glob
import os
import time

from soak.disturbance import Disturbance, Scene
from soak.ground import Ground

DAY = 86_400
LIBRARIES = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))  # Debian's package libfaketime


class OtherClock(Disturbance):
    """The command starts with a clock that is days off."""

    name = "clock set back or forward"
    early = True
    anew = True

    @classmethod
    def possible(cls, ground: Ground) -> bool:
        return bool(LIBRARIES)

    def _set(self, scene: Scene) -> str:
        return f"{scene.choose.choice((-400 * DAY, -2 * DAY, -3600, -60, 3600, 2 * DAY)):+d}"

    def surroundings(self, scene: Scene) -> dict[str, str]:
        # libfaketime refuses Python's sleep where it leaves the monotonic clock alone: clock/ mends that (`attempts.ASIDE`).
        # Files keep the machine's time, as those do that were written before the clock was set.
        times = scene.choose.choice(({"NO_FAKE_STAT": "1"}, {}))
        return {"LD_PRELOAD": LIBRARIES[0], "DONT_FAKE_MONOTONIC": "1", "FAKETIME": self._set(scene)} | times

    def make(self, scene: Scene) -> bool:
        return True


class ClockSet(OtherClock):
    """The clock is set while the command works."""

    name = "clock set during the work"
    early = False

    def surroundings(self, scene: Scene) -> dict[str, str]:
        self._clock = scene.ground.folder / "clock"
        self._clock.write_text("+0\n")
        rest = {name: value for name, value in super().surroundings(scene).items() if name != "FAKETIME"}
        return rest | {"FAKETIME_TIMESTAMP_FILE": str(self._clock), "FAKETIME_CACHE_DURATION": "1"}

    def make(self, scene: Scene) -> bool:
        if not scene.working.family():
            return False
        self._clock.write_text(f"{self._set(scene)}\n")
        return True


class FileTimes(Disturbance):
    """Each file of the run, the photographs included, is from some time within three days before and after now."""

    name = "files from the past and the future"
    early = True

    def make(self, scene: Scene) -> bool:
        for path in scene.files("photos", "recipes", "data-ssl", "exp-ssl"):
            moment = time.time() + scene.choose.uniform(-3 * DAY, 3 * DAY)
            os.utime(path, (moment, moment))
        return True


CLOCKS = (OtherClock, ClockSet, FileTimes)
