"""A trainer put together from settings: network, data, augmentation, schedule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from hawp_core.data.augmentation import REAL, SYNTHETIC
from hawp_core.data.label_file import LabelFile
from hawp_core.data.loader import Loader
from hawp_core.data.mixture import Mixture
from hawp_core.data.photographs.dataset import PhotographSet
from hawp_core.data.samples import SampleSet
from hawp_core.data.shapes.dataset import ShapeSet
from hawp_core.errors import UserError
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.free_cores import FreeCores
from hawp_core.runtime.setting_types import Section, Settings, TrackerName
from hawp_core.runtime.signals import StopRequest
from hawp_core.training import distributed
from hawp_core.training.mlflow_runs import MlflowRun
from hawp_core.training.place import TrainingPlace
from hawp_core.training.schedule import Schedule
from hawp_core.training.tensorboard_events import TensorBoardEvents
from hawp_core.training.trackers import Tracked, Tracker
from hawp_core.training.trainer import Trainer

TRACKERS: dict[TrackerName, Callable[[Tracked], Tracker]] = {"tensorboard": TensorBoardEvents, "mlflow": MlflowRun}
AUGMENTATIONS = {"none": None, "mild": REAL, "strong": SYNTHETIC}


@dataclass(frozen=True)
class Work:
    """How a training is carried out; none of it changes its result.

    Attributes:
        device, precision: of the arithmetic; without a precision, `Trainer` chooses it.
        workers: processes that load and augment, for each device.
        save_seconds: between resumable states.
        compiled: fuse the network's operations; on one device only.
        trackers: that draw its metrics.
        following: the CPU's threads follow the cores that are free, where this process alone trains, on the CPU. The one
            thing here that changes bits.
    """

    device: torch.device
    precision: torch.dtype | None
    workers: int
    save_seconds: float
    compiled: bool
    trackers: Sequence[Tracker]
    following: bool


def make_trainer(
    settings: Settings,
    section: Section,
    dataset: ShapeSet | PhotographSet | Mixture,
    validation: ShapeSet,
    place: TrainingPlace,
    *,
    recipe: Mapping[str, object],
    start: Path | None,
    work: Work,
    stop: StopRequest,
) -> Trainer:
    """The trainer of this process.

    Args:
        settings: of the run.
        section: what is learned from.
        recipe: what the model's file will say of how it was made.
        start: a model to begin from; new weights where None.

    Raises:
        UserError: `start` cannot be read, or is of another architecture.
    """
    architecture, stage = Architecture.from_dict(asdict(settings.model)), settings.train.stage(section)
    schedule = Schedule.from_settings(settings, section)
    torch.manual_seed(schedule.seed)
    if start:
        network, _ = load_checkpoint(start, work.device, expect=architecture)
    else:
        network = WireframeNetwork(architecture).to(work.device)
    loader = Loader(
        dataset,
        schedule.batch_size,
        AUGMENTATIONS[stage.augment],
        crop=stage.crop,
        seed=schedule.seed,
        workers=work.workers,
        rank=distributed.rank(),
        world=distributed.world(),
        pin_memory=work.device.type == "cuda",
    )
    return Trainer(
        network,
        loader,
        validation,
        schedule,
        place,
        recipe=recipe,
        precision=work.precision,
        save_seconds=work.save_seconds,
        stop=stop,
        compiled=work.compiled and distributed.world() == 1,
        trackers=work.trackers,
        # Several processes would flee from each other; beside a GPU there is little to gain.
        room=FreeCores(torch.get_num_threads())
        if work.following and work.device.type == "cpu" and distributed.world() == 1
        else None,
    )


def labelled_photographs(
    labels_file: Path,
    export: str,
    folder: str,
    size: int,
    flips: int,
    cache: Path,
    check: Callable[[LabelFile], None],
    *,
    soft: bool,
) -> PhotographSet:
    """Photographs with the labels of an export, or with own ones.

    Args:
        labels_file: the labels.
        export: key of what must have made them.
        size: side of the network's input, pixels.
        flips: mirrorings of each photograph in an epoch.
        cache: where the resized photographs are kept.
        check: raises UserError unless the photographs are those that were labelled.
        soft: as in `PhotographSet`.

    Raises:
        UserError: the labels are another export's, the photographs are others, or photographs cannot be read.
    """
    labels = LabelFile(labels_file)
    if labels.about.get("export") != export:
        raise UserError(
            f"{labels_file} holds the labels of {labels.about.get('export')}, and its data config promises {export}: "
            "run the export again."
        )
    distributed.on_main(lambda: check(labels))
    # The others find the cache that the main process makes.
    with distributed.main_first():
        return PhotographSet(folder, labels, size, flips, cache, soft)


def mixed(
    photographs: PhotographSet, own: tuple[PhotographSet, float] | None, shapes: tuple[ShapeSet, float] | None
) -> PhotographSet | Mixture:
    """What an epoch learns from: all photographs with pseudo labels, and so many others that these are a share of it.

    Args:
        own: photographs with own labels, and their share of all photographs; where no other is left, each comes once.
        shapes: synthetic shapes, and their share of everything.

    Raises:
        UserError: images of different sides.
    """
    pseudo = len(photographs)
    parts: list[tuple[SampleSet, int]] = [(photographs, pseudo)] if pseudo else []
    if own is not None:
        parts.append((own[0], max(1, at_share(pseudo, own[1])) if pseudo else len(own[0])))
    if shapes is not None:
        parts.append((shapes[0], at_share(sum(count for _, count in parts), shapes[1])))
    return Mixture(parts) if own or shapes else photographs


def at_share(others: int, share: float) -> int:
    """How many samples are `share` of an epoch that also has `others`."""
    return round(others * share / (1 - share))
