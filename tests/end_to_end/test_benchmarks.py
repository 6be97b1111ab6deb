"""The benchmarks run: whoever lends a machine for ten minutes shall not spend them on a misspelt name."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))


def run(*words: str) -> str:
    done = subprocess.run(words, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(table: str) -> dict[str, list[str]]:
    """First cell -> the others, of every row."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in cells}


def test_the_gpu_script_runs_dry_and_fills_every_table():
    printed = run("bash", "benchmarks/gpu.sh", "--dry")
    assert re.search(r"compute\.shard_size of \d+ or more", printed)
    found = rows(printed)
    for stage in ("synthesize", "train", "export"):
        assert float(found[stage][0]) > 0
    for what in ("labels, 10 views", "training step, batch 6", "attraction field, 100 lines an image"):
        assert float(found[what][1]) > 0
    assert re.fullmatch(r"[01]\.\d+|no lines", found["lines the same within 1 px"][1])


def test_shapes_are_drawn_beside_photographs(tmp_path):
    images = tmp_path / "york" / "images"
    images.mkdir(parents=True)
    Image.fromarray(np.arange(80 * 60, dtype=np.uint8).reshape(60, 80)).save(images / "a.png")
    record = {"filename": "a.png", "lines": [[5.0, 5.0, 70.0, 50.0]]}
    (tmp_path / "york" / "annotations.json").write_text(json.dumps([record]))
    run(
        sys.executable, "benchmarks/shapes_like_photographs.py", "--york", str(tmp_path / "york"), "--out", str(tmp_path),
        "--size", "64", "--canvas", "120", "160", "--count", "8", "--shown", "8",
    )  # fmt: skip
    assert {"histograms-64.png", "photographic-64-labels.png", "published-64.png"} <= {
        f.name for f in tmp_path.iterdir()
    }
    quantiles = json.loads((tmp_path / "quantiles.json").read_text())
    assert len(quantiles["photographic 64 px"]["contrast"]) == 5 and quantiles["york 64 px"]["lines"][2] == 1.0


def test_the_growth_table_has_a_row_for_everything_that_grows():
    found = rows(run(sys.executable, "benchmarks/growth.py", "--short", "--only", "photographs", "shards"))
    assert found["shards"][0] == "1"
    assert float(found["photographs"][1]) > 0


def test_the_share_of_equal_lines():
    from bench import same_lines

    lines = np.array([[0, 0, 10, 0], [0, 5, 10, 5.0]])
    turned = lines[:, [2, 3, 0, 1]] + 0.5
    assert same_lines(lines, turned) == 1
    assert same_lines(lines, lines[:1]) == pytest.approx(2 / 3)
    assert same_lines(lines, lines + 2) == 0
    assert same_lines(lines[:0], lines[:0]) == 1
    assert same_lines(lines[:0], lines) == 0


def test_a_reference_that_is_none_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/bench.py", "--reference", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode
    assert "is no work tree" in done.stderr
    assert "Traceback" not in done.stderr
