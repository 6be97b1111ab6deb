"""How long and how fast to train, from the settings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: the settings of `train` and of one of its stages, described in the schema."""

    epochs: int
    batch_size: int
    base_lr: float
    steps: tuple[int, ...]
    gamma: float
    weight_decay: float
    clip_norm: float
    weights: dict[str, float]
    seed: int

    @classmethod
    def from_settings(cls, settings: dict, section: str) -> "Schedule":
        """From complete settings; `section` is synthetic or real."""
        train, stage = settings["train"], settings["train"][section]
        return cls(
            stage["epochs"], stage["batch_size"], stage["base_lr"], tuple(stage["steps"]), stage["gamma"],
            train["weight_decay"], train["clip_norm"], train["losses"], settings["seed"],
        )  # fmt: skip

    def rate(self, epoch: int) -> float:
        """Learning rate in `epoch`, counted from 0."""
        return self.base_lr * self.gamma ** sum(epoch >= step for step in self.steps)
