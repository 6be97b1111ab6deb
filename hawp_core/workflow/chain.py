"""The chain of a run: the recipe of every stage of every round, known before anything of it exists.

Like the recipes, it needs neither torch nor cv2, so that planning a run takes no time.
"""

from dataclasses import dataclass

from hawp_core.model.shipped import SHIPPED_NAME
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.paths import data_config, epochs, shape_config, trained_model
from hawp_core.workflow.recipe import Recipe
from hawp_core.workflow.recipe_builders import (
    Origin,
    evaluate_recipe,
    export_recipe,
    shipped_key,
    synthesize_recipe,
    train_recipe,
)


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


def plan(settings: Settings, photographs: str, places: dict, rounds: int | None = None) -> Chain:
    """The chain of a run, known before anything of it exists.

    Args:
        settings: of the run.
        photographs: fingerprint of the photographs.
        places: where the photographs and their manifest lie, and the number of export shards.
        rounds: real rounds; the configured number where None.
    """
    shapes = synthesize_recipe(settings)
    done: list[Round] = []
    for number in range((settings.rounds if rounds is None else rounds) + 1):
        done.append(_round(settings, number, shapes, done[-1] if done else None, photographs, places))
    return Chain(shapes, done)


def _round(
    settings: Settings, number: int, shapes: Recipe, before: Round | None, photographs: str, places: dict
) -> Round:
    """A round, which learns from the labels of the round before, or from the shapes."""
    data = before.export if before else shapes
    start, place = _start(settings, before)
    train = train_recipe(
        settings,
        "real" if before else "synthetic",
        f"{settings.name}-round{number}",
        data=data.key,
        shapes=shapes.key,
        start=start,
        places={
            "data": str(data_config(data)),
            "shapes": str(shape_config(shapes.key)),
            "start": place,
        },
    )
    model = Origin(train.key, train.name, epochs(train), train.places["shapes"])
    places = {**places, "model": str(trained_model(train))}
    export = export_recipe(settings, model, photographs, places)
    return Round(
        number,
        train,
        export,
        evaluate_recipe(settings, model, photographs, shapes.key, {**places, "shapes": model.shapes}),
    )


def _start(settings: Settings, before: Round | None) -> tuple[str | None, str | None]:
    """The key and the place of the model that a round begins from; None and None for new weights."""
    if before:
        goes_on = settings.train.real.start == "previous"
        return (before.train.key, str(trained_model(before.train))) if goes_on else (None, None)
    return (shipped_key(), SHIPPED_NAME) if settings.train.synthetic.start == "shipped" else (None, None)


def report_recipe(chain: Chain, rounds: int) -> Recipe:
    """The report on rounds 0 to `rounds` of a chain."""
    first, parts = chain.rounds[0], chain.rounds[: rounds + 1]
    inputs = {f"{r.stage}{part.number}": r.key for part in parts for r in (part.train, part.export, part.evaluate)}
    files = [str(r.file) for r in (chain.shapes, *(r for p in parts for r in (p.train, p.export, p.evaluate)))]
    name = first.train.name.removesuffix("-round0")
    return Recipe("report", {}, {"shapes": chain.shapes.key, **inputs}, name, {"recipes": files})
