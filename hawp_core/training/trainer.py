"""One training loop for shapes and photographs, resumable to the step.

All random choices of a step follow from (seed, epoch, position), so its place in the schedule is all that a resumed
training must know beside weights and optimiser: on a CPU the interrupted and the uninterrupted training end in the
same bits. Several processes (`distributed`) take their shares of the same batches, to the same weights but for
rounding; a state of any number of processes carries on with any other.
"""

import getpass
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from hawp_core.data.batch import Batch
from hawp_core.data.loader import Loader
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.errors import UserError
from hawp_core.evaluation.protocol import on_shapes
from hawp_core.model.checkpoint import load_state, save_checkpoint, save_state
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.progress import bar, log
from hawp_core.runtime.signals import StopRequest
from hawp_core.training import distributed, losses
from hawp_core.training.batch_norm import GlobalBatchNorm2d, globalise
from hawp_core.training.history import History
from hawp_core.training.meter import Window
from hawp_core.training.schedule import Schedule

LOG_STEPS = 20  # steps between two lines of metrics


def compile_parts(network: WireframeNetwork) -> None:
    """Let torch.compile fuse the operations of the backbone and the heatmap decoder when they first run."""
    # PyTorch's cache finds code by what was compiled, not by the processor that it was compiled for; code of another
    # one ends the process (seen in 2.15). A folder for each kind of processor keeps them apart; PyTorch reads the
    # variable when its compiler is first imported, which is here.
    kind = f"{platform.machine()}-{torch.backends.cpu.get_cpu_capability()}".replace(" ", "-").lower()
    folder = Path(tempfile.gettempdir(), f"torchinductor_{getpass.getuser()}", kind)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
    torch._dynamo.config.suppress_errors = True
    for part in (network.backbone, network.heatmap_decoder):
        part.compile()


class TrainingStep(nn.Module):
    """The network with its losses as one module, so that wrappers see a single forward pass."""

    def __init__(self, network: WireframeNetwork) -> None:
        super().__init__()
        self.network = network
        self.norms = [module for module in network.modules() if isinstance(module, GlobalBatchNorm2d)]

    def forward(self, batch: Batch, counted: bool = True) -> dict[str, torch.Tensor]:
        """Unweighted losses of a batch; `counted` tells whether its images are part of the step."""
        for norm in self.norms:
            norm.counted = counted
        return losses.compute(self.network, batch)


def together(network: WireframeNetwork) -> nn.Module:
    """The training step of one of several processes: gradients are averaged over them, batch statistics are common."""
    globalise(network)
    # No loss reaches it; the wrapper would wait for its gradient.
    network.regional_head.requires_grad_(False)
    with warnings.catch_warnings():
        # PyTorch 2.15 gives the option another name, which older ones do not know.
        warnings.simplefilter("ignore", FutureWarning)
        # Running statistics are the same everywhere, being computed from the same numbers.
        return DistributedDataParallel(TrainingStep(network), broadcast_buffers=False)


@dataclass
class Progress:
    """Where a training stands: the next batch to take, and the metrics so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains `network` on `data`, keeping its state in `folder` until the model is written.

    Args:
        folder: where metrics, TensorBoard events, the resumable state and the model lie.
        key: the training's key; a state of another key is not continued.
        recipe: record kept inside the model's file.
        precision: of the forward and backward passes (weights stay float32).
        save_seconds: time between two resumable states.
        compiled: fuse the network's operations with torch.compile; where that fails they run as they are.
    """

    def __init__(
        self,
        network: WireframeNetwork,
        data: Loader,
        validation: ShapeSet,
        schedule: Schedule,
        folder: Path,
        *,
        key: str,
        recipe: dict,
        precision: torch.dtype,
        save_seconds: float,
        stop: StopRequest,
        compiled: bool = False,
    ) -> None:
        # Channels last halves the time of a step on a CPU, and is what tensor cores want.
        self.network = network.to(memory_format=torch.channels_last)
        if compiled:
            compile_parts(network)
        self.data, self.validation, self.schedule = data, validation, schedule
        self.folder, self.key, self.recipe, self.stop = folder, key, recipe, stop
        self.precision, self.save_seconds = precision, save_seconds
        self.device = next(network.parameters()).device
        self.step_module = TrainingStep(network) if distributed.world() == 1 else together(network)
        self.optimiser = torch.optim.Adam(
            network.parameters(),
            schedule.base_lr,
            weight_decay=schedule.weight_decay,
            amsgrad=True,
            fused=self.device.type == "cuda",
        )
        self.at = Progress()
        self.stopping = 0
        self.saved = time.monotonic()
        self.state_file = folder / "resume.pth"
        self.history = History(folder)

    def run(self, model: Path) -> dict:
        """Train to the end and write the model to the file `model`; the resumable state stays for the caller to remove.

        Returns: the last validation's metrics.

        Raises:
            Interrupted: a signal came; the state is saved.
            UserError: a loss that is not finite, a full disk, a state that cannot be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        began = time.monotonic() - self.at.seconds
        per_epoch = self.data.batches_per_epoch
        if self.at.step == 0 and not distributed.on_main(lambda: self.history.has(0)):
            self._validate()
        title = f"train {self.folder.parent.name}"
        steps = self.schedule.epochs * per_epoch
        with bar(title, steps, "step", self.at.step) if distributed.is_main() else tqdm(disable=True) as shown:
            self.saved = time.monotonic()
            while self.at.epoch < self.schedule.epochs:
                for row, saving in self._epoch():
                    shown.update()
                    self.at.seconds = time.monotonic() - began
                    if row:
                        shown.set_postfix(loss=f"{row['loss']:.3f}", epoch=self.at.epoch + 1)
                    if saving:
                        distributed.on_main(self._save)
                        self.saved = time.monotonic()
                    if self.stopping:
                        self.stop.signal = self.stopping
                        self.stop.check(f"step {self.at.step} of {steps} is saved")
                self.at = Progress(self.at.epoch + 1, 0, self.at.step, self.at.seconds)
                last = self._validate()
        distributed.on_main(
            lambda: save_checkpoint(model, self.network, epoch=self.schedule.epochs, recipe=self.recipe)
        )
        return last

    def _epoch(self) -> Iterator[tuple[dict | None, bool]]:
        """Take the remaining steps of an epoch; yield after each a row of metrics, if it is time for one, and whether
        to save the state."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.at.epoch)
        self.network.train()
        window = Window()
        for raw in self.data.epoch(self.at.epoch, start_batch=self.at.batch):
            batch = raw.to_batch(self.device)
            window.loaded()
            found = self.step(batch)
            window.add(found, batch.names, self._share()[0])
            self.at.batch += 1
            self.at.step += 1
            ended = self.at.batch == self.data.batches_per_epoch
            saving = self._is_time_to_save()
            row = None
            if self.at.step % LOG_STEPS == 0 or ended or saving or self.device.type == "cpu":
                window.require_finite(self.state_file)
            if self.at.step % LOG_STEPS == 0 or ended:
                row = window.row() | {
                    "epoch": self.at.epoch + 1,
                    "step": self.at.step,
                    "lr": self.schedule.rate(self.at.epoch),
                }
                self._write_row(row)
                window = Window()
            yield row, saving

    def _is_time_to_save(self) -> bool:
        """Whether to save after this step: it is time, or a signal came to one of the processes. All say the same."""
        late = time.monotonic() - self.saved > self.save_seconds
        self.stopping, late = distributed.largest(self.stop.signal or 0, late)
        return bool(self.stopping or late)

    def _share(self) -> tuple[int, int]:
        """Images in the batch to take, over all processes, and how many of them are this one's."""
        start = self.at.batch * self.data.batch_size
        images = min(self.data.batch_size, len(self.data.dataset) - start)
        return images, len(range(self.data.rank, images, self.data.world))

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One optimiser step on this process's share of a batch; the losses, averaged over all processes."""
        images, own = self._share()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            found = self.step_module(batch, own > 0)
        total = sum(self.schedule.weights[name] * value for name, value in found.items())
        # Losses are means over this process's images, and gradients become means over the processes.
        (total * (own * self.data.world / images)).backward()
        if self.schedule.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip_norm)
        self.optimiser.step()
        return distributed.total(
            {name: value.detach() * (own / images) for name, value in (found | {"loss": total}).items()}
        )

    @torch.no_grad()
    def _validate(self) -> dict:
        """Measure on the held-out shapes: structural AP at 10 and junction recall."""
        row = distributed.on_main(lambda: on_shapes(self.network, self.validation))
        row |= {"epoch": self.at.epoch, "step": self.at.step}
        self._write_row(row)
        log.info(
            "epoch %d of %d: held-out shapes sAP10 %.1f, junction recall %.1f %%, %.1f lines an image",
            self.at.epoch, self.schedule.epochs, row["sAP10"], 100 * row["junction_recall"], row["lines"],
        )  # fmt: skip
        return row

    def _write_row(self, row: dict) -> None:
        row |= {"of": self.schedule.epochs * self.data.batches_per_epoch}
        if distributed.is_main():
            self.history.add(row)

    def _save(self) -> None:
        state = {
            "key": self.key,
            "at": vars(self.at),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        save_state(self.state_file, state)

    def _resume(self) -> None:
        """Carry on from the saved state, if there is one of this training, and forget the metrics written after it."""
        state = distributed.on_main(self._read_state)
        if state is not None:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.at = Progress(**state["at"])
            log.info("carrying on after step %d (epoch %d)", self.at.step, self.at.epoch + 1)
        if distributed.is_main():
            self.history.forget_after(self.at.step, self.at.epoch)

    def _read_state(self) -> dict | None:
        if not self.state_file.exists():
            return None
        state = load_state(self.state_file)
        if state.get("key") != self.key:
            raise UserError(
                f"{self.state_file} belongs to the training {state.get('key')}, not to {self.key}: "
                "move it away to begin anew."
            )
        return state
