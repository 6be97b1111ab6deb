"""The configuration: one schema, described, with one sentence for a mistake."""

import json
from dataclasses import asdict

import pytest
import yaml
from places import ROOT, TINY

from hawp_core.errors import UserError
from hawp_core.model.architecture import Architecture
from hawp_core.workflow import settings
from hawp_core.workflow.schema import schema


@pytest.mark.parametrize("path", [ROOT / "config/config.yaml", ROOT / "config/hawpv3.yaml", TINY])
def test_committed_configurations_are_complete_and_acceptable(path):
    complete = settings.load(path)
    assert settings.complete(settings.to_dict(complete)) == complete
    Architecture.from_dict(asdict(complete.model))


def test_the_schemas_defaults_are_the_published_recipe():
    published = settings.load(ROOT / "config/hawpv3.yaml")
    defaults = settings.complete({})
    for section in ("model", "train", "export", "shapes"):
        assert getattr(published, section) == getattr(defaults, section)
    assert Architecture.from_dict(asdict(defaults.model)) == Architecture()


def test_every_setting_is_described():
    def visit(rules, path):
        assert rules.get("description") or not path, path
        for name, rule in rules.get("properties", {}).items():
            visit(rule, [*path, name])
        if "properties" in rules:
            assert rules["additionalProperties"] is False, path
        else:
            assert "default" in rules, path

    visit(schema(), [])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("foo: 1", "foo is not a setting"),
        ("model: {widht: 64}", "model.widht is not a setting"),
        ("rounds: many", "rounds is 'many', and must be of type integer"),
        ("rounds: -1", "rounds"),
        ("export: {labels: sold2}", "choose one of heatmap, recurring, united, whole, votes"),
        ("model: {image_size: 100}", "image_size is 100"),
        ("model: 64", "model is 64"),
        ("export: {scales: [1, 1.5]}", "export.scales are 1, 1.5, and labels by heatmap are made at one size"),
        ("export: {labels: recurring, views: 2}", "export.views show a line at most 2 times"),
        ("{export: {labels: united, scales: [1, 1]}}", "export.scales"),
        ("{export: {labels: united, scales: []}}", "export.scales"),
        ("evaluate: {scales: [1, 0.1]}", "evaluate.scales"),
        ("{evaluate: {size: 500}}", "evaluate.size is 500, which is no multiple of 64"),
        ("{train: {real: {crop: 100}}}", "train.real.crop is 100: give a multiple of 64"),
        ("{name: one, rounds: 1, name: two}", "name is there twice, in lines 1 and 1"),
        (
            "{photographs: {folder:photos}}",
            "photographs.folder:photos is not a setting: write folder: photos, with a space",
        ),
        (
            "name: my run",
            "name is 'my run', which is not acceptable: correct it there (Name of the run, up to 64 letters",
        ),
        ("train: {synthetic: {base_lr: 0}}", "base_lr"),
        ("train: {synthetic: {base_lr: .nan}}", "base_lr"),
        ("train: {weight_decay: .inf}", "weight_decay"),
        ("name: ../up", "name"),
        ("shapes: {canvas: [480]}", "canvas"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_file_and_the_setting(tmp_path, given, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(given)
    with pytest.raises(UserError) as caught:
        settings.load(path)
    message = str(caught.value)
    assert "mine.yaml" in message
    assert sentence in message
    assert "\n" not in message


def test_numbers_written_without_a_point_are_numbers(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("train: {real: {base_lr: 4e-4}}")
    assert settings.load(path).train.real.base_lr == 4e-4


def test_text_from_a_command_line_is_what_it_stands_for():
    given = {
        "rounds": "3",
        "train": {"gpus": "2", "real": {"steps": ["4", "6"], "start": "previous"}},
        "export": {"identity": "false"},
    }
    complete = settings.complete(given)
    assert (complete.rounds, complete.train.gpus, complete.export.identity) == (3, 2, False)
    assert complete.train.real.steps == (4, 6)


def test_a_number_is_the_same_however_it_is_written():
    """So that it has the same digest."""
    written = {"rounds": 3.0, "train": {"weight_decay": 1, "real": {"steps": [4.0], "flips": 2.0}}}
    found = settings.to_dict(settings.complete(written))
    assert json.dumps(found) == json.dumps(settings.to_dict(settings.complete(yaml.safe_load(yaml.safe_dump(found)))))
    assert '"rounds": 3,' in json.dumps(found) and '"weight_decay": 1.0,' in json.dumps(found)
    assert found["train"]["real"]["steps"] == [4] and '"flips": 2,' in json.dumps(found)


def test_a_number_beyond_all_measure_is_one_sentence():
    with pytest.raises(UserError, match=r"mine.yaml: train\.weight_decay is a number of more than 20 digits"):
        settings.complete({"train": {"weight_decay": 10**400}}, "mine.yaml")


def test_unreadable_yaml_is_one_sentence(tmp_path):
    for number, text in enumerate((b"a: [1", b"\xff\xfe\x00", b"- 1\n- 2")):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(text)
        with pytest.raises(UserError, match=path.name):
            settings.load(path)


def test_complete_settings_survive_yaml():
    complete = settings.complete({})
    assert settings.complete(yaml.safe_load(yaml.safe_dump(settings.to_dict(complete)))) == complete


def test_views_too_few_for_their_minimum_are_refused():
    with pytest.raises(UserError, match=r"export\.min_counts is 3, and .* at most 2 view"):
        settings.complete({"export": {"views": 1}}, "mine.yaml")
    assert settings.complete({"export": {"views": 1, "labels": "votes"}})


def test_a_run_is_named_by_files_and_by_settings_on_the_command_line(hawp, workplace):
    code, printed = hawp("lineage", "rounds=1", "--config", "name=mine", "photographs={folder: bundled}")
    assert code == 0, printed
    assert "mine" in hawp("plan", "rounds=1", "--config", "name=mine")[1]
    code, printed = hawp("status", "--config", "name={")
    assert code == 2
    assert "KEY=VALUE" in printed
