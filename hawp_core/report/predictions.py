"""The wireframes of many photographs and videos: read ahead, written behind, and what is done already left as it is."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

import numpy as np
from tqdm import tqdm

from hawp_core.data.photographs.decoding import LARGEST_PIXELS, Unreadable, read_gray
from hawp_core.data.photographs.selection import IMAGE, Selection, frame_outputs, is_video, outputs, too_long
from hawp_core.data.video import Unplayable, describe, frames
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.parser import Model
from hawp_core.report.formats import save, to_json
from hawp_core.report.json_lines import JsonLines, json_lines
from hawp_core.report.overlay_video import overlay_video
from hawp_core.report.ownership import is_current, made
from hawp_core.runtime.ahead import Behind, ahead, in_background
from hawp_core.runtime.progress import bar
from hawp_core.runtime.signals import StopRequest

ROWS = "jsonl"
# Batches that are ready before the network wants them, and that wait to be written.
_AHEAD = 2
_TOO_LARGE = "the memory that is free does not hold it: make it smaller"


@dataclass(frozen=True)
class Options:
    """What is left, and how.

    Attributes:
        folder: where results go.
        endings: of IMAGE, ROWS and VIDEO, each once.
        size, tile: as in `Model.__call__`.
        every: of a video, the first of so many frames.
        batch: images that pass the network together, where each is resized to its square.
        threads: that read, and as many that write.
        settings: all of this that changes a result, and the model; JSON-serialisable.
    """

    folder: Path
    endings: list[str]
    size: int | Literal["native"] | None
    tile: int
    every: int
    batch: int
    threads: int
    settings: dict[str, object]


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        images, lines: that were found now; frames are images.
        earlier: images whose results were there already.
        failures: a sentence for each file that was left out.
    """

    images: int = 0
    lines: int = 0
    earlier: int = 0
    failures: list[str] = field(default_factory=list)


class _Job(NamedTuple):
    """An image that is to be looked at: its name, what its results are made from, and which of them are missing."""

    file: Path
    name: str
    made: str
    paths: list[Path]
    row: bool


class _Picture(NamedTuple):
    """An image that is ready for the network: what it sees of it, and the image itself where that or a drawing needs it."""

    job: _Job
    width: int
    height: int
    seen: np.ndarray
    gray: np.ndarray | None


_Found = tuple[_Picture, Wireframe]
_Draw = Callable[[np.ndarray, Wireframe], None]
_Shown = tuple[list[_Found], _Draw | None]  # what was found in a batch, and what draws it into a video


class _CutShort(Exception):
    """A video ended too early; its sentence is among the failures."""


class Predictions:
    """Finds and writes what is not there yet.

    Args:
        selection: the images and videos.
        stop: a request to stop is heeded between two batches.

    Raises:
        UserError: a result would replace an image.
    """

    def __init__(self, selection: Selection, model: Model, options: Options, stop: StopRequest) -> None:
        self._model, self._options, self._stop = model, options, stop
        self._planned = outputs(selection, options.folder, [each for each in options.endings if each != ROWS])
        self._images = [ending for ending in options.endings if ending in IMAGE]
        self._made = {name.as_posix(): self._what(file) for file, name in selection.files}
        self._rows: JsonLines | None = None
        self.outcome = Outcome()
        named = [(file, name.as_posix()) for file, name in selection.files]
        self._videos = [(file, name) for file, name in named if is_video(file)]
        self._photographs = [(file, name) for file, name in named if not is_video(file)]

    def run(self) -> Outcome:
        """Do all of it.

        Raises:
            UserError: a result cannot be written, or would replace a file that is none.
            Interrupted: stopped; what is written is kept.
        """
        threads, batch = self._options.threads, self._batch
        with contextlib.ExitStack() as held:
            if ROWS in self._options.endings:
                self._rows = held.enter_context(json_lines(self._options.folder, self._wanted, self._stop))
            jobs = [job for file, name in self._photographs for job in self._jobs_of(file, name)]
            write = held.enter_context(Behind(_save, threads=threads, most=_AHEAD * batch))
            add = held.enter_context(Behind(self._add, threads=1, most=_AHEAD))
            shown = held.enter_context(bar("predict", len(jobs), "image"))
            read = held.enter_context(contextlib.closing(ahead(self._read, jobs, threads=threads, most=_AHEAD * batch)))
            self._look(read, write, add, shown)
            for file, name in self._videos:
                self._look_at_video(file, name, write, add, shown)
        return self.outcome

    @property
    def _batch(self) -> int:
        return self._options.batch if self._options.size is None else 1

    def _what(self, file: Path) -> str:
        """What the results of a file are made from."""
        return made(file, {**self._options.settings, **({"every": self._options.every} if is_video(file) else {})})

    def _wanted(self, name: str) -> str | None:
        """What a row is to be made from; a frame's name is its video's, and its number."""
        video, _, number = name.rpartition("/")
        return self._made.get(name) or (self._made.get(video) if number.isdecimal() else None)

    def _jobs_of(self, file: Path, name: str) -> Iterator[_Job]:
        if too_long(self._planned[file]):
            self.outcome.failures.append(str(Unreadable(file, "its name leaves no room for an ending: shorten it")))
            return
        job = self._job(file, name, self._planned[file])
        if job.paths or job.row:
            yield job
        else:
            self.outcome.earlier += 1

    def _job(self, file: Path, name: str, paths: list[Path]) -> _Job:
        wanted = self._wanted(name) or ""
        missing = [path for path in paths if not is_current(path, wanted)]
        return _Job(file, name, wanted, missing, self._rows is not None and name not in self._rows.done)

    def _read(self, job: _Job) -> _Picture | str:
        try:
            return self._prepared(job, read_gray(job.file)[0])
        except Unreadable as error:
            return str(error)
        except MemoryError:
            return str(Unreadable(job.file, _TOO_LARGE))

    def _prepared(self, job: _Job, gray: np.ndarray, drawn: bool = False) -> _Picture:
        height, width = gray.shape
        seen = self._model.square(gray) if self._options.size is None else gray
        drawn = drawn or any(path.suffix == ".png" for path in job.paths)
        return _Picture(job, width, height, seen, gray if drawn else None)

    def _look(
        self,
        pictures: Iterable[_Picture | str],
        write: Behind[_Found],
        add: Behind[_Shown],
        shown: "tqdm[NoReturn]",
        draw: _Draw | None = None,
    ) -> None:
        """Pass pictures through the network and hand on what is found; a sentence is a failure."""
        stream = iter(pictures)
        while batch := list(itertools.islice(stream, self._batch)):
            self._stop.check(f"the results of {self.outcome.images} images are written")
            ready = [each for each in batch if isinstance(each, _Picture)]
            self.outcome.failures += [each for each in batch if isinstance(each, str)]
            found = self._find(ready)
            for picture, wireframe in found:
                self.outcome.images += 1
                self.outcome.lines += len(wireframe.edges)
                if picture.job.paths:
                    write.give((picture, wireframe))
            add.give((found, draw))
            shown.update(len(batch))

    def _find(self, pictures: list[_Picture]) -> list[_Found]:
        """The wireframes of a batch, in the pixels of their images; where the memory ends, that is a failure."""
        if self._options.size is None:
            found = self._model.many([picture.seen for picture in pictures]) if pictures else []
            return [(p, wireframe.resized(p.width, p.height)) for p, wireframe in zip(pictures, found, strict=True)]
        kept = []
        for picture in pictures:
            try:
                kept.append((picture, self._find_native(picture)))
            except Unreadable as error:
                self.outcome.failures.append(str(error))
            except MemoryError:
                self.outcome.failures.append(str(Unreadable(picture.job.file, _TOO_LARGE)))
        return kept

    def _find_native(self, picture: _Picture) -> Wireframe:
        size = self._options.size
        grown = size / max(picture.width, picture.height) if isinstance(size, int) else 1.0
        if picture.width * picture.height * grown**2 > LARGEST_PIXELS:
            reason = f"with --size {size} it would have more than {LARGEST_PIXELS // 10**6} megapixels"
            raise Unreadable(picture.job.file, reason)
        # Shown of what takes long alone, and gone when it is done.
        with bar(picture.job.name, 1, "tile", delay=2, leave=False) as shown:

            def progress(done: int, of: int) -> None:
                self._stop.check(f"the results of {self.outcome.images} images are written")
                shown.total = of
                shown.update(done - shown.n)

            options = self._options
            return self._model(picture.seen, size=options.size, tile=options.tile, progress=progress)

    def _add(self, work: _Shown) -> None:
        found, draw = work
        rows = [to_json(p.job.name, wireframe, p.job.made) for p, wireframe in found if p.job.row]
        if self._rows is not None and rows:
            self._rows.add(rows)
        for picture, wireframe in found:
            if draw is not None and picture.gray is not None:
                draw(picture.gray, wireframe)

    def _look_at_video(
        self, file: Path, name: str, write: Behind[_Found], add: Behind[_Shown], shown: "tqdm[NoReturn]"
    ) -> None:
        overlay = next((path for path in self._planned[file] if not is_current(path, self._made[name])), None)
        try:
            frame = frame_outputs(self._options.folder, f"{name}/0", self._images)
            if too_long([*self._planned[file], *(path.parent for path in frame)]):
                raise Unplayable(file, "its name leaves no room for an ending: shorten it")
            about = describe(file)
            shown.total = (shown.total or 0) + -(-about.frames // self._options.every)
            with contextlib.ExitStack() as held:
                draw = None
                if overlay is not None:
                    rate = about.rate / self._options.every
                    # Waited for before the video takes its place.
                    draw = held.enter_context(overlay_video(overlay, rate, self._made[name]))
                    held.callback(add.wait)
                pictures = held.enter_context(
                    contextlib.closing(
                        in_background(self._frames(file, name, draw is not None, shown), most=_AHEAD * self._batch)
                    )
                )
                before = len(self.outcome.failures)
                self._look(pictures, write, add, shown, draw)
                if len(self.outcome.failures) > before:
                    # Out of the block, so that no half of an overlay takes its place.
                    raise _CutShort
        except Unplayable as error:
            self.outcome.failures.append(str(error))
        except _CutShort:
            return

    def _frames(self, file: Path, name: str, drawn: bool, shown: "tqdm[NoReturn]") -> Iterator[_Picture | str]:
        try:
            for number, gray in frames(file, self._options.every):
                frame = f"{name}/{number:06d}"
                job = self._job(file, frame, frame_outputs(self._options.folder, frame, self._images))
                if job.paths or job.row or drawn:
                    yield self._prepared(job, gray, drawn)
                else:
                    self.outcome.earlier += 1
                    shown.update()
        except Unplayable as error:
            yield str(error)


def _save(work: _Found) -> None:
    picture, wireframe = work
    for path in picture.job.paths:
        save(path, picture.job.name, picture.gray, wireframe, picture.job.made)
