"""What the rules ask of a run: its settings and plan, the targets, and what the recipe in a job's name says.

One `Run` serves one Snakemake process. The driver's process plans, and writes the recipes; a job's process parses the
Snakefile again, plans nothing and reads its own recipe.
"""

import dataclasses
import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from hawp_core.errors import UserError
from hawp_core.model.shipped import SHIPPED_NAME
from hawp_core.runtime.accelerators import accelerators
from hawp_core.workflow import driver
from hawp_core.workflow.chain import Chain, report_recipe, reported_chain
from hawp_core.workflow.cost import describe, estimate, read_rates
from hawp_core.workflow.paths import (
    artifact,
    data_config,
    evaluation_file,
    label_shards,
    own_labels,
    report_folder,
    shape_shards,
    trained_model,
)
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.recipe import (
    OWN_NAME,
    SHAPES_NAME,
    EvaluateRecipe,
    ExportRecipe,
    ImportRecipe,
    Kind,
    Recipe,
    ReportRecipe,
    SynthesizeRecipe,
    TrainRecipe,
    of_stage,
    read_recipe,
    roles,
)
from hawp_core.workflow.recipe_file import recipe_file
from hawp_core.workflow.settings import merged_settings
from hawp_core.workflow.sharing import take_over_idle

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Protocol):
    """What is used of Snakemake's own object, which the Snakefile sees as `workflow`."""

    configfiles: list[Path]
    is_main_process: bool
    cores: int | None
    execute: Callable[..., object]


class Wildcards(Protocol):
    """The wildcards of a job; those that its rule has."""

    name: str
    key: str


def in_a_sentence(function: Callable[P, R]) -> Callable[P, R]:
    """Turn a user's mistake into one line instead of Snakemake's traceback."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            print(f"hawp-rounds: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapped


def rounds_on_the_command_line(words: Iterable[str]) -> list[int]:
    """The numbers of `rounds=N` targets. Snakemake knows its targets only after the Snakefile is read; the command line
    is there already."""
    return [int(match[1]) for word in words if (match := re.fullmatch(r"rounds=(\d+)", word))]


class Run:
    """A run as the rules see it.

    Attributes:
        settings: of the run.
        chain: the plan; None in a job's process.
    """

    @in_a_sentence
    def __init__(self, workflow: Workflow, config: Mapping[str, object], command: list[str]) -> None:
        """Read the settings; in the driver's process also plan, write the recipes and see to what dead drivers left.

        Args:
            config: Snakemake's merged configuration.
            command: words of the command line.
        """
        # Rules find `hawp` beside this Snakemake where neither the shell nor a rule's own environment has one.
        os.environ["PATH"] = os.pathsep.join(
            [os.environ.get("PATH", os.defpath), os.path.dirname(os.path.abspath(sys.executable))]
        )
        # Snakemake has merged them already; read one by one, a mistake is told with the file that it stands in. A job's process
        # looks at none, so that an edit meanwhile stops no job.
        files = list(workflow.configfiles) if workflow.is_main_process else []
        self.settings = merged_settings([*files, dict(config)])
        self._workflow, self._named = workflow, rounds_on_the_command_line(command)
        self.chain: Chain | None = None
        if workflow.is_main_process:
            workflow.execute = in_a_sentence(driver.before_execution(workflow.execute, self._prepare))
            driver.understand_every_end()
            self.chain = plan_run(self.settings, self.most_rounds, write=True)

    @property
    def most_rounds(self) -> int:
        """The largest number of rounds that the command line or the configuration names."""
        return max([self.settings.rounds, *self._named])

    @property
    def cores(self) -> int:
        """CPU threads of a job that has the machine to itself, or its share of a cluster's node."""
        compute = self.settings.compute
        return compute.threads or self._workflow.cores or compute.workers + 1

    @property
    def shard_cores(self) -> int:
        """CPU threads of a labelling job. Much of it is a single thread's work, so that on a CPU shards side by side are done
        sooner than one after the other with all threads."""
        # A cluster's driver has no cores, and its job's process, which has no plan, those that the job was granted.
        if self.settings.compute.threads or not self._workflow.cores or not self.chain or accelerators():
            return self.cores
        return max(1, self.cores // len(label_shards(self.chain.rounds[0].export)))

    # Killed drivers leave a lock and Slurm jobs behind: without this, the same command would not carry on.
    @in_a_sentence
    def _prepare(self, executor: driver.ExecutorPlugin, executor_settings: object) -> None:
        """Before a run: clear what killed drivers left. Before a run or a dry run: link what other names hold; a dry run
        then says what the rest would cost."""
        asked = max(self._named, default=self.settings.rounds)
        planned = self.chain and dataclasses.replace(self.chain, rounds=self.chain.rounds[: asked + 1])
        if executor.common_settings.dryrun_exec and planned:
            _take_over(planned)
            print(describe(estimate(self.settings, planned), read_rates()), file=sys.stderr)
            return
        if self.settings.train.synthetic.start == "shipped":
            print(
                "hawp-rounds: round 0 goes on from the weights that come with the package; "
                "train.synthetic.start: scratch begins with new ones",
                file=sys.stderr,
            )
        cleared = driver.claim(Path(".snakemake"), getattr(executor_settings, "jobname_prefix", None))
        if cleared:
            print(f"hawp-rounds: the last run was killed ({'; '.join(cleared)}); carrying on", file=sys.stderr)
        if planned:
            _take_over(planned)

    @in_a_sentence
    def targets(self, rounds: int | str | None, pages: Iterable[str]) -> list[str]:
        """Every model, data config and measurement up to a round, and the pages of the report on them; its recipe is written here."""
        if self.chain is None:
            return []
        last = int(self.settings.rounds if rounds is None else rounds)
        found = []
        for each in self.chain.rounds[: last + 1]:
            found += [trained_model(each.train), data_config(each.export), evaluation_file(each.evaluate)]
        report = report_recipe(self.chain, last)
        report.write()
        return [str(path) for path in (*found, *(report_folder(report) / f"{page}.html" for page in pages))]


read_once = functools.cache(read_recipe)


def _take_over(chain: Chain) -> None:
    """Link what other names hold of a chain, so that no job is planned for it."""
    for recipe in chain.recipes:
        if theirs := take_over_idle(recipe):
            print(f"hawp-rounds: {artifact(recipe)} is the same as {theirs}: linked, not made again", file=sys.stderr)


@in_a_sentence
def recipe_of(kind: type[Kind], name: str, key: str) -> Kind:
    """The recipe that a job's name asks for."""
    path = recipe_file(kind.stage, name, key)
    return of_stage(kind, read_once(path), path)


def place(kind: type[Recipe], role: str) -> Callable[[Wildcards], str | list[str]]:
    """An input function: where the recipe says that something lies; nothing where it needs none, or what is shipped.

    Raises:
        AttributeError: recipes of that stage have no such place; when the rules are read, not when a job starts.
    """
    if role not in {field.name for field in dataclasses.fields(roles(kind))}:
        raise AttributeError(f"recipes of the stage {kind.stage} have no place {role!r}")

    def found(wildcards: Wildcards) -> str | list[str]:
        place = getattr(recipe_of(kind, wildcards.name, wildcards.key).places, role)
        return [] if place in (None, SHIPPED_NAME) else str(place)

    return found


def photographs_of(kind: type[ExportRecipe | EvaluateRecipe]) -> Callable[[Wildcards], str]:
    """A function of a job's parameters: the folder of the photographs."""
    return lambda wildcards: recipe_of(kind, wildcards.name, wildcards.key).places.folder


def growing(minutes: int) -> Callable[[Wildcards, int], int]:
    """A resource function. More time at each attempt: a job that hit its limit resumes, and gets further."""
    return lambda wildcards, attempt: minutes * attempt


def drawn_shards(wildcards: Wildcards) -> list[str]:
    """An input function: the shards of the shapes."""
    recipe = recipe_of(SynthesizeRecipe, SHAPES_NAME, wildcards.key)
    return [str(path) for files in shape_shards(recipe).values() for path in files]


def labelled_shards(wildcards: Wildcards) -> list[str]:
    """An input function: the shards of an export."""
    return [str(path) for path in label_shards(recipe_of(ExportRecipe, wildcards.name, wildcards.key))]


def reported(wildcards: Wildcards) -> list[str]:
    """An input function: every result of the rounds that a report is about."""
    recipe = recipe_of(ReportRecipe, wildcards.name, wildcards.key)
    return [str(artifact(step)) for step in reported_chain(recipe).recipes]


def training_options(wildcards: Wildcards) -> str:
    """The options that the recipe's users know, spelled out: the log shows the line to repeat."""
    recipe = recipe_of(TrainRecipe, wildcards.name, wildcards.key)
    stage = recipe.training
    start = f" --pretrained {recipe.places.start}" if recipe.places.start else ""
    mixed = f" --labels {recipe.places.labels}" if recipe.places.labels else ""
    # Own labels name no shapes: the data config of pseudo labels does.
    alone = recipe.places.data == own_labels(recipe.consumed("data"), ".yaml")
    shapes = f" --shapes {recipe.places.shapes}" if alone else ""
    return (
        f"--name {recipe.name} --base-lr {stage.base_lr} --epochs {stage.epochs} --batch-size {stage.batch_size}"
        f"{start}{mixed}{shapes}"
    )


def import_options(wildcards: Wildcards) -> str:
    """Where own labels and their photographs lie, and how their ends are joined."""
    recipe = recipe_of(ImportRecipe, OWN_NAME, wildcards.key)
    return (
        f"{shlex.quote(recipe.places.files)} --images {shlex.quote(recipe.places.folder)} "
        f"--join {recipe.completed.labels.join}"
    )


def truth_options(wildcards: Wildcards) -> str:
    """The options of a measurement that name labelled photographs, where its recipe does."""
    places = recipe_of(EvaluateRecipe, wildcards.name, wildcards.key).places
    if not places.truth:
        return ""
    return f"--truth {shlex.quote(places.truth)} --truth-images {shlex.quote(places.truth_images or '')}"


def export_options(wildcards: Wildcards) -> str:
    """The options that the recipe's users know, spelled out: the log shows the line to repeat."""
    recipe = recipe_of(ExportRecipe, wildcards.name, wildcards.key)
    export = recipe.completed.export
    model = recipe.places.model
    return (
        f"--metarch HAWP-{export.labels} --workdir {model.parent} --epoch {recipe.places.epoch} "
        f"--modelcfg {model.parent / 'model.yaml'} --min-score {export.min_score}"
    )
