"""The soak itself: ten disturbances lose nothing, it goes on counting, and what is lost is told."""

import json
import os
import subprocess
import sys

import filelock
import pytest
import torch
from places import ROOT
from soak import __main__ as soak
from soak.results import differences, digests

from hawp_core.model.checkpoint import load_checkpoint, save_checkpoint


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ten_disturbances_lose_nothing_and_the_same_command_goes_on_counting(tmp_path, monkeypatch):
    words = ["--kills", "10", "--seed", "4", "--whole", "0", "--folder", str(tmp_path)]
    path = f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}"
    done = subprocess.run(
        [sys.executable, "-m", "soak", *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 4" in done.stdout
    journal = (tmp_path / "journal.jsonl").read_text()
    trials = [json.loads(line) for line in journal.splitlines()[1:]]
    assert {trial["end"] for trial in trials} == {"same bits"}
    assert len({made["kind"] for trial in trials for made in trial["disturbances"]}) > 5
    # What was done is not done again.
    monkeypatch.setattr("sys.argv", ["soak", *words])
    assert soak.main() == 0
    assert (tmp_path / "journal.jsonl").read_text() == journal


def test_other_bits_and_missing_files_are_told(trained, tmp_path):
    expected = digests(trained.parents[2])
    [model] = trained.glob("model-*.pth")
    target = tmp_path / model.relative_to(trained.parents[2])
    target.parent.mkdir(parents=True)
    network, info = load_checkpoint(model)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-6
    save_checkpoint(target, network, epoch=info.epoch, recipe=info.recipe)
    found = differences(expected, digests(tmp_path), more=False)
    assert f"{target.relative_to(tmp_path)} differs" in found
    assert any(fault.endswith("metrics.jsonl is missing") for fault in found)


def test_two_soaks_do_not_work_in_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["soak", "--folder", str(tmp_path)])
    with filelock.FileLock(tmp_path / "soak.lock"), pytest.raises(SystemExit, match="another soak is at work"):
        soak.main()


def test_a_lost_trial_is_named_with_the_exit_code(tmp_path, monkeypatch, capsys):
    made = {"kind": "full disk", "after": 0.5, "outcome": "one sentence", "said": ""}
    trial = {
        "number": 7,
        "command": "hawp train, labels",
        "begins_at": 3,
        "disturbances": [made],
        "end": "a.h5 differs",
        "part_files": 0,
    }
    lines = [{"seed": 4}, trial | {"seconds": 2.0, "commit": "abc"}]
    (tmp_path / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    monkeypatch.setattr("sys.argv", ["soak", "--table", "--seed", "4", "--folder", str(tmp_path)])
    assert soak.main() == 1
    assert "lost in trial 7 (hawp train, labels): a.h5 differs" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="begun with the seed 4"):
        monkeypatch.setattr("sys.argv", ["soak", "--table", "--seed", "5", "--folder", str(tmp_path)])
        soak.main()
