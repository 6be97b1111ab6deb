"""Losses between two lines of metrics."""

import time
from pathlib import Path

import torch

from hawp_core.errors import UserError
from hawp_core.training import distributed
from hawp_core.training.metrics import StepRow


class Window:
    """Losses since the last line of metrics, kept on the device until they are asked for."""

    def __init__(self) -> None:
        self.began = self.since = time.monotonic()
        self.waiting = 0.0
        self.losses: list[dict[str, torch.Tensor]] = []
        self.names: list[list[str]] = []
        self.images = 0
        self.checked = 0

    def loaded(self) -> None:
        """A batch has come: the time since the last step went by waiting for it."""
        self.waiting += time.monotonic() - self.since

    def add(self, found: dict[str, torch.Tensor], names: list[str], images: int) -> None:
        """Losses and number of images of a step of all processes; `names` are those of this one's images."""
        self.losses.append(found)
        self.names.append(names)
        self.images += images
        self.since = time.monotonic()

    def require_finite(self, state_file: Path) -> None:
        """Raise when a step since the last check went wrong, naming its images."""
        for found, names in zip(self.losses[self.checked :], self.names[self.checked :], strict=True):
            bad = [name for name, value in found.items() if not torch.isfinite(value)]
            if bad:
                kept = f"the last good state is {state_file}" if state_file.exists() else "no state was saved yet"
                raise UserError(
                    f"the loss '{bad[0]}' is not finite for the batch {', '.join(distributed.gathered(names))}: look at these images and "
                    f"their labels, or lower --base-lr; {kept}."
                )
        self.checked = len(self.losses)

    def row(self, *, epoch: int, step: int, of: int, lr: float) -> StepRow:
        """The window as a row of metrics, at a place in the training."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        means = {name: float(torch.stack([f[name] for f in self.losses]).mean()) for name in self.losses[0]}
        return StepRow(epoch, step, of, means, self.images / seconds, self.waiting / seconds, lr)
