"""Where the soak happens: a small disk, the tiny recipe's steps and how each was undisturbed, and a folder for one trial."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from checkouts import checkout, configure
from PIL import Image

from hawp_core.data.photographs.folder import BUNDLED, bundled_folder
from soak.attempts import WENT_ON, Attempt, Command, in_a_fork
from soak.results import digests

ROOM = 96_000_000  # bytes of the small disk
# Smaller still than the tiny recipe, but for the steps: each is a place to be hit, and most are saved.
CHANGES = {
    "train": {
        "synthetic": {"epochs": 3, "batch_size": 2, "base_lr": 0.001, "steps": [1]},
        "real": {"epochs": 3, "batch_size": 2, "flips": 1},
    },
    "export": {"views": 6},
    "compute": {"shard_size": 3, "save_minutes": 0.002},
}
WORKFLOW = ("snakemake", "rounds=1", "--profile", "profiles/local", "--configfile", "tiny.yaml")
VERIFY = Command("hawp verify", ("hawp", "verify"))


@dataclass(frozen=True)
class Step:
    """A command of the recipe, and what the folder was before and after it when nothing disturbed it.

    Attributes:
        before: a copy of the folder.
        after: digests of its results.
    """

    command: Command
    before: Path
    after: dict[str, str]


class Ground:
    """The soak's folder.

    Attributes:
        mounted: whether its disk is one of its own, which can be filled and made read-only.
        place: the working folder of the trial.
        said: what the trial's commands print.
        steps: of the recipe, in order.
        whole: the workflow's command; the seconds are those in which it gets to work and somewhat further.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.disk = self.folder / "disk"
        self.place = self.disk / "run"
        self.said = self.folder / "said.txt"
        self.unmount()
        shutil.rmtree(self.disk, ignore_errors=True)
        self.disk.mkdir(parents=True)
        self.mounted = mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", self.disk)
        self.steps: list[Step] = []

    def unmount(self) -> None:
        """Take the disk away, and what an earlier soak left of its own."""
        mounted = (
            [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()] if os.name == "posix" else []
        )
        for point in sorted((p for p in mounted if Path(p).is_relative_to(self.disk)), reverse=True):
            subprocess.run(["umount", "--lazy", point], check=False)

    def prepare(self) -> None:
        """Carry out the recipe undisturbed, by the lines that Snakemake would run, keeping a copy before each."""
        kept = self.folder / "reference"
        shutil.rmtree(kept, ignore_errors=True)
        self._photographs()
        for number, command in enumerate(self._commands()):
            before = kept / f"{number:02d}"
            copy(self.place, before)
            self.said.unlink(missing_ok=True)
            attempt = Attempt(command, self.place, self.said)
            if attempt.outcome() != WENT_ON:
                raise SystemExit(f"undisturbed, {shlex.join(command.words)} failed:\n{attempt.said}")
            self.steps.append(Step(replace(command, seconds=attempt.worked), before, self.results()))

    def results(self) -> dict[str, str]:
        """The digests of what the place holds; under "failed" why where there are none."""
        found = in_a_fork(lambda: digests(self.place))
        assert isinstance(found, dict)
        return found

    def lay(self, before: Path) -> None:
        """Make the place anew, as it was before a step."""
        shutil.rmtree(self.place, ignore_errors=True)
        copy(before, self.place)
        self.said.unlink(missing_ok=True)

    def verified(self) -> str:
        """What `hawp verify` says against the place; empty where nothing."""
        attempt = Attempt(VERIFY, self.place, self.said)
        return "" if attempt.outcome() == WENT_ON else attempt.said.strip()

    def _photographs(self) -> None:
        """The place with four small real photographs and the settings."""
        checkout(self.place)
        (self.place / "photos" / "sub").mkdir(parents=True)
        for name, source in zip(("a.jpg", "b.png", "c.png", "sub/d.tif"), BUNDLED, strict=False):
            with Image.open(bundled_folder() / source) as image:
                small = image.convert("RGB")
                small.thumbnail((120, 120))
            small.save(self.place / "photos" / name)
        configure(self.place, Path("photos"), rounds=1, **CHANGES)

    def _commands(self) -> list[Command]:
        """The recipe's lines, as a dry run prints them; it writes the recipes as well."""
        began = time.monotonic()
        dry = Attempt(Command("dry run", (*WORKFLOW, "--dry-run")), self.place, self.said)
        if dry.outcome() != WENT_ON:
            raise SystemExit(f"the workflow cannot be planned:\n{dry.said}")
        self.whole = Command("whole run of the workflow", WORKFLOW, 3 * (time.monotonic() - began), patience=3600.0)
        shutil.rmtree(self.place / ".snakemake")
        commands = []
        for line in re.findall(r"^Shell command: *\n((?: +\S.*\n)+)", dry.said, re.MULTILINE):
            plain = re.sub(r"\$\(\(10#(\d+)\)\)", lambda number: str(int(number[1])), line.replace("\\\n", ""))
            words = tuple(shlex.split(plain))
            commands.append(Command(_title(words), words))
        return commands


def _title(words: tuple[str, ...]) -> str:
    if words[1] == "train":
        return "hawp train, shapes" if "synthetic-shapes" in words[3] else "hawp train, labels"
    part = next((f" {word}" for word in ("--shard", "--gather") if word in words), "")
    return f"hawp {words[1]}{part}"


def mount(*words: object) -> bool:
    """Whether something could be mounted."""
    with contextlib.suppress(OSError):
        return subprocess.run(["mount", *map(str, words)], capture_output=True).returncode == 0
    return False


def copy(source: Path, target: Path) -> None:
    """Copy a folder with its times, links and second names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
