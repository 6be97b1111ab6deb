"""What draws the curves of a training beside the file of its metrics: `tensorboard_events`, `mlflow_runs`.

The file is the record; a tracker repeats it. `history` tells each tracker of the rows as they are written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hawp_core.training.metrics import MetricsRow, ValidationRow


@dataclass(frozen=True)
class Tracked:
    """What trackers are told of a training.

    Attributes:
        folder: where it lies.
        name, key: of its recipe.
        settings: those that change its result, nested as in a configuration.
    """

    folder: Path
    name: str
    key: str
    settings: Mapping[str, object]


class Tracker(Protocol):
    """Something that draws curves. Nothing is written before `begin`."""

    def begin(self, rows: Sequence[MetricsRow]) -> None:
        """Begin, or carry on, behind these rows."""

    def add(self, row: MetricsRow) -> None:
        """Draw one more row.

        Raises:
            OSError: it cannot be written into the training's folder.
        """

    def close(self, error: BaseException | None) -> None:
        """Finish what is begun, after a training that ended with `error`, or well.

        Raises:
            OSError: as `add`.
        """


def curves(row: MetricsRow) -> dict[str, float]:
    """The value that a row adds to each curve, by the curve's name."""
    group = "validation" if isinstance(row, ValidationRow) else "training"
    return {f"{group}/{name}": value for name, value in row.numbers.items()}
