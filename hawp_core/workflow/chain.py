"""The chain of a run: the recipe of every stage of every round, known before anything of it exists.

Like the recipes, it needs neither torch nor cv2, so that planning a run takes no time.
"""

from dataclasses import dataclass

from hawp_core.errors import UserError
from hawp_core.model.shipped import SHIPPED_NAME
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow.paths import data_config, epochs, shape_config, trained_model
from hawp_core.workflow.places import PhotographPlaces, ReportPlaces, TrainPlaces
from hawp_core.workflow.recipe import (
    EvaluateRecipe,
    ExportRecipe,
    ImportRecipe,
    ReportRecipe,
    Step,
    SynthesizeRecipe,
    TrainRecipe,
    read_recipe_of,
)
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
    train: TrainRecipe
    export: ExportRecipe
    evaluate: EvaluateRecipe

    @property
    def steps(self) -> tuple[TrainRecipe, ExportRecipe, EvaluateRecipe]:
        """The recipes in the order of the work."""
        return self.train, self.export, self.evaluate


@dataclass(frozen=True)
class Chain:
    """A run: the shapes, its rounds in order, and the own labels that these learn from."""

    shapes: SynthesizeRecipe
    rounds: list[Round]
    own: ImportRecipe | None = None

    @property
    def recipes(self) -> list[Step]:
        """Every recipe, upstream first."""
        first = [self.shapes] if self.own is None else [self.shapes, self.own]
        return [*first, *(recipe for each in self.rounds for recipe in each.steps)]


def plan(
    settings: Settings,
    photographs: str,
    at: PhotographPlaces,
    rounds: int | None = None,
    own: ImportRecipe | None = None,
) -> Chain:
    """The chain of a run, known before anything of it exists.

    Args:
        settings: of the run.
        photographs: fingerprint of the photographs.
        at: where the photographs and their list lie, and the number of export shards.
        rounds: real rounds; the configured number where None.
        own: the taking in of own labels.
    """
    shapes = synthesize_recipe(settings)
    done: list[Round] = []
    for number in range((settings.rounds if rounds is None else rounds) + 1):
        done.append(_round(settings, number, shapes, done[-1] if done else None, own, photographs, at))
    return Chain(shapes, done, own)


def _round(
    settings: Settings,
    number: int,
    shapes: SynthesizeRecipe,
    before: Round | None,
    own: ImportRecipe | None,
    photographs: str,
    at: PhotographPlaces,
) -> Round:
    """A round, which learns from the labels of the round before and from own ones, or from the shapes."""
    data: SynthesizeRecipe | ImportRecipe | ExportRecipe = before.export if before else shapes
    mixed = own if before else None
    if mixed and settings.labels.share == 1:
        data, mixed = mixed, None
    start, place = _start(settings, before)
    train = train_recipe(
        settings,
        "real" if before else "synthetic",
        f"{settings.name}-round{number}",
        data=data.key,
        shapes=shapes.key,
        start=start,
        places=TrainPlaces(data_config(data), shape_config(shapes.key), place, data_config(mixed) if mixed else None),
        labels=mixed.key if mixed else None,
    )
    model, file = Origin(train.key, train.name, epochs(train), train.places.shapes), trained_model(train)
    export = export_recipe(settings, model, photographs, at, file)
    evaluate = evaluate_recipe(settings, model, photographs, shapes.key, at, file, model.shapes)
    return Round(number, train, export, evaluate)


def _start(settings: Settings, before: Round | None) -> tuple[str | None, str | None]:
    """The key and the place of the model that a round begins from; None and None for new weights."""
    if before:
        goes_on = settings.train.real.start == "previous"
        return (before.train.key, str(trained_model(before.train))) if goes_on else (None, None)
    return (shipped_key(), SHIPPED_NAME) if settings.train.synthetic.start == "shipped" else (None, None)


def report_recipe(chain: Chain, rounds: int) -> ReportRecipe:
    """The report on rounds 0 to `rounds` of a chain."""
    about = Chain(chain.shapes, chain.rounds[: rounds + 1])
    inputs = {f"{step.stage}{each.number}": step.key for each in about.rounds for step in each.steps}
    files = tuple(recipe.file for recipe in about.recipes)
    name = chain.rounds[0].train.name.removesuffix("-round0")
    return ReportRecipe({}, {"shapes": chain.shapes.key, **inputs}, name, ReportPlaces(files))


def reported_chain(report: ReportRecipe) -> Chain:
    """The shapes and the rounds that a report is about.

    Raises:
        UserError: one of their recipes is missing, altered or of another stage.
    """
    files = report.places.recipes
    if len(files) % 3 != 1:  # the shapes, and three for each round
        raise UserError(
            f"{report.file} does not name the recipes of whole rounds: delete it and run the workflow again."
        )
    rounds = [
        Round(
            number,
            read_recipe_of(TrainRecipe, train),
            read_recipe_of(ExportRecipe, export),
            read_recipe_of(EvaluateRecipe, evaluate),
        )
        for number, (train, export, evaluate) in enumerate(zip(files[1::3], files[2::3], files[3::3], strict=True))
    ]
    return Chain(read_recipe_of(SynthesizeRecipe, files[0]), rounds)
