"""What the rules ask of a run: targets, inputs and options, without a Snakemake that runs."""

import dataclasses
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from places import ROOT

from hawp_core.errors import UserError
from hawp_core.runtime.setting_types import Settings
from hawp_core.workflow import paths
from hawp_core.workflow.chain import Chain, report_recipe
from hawp_core.workflow.places import ImportPlaces
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.recipe import Recipe, TrainRecipe
from hawp_core.workflow.recipe_builders import import_recipe
from hawp_core.workflow.recipe_file import KEY_LENGTH
from hawp_core.workflow.settings import changed, to_dict
from hawp_core.workflow.snakemake import (
    Run,
    drawn_shards,
    export_options,
    growing,
    labelled_shards,
    place,
    read_once,
    reported,
    rounds_on_the_command_line,
    training_options,
    truth_options,
)

PATTERN = re.compile(r'"((?:data-ssl|exp-ssl|recipes|logs|reports)/[^"]*)"')


@pytest.fixture
def settings(tiny, photographs) -> Settings:
    """Settings of the tiny run on six photographs."""
    return changed(tiny, {"photographs": {"folder": str(photographs)}}, "")


@pytest.fixture
def chain(settings, workplace) -> Chain:
    """The written plan of one real round."""
    read_once.cache_clear()
    return plan_run(settings, 1, write=True)


def driver(**changes) -> SimpleNamespace:
    """What a Snakefile sees as `workflow`."""
    given = {"configfiles": [], "is_main_process": True, "cores": 3, "execute": lambda **_: None}
    return SimpleNamespace(**{**given, **changes})


def wildcards(recipe: Recipe) -> SimpleNamespace:
    return SimpleNamespace(name=recipe.name, key=recipe.key)


def test_a_driver_plans_as_many_rounds_as_its_command_line_names(settings, workplace):
    run = Run(driver(), to_dict(settings), ["--profile", "slurm", "rounds=3"])
    assert run.most_rounds == 3 and len(run.chain.rounds) == 4
    assert all(recipe.file.is_file() for recipe in run.chain.recipes)
    assert Run(driver(), to_dict(settings), ["rounds=3x", "all"]).most_rounds == settings.rounds
    assert rounds_on_the_command_line(["rounds=2", "-n", "rounds=5"]) == [2, 5]


def test_the_process_of_a_job_plans_nothing_and_writes_nothing(settings, workplace):
    run = Run(driver(is_main_process=False), to_dict(settings), ["rounds=3"])
    assert run.chain is None and run.targets(3, ["rounds"]) == []
    assert not (workplace / "recipes").exists()


def test_targets_are_what_the_asked_rounds_leave(settings, workplace):
    run = Run(driver(), to_dict(settings), [])
    first = run.chain.rounds[0]
    report = report_recipe(run.chain, 0)
    assert run.targets(0, ["rounds", "chain"]) == [
        str(paths.trained_model(first.train)), str(paths.data_config(first.export)),
        str(paths.evaluation_file(first.evaluate)),
        f"reports/tiny/{report.key}/rounds.html", f"reports/tiny/{report.key}/chain.html",
    ]  # fmt: skip
    assert report.file.is_file()
    assert len(run.targets(None, [])) == 3 * (settings.rounds + 1)


def test_a_mistake_in_the_settings_is_one_sentence_and_ends_the_driver(workplace, capsys):
    Path("mine.yaml").write_text("rounds: -1")
    Path("other.yaml").write_text("seed: 1")
    for file, where in (("mine.yaml", "mine.yaml"), ("other.yaml", "the command line")):
        with pytest.raises(SystemExit) as ended:
            Run(driver(configfiles=["other.yaml", file]), {"seed": 1, "rounds": -1}, [])
        printed = capsys.readouterr().err
        assert ended.value.code == 2
        assert printed.startswith(f"hawp-rounds: {where}: rounds is -1") and printed.count("\n") == 1


def test_an_altered_recipe_is_one_sentence_and_ends_the_job(chain, capsys):
    file = chain.rounds[0].train.file
    file.write_text(file.read_text().replace("-round0", "-round9"))
    with pytest.raises(SystemExit):
        training_options(wildcards(chain.rounds[0].train))
    assert str(file) in capsys.readouterr().err


def test_inputs_are_what_the_recipe_of_the_job_says(chain):
    first, second = chain.rounds
    assert place(TrainRecipe, "start")(wildcards(first.train)) == []
    assert place(TrainRecipe, "start")(wildcards(second.train)) == []
    assert place(TrainRecipe, "data")(wildcards(second.train)) == str(paths.data_config(first.export))
    assert len(labelled_shards(wildcards(first.export))) == first.export.places.shards
    assert (
        len(drawn_shards(wildcards(chain.shapes)))
        == chain.shapes.places.shards.train + chain.shapes.places.shards.validation
    )
    report = report_recipe(chain, 1)
    report.write()
    assert reported(wildcards(report)) == [str(paths.artifact(recipe)) for recipe in chain.recipes]


def test_a_round_that_goes_on_from_the_shipped_weights_waits_for_no_file(settings, workplace):
    shipped = changed(settings, {"train": {"synthetic": {"start": "shipped"}}}, "")
    first = plan_run(shipped, 0, write=True).rounds[0]
    read_once.cache_clear()
    assert place(TrainRecipe, "start")(wildcards(first.train)) == []
    assert training_options(wildcards(first.train)).endswith(" --pretrained shipped")


def test_options_repeat_the_recipe(chain):
    first = chain.rounds[0]
    stage = first.train.completed.train.synthetic
    assert f"--epochs {stage.epochs} --batch-size {stage.batch_size}" in training_options(wildcards(first.train))
    model = paths.trained_model(first.train)
    assert f"--workdir {model.parent} --epoch {stage.epochs}" in export_options(wildcards(first.export))


def test_a_measurement_names_the_labelled_photographs_that_its_recipe_does(chain, settings):
    assert truth_options(wildcards(chain.rounds[0].evaluate)) == ""
    Path("york's/images").mkdir(parents=True)
    Path("york's/test.json").write_text('[{"filename": "a.jpg", "width": 9, "height": 9, "lines": [[1, 1, 7, 1]]}]')
    labelled = changed(settings, {"evaluate": {"truth": "york's/test.json"}}, "")
    with pytest.raises(
        UserError, match=r"test\.json names 1 of 1 photographs that york's/images does not hold, such as a\.jpg"
    ):
        plan_run(labelled, 0, write=True)
    Path("york's/images/a.jpg").touch()
    recipe = plan_run(labelled, 0, write=True).rounds[0].evaluate
    assert recipe.key != chain.rounds[0].evaluate.key and "truth" not in recipe.settings["evaluate"]
    assert shlex.split(truth_options(wildcards(recipe))) == [
        "--truth", "york's/test.json", "--truth-images", "york's/images",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"none\.json cannot be read .* as evaluate\.truth"):
        plan_run(changed(settings, {"evaluate": {"truth": "none.json"}}, ""), 0)


def test_a_job_has_more_time_at_each_attempt_and_all_cores(settings, workplace):
    assert [growing(60)(None, attempt) for attempt in (1, 2, 3)] == [60, 120, 180]
    for threads, cores in ((2, 2), (0, 3)):
        chosen = changed(settings, {"compute": {"threads": threads}}, "")
        assert Run(driver(), to_dict(chosen), []).cores == cores


@pytest.mark.parametrize(
    ("threads", "cores", "gpus", "granted"),
    [(0, 16, 0, 8), (0, 1, 0, 1), (0, 16, 1, 16), (3, 16, 0, 3), (0, None, 0, 3)],
)
def test_shards_share_the_cores_of_a_machine_without_gpu(
    settings, workplace, monkeypatch, threads, cores, gpus, granted
):
    monkeypatch.setattr("hawp_core.workflow.snakemake.accelerators", lambda: gpus)
    # Six photographs in two shards.
    chosen = to_dict(changed(settings, {"compute": {"threads": threads, "workers": 2, "shard_size": 3}}, ""))
    assert Run(driver(cores=cores), chosen, []).shard_cores == granted
    # In the process of a cluster's job, all that the job was granted.
    there = Run(driver(cores=cores, is_main_process=False), chosen, [])
    assert there.shard_cores == there.cores


def test_the_rules_write_where_the_paths_say(chain, settings):
    """Rules name files by patterns: every file of `paths` matches one, and every pattern finds a file."""
    chain = dataclasses.replace(
        chain, own=import_recipe(settings, "0" * 64, "f" * 64, ImportPlaces("mine", "photos", Path("x"), 1))
    )
    texts = (file.read_text().replace("{{", "{").replace("}}", "}") for file in (ROOT / "rules").glob("*.smk"))
    patterns = {found for text in texts for found in PATTERN.findall(text) if not found.startswith("logs/")}
    first = chain.rounds[0]
    report = report_recipe(chain, 1)
    labels = paths.data_config(first.export)
    files = [
        *(recipe.file for recipe in (*chain.recipes, report)), *(paths.artifact(recipe) for recipe in chain.recipes),
        *(path for files in paths.shape_shards(chain.shapes).values() for path in files),
        *paths.label_shards(first.export), labels, labels.with_suffix(".log"), paths.own_labels(chain.own.key),
        paths.report_folder(report) / "rounds.html",
    ]  # fmt: skip
    unmatched = {pattern for pattern in patterns if not any(_regex(pattern).fullmatch(str(file)) for file in files)}
    assert not unmatched
    assert not [str(file) for file in files if not any(_regex(p).fullmatch(str(file)) for p in patterns)]


def _regex(pattern: str) -> re.Pattern:
    """A rule's pattern as a regular expression, wildcards as in rules/common.smk."""
    kinds = {"key": rf"[0-9a-f]{{{KEY_LENGTH}}}", "model": rf"[0-9a-f]{{{KEY_LENGTH}}}", "split": "train|validation"}
    kinds |= dict.fromkeys(("epoch", "shard", "of"), r"\d{5,}")
    parts = re.split(r"\{(\w+)\}", pattern)
    return re.compile("".join(f"(?:{kinds.get(p, r'[^/]+')})" if i % 2 else re.escape(p) for i, p in enumerate(parts)))
