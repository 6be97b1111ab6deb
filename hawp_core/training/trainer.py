"""One training loop for shapes and photographs, resumable to the step.

All random choices of a step follow from (seed, epoch, position), so its place in the schedule is all that a resumed
training must know beside weights and optimiser: on a CPU the interrupted and the uninterrupted training end in the
same bits. Several processes (`distributed`) take their shares of the same batches, to the same weights but for
rounding; a state of any number of processes carries on with any other.
"""

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

import torch
from torch import nn
from tqdm import tqdm

from hawp_core.data.batch import Batch
from hawp_core.data.loader import Loader
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.errors import UserError
from hawp_core.evaluation.protocol import measure_on_shapes
from hawp_core.model.backbone import known_as
from hawp_core.model.checkpoint import TrainingState, save_checkpoint, save_state
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.free_cores import FreeCores
from hawp_core.runtime.half_precision import precision_name, precision_named, usual_precision
from hawp_core.runtime.progress import bar, log
from hawp_core.runtime.signals import StopRequest, interruption
from hawp_core.runtime.text import first_line
from hawp_core.runtime.typed import typed
from hawp_core.training import distributed, draws
from hawp_core.training.history import History
from hawp_core.training.line_losses import Sampled
from hawp_core.training.meter import Window
from hawp_core.training.metrics import MetricsRow, StepRow, ValidationRow
from hawp_core.training.moving_average import MovingAverage, blended
from hawp_core.training.place import TrainingPlace
from hawp_core.training.schedule import Schedule
from hawp_core.training.step import TrainingStep, compile_parts, distribute
from hawp_core.training.trackers import Tracker

LOG_STEPS = 20  # steps between two lines of metrics
# Images learned from between two validations, for each image that a validation looks at: on few photographs an epoch
# takes less time than looking at the shapes.
LEARNED_FOR_EACH_VALIDATED = 16


@dataclass
class Progress:
    """Where a training stands: the next batch to take, and the metrics so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains `network` on `data`, keeping its state in `place` until the model is written.

    Args:
        place: where metrics, the resumable state and the model lie.
        recipe: record kept inside the model's file.
        precision: of the forward and backward passes (weights stay float32); None carries on in that of the saved state,
            or begins in what suits the device.
        save_seconds: time between two resumable states.
        compiled: fuse the network's operations with torch.compile; where that fails they run as they are.
        trackers: what draws the metrics, beside the file.
        room: the cores whose number PyTorch's threads follow; without it they stay as they are.
    """

    def __init__(
        self,
        network: WireframeNetwork,
        data: Loader,
        validation: ShapeSet,
        schedule: Schedule,
        place: TrainingPlace,
        *,
        recipe: Mapping[str, object],
        precision: torch.dtype | None,
        save_seconds: float,
        stop: StopRequest,
        compiled: bool = False,
        trackers: Sequence[Tracker] = (),
        room: FreeCores | None = None,
    ) -> None:
        # Channels last halves the time of a step on a CPU, and is what tensor cores want.
        self.network = network.to(memory_format=torch.channels_last)
        if compiled:
            compile_parts(network)
        self.data, self.validation, self.schedule = data, validation, schedule
        self.place, self.recipe, self.stop, self.room = place, recipe, stop, room
        # That of the state, or of the device, where none is given: `run` knows them.
        self.precision, self._given_precision = precision or torch.float32, precision is not None
        self.save_seconds = save_seconds
        self.device = next(network.parameters()).device
        wanted = tuple(name for name, weight in schedule.weights.items() if weight)
        self.step_module = (TrainingStep if distributed.world() == 1 else distribute)(network, wanted)
        self.optimiser = torch.optim.Adam(
            network.parameters(),
            schedule.base_lr,
            weight_decay=schedule.weight_decay,
            amsgrad=True,
            # Neither waits for a number of its own nor goes through the weights more than once.
            fused=True,
        )
        # Measured and kept instead of the last weights, which the last batches still shake.
        self.average = MovingAverage(network, schedule.average) if schedule.average else None
        self.start = {name: value.clone() for name, value in network.state_dict().items()} if schedule.blend else None
        self.at = Progress()
        self.history = History(place.metrics_file, trackers)

    def run(self) -> dict[str, float]:
        """Train to the end and write the model to `place.kept_model`; the resumable state stays for the caller to remove.

        Returns: the last validation's metrics, as they stand in their row.

        Raises:
            Interrupted: a signal came; the state is saved.
            UserError: a loss that is not finite, a full disk, a state that cannot be read.
        """
        self.place.folder.mkdir(parents=True, exist_ok=True)
        began_in = self._resume()
        if not self._given_precision:
            self.precision = began_in or self._usual_precision()
        log.info("computing in %s", precision_name(self.precision))
        # One process writes, and so draws.
        with self.history if distributed.is_main() else contextlib.nullcontext():
            last = self._learn()
        distributed.on_main(
            lambda: save_checkpoint(self.place.kept_model, self.result, epoch=self.schedule.epochs, recipe=self.recipe)
        )
        return last.to_dict()

    def _learn(self) -> ValidationRow:
        """Train to the end; the last validation."""
        began = time.monotonic() - self.at.seconds
        # Of no epoch at all it is the last one, too.
        last = distributed.on_main(lambda: self.history.validation(0)) or self._validate()
        with self._progress_bar() as shown:
            saved = time.monotonic()
            while self.at.epoch < self.schedule.epochs:
                self.network.train()
                window = Window()
                for raw in self.data.epoch(self.at.epoch, start_batch=self.at.batch):
                    self._set_rate()
                    batch = raw.to_batch(self.device)
                    window.loaded()
                    window.add(self.step(batch), batch.names, batch.share.images)
                    self.at.batch += 1
                    self.at.step += 1
                    self.at.seconds = time.monotonic() - began
                    shown.update()
                    if self.room and (threads := self.room.changed()):
                        torch.set_num_threads(threads)
                        log.info("step %d: going on with %d thread(s), as many as have a core", self.at.step, threads)
                    # A signal to one of the processes, or its clock, decides for all.
                    late = time.monotonic() - saved > self.save_seconds
                    stopped_by, anyone_late = distributed.largest(self.stop.signal or 0, late)
                    saving = bool(stopped_by or anyone_late)
                    measuring = self.at.step % LOG_STEPS == 0 or self.at.batch == self.data.batches_per_epoch
                    if measuring or saving or self.device.type == "cpu":
                        window.require_finite(self.place.state_file)
                    if measuring:
                        shown.set_postfix(loss=f"{self._note(window).loss:.3f}", epoch=self.at.epoch + 1)
                        window = Window()
                    if saving:
                        distributed.on_main(self._save)
                        saved = time.monotonic()
                    if stopped_by:
                        raise interruption(stopped_by, f"step {self.at.step} of {self.steps} is saved")
                self.at.epoch += 1
                self.at.batch = 0
                if self.at.epoch % self._epochs_between_validations == 0 or self.at.epoch == self.schedule.epochs:
                    last = self._validate()
        return last

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.schedule.epochs * self.data.batches_per_epoch

    @property
    def _epochs_between_validations(self) -> int:
        learned = self.data.batches_per_epoch * self.schedule.batch_size
        return math.ceil(LEARNED_FOR_EACH_VALIDATED * len(self.validation) / learned)

    def _progress_bar(self) -> "tqdm[NoReturn]":
        if not distributed.is_main():
            return tqdm(disable=True)
        return bar(f"train {self.place.folder.parent.name}", self.steps, "step", self.at.step)

    @property
    def result(self) -> WireframeNetwork:
        """The network that is measured and kept: the moving average of the weights, and a share of those that the training
        began from, where the schedule asks for them."""
        last = self.network if self.average is None else known_as(WireframeNetwork, self.average.module)
        return last if self.start is None else blended(last, self.start, self.schedule.blend)

    def _rate(self, step: int) -> float:
        return self.schedule.rate(step, self.data.batches_per_epoch)

    def _set_rate(self) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(self.at.step)

    def _note(self, window: Window) -> StepRow:
        """Write the metrics of the last steps."""
        rate = self._rate(self.at.step - 1)
        row = window.row(epoch=self.at.epoch + 1, step=self.at.step, of=self.steps, lr=rate)
        self._write_row(row)
        return row

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One optimiser step on this process's share of a batch; the losses, averaged over all processes."""
        images, own = batch.share
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            found = self.step_module(batch, own > 0, self._sampled(batch))
        total = sum(self.schedule.weights[name] * value for name, value in found.items())
        # Losses are means over this process's images, and gradients become means over the processes.
        (total * (own * distributed.world() / images)).backward()
        if self.schedule.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip_norm)
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return distributed.total(
            {name: value.detach() * (own / images) for name, value in (found | {"loss": total}).items()}
        )

    def _sampled(self, batch: Batch) -> Sampled | None:
        """Which candidates the losses of lines draw: of an image the same, whichever process has it."""
        if not self.schedule.candidates:
            return None
        places = (distributed.rank(), distributed.world(), len(batch))
        seeds = draws.image_seeds(self.schedule.seed, self.at.step, *places, self.device)
        return Sampled(self.schedule.candidates, seeds)

    @torch.no_grad()
    def _validate(self) -> ValidationRow:
        """Measure on the held-out shapes: structural AP at 10 and junction recall."""
        found = distributed.on_main(lambda: measure_on_shapes(self.result, self.validation))
        row = ValidationRow(self.at.epoch, self.at.step, self.steps, asdict(found))
        self._write_row(row)
        log.info(
            "epoch %d of %d: held-out shapes sAP10 %.1f, junction recall %.1f %%, %.1f lines an image",
            self.at.epoch, self.schedule.epochs, found.sAP10, 100 * found.junction_recall, found.lines,
        )  # fmt: skip
        return row

    def _write_row(self, row: MetricsRow) -> None:
        if distributed.is_main():
            self.history.add(row)

    def _save(self) -> None:
        state: TrainingState = {
            "key": self.place.key,
            "precision": precision_name(self.precision),
            "at": vars(self.at),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        if self.average is not None:
            state["average"] = self.average.state_dict()
        save_state(self.place.state_file, state)

    def _usual_precision(self) -> torch.dtype:
        """What suits the device; where processes find different ones, that which suits them all."""
        usual = usual_precision(self.device)
        return torch.float32 if distributed.largest(usual == torch.float32)[0] else usual

    def _resume(self) -> torch.dtype | None:
        """Carry on from the saved state, if there is one of this training, and forget the metrics written after it.

        Returns: the precision that it was computed in.
        """
        began_in = None
        state = distributed.on_main(self.place.read_state)
        if state is not None:
            try:
                self.network.load_state_dict(state["network"])
                self.optimiser.load_state_dict(state["optimiser"])
                if self.average is not None:
                    self.average.load_state_dict(state["average"])
                self.at = typed(Progress, state["at"])
                # An older program did not note it.
                began_in = precision_named(state["precision"]) if "precision" in state else None
            except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
                raise UserError(
                    f"{self.place.state_file} is no state of this training ({first_line(error)}): move it away to begin anew."
                ) from error
            log.info("carrying on after step %d (epoch %d)", self.at.step, self.at.epoch + 1)
        if distributed.is_main():
            self.history.forget_after(self.at.step, self.at.epoch)
        return began_in
