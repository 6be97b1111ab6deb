# Settings, the plan, and the functions that rules call: all of it lives in hawp_core/workflow/snakemake.py.

import sys

from hawp_core.workflow.recipe import OWN_NAME, EvaluateRecipe, ExportRecipe, ImportRecipe, TrainRecipe
from hawp_core.workflow.recipe_file import KEY_LENGTH
from hawp_core.workflow.snakemake import (
    Run,
    drawn_shards,
    export_options,
    growing,
    import_options,
    labelled_shards,
    photographs_of,
    place,
    recipe_of,
    reported,
    training_options,
    truth_options,
)

RUN = Run(workflow, config, sys.argv[1:])
SETTINGS, COMPUTE = RUN.settings, RUN.settings.compute


wildcard_constraints:
    name=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    key=rf"[0-9a-f]{{{KEY_LENGTH}}}",
    model=rf"[0-9a-f]{{{KEY_LENGTH}}}",
    epoch=r"\d\d\d\d\d+",
    split="train|validation",
    shard=r"\d\d\d\d\d+",
    of=r"\d\d\d\d\d+",
