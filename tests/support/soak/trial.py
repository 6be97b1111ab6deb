"""One trial: a command is disturbed a few times, let through, and what it leaves compared with what nothing disturbed."""

import contextlib
import resource
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import psutil

from soak.attempts import WENT_ON, Attempt
from soak.clocks import CLOCKS
from soak.disturbance import Disturbance, Scene, unexpected
from soak.folders import FOLDERS, obey
from soak.ground import Ground, copy
from soak.processes import PROCESSES
from soak.results import differences

KINDS: tuple[type[Disturbance], ...] = (*PROCESSES, *FOLDERS, *CLOCKS)
SAME = "same bits"
IMPORTS = 3.0  # seconds of the processor, about


@dataclass(frozen=True)
class Made:
    """A disturbance that was made: its kind, the seconds of work (`Command.seconds`) after which it was, how that ended and what was said last."""

    kind: str
    after: float
    outcome: str
    said: str = ""
    details: str = ""


@dataclass
class Trial:
    """What happened in a trial, as the journal keeps it.

    Attributes:
        end: "same bits", or what was lost.
        part_files: that killed attempts left behind.
        seconds: by the clock.
        processor: seconds of the processor, those of the commands and of the comparisons.
    """

    number: int
    command: str
    begins_at: int
    disturbances: list[Made] = field(default_factory=list)
    end: str = SAME
    part_files: int = 0
    seconds: float = 0.0
    processor: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """As a line of JSON."""
        return asdict(self)


def carry_out(ground: Ground, number: int, seed: int, counts: Mapping[str, int], most: int, whole: float) -> Trial:
    """Disturb a command `most` times at most.

    Args:
        counts: how often each kind was made so far: the rarer ones come first.
        whole: share of trials that are runs of the workflow.
    """
    began, busy = time.monotonic(), _worked()
    choose = Random(f"{seed}/{number}")
    entire = choose.random() < whole
    at = choose.randrange(len(ground.steps))
    step = ground.steps[at]
    command = ground.whole if entire else step.command
    trial = Trial(number, command.title, at)
    ground.lay(step.before)
    scene = Scene(ground, command, step.before, choose)
    try:
        for kind in _kinds(scene, counts, min(most, choose.randint(3, 10) if entire else choose.randint(1, 5))):
            # A command that got through has little left to be disturbed in: often another trial begins.
            if disturb(scene, kind(), trial) == WENT_ON and choose.random() < 0.4:
                break
        let_through(scene)
        against = ground.verified()
        # A file that was cut short may hide another that goes with it.
        for _ in range(3):
            if not (against and scene.cut and obey(scene, against)):
                break
            let_through(scene)
            against = ground.verified()
        expected = ground.steps[-1].after if entire else step.after
        faults = differences(expected, ground.results(), more=entire) + ([against] if against else [])
        if faults:
            raise Lost("; ".join(faults))
    except Lost as lost:
        trial.end = str(lost)
    finally:
        scene.leave()
    trial.part_files = len(list(ground.place.rglob("*.part")))
    trial.seconds = round(time.monotonic() - began, 1)
    trial.processor = round(_worked() - busy, 2)
    return trial


def _worked() -> float:
    """Seconds of the processor, of this process and of all that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Lost(Exception):
    """Something ended as nothing should."""


def _kinds(scene: Scene, counts: Mapping[str, int], many: int) -> list[type[Disturbance]]:
    fitting = [kind for kind in KINDS if kind.possible(scene.ground) and kind.fits(scene.command)]
    scene.choose.shuffle(fitting)
    # The rarest first, so that each gets its share; of what begins anew, which takes five times as long, a smaller one.
    return sorted(fitting, key=lambda kind: counts.get(kind.name, 0) * (4 if kind.anew else 1))[:many]


def disturb(scene: Scene, disturbance: Disturbance, trial: Trial) -> str:
    """Start the command and disturb it at some moment; nothing is noted where it had ended before. How it ended.

    Raises:
        Lost: it ended in a way that the disturbance does not excuse.
    """
    ground, choose = scene.ground, scene.choose
    extra = disturbance.surroundings(scene)
    if disturbance.early and not disturbance.make(scene):
        return ""
    scene.attempt = Attempt(scene.command, scene.place, ground.said, extra, anew=disturbance.anew)
    after, made = 0.0, disturbance.early
    if not disturbance.early:
        # What begins anew imports PyTorch first.
        after = choose.uniform(0, scene.command.seconds + IMPORTS * (disturbance.anew and not scene.command.whole))
        still = scene.attempt.works(after)
        scene.orphans += _known(scene.attempt)  # before it may lose its children
        made = still and disturbance.make(scene)
    scene.orphans += _known(scene.attempt)
    outcome = scene.attempt.outcome()
    if not made:
        if outcome != WENT_ON:
            raise Lost(f"undisturbed, it ended with {outcome}: {scene.attempt.said.strip()[-300:]}")
        return outcome
    wrong = disturbance.mend(scene, outcome)
    if disturbance.deadly and outcome == WENT_ON and not wrong:
        return outcome
    said = scene.attempt.said.strip().splitlines()
    trial.disturbances.append(
        Made(disturbance.name, round(after, 3), outcome, said[-1][:300] if said else "", disturbance.details)
    )
    if unexpected(outcome, disturbance.allowed) or wrong:
        raise Lost(wrong or f"{disturbance.name}: {outcome}")
    return outcome


def _known(attempt: Attempt) -> list[psutil.Process]:
    found = []
    for pid in attempt.family():
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def let_through(scene: Scene) -> None:
    """The same command, undisturbed; and the end of all that still works.

    Raises:
        Lost: it does not end well.
    """
    attempt = Attempt(scene.command, scene.place, scene.ground.said)
    outcome = attempt.outcome()
    if outcome != WENT_ON:
        raise Lost(f"let through, it ended with {outcome}: {attempt.said.strip()[-500:]}")
    _, alive = psutil.wait_procs(scene.orphans, timeout=scene.command.patience)
    if alive:
        raise Lost(f"still at work after the end: {[shlex.join(process.cmdline()) for process in alive]}")


def kept(ground: Ground, trial: Trial) -> Path:
    """Keep the folder of a trial that lost something, to be looked at."""
    target = ground.folder / "kept" / f"trial-{trial.number}"
    target.parent.mkdir(exist_ok=True)
    copy(ground.place, target)
    for said in ground.folder.glob("said*.txt"):
        said.rename(target / said.name)
    return target
