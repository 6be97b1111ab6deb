"""How long and how fast to train, from the settings."""

import math
from dataclasses import asdict, dataclass

from hawp_core.runtime.setting_types import Section, Settings

LEAST_SHARE = 0.01  # of the learning rate, at the end of a cosine


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: the settings of `train` and of one of its stages, described in the schema."""

    epochs: int
    batch_size: int
    base_lr: float
    steps: tuple[int, ...]
    gamma: float
    decay: str
    warmup: int
    weight_decay: float
    clip_norm: float
    average: float
    weights: dict[str, float]
    seed: int
    candidates: int = 0
    blend: float = 0.0

    @classmethod
    def from_settings(cls, settings: Settings, section: Section) -> "Schedule":
        """The schedule of one section of `train`."""
        train, stage = settings.train, settings.train.stage(section)
        return cls(
            stage.epochs, stage.batch_size, stage.base_lr, stage.steps, stage.gamma, stage.decay, stage.warmup,
            train.weight_decay, train.clip_norm, train.average, asdict(train.losses), settings.seed, train.candidates, stage.blend,
        )  # fmt: skip

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, counted from 0 through all epochs."""
        begun = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.decay == "cosine":
            done = step / (self.epochs * steps_per_epoch)
            return self.base_lr * begun * (LEAST_SHARE + (1 - LEAST_SHARE) * (1 + math.cos(math.pi * done)) / 2)
        epoch = step // steps_per_epoch
        return self.base_lr * begun * self.gamma ** sum(epoch >= fall for fall in self.steps)
