# Settings, the plan, and what rules ask of a recipe. The only room that touches the live configuration.

import functools
import re
import sys
from pathlib import Path

from hawp_core.errors import UserError
from hawp_core.workflow import settings as configuration
from hawp_core.workflow import snakemake as driver
from hawp_core.workflow.chain import Chain, report_recipe
from hawp_core.workflow.cost import describe, estimate, read_rates
from hawp_core.workflow.paths import artifact, data_config, evaluation_file, report_folder, trained_model
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.recipe import KEY_LENGTH, read_recipe


def sentence(function):
    """Turn a user's mistake into one line instead of a traceback."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except UserError as error:
            print(f"hawp-rounds: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapped


@sentence
def complete_settings():
    source = workflow.configfiles[-1] if workflow.configfiles else "the configuration"
    return configuration.complete(dict(config), source)


SETTINGS = complete_settings()
COMPUTE = SETTINGS["compute"]


def most_rounds():
    """The largest number of rounds that the command line or the configuration names."""
    return max([SETTINGS["rounds"], *rounds_on_the_command_line()])


def asked_rounds():
    """The number of rounds of this run."""
    return max(rounds_on_the_command_line(), default=SETTINGS["rounds"])


def rounds_on_the_command_line():
    # Snakemake knows its targets only after this file is read; the command line is there already.
    return [int(match[1]) for word in sys.argv[1:] if (match := re.fullmatch(r"rounds=(\d+)", word))]


# Killed drivers leave a lock and Slurm jobs behind: without this, the same command would not carry on.
@sentence
def prepare(executor, executor_settings):
    """Before a run: clear what killed drivers left. Instead of one: say what it would cost."""
    if executor.common_settings.dryrun_exec:
        planned = Chain(CHAIN.shapes, CHAIN.rounds[: asked_rounds() + 1])
        print(describe(estimate(SETTINGS, planned), read_rates()), file=sys.stderr)
        return
    cleared = driver.claim(Path(".snakemake"), getattr(executor_settings, "jobname_prefix", None))
    if cleared:
        print(f"hawp-rounds: the last run was killed ({'; '.join(cleared)}); carrying on", file=sys.stderr)


if workflow.is_main_process:
    workflow.execute = driver.before_execution(workflow.execute, prepare)
    driver.understand_every_end()

# A job that parses this file again plans nothing and writes nothing: it reads its recipe.
CHAIN = sentence(plan_run)(SETTINGS, most_rounds(), write=True) if workflow.is_main_process else None


def final_targets(rounds):
    """Every model, label file and measurement up to a round."""
    if CHAIN is None:
        return []
    targets = []
    for each in CHAIN.rounds[: int(SETTINGS["rounds"] if rounds is None else rounds) + 1]:
        targets += [
            trained_model(each.train),
            data_config(each.export),
            evaluation_file(each.evaluate),
        ]
    return [str(target) for target in targets]


@functools.cache
@sentence
def recipe_of(stage, name, key):
    return read_recipe(f"recipes/{name}/{stage}-{key}.json")


def place(stage, role):
    """An input function: where the recipe says that something lies; nothing where it needs none."""
    return lambda wildcards: recipe_of(stage, wildcards.name, wildcards.key).places[role] or []


def cores():
    """CPU threads of a job that has the machine to itself, or its share of a cluster's node."""
    return COMPUTE["threads"] or workflow.cores or COMPUTE["workers"] + 1


def growing(minutes):
    """More time at each attempt: a job that hit its limit resumes, and gets further."""
    return lambda wildcards, attempt: minutes * attempt


def shape_shards(wildcards):
    recipe = recipe_of("synthesize", "synthetic-shapes", wildcards.key)
    return [
        f"data-ssl/synthetic-shapes/{wildcards.key}/{split}-{i:05d}-of-{of:05d}.h5"
        for split, of in recipe.places["shards"].items()
        for i in range(of)
    ]


def training_options(wildcards):
    """The options that the recipe's users know, spelled out: the log shows the line to repeat."""
    recipe = recipe_of("train", wildcards.name, wildcards.key)
    stages = recipe.settings["train"]
    stage = stages["real"] if "real" in stages else stages["synthetic"]
    start = f" --pretrained {recipe.places['start']}" if recipe.places["start"] else ""
    return (
        f"--name {recipe.name} --base-lr {stage['base_lr']} --epochs {stage['epochs']} "
        f"--batch-size {stage['batch_size']}{start}"
    )


def export_shards(wildcards):
    recipe = recipe_of("export", wildcards.name, wildcards.key)
    of = recipe.places["shards"]
    return [f"data-ssl/{wildcards.name}/{wildcards.key}-shards/{i:05d}-of-{of:05d}.h5" for i in range(of)]


def export_options(wildcards):
    """The options that the recipe's users know, spelled out: the log shows the line to repeat."""
    recipe = recipe_of("export", wildcards.name, wildcards.key)
    settings = recipe.settings["export"]
    model = Path(recipe.places["model"])
    return (
        f"--metarch HAWP-{settings['labels']} --workdir {model.parent} --epoch {recipe.places['epoch']} "
        f"--modelcfg {model.parent / 'model.yaml'} --min-score {settings['min_score']}"
    )


@sentence
def report_targets(rounds):
    """The report on every round up to one, whose recipe is written here."""
    if CHAIN is None:
        return []
    recipe = report_recipe(CHAIN, int(SETTINGS["rounds"] if rounds is None else rounds))
    recipe.write()
    return [str(report_folder(recipe) / f"{page}.html") for page in PAGES]


def reported(wildcards):
    """Every result of the rounds that a report is about."""
    recipe = recipe_of("report", wildcards.name, wildcards.key)
    return [str(artifact(read_recipe(path))) for path in recipe.places["recipes"]]


wildcard_constraints:
    name=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    key=rf"[0-9a-f]{{{KEY_LENGTH}}}",
    model=rf"[0-9a-f]{{{KEY_LENGTH}}}",
    epoch=r"\d\d\d\d\d+",
    split="train|validation",
    shard=r"\d\d\d\d\d+",
    of=r"\d\d\d\d\d+",
