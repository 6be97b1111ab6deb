"""The settings of a run as the program works with them: names and types, nothing else.

What each means, its unit, limits and default are said once, in `workflow/schema.yaml`; a test holds the two together
(tests/workflow/test_setting_types.py). Below every room that reads settings, so that all of them are checked by mypy.
`workflow/settings.py` makes these from a configuration.
"""

from dataclasses import dataclass
from typing import Literal

Section = Literal["synthetic", "real"]  # what a training learns from: shapes, or labelled photographs
TrackerName = Literal["tensorboard", "mlflow"]  # each the name of its library
Style = Literal["published", "photographic", "mixed"]


@dataclass(frozen=True)
class PhotographSettings:
    """Section `photographs`."""

    folder: str
    max_rejected: float
    sums: str


@dataclass(frozen=True)
class LabelSettings:
    """Section `labels`."""

    files: str
    images: str
    share: float
    join: float


@dataclass(frozen=True)
class ShapeSettings:
    """Section `shapes`."""

    train: int
    validation: int
    canvas: tuple[int, int]
    style: Style


@dataclass(frozen=True)
class ModelSettings:
    """Section `model`."""

    image_size: int
    width: int
    depth: int
    stacks: int
    line_points: int
    junction_features: int
    line_features: int
    verification_width: int
    distance_threshold: float
    residual: bool
    max_junctions: int
    junction_threshold: float
    binding_distance2: float
    heat_weight: float
    votes: int


@dataclass(frozen=True)
class LossSettings:
    """Section `train.losses`."""

    md: float
    dis: float
    res: float
    jloc: float
    joff: float
    pos: float
    neg: float
    lineness: float
    aux: float
    heatmap: float


@dataclass(frozen=True)
class StageSettings:
    """What the sections `train.synthetic` and `train.real` have in common."""

    epochs: int
    batch_size: int
    base_lr: float
    steps: tuple[int, ...]
    gamma: float
    decay: Literal["steps", "cosine"]
    warmup: int
    crop: int
    augment: Literal["none", "mild", "strong"]
    blend: float


@dataclass(frozen=True)
class SyntheticSettings(StageSettings):
    """Section `train.synthetic`."""

    start: Literal["scratch", "shipped"]


@dataclass(frozen=True)
class RealSettings(StageSettings):
    """Section `train.real`."""

    flips: Literal[1, 2, 4]
    shapes: float
    soft: bool
    start: Literal["scratch", "previous"]


@dataclass(frozen=True)
class TrainSettings:
    """Section `train`."""

    gpus: int
    nodes: int
    weight_decay: float
    clip_norm: float
    average: float
    candidates: int
    losses: LossSettings
    synthetic: SyntheticSettings
    real: RealSettings

    def stage(self, section: Section) -> SyntheticSettings | RealSettings:
        """The settings of one section."""
        return self.real if section == "real" else self.synthetic


@dataclass(frozen=True)
class ExportSettings:
    """Section `export`."""

    labels: Literal["heatmap", "recurring", "united", "whole", "votes"]
    views: int
    identity: bool
    min_score: float
    view_score: float
    scales: tuple[float, ...]
    min_votes: int
    border_margin: int
    min_counts: int
    border: Literal["replicate", "black"]
    zoom: Literal["both", "out"]
    reduced_decoding: bool
    junction_views: bool
    patch_ratio: float
    perspective: float
    scale: float
    max_angle: float


@dataclass(frozen=True)
class EvaluateSettings:
    """Section `evaluate`."""

    photographs: int
    pairs: int
    min_score: float
    size: int
    max_junctions: int
    rotation: float
    views: int
    whole_lines: bool
    scales: tuple[float, ...]
    truth: str
    truth_images: str


@dataclass(frozen=True)
class ComputeSettings:
    """Section `compute`."""

    device: str
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool
    workers: int
    threads: int
    export_batch: int
    memory_gb: float
    shard_size: int
    shape_shard_size: int
    save_minutes: float
    trackers: tuple[TrackerName, ...]
    mem_mb: int
    train_minutes: int
    export_minutes: int


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    name: str
    rounds: int
    seed: int
    photographs: PhotographSettings
    labels: LabelSettings
    shapes: ShapeSettings
    model: ModelSettings
    train: TrainSettings
    export: ExportSettings
    evaluate: EvaluateSettings
    compute: ComputeSettings
