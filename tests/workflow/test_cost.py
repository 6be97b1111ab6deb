"""What a run will cost: numbers that can be counted by hand."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkouts import checkout, configure, snakemake

from hawp_core.errors import UserError
from hawp_core.model.architecture import Architecture
from hawp_core.model.network import WireframeNetwork
from hawp_core.runtime.typed import typed
from hawp_core.workflow import chain as lineage
from hawp_core.workflow import cost, settings
from hawp_core.workflow.paths import shape_config, trained_model
from hawp_core.workflow.places import PhotographPlaces

PLACES = PhotographPlaces("photos", Path("recipes/photographs.jsonl"), 20_000, 20)
FILED = {
    "device": "Fast GPU",
    "gpu": True,
    "measured": True,
    "train_images_per_second": 100,
    "export_images_per_second": 10,
    "export_views": 11,
    "network": {"image_size": 512, "width": 256, "depth": 4, "stacks": 2},
    "source": "a command",
    "date": "2026-01-01",
}
ROW = typed(cost.Rate, FILED)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The published recipe on 20,000 photographs, three rounds, nothing of it done."""
    monkeypatch.chdir(tmp_path)
    chosen = settings.complete({})
    return cost.estimate(chosen, lineage.plan(chosen, "f" * 64, PLACES, 3))


def test_jobs_images_and_bytes_of_the_published_recipe(published):
    stages = {stage.name: stage for stage in published.stages}
    assert {name: stage.jobs for name, stage in stages.items()} == {
        "synthesize": 10, "train": 4, "export": 84, "evaluate": 4, "report": 1,
    }  # fmt: skip
    assert all(stage.left == stage.jobs for stage in stages.values())
    assert stages["synthesize"].size == 16_400 * 512 * 512
    # 16,000 shapes in 10 epochs; then 20,000 photographs mirrored four ways in 30 epochs, three times.
    assert published.trained == 160_000 + 3 * 2_400_000
    # 20,000 photographs in 11 views, and 100 photographs twice with 400 shapes once; four times.
    assert published.views == 4 * (20_000 * 11 + 100 * 2 + 400)
    assert published.cache == 20_000 * 512 * 512


def test_hours_follow_from_the_rates(published):
    expected = (7_360_000 / 100 + published.views / 110) / 3600
    assert math.isclose(cost.hours(published, ROW), expected)
    text = cost.describe(published, [ROW])
    assert f"{expected:,.1f} GPU hours on one Fast GPU (measured 2026-01-01: a command)" in text
    assert "not known" not in text


def test_published_figures_are_named_as_such_and_give_way_to_measured_ones(published):
    rates = [replace(ROW, device="Paper's", measured=False, source="a paper")]
    text = cost.describe(published, rates)
    assert "GPU hours on one Paper's, by a paper; no GPU was measured" in text
    text = cost.describe(published, [*rates, ROW])
    assert "GPU hours on one Fast GPU (measured" in text
    assert "Paper's" not in text


@pytest.mark.parametrize("row", [replace(ROW, gpu=False), replace(ROW, network=replace(ROW.network, width=64))])
def test_without_a_measured_gpu_it_says_so(published, row):
    text = cost.describe(published, [row])
    assert "GPU hours are not known" in text
    assert " GPU hours on " not in text


def test_short_times_are_told_in_minutes(published):
    fast = replace(ROW, train_images_per_second=10_000, export_images_per_second=100)
    assert f": {60 * cost.hours(published, fast):.1f} GPU minutes on one Fast GPU" in cost.describe(published, [fast])


def test_votes_take_one_view(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = settings.complete({"export": {"labels": "votes"}})
    plan = cost.estimate(chosen, lineage.plan(chosen, "f" * 64, PLACES, 3))
    assert plan.views == 4 * (20_000 + 100 * 2 + 400)


def test_pieces_and_sizes_count_by_their_area(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = {"synthetic": {"crop": 256}, "real": {"crop": 128}}
    chosen = settings.complete(
        {"train": train, "export": {"labels": "whole", "scales": [0.5, 1]}, "evaluate": {"size": 1024}}
    )
    plan = cost.estimate(chosen, lineage.plan(chosen, "f" * 64, PLACES, 3))
    assert plan.trained == 160_000 / 4 + 3 * 2_400_000 / 16
    assert plan.views == 4 * (20_000 * 11 * 1.25 + 100 * 2 * 4 + 400)


def test_what_is_done_costs_nothing(published, tmp_path):
    chosen = settings.complete({})
    chain = lineage.plan(chosen, "f" * 64, PLACES, 3)
    for path in (shape_config(chain.shapes.key), trained_model(chain.rounds[0].train)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("")
    again = cost.estimate(chosen, chain)
    assert again.trained == published.trained - 160_000
    assert {stage.name: stage.left for stage in again.stages} == {
        "synthesize": 0, "train": 3, "export": 84, "evaluate": 4, "report": 1,
    }  # fmt: skip


@pytest.mark.parametrize("change", [{}, {"stacks": 1}, {"width": 128}, {"verification_width": 512}])
def test_the_size_of_a_model(change):
    with torch.device("meta"):
        state = WireframeNetwork(Architecture(**change)).state_dict()
    size = sum(value.numel() * value.element_size() for value in state.values())
    guess = cost.model_bytes(settings.complete({"model": change}).model)
    assert guess == size if not change else 0.5 < guess / size < 2


def test_the_committed_rates_can_be_read():
    assert cost.read_rates()


def test_rates_that_make_no_sense_are_one_sentence(tmp_path):
    (tmp_path / "rates.json").write_text(json.dumps({"rates": [FILED, FILED | {"train_images_per_second": 0}]}))
    with pytest.raises(UserError, match=r"rates\[1\]: train_images_per_second is 0"):
        cost.read_rates(tmp_path / "rates.json")


def test_the_command_and_a_dry_run_print_the_plan(tmp_path, photographs, hawp, monkeypatch):
    folder = checkout(tmp_path / "run")
    config = configure(folder, photographs)
    monkeypatch.chdir(folder)
    code, text = hawp("plan", "rounds=1", "--config", config)
    assert code == 0
    assert "plan of tiny, rounds 0 to 1, 6 photographs" in text
    run = snakemake(folder, "rounds=1", "-n")
    assert run.returncode == 0, run.stderr
    assert text.strip() in run.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"rates": NaN}', "[" * 100_000, '{"rates": []', "\ufeff{}"])
def test_a_file_of_rates_that_is_none_is_one_sentence(tmp_path, text):
    path = tmp_path / "rates.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"rates\.json"):
        cost.read_rates(path)


@pytest.mark.parametrize(
    "row",
    [
        None,
        "fast",
        {},
        FILED | {"export_views": "11"},
        FILED | {"train_images_per_second": True},
        FILED | {"network": "x"},
        FILED | {"export_views": 1e-300},
    ],
)
def test_damaged_rates_are_one_sentence(tmp_path, row):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"rates": [row]}))
    with pytest.raises(UserError, match=r"rates\.json is no file of rates .*rates\[0\]"):
        cost.read_rates(path)
