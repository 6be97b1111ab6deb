"""What a run will cost before it begins: jobs, hours of GPU, disk.

Numbers of images and jobs, and the sizes of pixels and of the published network, are exact; lines an image, and with
them the size of labels, are typical values. Hours come from measured rates; where no GPU was measured, from the figures
that were published with the method, and the text says so.

Imports no torch: a dry run prints this.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tabulate import tabulate

from hawp_core.errors import UserError
from hawp_core.runtime.files import read_json
from hawp_core.runtime.setting_types import ExportSettings, ModelSettings, Settings, StageSettings
from hawp_core.runtime.text import gigabytes
from hawp_core.runtime.typed import typed
from hawp_core.workflow.chain import Chain
from hawp_core.workflow.paths import epochs
from hawp_core.workflow.recipe import ImportRecipe, Step, TrainRecipe
from hawp_core.workflow.recipe_builders import shape_images
from hawp_core.workflow.status import state

RATES_FILE = Path(__file__).resolve().parent / "rates.json"

# Bytes of the published network's weights, as float32: convolutions, and the layers that verify lines.
CONVOLUTION_BYTES, VERIFICATION_BYTES = 35_546_524, 11_506_932
# A training keeps weights and three moments (Adam with amsgrad), and has the last two states while it saves.
STATE_COPIES = 4 * 2
# 100 lines with 62 junctions, as homographic adaptation finds them on photographs, in a label file (an edge and a
# score are 12 bytes, a junction is 8) and in the journal of an unfinished shard (JSON).
LABEL_BYTES, JOURNAL_BYTES = 1_800, 5_500
LEAST_RATE, MOST_RATE = 1e-6, 1e9  # that a row of measured rates may say


@dataclass(frozen=True)
class NetworkSize:
    """What decides how fast a network is; the settings of `model` of these names."""

    image_size: int
    width: int
    depth: int
    stacks: int

    @classmethod
    def of(cls, model: ModelSettings) -> "NetworkSize":
        """The size of a network."""
        return cls(model.image_size, model.width, model.depth, model.stacks)


@dataclass(frozen=True)
class Rate:
    """What a device does in a second: a row of `rates.json`.

    Attributes:
        gpu: whether the device is one.
        measured: by this program; published with the method otherwise.
        export_views: looks at each photograph of those that are labelled in a second.
        date, source: of the measurement: ISO 8601, and what measured.
        precision: of the network's arithmetic.

    Raises:
        ValueError: a rate that nothing has.
    """

    device: str
    gpu: bool
    measured: bool
    network: NetworkSize
    train_images_per_second: float
    export_images_per_second: float
    export_views: float
    date: str
    source: str
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("train_images_per_second", "export_images_per_second", "export_views"):
            if not LEAST_RATE <= getattr(self, name) <= MOST_RATE:
                raise ValueError(f"{name} is {getattr(self, name):g}")


@dataclass(frozen=True)
class Rates:
    """The content of `rates.json`."""

    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Stage:
    """One stage of all rounds.

    Attributes:
        jobs, left: jobs of the run, and those of them whose result is not there yet.
        work: what is left, in words.
        size: bytes that the jobs left will add.
    """

    name: str
    jobs: int
    left: int
    work: str
    size: int


@dataclass(frozen=True)
class Estimate:
    """What is left of a run.

    Attributes:
        trained: images that pass through training, over all epochs; a piece of one counts as the part of its area.
        views: forward passes of labelling and evaluation, of images of model.image_size.
        cache: bytes of the resized photographs that training reads.
        temporary: bytes that one export and one training need beside, until they end.
    """

    title: str
    stages: list[Stage]
    trained: float
    views: int
    cache: int
    temporary: int
    network: NetworkSize


def _area(scales: tuple[float, ...]) -> float:
    """How much a look at these scales passes through the network, relative to one at the image's own size."""
    return sum(scale**2 for scale in scales)


def labelling_area(export: ExportSettings) -> float:
    """How much labelling passes of a photograph through the network, relative to the photograph."""
    return (1 if export.labels == "votes" else export.views + 1) * _area(export.scales)


def piece_area(training: StageSettings, model: ModelSettings) -> float:
    """The share of an image's area that a training takes of it at a time: `crop` of it, or all."""
    return ((training.crop or model.image_size) / model.image_size) ** 2


def estimate(settings: Settings, chain: Chain) -> Estimate:
    """What is left of `chain`; a step that is begun counts as not begun."""
    side, photographs = settings.model.image_size, chain.rounds[0].export.places.photographs
    rounds = len(chain.rounds)
    shapes = shape_images(settings)
    drawn = sum(shapes.values())
    shape_jobs = chain.shapes.places.shards.train + chain.shapes.places.shards.validation + 1
    shape_left = not _done(chain.shapes)
    trainings = [each.train for each in chain.rounds if not _done(each.train)]
    exports = [each.export for each in chain.rounds if not _done(each.export)]
    evaluations = [each.evaluate for each in chain.rounds if not _done(each.evaluate)]
    seen = {recipe.key: _images(recipe, settings, photographs, chain.own) for recipe in trainings}
    looked_at = min(settings.evaluate.photographs, photographs) * (1 + settings.evaluate.pairs)
    # Shapes are looked at once.
    area = _area(settings.evaluate.scales) * ((settings.evaluate.size or side) / side) ** 2
    looks = looked_at * (1 + settings.evaluate.views) * area + shapes["validation"]
    looked_at += shapes["validation"]
    shard_jobs = chain.rounds[0].export.places.shards + 1
    weights = model_bytes(settings.model)
    learnt = any(each.train in trainings for each in chain.rounds[1:])
    stages = [
        Stage("synthesize", shape_jobs, shape_left * shape_jobs, f"{shape_left * drawn:,} shapes drawn",
              shape_left * drawn * side * side),
        *([] if chain.own is None else [Stage("import", 1, int(not _done(chain.own)), "own labels taken in", 0)]),
        Stage("train", rounds, len(trainings), f"{sum(seen.values()):,} images seen", len(trainings) * weights),
        Stage("export", rounds * shard_jobs, len(exports) * shard_jobs, f"{len(exports) * photographs:,} photographs labelled",
              len(exports) * photographs * LABEL_BYTES),
        Stage("evaluate", rounds, len(evaluations), f"{len(evaluations) * looked_at:,} images detected", 0),
        Stage("report", 1, int(bool(trainings or exports or evaluations)), "", 0),
    ]  # fmt: skip
    return Estimate(
        title=f"{settings.name}, rounds 0 to {rounds - 1}, {photographs:,} photographs",
        stages=stages,
        trained=sum(seen[recipe.key] * piece_area(recipe.training, settings.model) for recipe in trainings),
        views=round(len(exports) * photographs * labelling_area(settings.export) + len(evaluations) * looks),
        cache=learnt * photographs * side * side,
        temporary=bool(trainings) * STATE_COPIES * weights
        + bool(exports) * photographs * (LABEL_BYTES + JOURNAL_BYTES),
        network=NetworkSize.of(settings.model),
    )


def _done(recipe: Step) -> bool:
    return state(recipe).word == "done"


def _images(train: TrainRecipe, settings: Settings, photographs: int, own: ImportRecipe | None) -> int:
    """Images that a training sees in all its epochs."""
    real = train.real
    if real is None:
        return shape_images(settings)["train"] * epochs(train)
    if "labels" in train.inputs:
        labelled = photographs / (1 - settings.labels.share)
    else:
        labelled = photographs if own is None or train.inputs["data"] != own.key else own.places.photographs
    return round(labelled * real.flips / (1 - real.shapes)) * epochs(train)


def model_bytes(model: ModelSettings) -> int:
    """Bytes of a model's file: the published network's exactly, others by the scaling of their larger layers."""
    convolutions = CONVOLUTION_BYTES * (model.width / 256) ** 2 * model.stacks / 2
    return round(convolutions + VERIFICATION_BYTES * model.verification_width / 1024)


def read_rates(path: Path = RATES_FILE) -> tuple[Rate, ...]:
    """The measured rates: images a second in training and in labelling, of which device and network, and by what.

    Raises:
        UserError: unreadable.
    """
    content = read_json(path)
    try:
        return typed(Rates, content).rates
    except ValueError as error:
        raise UserError(
            f"{path} is no file of rates ({error}): correct it, or take the file from a fresh clone."
        ) from error


def hours(plan: Estimate, row: Rate) -> float:
    """Hours that what is left takes on one device with the measured rates of `row`."""
    per_second = row.export_images_per_second * row.export_views
    return (plan.trained / row.train_images_per_second + plan.views / per_second) / 3600


def describe(plan: Estimate, rates: Sequence[Rate]) -> str:
    """The estimate as a text of a few lines."""
    rows = [[s.name, s.jobs, s.left, s.work if s.left else "", gigabytes(s.size)] for s in plan.stages]
    rows.append(["all", sum(s.jobs for s in plan.stages), sum(s.left for s in plan.stages), "", ""])
    disk = sum(s.size for s in plan.stages) + plan.cache + plan.temporary
    lines = [
        f"plan of {plan.title}",
        tabulate(rows, ["stage", "jobs", "left", "work left", "disk"], disable_numparse=True,
                 colalign=("left", "right", "right", "right", "right")),
        f"disk: {gigabytes(disk)} more, of which {gigabytes(plan.cache)} are resized photographs (data-ssl/cache) and "
        f"{gigabytes(plan.temporary)} are freed again",
    ]  # fmt: skip
    if not any(stage.left for stage in plan.stages):
        return "\n".join(lines)
    fitting = [row for row in rates if row.network == plan.network]
    measured = any(row.gpu and row.measured for row in fitting)
    for row in fitting:
        took, kind = hours(plan, row), "GPU " * row.gpu
        time = f"{took:,.1f} {kind}hours" if took >= 1 else f"{60 * took:,.1f} {kind}minutes"
        time = f"time at work, the start of jobs left out: {time} on one {row.device}"
        if row.measured:
            lines.append(f"{time} (measured {row.date}: {row.source})")
        elif not measured:
            lines.append(
                f"{time}, by {row.source}; no GPU was measured with this program: benchmarks/gpu.sh measures yours and "
                "keeps its rates"
            )
    if not any(row.gpu for row in fitting):
        network = ", ".join(f"{name} {value}" for name, value in asdict(plan.network).items())
        lines.append(
            f"time: GPU hours are not known: no GPU was measured with this network ({network}); "
            "python benchmarks/pipeline.py --config FILE --write-rates measures one"
        )
    return "\n".join(lines)
