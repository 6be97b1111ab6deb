"""Disturbances of folders: full, read-only, slow; photographs that vanish and change; files that lost their end."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from soak.attempts import KILLED, SENTENCE, Command
from soak.disturbance import Disturbance, Scene
from soak.ground import Ground, mount


class FullDisk(Disturbance):
    """All room but a little is taken, until the command has ended."""

    name = "full disk"
    allowed = frozenset({SENTENCE})

    @classmethod
    def possible(cls, ground: Ground) -> bool:
        return ground.mounted

    def make(self, scene: Scene) -> bool:
        leave = scene.choose.choice((0, 0, 4096, 20_000, 100_000, 400_000))
        self.details = f"{leave} bytes left"
        free = os.statvfs(scene.ground.disk)
        with open(scene.ground.disk / "filler", "wb") as stream, contextlib.suppress(OSError):
            os.posix_fallocate(stream.fileno(), 0, max(4096, free.f_bavail * free.f_frsize - leave))
        return True

    def mend(self, scene: Scene, outcome: str) -> str:
        (scene.ground.disk / "filler").unlink()
        return ""


class ReadOnly(Disturbance):
    """A folder that cannot be written becomes so while the command works."""

    name = "folder becomes read-only"
    allowed = frozenset({SENTENCE})

    @classmethod
    def possible(cls, ground: Ground) -> bool:
        # Permissions do not bind root, and nobody else may mount.
        return ground.mounted or os.getuid() != 0

    def make(self, scene: Scene) -> bool:
        names = ("data-ssl", "exp-ssl", "recipes", "logs", "reports")
        self._folder = scene.place / scene.choose.choice([name for name in names if (scene.place / name).is_dir()])
        self.details = str(self._folder.relative_to(scene.place))
        self._mounted = scene.ground.mounted and mount("--bind", self._folder, self._folder)
        if self._mounted:
            return mount("-o", "remount,ro,bind", self._folder) or bool(self.mend(scene, ""))
        self._folder.chmod(0o555)
        return os.getuid() != 0

    def mend(self, scene: Scene, outcome: str) -> str:
        if self._mounted:
            # A file that is open there keeps the mount until it is closed; its name goes at once.
            subprocess.run(["umount", "--lazy", str(self._folder)], check=True)
        else:
            self._folder.chmod(0o755)
        return ""


class ReadOnlyFromTheStart(ReadOnly):
    """A folder that cannot be written is so before the command starts."""

    name = "folder read-only from the start"
    early = True


class SlowFolder(Disturbance):
    """What settles on the disk takes its time."""

    name = "slow folder"
    early = True

    def surroundings(self, scene: Scene) -> dict[str, str]:
        return {"HAWP_SOAK_SLOW": str(scene.choose.choice((0.01, 0.05, 0.2)))}

    def make(self, scene: Scene) -> bool:
        return True


class KilledInSlowFolder(SlowFolder):
    """SIGKILL where what settles on the disk takes its time: between two of these rather than in the work."""

    name = "SIGKILL in a slow folder"
    early = False
    allowed = frozenset({KILLED})
    deadly = True

    def make(self, scene: Scene) -> bool:
        return scene.working.send(signal.SIGKILL, scene.working.family())


class Photograph(Disturbance):
    """Something happens to a photograph, and what it was is put back afterwards."""

    allowed = frozenset({SENTENCE})

    @classmethod
    def fits(cls, command: Command) -> bool:
        return command.reads_photographs

    def make(self, scene: Scene) -> bool:
        self._photograph = scene.choose.choice(scene.files("photos"))
        self._aside = scene.ground.disk / "aside"
        shutil.copy2(self._photograph, self._aside)
        self.details = self._photograph.name
        self.happen(scene)
        return True

    def happen(self, scene: Scene) -> None:
        """Change the photograph at `_photograph`."""
        raise NotImplementedError

    def mend(self, scene: Scene, outcome: str) -> str:
        # With its time, or as a new file.
        (shutil.copy2 if scene.choose.random() < 0.5 else shutil.copyfile)(self._aside, self._photograph)
        self._aside.unlink()
        return ""


class PhotographVanishes(Photograph):
    """A photograph is moved away."""

    name = "photograph vanishes"

    def happen(self, scene: Scene) -> None:
        self._photograph.unlink()


class PhotographChanges(Photograph):
    """Some bytes of a photograph change, not its size."""

    name = "photograph changes, same size"

    def happen(self, scene: Scene) -> None:
        content = bytearray(self._photograph.read_bytes())
        for _ in range(20):
            content[scene.choose.randrange(len(content))] ^= 1 << scene.choose.randrange(8)
        self._photograph.write_bytes(content)


class PhotographGrows(Photograph):
    """Another photograph takes its name."""

    name = "photograph changes, other size"

    def happen(self, scene: Scene) -> None:
        others = [path for path in scene.files("photos") if path != self._photograph]
        shutil.copyfile(scene.choose.choice(others), self._photograph)


class CutShort(Disturbance):
    """A file of the run has lost its end, as after a power cut.

    The same command makes it anew, or needs it no more; or its sentence or that of `hawp verify` says what to remove, and then
    the same command makes that anew.
    """

    name = "file cut short"
    early = True
    allowed = frozenset({SENTENCE})

    def make(self, scene: Scene) -> bool:
        folders = ("data-ssl", "exp-ssl", "recipes") if scene.command.whole else ("data-ssl", "exp-ssl")
        files = [path for path in scene.files(*folders) if path.stat().st_size and path.suffix != ".lock"]
        if not files:
            return False
        file = scene.choose.choice(files)
        length = scene.choose.randrange(file.stat().st_size)
        os.truncate(file, length)
        self.details = f"{file.relative_to(scene.place)} to {length} bytes"
        scene.cut.append(file)
        return True

    def mend(self, scene: Scene, outcome: str) -> str:
        if outcome == SENTENCE and not obey(scene, scene.working.said):
            return f"nothing that can be removed is named: {scene.working.said.strip()[-300:]}"
        return ""


def obey(scene: Scene, said: str) -> list[Path]:
    """Remove what sentences name, to be made anew; what they named.

    By hand, what earlier steps make comes from the copy.
    """
    removed = []
    for line in said.splitlines():
        for word in re.findall(r"(?:data-ssl|exp-ssl|recipes|reports)/[^\s:,()]+", line):
            path = scene.place / word
            told = re.search(r"remove|delete|move it away|again", line) or path in scene.cut
            if told and path.is_file():
                beside = "with what lies beside it" in line
                removed += [path, *(_beside(path) if beside else ())]
    for path in removed:
        path.unlink(missing_ok=True)
    if not scene.command.whole:
        for path in removed:
            if (earlier := scene.before / path.relative_to(scene.place)).is_file():
                shutil.copy2(earlier, path)
    return removed


def _beside(record: Path) -> list[Path]:
    """What a lineage record vouches for: a training's folder, or the files with its name."""
    if record.name == "lineage.json":
        return [path for path in record.parent.iterdir() if path.is_file()]
    return list(record.parent.glob(f"{record.name.removesuffix('.lineage.json')}*"))


FOLDERS = (
    FullDisk, ReadOnly, ReadOnlyFromTheStart, SlowFolder, KilledInSlowFolder, PhotographVanishes, PhotographChanges, PhotographGrows,
    CutShort,
)  # fmt: skip
