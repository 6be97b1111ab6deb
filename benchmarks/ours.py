"""This project as something to measure: what `bench.py` asks for, by name."""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import inputs
import numpy as np
import torch

from hawp_core.data.augmentation import REAL, SYNTHETIC
from hawp_core.data.loader import Loader
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.data.shapes.drawing import CANVAS, draw
from hawp_core.labelling.labeller import Labeller
from hawp_core.model.architecture import Architecture
from hawp_core.model.attraction_field import encode
from hawp_core.model.folding import fold_batch_norm
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.devices import keep_freed_memory
from hawp_core.runtime.signals import StopRequest
from hawp_core.training.place import TrainingPlace
from hawp_core.training.schedule import Schedule
from hawp_core.training.trainer import Trainer
from hawp_core.workflow import settings


class Ours:
    """Works by name, as `bench.Bench` asks for them.

    Args:
        options: device, precision, threads, size, tiny, ckpt, compile.
    """

    def __init__(self, options: dict) -> None:
        keep_freed_memory()
        self.options, self.device = options, torch.device(options["device"])
        self.precision = getattr(torch, options["precision"])
        self.network = inputs.network(options)
        self.size = self.network.architecture.image_size
        self.labeller = Labeller(
            fold_batch_norm(self.network, self.precision), inputs.PUBLISHED, batch=16, precision=self.precision
        )
        self._folder = tempfile.TemporaryDirectory()

    def label(self, count: int) -> Callable[[], list[np.ndarray]]:
        """Label photographs by ten views; returns their lines."""
        images, views = inputs.photographs(count, self.size), inputs.views(count, self.size)
        sizes = [(self.size, self.size)] * count
        return lambda: [found.lines for found in self.labeller(images, views, sizes)]

    def passes(self, count: int) -> Callable[[], None]:
        """The network's part of labelling: ten heatmaps and one whole pass for each photograph."""
        images = torch.from_numpy(inputs.photographs(1, self.size)[:, None]).to(self.device).float() / 255
        network, step, total = self.labeller.network, self.labeller.at_once, count * inputs.PUBLISHED.views

        @torch.no_grad()
        def work() -> None:
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                for start in range(0, total, step):
                    network.line_heatmap(images.expand(min(step, total - start), -1, -1, -1))
                network(images.expand(count, -1, -1, -1))

        return work

    def field(self, count: int) -> Callable[[], None]:
        """The whole attraction field of six images."""
        lines, side = inputs.segments(count, self.size, self.device), self.size // 4
        counts = torch.full((inputs.BATCH,), count, device=self.device)
        made = torch.compile(encode) if self.options["compile"] else encode

        def work() -> None:
            for _ in range(inputs.ENCODINGS):
                made(lines, counts, side, side, self.network.architecture.distance_threshold)

        return work

    def train(self) -> Callable[[], object]:
        """One training step on six shapes."""
        folder = Path(self._folder.name)
        data = inputs.shapes(folder, 8, self.size, self.options["tiny"])
        network = WireframeNetwork(self.network.architecture).to(self.device)
        network.load_state_dict(self.network.state_dict())
        trainer = self._trainer(network, Loader(data, inputs.BATCH), data, {})
        batch = inputs.batch(self.size, self.options["tiny"], self.device)
        return lambda: trainer.step(batch)

    def _trainer(self, network: WireframeNetwork, loader: Loader, data: ShapeSet, given: dict) -> Trainer:
        schedule = Schedule.from_settings(settings.complete({"train": given}), "synthetic")
        place = TrainingPlace(Path(self._folder.name) / "model.pth", "")
        return Trainer(
            network.train(), loader, data, schedule, place, recipe={}, precision=self.precision,
            save_seconds=1e9, stop=StopRequest(), compiled=self.options["compile"],
        )  # fmt: skip

    def compact(self, width: int, candidates: int, batch_size: int) -> Callable[[], object]:
        """One training step of a compact network of 256 px on shapes."""
        tiny = self.options["tiny"]
        sizes = inputs.TINY if tiny else inputs.COMPACT | {"width": width}
        torch.manual_seed(0)
        network = WireframeNetwork(Architecture.from_dict(sizes)).to(self.device)
        data = inputs.shapes(Path(self._folder.name), 8, sizes["image_size"], tiny)
        trainer = self._trainer(network, Loader(data, batch_size), data, {"candidates": candidates})
        batch = inputs.batch(sizes["image_size"], tiny, self.device, batch_size)
        return lambda: trainer.step(batch)

    def draw(self, primitive: str, count: int) -> Callable[[], None]:
        """Draw shapes of one primitive, always others."""
        numbers = itertools.count()
        canvas = inputs.TINY_CANVAS if self.options["tiny"] else CANVAS

        def work() -> None:
            for _ in range(count):
                draw(primitive, seed=0, split="train", index=next(numbers), image_size=self.size, canvas=canvas)

        return work

    def load(self, kind: str, count: int) -> Callable[[], None]:
        """Read shapes from their file, and augment them as shapes or as photographs."""
        data = inputs.shapes(Path(self._folder.name), count, self.size, self.options["tiny"])
        loader, epochs = Loader(data, inputs.BATCH, {"shapes": SYNTHETIC, "photographs": REAL}[kind]), itertools.count()

        def work() -> None:
            for raw in loader.epoch(next(epochs)):
                raw.to_batch(self.device)

        return work
