"""Where everything of a run lies, relative to the working folder.

The rules write the same places as patterns, because Snakemake finds its work by them; tests/workflow/test_snakemake.py holds
the two together.
"""

from collections.abc import Iterator
from pathlib import Path

from hawp_core.runtime.names import named_folder
from hawp_core.workflow.recipe import (
    OWN_NAME,
    SHAPES_NAME,
    EvaluateRecipe,
    ExportRecipe,
    ImportRecipe,
    Recipe,
    ReportRecipe,
    Step,
    SynthesizeRecipe,
    TrainRecipe,
)
from hawp_core.workflow.recipe_file import KEY_LENGTH, RECIPES
from hawp_core.workflow.sharding import shard_name

MODELS, DATA, REPORTS, LOGS = Path("exp-ssl"), Path("data-ssl"), Path("reports"), Path("logs")
# Where hawp predict writes, unless it is told another folder.
PREDICTIONS = Path("wireframes")

# Who trains an address, whatever the name: no name of a run begins with a dot.
AT_WORK = MODELS / ".at-work"
# The resized photographs that trainings read.
CACHE = DATA / "cache"
# What is known of the photographs' fingerprints from the last time.
FINGERPRINT_CACHE = RECIPES / "photographs.cache"
# The same of those that own labels are drawn on, where they lie elsewhere.
OWN_FINGERPRINT_CACHE = RECIPES / "own-photographs.cache"

# Which logs in logs/NAME/ are those of a stage's jobs.
_LOGS = {
    "synthesize": "{key}*",
    "import": "{key}",
    "train": "train-{key}-*",
    "export": "export-{key}-*",
    "evaluate": "evaluate-*-{key}",
    "report": "report-{key}",
}


def manifest_file(photographs: str) -> Path:
    """The list of photographs with this fingerprint."""
    return RECIPES / f"photographs-{photographs[:KEY_LENGTH]}.jsonl"


def own_listing(labels: str) -> Path:
    """What own labels with this key say of which photograph, by digest."""
    return RECIPES / f"labels-{labels[:KEY_LENGTH]}.json"


def own_labels(key: str, suffix: str = ".h5") -> Path:
    """Own labels that were taken in (`.h5`), and the data config that a training reads (`.yaml`)."""
    return DATA / OWN_NAME / f"{key}{suffix}"


def photograph_cache(photographs: str, size: int) -> Path:
    """The photographs of a fingerprint at the network's size, which trainings read."""
    return CACHE / f"{photographs[:KEY_LENGTH]}-{size}.h5"


def shape_config(key: str) -> Path:
    """The data config of synthetic shapes."""
    return DATA / SHAPES_NAME / f"{key}.yaml"


def shape_shards(recipe: SynthesizeRecipe) -> dict[str, list[Path]]:
    """Split -> the shards of synthetic shapes."""
    shards = recipe.places.shards
    return {
        split: [shape_shard(recipe.key, split, shard, of) for shard in range(of)]
        for split, of in (("train", shards.train), ("validation", shards.validation))
    }


def shape_shard(key: str, split: str, shard: int, of: int) -> Path:
    """Where a shard of synthetic shapes lies."""
    return DATA / SHAPES_NAME / key / f"{split}-{shard_name(shard, of)}"


def label_shards(recipe: ExportRecipe) -> list[Path]:
    """The shards of an export, as many as its recipe says."""
    return [label_shard(recipe, shard, recipe.places.shards) for shard in range(recipe.places.shards)]


def label_shard(recipe: ExportRecipe, shard: int, of: int) -> Path:
    """Where a shard of an export lies until the shards are joined."""
    return named_folder(DATA, recipe.name) / f"{recipe.key}-shards" / shard_name(shard, of)


def label_file(name: str, key: str, epoch: int, suffix: str = ".h5") -> Path:
    """The labels of an export (`.h5`), the next training's data config (`.yaml`), the record (`.log`)."""
    return named_folder(DATA, name) / f"{key}-model-{epoch:05d}{suffix}"


def model_name(epoch: int) -> str:
    """Name of the file of a model after `epoch` epochs."""
    return f"model-{epoch:05d}.pth"


def epochs(train: TrainRecipe) -> int:
    """Epochs of a training: the number in its model's name."""
    return train.training.epochs


def trained_model(train: TrainRecipe) -> Path:
    """The file that a training ends with."""
    return named_folder(MODELS, train.name) / train.key / model_name(epochs(train))


def evaluation_file(evaluation: EvaluateRecipe) -> Path:
    """The metrics of a round's model."""
    return named_folder(MODELS, evaluation.name) / evaluation.consumed("model") / evaluation_name(evaluation)


def evaluation_name(evaluation: EvaluateRecipe) -> str:
    """Name of the file of metrics, beside the model."""
    return f"evaluation-{evaluation.key}.json"


def report_folder(report: ReportRecipe) -> Path:
    """Where the figures and tables of a report lie."""
    return named_folder(REPORTS, report.name) / report.key


def data_config(data: SynthesizeRecipe | ImportRecipe | ExportRecipe) -> Path:
    """The data config that a training on `data` reads."""
    if isinstance(data, SynthesizeRecipe):
        return shape_config(data.key)
    if isinstance(data, ImportRecipe):
        return own_labels(data.key, ".yaml")
    return label_file(data.name, data.key, data.places.epoch, ".yaml")


def artifact(recipe: Step) -> Path:
    """The file that stands for a recipe's result."""
    if isinstance(recipe, SynthesizeRecipe | ImportRecipe):
        return data_config(recipe)
    if isinstance(recipe, TrainRecipe):
        return trained_model(recipe)
    if isinstance(recipe, ExportRecipe):
        return label_file(recipe.name, recipe.key, recipe.places.epoch)
    return evaluation_file(recipe)


def logs(recipe: Recipe, ending: str = ".log") -> Iterator[Path]:
    """What the workflow kept of a step's jobs: `.log`, or `.benchmark.tsv`, their time and memory."""
    yield from sorted(named_folder(LOGS, recipe.name).glob(_LOGS[recipe.stage].format(key=recipe.key) + ending))
