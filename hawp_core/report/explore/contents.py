"""What the page asks for: runs, photographs, agreement, lines and pictures, by numbers alone."""

import io
import math
import threading

import numpy as np
from PIL import Image

from hawp_core.data.labelled import Labelled
from hawp_core.data.photographs.decoding import read_gray
from hawp_core.data.photographs.folder import resolve
from hawp_core.errors import UserError
from hawp_core.geometry.resize import shrink
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.report.agreement import MOST_COMPARED, agreement, common_lines
from hawp_core.report.explore.label_sets import LabelSet, Shelf, runs
from hawp_core.runtime.text import shown

# Longest side of a picture, pixels: beyond most screens.
LARGEST_PICTURE = 4096
QUALITY = 88  # of a JPEG
# Photographs decoded at once: each may have 300 megapixels.
_DECODING = threading.Semaphore(2)

Content = dict[str, object]


class Contents:
    """The answers about the labellings of a shelf. A number that means nothing any more is a `UserError`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._agreements: dict[tuple[int, int], list[float | None]] = {}
        self._comparing = threading.Lock()

    def overview(self) -> Content:
        """Runs as lists of numbers, each labelling that they name, and what cannot be read."""
        sets, faults = self._shelf.look()
        return {
            "runs": [[each.number for each in run] for run in runs(sets)],
            "sets": {each.number: _about(each) for each in sets},
            "faults": faults,
        }

    def photographs(self, number: int) -> Content:
        """Name and number of lines of each photograph, in the order of the label file."""
        labelled = self._shelf.find(number)
        labels = self._shelf.labels(labelled)
        before = self._shelf.previous(labelled)
        return {
            "names": [shown(name) for name in labels.names],
            "lines": labels.line_counts.tolist(),
            "previous": None if before is None else before.number,
        }

    def agreement(self, number: int) -> Content:
        """Of each photograph, in the same order, the agreement with the labelling before; null where there is none."""
        labelled = self._shelf.find(number)
        before = self._shelf.previous(labelled)
        labels = self._shelf.labels(labelled)
        if before is None or labelled.side is None:
            return {"agreement": [None] * len(labels), "most": MOST_COMPARED}
        pair = (before.number, number)
        with self._comparing:
            if pair not in self._agreements:
                shares = agreement(self._shelf.labels(before), labels, labelled.side)
                self._agreements[pair] = [_rounded(shares.get(name), 4) for name in labels.names]
        return {"agreement": self._agreements[pair], "most": MOST_COMPARED}

    def lines(self, number: int, row: int) -> Content:
        """The lines of a photograph with their scores, and beside the labelling before: which it has too, and which went."""
        labelled = self._shelf.find(number)
        labels = self._shelf.labels(labelled)
        name = _named(labels, row)
        found = labels[row]
        content: Content = {"name": shown(name), "width": found.width, "height": found.height, **_drawn(found)}
        before = self._shelf.previous(labelled)
        if before is None or labelled.side is None or name not in (earlier := self._shelf.labels(before)):
            return content
        gone = earlier[name]
        kept, still = common_lines(found, gone, labelled.side)
        lost = Wireframe(gone.junctions, gone.edges[~still], gone.scores[~still], gone.width, gone.height)
        return content | {"kept": kept.tolist(), "gone": _drawn(lost)}

    def picture(self, number: int, row: int, side: int) -> bytes:
        """A photograph as the network sees it, upright and grey, as JPEG with a longer side of `side` pixels at most.

        Raises:
            UserError: it is gone, unreadable, or of another size than when it was labelled.
        """
        labelled = self._shelf.find(number)
        labels = self._shelf.labels(labelled)
        name = _named(labels, row)
        path = resolve(labelled.folder, name)
        if labelled.predicted and not path.is_file():
            raise UserError(
                f"{shown(name)} does not lie in {shown(labelled.folder)}: give the folder of the photographs with --images. Frames of "
                "videos are not shown."
            )
        with _DECODING:
            gray, size = read_gray(path)
            labelled_size = (labels[row].width, labels[row].height)
            if size != labelled_size:
                raise UserError(
                    f"{shown(name)} has {size[0]} x {size[1]} pixels, and had {labelled_size[0]} x {labelled_size[1]} when it was "
                    "labelled: it is another picture now."
                )
            share = min(1.0, max(1, min(side, LARGEST_PICTURE)) / max(size))
            height, width = (max(1, round(length * share)) for length in gray.shape)
            stream = io.BytesIO()
            Image.fromarray(shrink(gray, height, width)).save(stream, "JPEG", quality=QUALITY)
        return stream.getvalue()


def _about(labelled: LabelSet) -> Content:
    return {
        "run": labelled.run, "title": labelled.title, "name": labelled.name, "key": labelled.key, "images": labelled.images,
        "lines": labelled.lines, "written": labelled.written, "folder": shown(labelled.folder), "side": labelled.side,
        "predicted": labelled.predicted,
    }  # fmt: skip


def _named(labels: Labelled, row: int) -> str:
    if row >= len(labels):
        raise UserError(
            f"There are {len(labels)} photographs, and this would be number {row + 1}: look at the list again."
        )
    return labels.names[row]


def _drawn(found: Wireframe) -> Content:
    return {
        "lines": np.round(found.lines.astype(float), 2).tolist(),
        "scores": np.round(found.scores.astype(float), 4).tolist(),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or math.isnan(value) else round(value, digits)
