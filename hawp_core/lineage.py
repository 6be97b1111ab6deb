"""What an artifact is made from, and the address that follows from it.

A recipe names the stage, its version, the settings that change the result and the keys of what it consumes;
its key is the digest of those four. Where things lie, how many shards there are and what device computes them are
written beside them as `places`, outside the digest. Recipes are known before anything runs.

This room imports neither torch nor cv2, so that planning a run takes no time.
"""

import copy
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.files import read_json, write_json

RECIPE_FORMAT = "hawp-rounds recipe 1"

# Raise a stage's number when its result for the same settings changes: everything made by it, and all that follows,
# is then made again. tests/test_versions.py compares a tiny run of each stage with what its number promised.
STAGE_VERSIONS = {"synthesize": 1, "train": 1, "export": 2, "evaluate": 1, "report": 1}

KEY_LENGTH = 16  # hexadecimal digits: 64 bits, far beyond the number of artifacts of any run

# What a stage's result depends on, as paths into the settings. Everything else is `places` or `compute`.
SYNTHESIZE_SETTINGS = ("seed", "shapes", "model.image_size")
TRAIN_SETTINGS = ("seed", "model", "train.weight_decay", "train.clip_norm", "train.losses")
EXPORT_SETTINGS = ("seed", "export")
EVALUATE_SETTINGS = ("seed", "evaluate")


def digest(value: object) -> str:
    """Hexadecimal SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def pick(settings: dict, paths: tuple[str, ...]) -> dict:
    """A copy of the part of nested `settings` that dotted `paths` name, in the same nesting."""
    picked: dict = {}
    for path in paths:
        *parents, last = path.split(".")
        source, target = settings, picked
        for parent in parents:
            source, target = source[parent], target.setdefault(parent, {})
        target[last] = copy.deepcopy(source[last])
    return picked


@dataclass(frozen=True)
class Recipe:
    """How one artifact is made.

    Attributes:
        stage: synthesize, train, export, evaluate or report.
        settings: those that change the result, nested as in the configuration.
        inputs: role -> key of what is consumed (None where nothing is).
        name: folder of the run's round, such as hawpv3-round0.
        places: where the inputs lie and how the work is divided; not part of the key.
        version: the stage's version.
    """

    stage: str
    settings: dict
    inputs: dict
    name: str
    places: dict = field(default_factory=dict)
    version: int = 0

    def __post_init__(self) -> None:
        if not self.version:
            object.__setattr__(self, "version", STAGE_VERSIONS[self.stage])

    @property
    def identity(self) -> dict:
        """What the key is the digest of."""
        return {"stage": self.stage, "version": self.version, "settings": self.settings, "inputs": self.inputs}

    @property
    def key(self) -> str:
        """The artifact's address: hexadecimal."""
        return digest(self.identity)[:KEY_LENGTH]

    @property
    def file(self) -> Path:
        """Where the recipe is written, relative to the working folder."""
        return Path("recipes", self.name, f"{self.stage}-{self.key}.json")

    def write(self) -> Path:
        """Write the recipe, unless the same is there."""
        record = {"format": RECIPE_FORMAT, "key": self.key, "name": self.name, "places": self.places, **self.identity}
        if not self.file.is_file() or read_json(self.file) != record:
            write_json(self.file, record)
        return self.file


def read_recipe(path: Path | str) -> Recipe:
    """Read a recipe.

    Raises:
        UserError: unreadable, altered since it was written, or of another version of this tool.
    """
    record = read_json(path)
    if record.get("format") != RECIPE_FORMAT:
        raise UserError(
            f"{path} has the recipe format {record.get('format')!r}, and this version reads {RECIPE_FORMAT!r}: "
            "delete it and run the workflow again."
        )
    try:
        recipe = Recipe(**{name: record[name] for name in ("stage", "settings", "inputs", "name", "places", "version")})
    except KeyError as error:
        raise UserError(f"{path} lacks {error}: delete it and run the workflow again.") from error
    if recipe.key != record.get("key"):
        raise UserError(
            f"{path} was altered: its content has the key {recipe.key}, and it says {record.get('key')}; "
            "delete it and run the workflow again."
        )
    if recipe.stage not in STAGE_VERSIONS or recipe.version != STAGE_VERSIONS[recipe.stage]:
        raise UserError(
            f"{path} asks for version {recipe.version} of the stage '{recipe.stage}', and this is version "
            f"{STAGE_VERSIONS.get(recipe.stage)}: run the workflow again, which plans with the present version."
        )
    return recipe


def model_file(name: str, key: str, epoch: int) -> Path:
    """The model of a training after its last epoch."""
    return Path("exp-ssl", name, key, f"model-{epoch:05d}.pth")


def label_file(name: str, key: str, epoch: int, suffix: str = ".h5") -> Path:
    """The labels of an export (`.h5`), the next training's data config (`.yaml`), the record (`.log`)."""
    return Path("data-ssl", name, f"{key}-model-{epoch:05d}{suffix}")


def shape_config(key: str) -> Path:
    """The data config of synthetic shapes."""
    return Path("data-ssl", "synthetic-shapes", f"{key}.yaml")


def shards(total: int, size: int) -> int:
    """How many shards of at most `size` hold `total` items; at least one."""
    return max(1, math.ceil(total / size))


def shape_recipe(settings: dict) -> Recipe:
    """The synthetic shapes."""
    chosen = pick(settings, SYNTHESIZE_SETTINGS)
    size = settings["compute"]["shape_shard_size"]
    counts = {split: shards(8 * settings["shapes"][split], size) for split in ("train", "validation")}
    return Recipe("synthesize", chosen, {}, "synthetic-shapes", {"shards": counts, "shard_size": size})


def train_recipe(settings: dict, number: int, data: Recipe, shapes: Recipe, start: Recipe | None) -> Recipe:
    """The training of round `number` on `data` (the shapes, or the previous round's labels)."""
    section = "real" if number else "synthetic"
    chosen = pick(settings, (*TRAIN_SETTINGS, f"train.{section}"))
    inputs = {"data": data.key, "shapes": shapes.key, "start": start.key if start else None}
    places = {
        "data": str(data_config(data)),
        "shapes": str(shape_config(shapes.key)),
        "start": str(trained_model(start)) if start else None,
    }
    return Recipe("train", chosen, inputs, f"{settings['name']}-round{number}", places)


def export_recipe(settings: dict, train: Recipe, photographs: str, places: dict) -> Recipe:
    """The labelling of the photographs by the model of `train`."""
    inputs = {"model": train.key, "photographs": photographs}
    places = {**places, "model": str(trained_model(train)), "epoch": epochs(train), "shapes": train.places["shapes"]}
    return Recipe("export", pick(settings, EXPORT_SETTINGS), inputs, train.name, places)


def evaluate_recipe(settings: dict, train: Recipe, photographs: str, places: dict) -> Recipe:
    """The measurement of the model of `train`."""
    inputs = {"model": train.key, "photographs": photographs, "shapes": train.inputs["shapes"]}
    places = {**places, "model": str(trained_model(train)), "shapes": train.places["shapes"]}
    return Recipe("evaluate", pick(settings, EVALUATE_SETTINGS), inputs, train.name, places)


def report_recipe(chain: "Chain", rounds: int) -> Recipe:
    """The report on rounds 0 to `rounds` of a chain."""
    first, parts = chain.rounds[0], chain.rounds[: rounds + 1]
    inputs = {f"{r.stage}{part.number}": r.key for part in parts for r in (part.train, part.export, part.evaluate)}
    files = [str(r.file) for r in (chain.shapes, *(r for p in parts for r in (p.train, p.export, p.evaluate)))]
    name = first.train.name.removesuffix("-round0")
    return Recipe("report", {}, {"shapes": chain.shapes.key, **inputs}, name, {"recipes": files})


def report_folder(report: Recipe) -> Path:
    """Where the figures and tables of a report lie."""
    return Path("reports", report.name, report.key)


def epochs(train: Recipe) -> int:
    """Epochs of a training: the number in its model's name."""
    stages = train.settings["train"]
    return (stages["real"] if "real" in stages else stages["synthetic"])["epochs"]


def trained_model(train: Recipe) -> Path:
    """The file that a training ends with."""
    return model_file(train.name, train.key, epochs(train))


def evaluation_file(evaluation: Recipe) -> Path:
    """The metrics of a round's model."""
    return Path("exp-ssl", evaluation.name, evaluation.inputs["model"], f"evaluation-{evaluation.key}.json")


def data_config(data: Recipe) -> Path:
    """The data config that a training on `data` reads."""
    if data.stage == "synthesize":
        return shape_config(data.key)
    return label_file(data.name, data.key, data.places["epoch"], ".yaml")


@dataclass(frozen=True)
class Round:
    """The recipes of one round."""

    number: int
    train: Recipe
    export: Recipe
    evaluate: Recipe


@dataclass(frozen=True)
class Chain:
    """A run: the shapes, and its rounds in order."""

    shapes: Recipe
    rounds: list[Round]

    @property
    def recipes(self) -> list[Recipe]:
        """Every recipe, upstream first."""
        return [self.shapes, *(recipe for r in self.rounds for recipe in (r.train, r.export, r.evaluate))]


def plan(settings: dict, photographs: str, places: dict, rounds: int | None = None) -> Chain:
    """The chain of a run, known before anything of it exists.

    Args:
        settings: complete settings.
        photographs: fingerprint of the photographs.
        places: where the photographs and their manifest lie, and the number of export shards.
        rounds: real rounds; the configured number where None.
    """
    shapes = shape_recipe(settings)
    done: list[Round] = []
    for number in range((settings["rounds"] if rounds is None else rounds) + 1):
        data = done[-1].export if done else shapes
        start = done[-1].train if done and settings["train"]["real"]["start"] == "previous" else None
        train = train_recipe(settings, number, data, shapes, start)
        export = export_recipe(settings, train, photographs, places)
        done.append(Round(number, train, export, evaluate_recipe(settings, train, photographs, places)))
    return Chain(shapes, done)
