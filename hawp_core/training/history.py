"""The metrics of a training, line by line as it goes: a file of JSON lines, and TensorBoard's curves."""

import json
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.runtime.files import json_lines, write_text


class History:
    """Rows of metrics in a file: of the training's losses, and, with sAP10, of the validation that ends an epoch.

    Attributes:
        file: the rows; TensorBoard's events lie beside it, in tensorboard/.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._writer = None

    def add(self, row: dict) -> None:
        """Add a row (`is_row`).

        Raises:
            UserError: the disk is full, or the folder cannot be written.
        """
        try:
            with open(self.file, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            self._draw(row)
        except OSError as error:
            raise UserError(
                f"{self.file} could not be written ({error.strerror}): free space or permission in {self.file.parent}, then "
                "run the same command again; it carries on after the last state that was saved."
            ) from error

    def _draw(self, row: dict) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed attempt wrote from here on is left out of the curves.
            self._writer = SummaryWriter(str(self.file.parent / "tensorboard"), purge_step=row["step"] or None)
        group = "validation" if "sAP10" in row else "training"
        for name, value in row.items():
            if isinstance(value, float):
                self._writer.add_scalar(f"{group}/{name}", value, row["step"])

    def has(self, step: int) -> bool:
        """Whether there is a row of this step."""
        return any(row["step"] == step for row in read_metrics(self.file))

    def forget_after(self, step: int, epoch: int) -> None:
        """Remove the rows that a training did not know which stood at `step`, in `epoch`, when it was saved."""

        def known(row: dict) -> bool:
            validated = "sAP10" in row
            return row["step"] < step or (row["step"] == step and not (validated and row["epoch"] > epoch))

        rows = [row for row in read_metrics(self.file) if known(row)]
        write_text(self.file, "".join(json.dumps(row) + "\n" for row in rows))


def is_row(value: object) -> bool:
    """Whether this is a row of metrics: numbers by name, with epoch, step, and the steps of the whole training."""
    return (
        isinstance(value, dict)
        and all(isinstance(number, int | float) for number in value.values())
        and all(isinstance(value.get(name), int) for name in ("epoch", "step", "of"))
    )


def read_metrics(file: Path) -> list[dict]:
    """Rows of a metrics file, in order; a row cut short by a kill, and what is none, are left out."""
    return [row for row in json_lines(file.read_bytes()) if is_row(row)] if file.is_file() else []
