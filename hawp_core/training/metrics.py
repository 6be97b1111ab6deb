"""Rows of metrics: what a training says of its steps and of its validations, each a line of JSON in one file.

Two kinds of rows share the file. The reader tells them apart, so that nobody else has to: a validation has sAP10, a row of
steps a loss. Rows of older programs may lack a number, and what is neither is left out.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hawp_core.runtime.files import json_lines, tail

MOST = 2**53  # of anything that is counted


@dataclass(frozen=True)
class StepRow:
    """Means over the steps since the row before.

    Attributes:
        epoch: that the steps belong to, from 1.
        step: the last of them, from 1.
        of: steps of the whole training.
        losses: by name; `loss` is their weighted sum.
        images_per_second: trained on.
        waiting: share of the time that went by waiting for images.
        lr: learning rate.
    """

    epoch: int
    step: int
    of: int
    losses: dict[str, float]
    images_per_second: float | None = None
    waiting: float | None = None
    lr: float | None = None

    @property
    def loss(self) -> float:
        """The weighted sum of the losses."""
        return self.losses["loss"]

    @property
    def numbers(self) -> dict[str, float]:
        """What there is to draw, by name."""
        others = {"images_per_second": self.images_per_second, "waiting": self.waiting, "lr": self.lr}
        return self.losses | {name: value for name, value in others.items() if value is not None}

    def to_dict(self) -> dict[str, float]:
        """The row as it stands in the file."""
        others = {
            "images_per_second": self.images_per_second, "waiting": self.waiting, "epoch": self.epoch, "step": self.step,
            "lr": self.lr, "of": self.of,
        }  # fmt: skip
        return self.losses | {name: value for name, value in others.items() if value is not None}


@dataclass(frozen=True)
class ValidationRow:
    """What was measured on held-out shapes.

    Attributes:
        epoch: epochs of training behind it, 0 before the first step.
        step: steps behind it.
        of: steps of the whole training.
        metrics: by their names in `evaluation.results.ShapeMetrics`; there is sAP10 at least.
    """

    epoch: int
    step: int
    of: int
    metrics: dict[str, float]

    @property
    def sAP10(self) -> float:
        """Structural AP, points."""
        return self.metrics["sAP10"]

    @property
    def numbers(self) -> dict[str, float]:
        """What there is to draw, by name."""
        return self.metrics

    def to_dict(self) -> dict[str, float]:
        """The row as it stands in the file."""
        return self.metrics | {"epoch": self.epoch, "step": self.step, "of": self.of}


MetricsRow = StepRow | ValidationRow


def to_line(row: MetricsRow) -> str:
    """The row as a line of the file."""
    return json.dumps(row.to_dict()) + "\n"


def from_line(line: bytes) -> MetricsRow | None:
    """The row in a line of the file; None for one cut short by a kill, and for what is no row."""
    return next(iter(_rows(json_lines(line))), None)


def read_metrics(file: Path) -> list[MetricsRow]:
    """The rows of a file, in order; none where there is no file."""
    return _rows(json_lines(file.read_bytes())) if file.is_file() else []


def last_metrics(file: Path) -> list[MetricsRow]:
    """The last rows of a file, in order, without reading the whole of it."""
    return _rows(tail(file))


def _rows(values: Iterable[object]) -> list[MetricsRow]:
    return [row for value in values if (row := _row(value)) is not None]


def _row(value: object) -> MetricsRow | None:
    if not isinstance(value, dict) or not all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in value.values()
    ):
        return None
    numbers = dict(value)
    place = {name: numbers.pop(name, None) for name in ("epoch", "step", "of")}
    if not all(isinstance(number, int) and 0 <= number <= MOST for number in place.values()):
        return None
    # A training of no epoch has no step, and all others have one.
    if place["step"] and not place["of"]:
        return None
    if "sAP10" in numbers:
        return ValidationRow(**place, metrics=numbers)
    if "loss" in numbers:
        others = {name: numbers.pop(name, None) for name in ("images_per_second", "waiting", "lr")}
        return StepRow(**place, losses=numbers, **others)
    return None
