"""A slow folder, as a process sees it: what settles on a disk takes up to HAWP_SOAK_SLOW seconds."""

import os
import random
import time

CHOOSE = random.Random(os.getpid())
MOST = float(os.environ.get("HAWP_SOAK_SLOW", 0))


def slowed(call):
    """The call, late by a random time, sometimes before and sometimes after it is made."""

    def late(*args, **others):
        before = CHOOSE.random() < 0.5
        if before:
            time.sleep(CHOOSE.uniform(0, MOST))
        answer = call(*args, **others)
        if not before:
            time.sleep(CHOOSE.uniform(0, MOST))
        return answer

    return late


for name in ("fsync", "link", "mkdir", "rename", "replace", "unlink"):
    setattr(os, name, slowed(getattr(os, name)))
