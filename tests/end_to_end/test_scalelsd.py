"""ScaleLSD's recipe, from shapes to predictions: five losses, no verification, no heatmap, votes."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from checkouts import checkout, snakemake
from places import ROOT

from hawp_core.data.label_file import LabelFile
from hawp_core.model.checkpoint import load_checkpoint
from hawp_core.workflow.settings import load

SMALLER = {
    "shapes": {"train": 2, "validation": 1, "canvas": [120, 160]},
    "model": {"image_size": 64, "width": 16, "depth": 2, "junction_features": 8, "verification_width": 16,
              "max_junctions": 40, "line_points": 8, "votes": 2},
    "evaluate": {"photographs": 2, "size": 64, "max_junctions": 40},
    "export": {"min_votes": 2},
    "compute": {"device": "cpu", "threads": 1, "workers": 0, "export_batch": 2},
}  # fmt: skip


def small() -> dict:
    """config/scalelsd.yaml as published, with everything small."""
    settings = yaml.safe_load((ROOT / "config" / "scalelsd.yaml").read_text())
    for section, values in SMALLER.items():
        settings[section] = settings[section] | values
    for stage in ("synthetic", "real"):
        settings["train"][stage] |= {"epochs": 1, "batch_size": 4, "crop": 0, "warmup": 0}
    return settings


@pytest.fixture
def recipe(workplace) -> Path:
    path = workplace / "small.yaml"
    path.write_text(yaml.safe_dump(small()))
    return path


@pytest.mark.slow
def test_the_workflow_runs_it(tmp_path, photographs):
    folder = checkout(tmp_path / "run")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(small() | {"photographs": {"folder": str(photographs)}}))
    run = snakemake(folder, "rounds=1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(list(folder.glob("exp-ssl/*-round1/*/evaluation-????????????????.json"))) == 1


def test_it_trains_labels_measures_and_predicts(recipe, hawp, photographs):
    assert hawp("synthesize", "--config", recipe)[0] == 0
    shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
    code, printed = hawp("train", "--datacfg", shapes, "--modelcfg", recipe, "--name", "s-round0")
    assert code == 0, printed
    model = next(Path("exp-ssl/s-round0").glob("*/model-00001.pth"))
    rows = [json.loads(line) for line in model.with_name("metrics.jsonl").read_text().splitlines()]
    row = next(row for row in rows if "loss" in row)
    weights = asdict(load(recipe).train.losses)
    assert {name for name in weights if weights[name]} == {"md", "dis", "jloc", "joff", "aux"}
    # What only other losses read is not computed.
    assert not {"pos", "neg", "lineness", "heatmap"} & row.keys()
    assert load_checkpoint(model)[0].architecture.votes == 2

    code, printed = hawp("homoadp", "--datacfg", recipe, "--images", photographs, "--ckpt", model)
    assert code == 0, printed
    labels = LabelFile(next(Path("data-ssl/s-round0").glob("*.h5")))
    assert len(labels) == 6
    data = next(Path("data-ssl/s-round0").glob("*.yaml"))
    code, printed = hawp("train", "--datacfg", data, "--modelcfg", recipe, "--name", "s-round1", "--pretrained", model)
    assert code == 0, printed
    second = next(Path("exp-ssl/s-round1").glob("*/model-00001.pth"))
    code, printed = hawp("evaluate", "--ckpt", second, "--config", recipe, "--images", photographs)
    assert code == 0, printed
    found = []
    for threshold in ("0", "0.5"):
        done = hawp("predict", photographs / "a.jpg", "--ckpt", second, "--ext", "json", "--threshold", threshold)
        assert done[0] == 0, done[1]
        found.append(json.loads(Path("wireframes/a.jpg.json").read_text())["edges-weights"])
    assert found[0] and min(found[0]) >= 1 / 3  # one vote, where two give a half
    assert found[1] == [score for score in found[0] if score >= 0.5]


def test_labels_by_a_heatmap_that_nobody_learns_are_refused(recipe, hawp):
    recipe.write_text(recipe.read_text().replace("labels: votes", "labels: heatmap"))
    code, printed = hawp("synthesize", "--config", recipe)
    assert code == 2 and "model.votes is 2" in printed and "recurring" in printed
