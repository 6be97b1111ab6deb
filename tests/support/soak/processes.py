"""Disturbances of processes: killed, asked to stop, stopped and continued late, two of them at once."""

import signal
import time

from soak.attempts import HUNG, KILLED, SENTENCE, STOPPED, TRACEBACK, WENT_ON, Attempt, Command
from soak.disturbance import Disturbance, Scene


class Killed(Disturbance):
    """SIGKILL to all at once, as when a machine goes down."""

    name = "SIGKILL to all"
    allowed = frozenset({KILLED})
    deadly = True

    def make(self, scene: Scene) -> bool:
        return scene.working.send(signal.SIGKILL, scene.working.family())


class DriverKilled(Disturbance):
    """SIGKILL to Snakemake alone: its jobs go on without it, beside what comes next."""

    name = "SIGKILL to the driver"
    allowed = frozenset({KILLED})
    deadly = True

    @classmethod
    def fits(cls, command: Command) -> bool:
        return command.whole

    def make(self, scene: Scene) -> bool:
        return scene.working.send(signal.SIGKILL, scene.working.family()[:1])


class JobKilled(Disturbance):
    """SIGKILL to one of the driver's children or their children, as the kernel does when memory is short."""

    name = "SIGKILL to a job"
    allowed = frozenset({SENTENCE})

    @classmethod
    def fits(cls, command: Command) -> bool:
        return command.whole

    def make(self, scene: Scene) -> bool:
        children = scene.working.family()[1:]
        return bool(children) and scene.working.send(signal.SIGKILL, [scene.choose.choice(children)])


class AskedToStop(Disturbance):
    """SIGTERM to all, as a scheduler sends it before it kills."""

    name = "SIGTERM to all"
    number = signal.SIGTERM
    # A step that is not at its work yet, or too short to look, ends as any program does.
    allowed = frozenset({KILLED, STOPPED, SENTENCE})
    deadly = True

    def make(self, scene: Scene) -> bool:
        return scene.working.send(self.number, scene.working.family())


class Interrupted(AskedToStop):
    """Ctrl-C in the terminal: SIGINT to all."""

    name = "SIGINT to all"
    number = signal.SIGINT


class OneAskedToStop(AskedToStop):
    """SIGTERM to one process of the run."""

    name = "SIGTERM to one"
    deadly = False

    @classmethod
    def fits(cls, command: Command) -> bool:
        return command.whole

    def make(self, scene: Scene) -> bool:
        family = scene.working.family()
        return bool(family) and scene.working.send(self.number, [scene.choose.choice(family)])


class Halted(Disturbance):
    """SIGSTOP to all, and SIGCONT late."""

    name = "SIGSTOP, late SIGCONT"

    def _whom(self, scene: Scene) -> list[int]:
        return scene.working.family()

    def make(self, scene: Scene) -> bool:
        pids = self._whom(scene)
        if not scene.working.send(signal.SIGSTOP, pids):
            return False
        time.sleep(scene.choose.uniform(0.1, 1))
        scene.working.send(signal.SIGCONT, pids)
        return True


class OneHalted(Halted):
    """SIGSTOP to one process of the run, and SIGCONT late."""

    name = "SIGSTOP to one, late SIGCONT"

    @classmethod
    def fits(cls, command: Command) -> bool:
        return command.whole

    def _whom(self, scene: Scene) -> list[int]:
        family = scene.working.family()
        return [scene.choose.choice(family)] if family else []


class TwoAtOnce(Disturbance):
    """The same command once more while the first is at work: it waits, or Snakemake refuses it."""

    name = "two at once"

    def make(self, scene: Scene) -> bool:
        if not scene.working.family():
            return False
        scene.another()
        return True

    def mend(self, scene: Scene, outcome: str) -> str:
        return _wrong(scene.others[-1])


class FirstKilled(TwoAtOnce):
    """The same command once more, and then the first is killed: the second takes over, and ends."""

    name = "two at once, the first killed"
    allowed = frozenset({KILLED})
    deadly = True

    def make(self, scene: Scene) -> bool:
        if not super().make(scene):
            return False
        time.sleep(scene.choose.uniform(0, 1))
        scene.working.send(signal.SIGKILL, scene.working.family())
        return True


class FirstHalted(TwoAtOnce):
    """The first is stopped, the same command is given once more, and the first continues late."""

    name = "two at once, the first halted"

    def make(self, scene: Scene) -> bool:
        family = scene.working.family()
        if not scene.working.send(signal.SIGSTOP, family):
            return False
        scene.another()
        time.sleep(scene.choose.uniform(0.2, 1))
        scene.working.send(signal.SIGCONT, family)
        return True


def _wrong(second: Attempt) -> str:
    """What is wrong about the end of a second command; Snakemake may refuse it."""
    outcome = second.outcome()
    if outcome == WENT_ON or (outcome == SENTENCE and second.command.whole):
        return ""
    what = {TRACEBACK: second.said, HUNG: "it did not end"}.get(outcome, second.said)
    return f"the second command ended with {outcome}: {what.strip()[-300:]}"


PROCESSES = (
    Killed, DriverKilled, JobKilled, AskedToStop, Interrupted, OneAskedToStop, Halted, OneHalted, TwoAtOnce, FirstKilled, FirstHalted,
)  # fmt: skip
