"""A stage whose result changes must get a new version number, or artifacts of two kinds would share an address.

tests/data/versions.json holds what a fixed tiny run of each stage gave under which version. When this test fails because
a result changed on purpose, raise the stage's number in hawp_core/lineage.py and run `python tests/test_versions.py`.
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from hawp_core import cli, lineage
from hawp_core.history import read_metrics
from hawp_core.photographs import bundled_folder
from hawp_core.wireframe import LabelFile

STORED = Path(__file__).resolve().parent / "data" / "versions.json"
TINY = Path(__file__).resolve().parent / "configs" / "tiny.yaml"
# Sums are taken in another order on other processors and by other library versions; a changed method shows far above.
TOLERANCE = 0.02


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
    run("train", "--datacfg", shapes, "--modelcfg", TINY, "--name", "v-round0", "--device", "cpu")
    folder = next(Path("exp-ssl/v-round0").iterdir())
    losses = [row["loss"] for row in read_metrics(folder / "metrics.jsonl") if "loss" in row]
    found["train"] = {"first": losses[0], "last": losses[-1]}
    run(
        "homoadp", "--datacfg", TINY, "--images", "photos", "--workdir", folder, "--min-score", "0.2", "--device", "cpu"
    )
    labels = LabelFile(next(Path("data-ssl/v-round0").glob("*.h5")))
    found["export"] = {
        "lines": float(labels.line_count),
        "scores": float(np.mean([labels[name].scores.mean() for name in labels.names])),
        "coordinates": float(np.concatenate([labels[name].lines.ravel() for name in labels.names]).mean()),
    }
    Path("low.yaml").write_text(yaml.safe_dump(yaml.safe_load(TINY.read_text()) | {"evaluate": {"min_score": 0.2}}))
    run(
        "evaluate",
        "--config",
        "low.yaml",
        "--images",
        "photos",
        "--workdir",
        folder,
        "--device",
        "cpu",
        "--dest",
        "e.json",
    )
    measured = json.loads(Path("e.json").read_text())["repeatability"]
    found["evaluate"] = {name: float(values["lines_per_image"]) for name, values in measured.items()} | {
        "LSD orthogonal": float(measured["LSD"]["orthogonal"]["repeatability"])
    }
    return found


def test_stages_give_what_their_version_promises(workplace):
    stored = json.loads(STORED.read_text())
    # A report shows what the others made, and makes nothing that is consumed.
    assert stored.keys() == lineage.STAGE_VERSIONS.keys() - {"report"}
    for stage, found in results().items():
        remedy = f"raise STAGE_VERSIONS['{stage}'] and run python tests/test_versions.py"
        assert stored[stage]["version"] == lineage.STAGE_VERSIONS[stage], remedy
        assert found == pytest.approx(stored[stage]["result"], rel=TOLERANCE), remedy


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        written = {
            stage: {"version": lineage.STAGE_VERSIONS[stage], "result": found} for stage, found in results().items()
        }
    STORED.write_text(json.dumps(written, indent=1) + "\n")
