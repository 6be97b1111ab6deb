"""The metrics of a training, line by line as it goes: a file of JSON lines, and TensorBoard's curves."""

from pathlib import Path
from typing import TYPE_CHECKING

from hawp_core.errors import UserError
from hawp_core.runtime.files import write_text
from hawp_core.training.metrics import MetricsRow, ValidationRow, from_line, read_metrics, to_line

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class History:
    """Rows of metrics in a file.

    Attributes:
        file: the rows; TensorBoard's events lie beside it, in tensorboard/.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._writer: SummaryWriter | None = None

    def add(self, row: MetricsRow) -> None:
        """Add a row.

        Raises:
            UserError: the disk is full, or the folder cannot be written.
        """
        try:
            with open(self.file, "a", encoding="utf-8") as stream:
                stream.write(to_line(row))
            self._draw(row)
        except OSError as error:
            raise UserError(
                f"{self.file} could not be written ({error.strerror}): free space or permission in {self.file.parent}, then "
                "run the same command again; it carries on after the last state that was saved."
            ) from error

    def _draw(self, row: MetricsRow) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed attempt wrote from here on is left out of the curves.
            self._writer = SummaryWriter(str(self.file.parent / "tensorboard"), purge_step=row.step or None)
        group = "validation" if isinstance(row, ValidationRow) else "training"
        for name, value in row.numbers.items():
            self._writer.add_scalar(f"{group}/{name}", value, row.step)

    def has(self, step: int) -> bool:
        """Whether there is a row of this step."""
        return any(row.step == step for row in read_metrics(self.file))

    def forget_after(self, step: int, epoch: int) -> None:
        """Remove the rows that a training did not know which stood at `step`, in `epoch`, when it was saved."""

        def known(row: MetricsRow) -> bool:
            ended_later = isinstance(row, ValidationRow) and row.epoch > epoch
            return row.step < step or (row.step == step and not ended_later)

        lines = self.file.read_bytes().splitlines() if self.file.is_file() else []
        # The lines themselves, so that what an older program wrote stays as it is.
        kept = [line.decode() for line in lines if (row := from_line(line)) is not None and known(row)]
        write_text(self.file, "".join(f"{line}\n" for line in kept))
