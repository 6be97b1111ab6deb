"""The chain of a run: the recipe of every stage of every round, known before anything of it exists.

Like the recipes, it needs neither torch nor cv2, so that planning a run takes no time.
"""

import math
from dataclasses import dataclass

from hawp_core.workflow.paths import data_config, epochs, shape_config, trained_model
from hawp_core.workflow.recipe import (
    EVALUATE_SETTINGS,
    EXPORT_SETTINGS,
    SYNTHESIZE_SETTINGS,
    TRAIN_SETTINGS,
    Recipe,
    pick,
)


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
