"""A stage whose result changes must get a new version number, or artifacts of two kinds would share an address.

tests/support/stored/versions.json holds what a fixed tiny run of each stage gave under which version. When this test fails because
a result changed on purpose, raise the stage's number in hawp_core/workflow/recipe.py and run `python tests/end_to_end/test_versions.py`.
"""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from golden.weights import fill
from PIL import Image
from places import STORED, TINY

from hawp_core.commands import cli
from hawp_core.data.label_file import LabelFile
from hawp_core.data.photographs.folder import bundled_folder
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.training.metrics import StepRow, read_metrics
from hawp_core.workflow import settings
from hawp_core.workflow.recipe import STAGE_VERSIONS

VERSIONS = STORED / "versions.json"
# Sums are taken in another order on other processors and by other library versions. A training enlarges the last bit (to
# 2 in 10,000 of this one's loss without vector units); what a given network finds stays. A changed method shows far above.
TOLERANCE = {"synthesize": 0.001, "train": 0.02, "export": 0.0001, "evaluate": 0.001, "import": 0.0001}

pytestmark = pytest.mark.numeric


def run(*words: object) -> None:
    assert cli.main([str(word) for word in words]) == 0


def results() -> dict[str, dict[str, float]]:
    """A few numbers of each stage's result, from a run in the current folder."""
    torch.set_num_threads(1)
    for number, name in enumerate(("camera.png", "brick.png")):
        with Image.open(bundled_folder() / name) as image:
            Path("photos").mkdir(exist_ok=True)
            image.convert("L").resize((120, 90 + number)).save(f"photos/{number}.png")
    run("synthesize", "--config", TINY)
    shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
    shard = LabelFile(next(Path("data-ssl").rglob("train-*.h5")))
    wireframes = [shard[name] for name in shard.names]
    found = {
        "synthesize": {
            "grey": float(shard.images().mean()),
            "coordinates": float(np.concatenate([w.lines.ravel() for w in wireframes]).mean()),
            "lines": float(shard.line_count),
        }
    }
    # Two lines that nearly meet, one of them cut at the border, drawn on a copy of twice the size.
    lines = [[2, 2, 50, 40], [51, 41, 300, 41]]
    Path("own.json").write_text(json.dumps([{"filename": "0.png", "width": 240, "height": 180, "lines": lines}]))
    run("import-labels", "own.json", "--images", "photos", "--join", 1.5)
    own = LabelFile(next(Path("data-ssl/own-labels").glob("*.h5")))["0.png"]
    found["import"] = {"lines": float(len(own.edges)), "coordinates": float(own.junctions.mean())}
    run("train", "--datacfg", shapes, "--modelcfg", TINY, "--name", "v-round0", "--device", "cpu")
    folder = next(Path("exp-ssl/v-round0").iterdir())
    losses = [row.loss for row in read_metrics(folder / "metrics.jsonl") if isinstance(row, StepRow)]
    found["train"] = {"first": losses[0], "last": losses[-1]}
    # Labelling and measuring begin with weights of a formula: those of the training above differ between processors, and so
    # would the number of lines above a score.
    model = Path("exp-ssl/f-round0/0123/model-00001.pth")
    network = WireframeNetwork(Architecture.from_dict(asdict(settings.load(TINY).model)))
    fill(network, seed=1)
    save_checkpoint(model, network, epoch=1, recipe={"name": "f-round0", "shapes": str(shapes)})
    every_line = yaml.safe_load(TINY.read_text())
    # Six views: some show what lies beyond the border.
    every_line |= {"export": {"views": 6, "min_score": 0.0}, "evaluate": {"min_score": 0.0}}
    Path("every.yaml").write_text(yaml.safe_dump(every_line))
    words = ("--images", "photos", "--ckpt", model, "--device", "cpu")
    run("homoadp", "--datacfg", "every.yaml", *words)
    labels = LabelFile(next(Path("data-ssl/f-round0").glob("*.h5")))
    found["export"] = {
        "lines": float(labels.line_count),
        "scores": float(np.mean([labels[name].scores.mean() for name in labels.names])),
        "coordinates": float(np.concatenate([labels[name].lines.ravel() for name in labels.names]).mean()),
    }
    run("evaluate", "--config", "every.yaml", *words, "--dest", "e.json")
    measured = json.loads(Path("e.json").read_text())["repeatability"]
    found["evaluate"] = {name: float(values["lines_per_image"]) for name, values in measured.items()} | {
        f"{name} orthogonal": float(values["orthogonal"]["repeatability"]) for name, values in measured.items()
    }
    return found


def test_stages_give_what_their_version_promises(workplace):
    stored = json.loads(VERSIONS.read_text())
    # A report shows what the others made, and makes nothing that is consumed.
    assert stored.keys() == STAGE_VERSIONS.keys() - {"report"}
    for stage, found in results().items():
        remedy = f"raise STAGE_VERSIONS['{stage}'] and run python tests/end_to_end/test_versions.py"
        assert stored[stage]["version"] == STAGE_VERSIONS[stage], remedy
        assert found == pytest.approx(stored[stage]["result"], rel=TOLERANCE[stage]), remedy


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        written = {stage: {"version": STAGE_VERSIONS[stage], "result": found} for stage, found in results().items()}
    VERSIONS.write_text(json.dumps(written, indent=1) + "\n")
