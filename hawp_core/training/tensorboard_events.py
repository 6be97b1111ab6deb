"""A training's curves in TensorBoard's event files, in tensorboard/ of its folder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hawp_core.training.metrics import MetricsRow
from hawp_core.training.trackers import Tracked, curves

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardEvents:
    """A `Tracker`; every attempt at a training writes a file of its own."""

    def __init__(self, about: Tracked) -> None:
        self._folder = about.folder / "tensorboard"
        self._writer: SummaryWriter | None = None

    def begin(self, rows: Sequence[MetricsRow]) -> None:
        """Leave `rows` to the files of the attempts that drew them."""

    def add(self, row: MetricsRow) -> None:
        """Draw one more row."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed attempt wrote from here on is left out of the curves.
            self._writer = SummaryWriter(str(self._folder), purge_step=row.step or None)
        for name, value in curves(row).items():
            self._writer.add_scalar(name, value, row.step)

    def close(self, error: BaseException | None) -> None:
        """Wait for the thread that writes."""
        if self._writer is not None:
            self._writer.close()
