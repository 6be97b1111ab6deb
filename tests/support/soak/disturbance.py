"""What every disturbance is: one idea, made at a moment, and mended as its sentence says."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import ClassVar

import psutil

from soak.attempts import WENT_ON, Attempt, Command
from soak.ground import Ground


@dataclass
class Scene:
    """Where a disturbance finds itself.

    Attributes:
        before: a copy of the place from before the trial.
        attempt: the command at work; None before it starts.
        choose: the trial's random choices.
        others: the same command beside the first.
        orphans: processes of attempts that have ended, which may go on without them.
        cut: files that lost their end.
    """

    ground: Ground
    command: Command
    before: Path
    choose: Random
    attempt: Attempt | None = None
    others: list[Attempt] = field(default_factory=list)
    orphans: list[psutil.Process] = field(default_factory=list)
    cut: list[Path] = field(default_factory=list)

    @property
    def place(self) -> Path:
        """The working folder."""
        return self.ground.place

    @property
    def working(self) -> Attempt:
        """The command at work."""
        assert self.attempt is not None
        return self.attempt

    def another(self) -> Attempt:
        """The same command, started beside the first."""
        said = self.ground.said.with_name(f"said-{len(self.others)}.txt")
        said.unlink(missing_ok=True)
        self.others.append(Attempt(self.command, self.place, said))
        return self.others[-1]

    def leave(self) -> None:
        """End what is still at work, so that the place can be made anew."""
        for process in self.orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for attempt in self.others:
            attempt.end()

    def files(self, *folders: str) -> list[Path]:
        """The regular files below folders of the place, in order."""
        found = (path for folder in folders for path in (self.place / folder).rglob("*"))
        return sorted(path for path in found if path.is_file() and not path.is_symlink())


class Disturbance:
    """A way to disturb a command; a new object for each time.

    Attributes:
        name: in the table.
        early: made before the command starts, not while it works.
        allowed: how a command so disturbed may end, beside going on.
        deadly: a command that went on all the same had ended before, or nearly: it is not counted.
    """

    name: ClassVar[str]
    early: ClassVar[bool] = False
    allowed: ClassVar[frozenset[str]] = frozenset()
    deadly: ClassVar[bool] = False

    @classmethod
    def possible(cls, ground: Ground) -> bool:
        """Whether this machine can do it."""
        return True

    @classmethod
    def fits(cls, command: Command) -> bool:
        """Whether it means something to a command."""
        return True

    def surroundings(self, scene: Scene) -> dict[str, str]:
        """Variables of the environment that the command shall start with."""
        return {}

    anew: ClassVar[bool] = False  # whether these want a process of its own
    details: str = ""  # for the journal

    def make(self, scene: Scene) -> bool:
        """Do it; whether there was something to do it to."""
        raise NotImplementedError

    def mend(self, scene: Scene, outcome: str) -> str:
        """Once the command has ended, do what its sentence asks for; what is wrong about the end, in words."""
        return ""


def unexpected(outcome: str, allowed: frozenset[str]) -> bool:
    """Whether an end is none that a disturbance may bring about."""
    return outcome != WENT_ON and outcome not in allowed
