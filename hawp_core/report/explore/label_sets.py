"""The labelled photographs of a working folder, round by round, and what `hawp predict` found, looked up anew whenever somebody asks.

A labelling is there once its data config is, which is written last. Which labelling came before is what its lineage record says:
the labels that the model behind it learned from. So runs by hand have rounds as well, whatever their names.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hawp_core.data.data_config import PhotographData, read_data_config
from hawp_core.data.label_file import LabelFile
from hawp_core.data.labelled import Labelled
from hawp_core.errors import UserError
from hawp_core.report.explore.results import Results
from hawp_core.runtime.text import shown
from hawp_core.runtime.typed import typed
from hawp_core.workflow.paths import DATA
from hawp_core.workflow.record import Record, read_record, record_file

# Label files in memory: a round, the one before, and those that somebody leafs through.
KEPT_FILES = 6
_GONE = "These labels are gone, or others lie in their place: look at the list again."
_ROUND = re.compile(r"(?P<run>.*)-round(?P<number>\d+)")


@dataclass(frozen=True)
class LabelSet:
    """A label file, and what is known of it without opening it; or the results of `hawp predict` in one place.

    Attributes:
        number: of this version of the file; another file in its place has another number.
        name: of its folder below data-ssl, such as mine-round1.
        key: its address.
        file: the label file.
        folder: of the photographs, or "bundled".
        written: time of the file, seconds since 1970.
        images, lines: counts of its record; None where there is none.
        learned_from: key of the labels that the model that made it learned from; None for none, and where that is not known.
        side: of the network's square input, pixels, in which lines are compared; None where it is not known.
        predicted: these are results, which belong to no run.
    """

    number: int
    name: str
    key: str
    file: Path
    folder: str
    written: float
    images: int | None = None
    lines: int | None = None
    learned_from: str | None = None
    side: int | None = None
    predicted: bool = False

    @property
    def run(self) -> str:
        """The run that it belongs to."""
        found = _ROUND.fullmatch(self.name)
        return found["run"] if found else self.name

    @property
    def title(self) -> str:
        """What a reader calls it."""
        if self.predicted:
            return "hawp predict"
        found = _ROUND.fullmatch(self.name)
        return f"round {found['number']}" if found else self.name


@dataclass(frozen=True)
class _Architecture:
    image_size: int


@dataclass(frozen=True)
class _TrainingSettings:
    model: _Architecture


@dataclass(frozen=True)
class _Training:
    """What a record says of the training of the model that labelled."""

    inputs: dict[str, object]
    settings: _TrainingSettings


class Shelf:
    """The labellings of a working folder.

    Args:
        root: in which data-ssl lies, or will, or results of `hawp predict`; or one file of these.
        images: folder of the photographs of such results; None for the folder around that of the results.
    """

    def __init__(self, root: Path, images: Path | None = None) -> None:
        self.root = root
        self._images = images
        self._results = Results(root)
        self._predicted: dict[int, Labelled] = {}
        # Starlette answers in several threads.
        self._lock = threading.Lock()
        self._numbers: dict[tuple[Path, int, int], int] = {}
        self._known: dict[tuple[int, ...], LabelSet] = {}
        self._now: dict[int, LabelSet] = {}
        self._open: OrderedDict[int, LabelFile] = OrderedDict()

    def look(self) -> tuple[list[LabelSet], list[str]]:
        """The labellings that are there now, by their time, and a sentence for each that cannot be read."""
        found, faults = [], []
        with self._lock:
            for config in sorted((self.root / DATA).glob("*/*.yaml")):
                try:
                    if (labelled := self._labelled(config)) is not None:
                        found.append(labelled)
                except UserError as error:
                    faults.append(shown(str(error)))
                except OSError:  # it went, or is being replaced
                    continue
            results, unreadable = self._results.look()
            faults += unreadable
            self._predicted = {}
            for version, result in results:
                found.append(self._result(version, result))
                self._predicted[found[-1].number] = result
            self._now = {each.number: each for each in found}
            for number in self._open.keys() - self._now.keys():
                del self._open[number]
        return sorted(found, key=lambda each: (each.written, each.name)), faults

    def find(self, number: int) -> LabelSet:
        """A labelling by its number.

        Raises:
            UserError: it is not there any more.
        """
        if number not in self._now:
            self.look()
        try:
            return self._now[number]
        except KeyError:
            raise UserError(_GONE) from None

    def labels(self, labelled: LabelSet) -> Labelled:
        """The labels themselves; the last few files stay in memory.

        Raises:
            UserError: the file is damaged, or gone.
        """
        with self._lock:
            if labelled.number in self._predicted:
                return self._predicted[labelled.number]
            if labelled.number not in self._open:
                if labelled.predicted:
                    raise UserError(_GONE)
                self._open[labelled.number] = LabelFile(labelled.file)
                while len(self._open) > KEPT_FILES:
                    self._open.popitem(last=False)
            self._open.move_to_end(labelled.number)
            return self._open[labelled.number]

    def previous(self, labelled: LabelSet) -> LabelSet | None:
        """The labelling that the model behind this one learned from; None where there is none."""
        return previous(labelled, list(self._now.values()))

    def _labelled(self, config: Path) -> LabelSet | None:
        """What a data config names; None for shapes."""
        file = config.with_suffix(".h5")
        record = record_file(file)
        stamps = [path.stat() for path in (config, file)]
        stamps += [record.stat()] if record.is_file() else []
        version = tuple(value for stamp in stamps for value in (stamp.st_ino, stamp.st_mtime_ns, stamp.st_size))
        if version not in self._known:
            data = read_data_config(config)
            if not isinstance(data, PhotographData):
                return None
            number = self._numbers.setdefault((file, stamps[1].st_mtime_ns, stamps[1].st_ino), len(self._numbers))
            self._known[version] = LabelSet(
                number, config.parent.name, data.key, file,
                # Relative to where the run works, as the workflow and the commands read it.
                "bundled" if data.folder == "bundled" else str(self.root / data.folder),
                stamps[1].st_mtime, *(_described(read_record(record)) if record.is_file() else ()),
            )  # fmt: skip
        return self._known[version]

    def _result(self, version: int, result: Labelled) -> LabelSet:
        """What is known of results; rows that were added are no other version."""
        place = result.path
        number = self._numbers.setdefault((place, version, 0), len(self._numbers))
        folder = place.parent if place.is_file() else place
        return LabelSet(
            number, place.resolve().name, "", place, str(self._images or folder.resolve().parent), place.stat().st_mtime,
            len(result), int(result.line_counts.sum()), predicted=True,
        )  # fmt: skip


def _described(record: Record) -> tuple[int, int, str | None, int | None]:
    """The last four fields of a `LabelSet`, as the lineage record has them."""
    images, lines = (int(record.count(name)) for name in ("images", "lines"))
    try:
        training = typed(_Training, record.ancestry.get(str(record.inputs.get("model"))))
    except ValueError:  # own labels, which no model made, or a model that came from elsewhere
        return images, lines, None, None
    data = training.inputs.get("data")
    return images, lines, data if isinstance(data, str) else None, training.settings.model.image_size


def previous(labelled: LabelSet, sets: Sequence[LabelSet]) -> LabelSet | None:
    """The labelling that the model behind another learned from, of the same run where two runs hold it; None for none."""
    same = [each for each in sets if each.key == labelled.learned_from and each.number != labelled.number]
    return next((each for each in same if each.run == labelled.run), same[0] if same else None)


def runs(sets: Sequence[LabelSet]) -> list[list[LabelSet]]:
    """Each labelling that no other goes on from, behind those that it goes on from; the newest run first."""
    before = {each.number: previous(each, sets) for each in sets}
    gone_on_from = {each.number for each in before.values() if each is not None}
    found = []
    for last in sorted(sets, key=lambda each: each.written, reverse=True):
        if last.number not in gone_on_from:
            chain = [last]
            # No two labellings go on from each other, unless somebody wrote their records.
            while (step := before[chain[-1].number]) is not None and step not in chain:
                chain.append(step)
            found.append(chain[::-1])
    return found
