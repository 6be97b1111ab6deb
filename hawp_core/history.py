"""The metrics of a training, line by line as it goes: a file of JSON lines, and TensorBoard's curves."""

import contextlib
import json
from pathlib import Path

from hawp_core.files import write_text


class History:
    """Rows of metrics in `folder`: of the training's losses, and, with sAP10, of the validation that ends an epoch.

    Attributes:
        file: metrics.jsonl; TensorBoard's events lie beside it, in tensorboard/.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "metrics.jsonl"
        self._writer = None

    def add(self, row: dict) -> None:
        """Add a row, which has at least its step."""
        with open(self.file, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
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


def read_metrics(file: Path) -> list[dict]:
    """Rows of a metrics file, in order; a row cut short by a kill is left out."""
    rows = []
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                rows.append(json.loads(line))
    return rows
