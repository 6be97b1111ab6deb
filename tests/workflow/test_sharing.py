"""Two runs whose recipes agree share artifacts whatever their names: linked, not made again, and each one's own to delete."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from places import TINY

from hawp_core.runtime.files import read_json
from hawp_core.workflow.chain import Chain
from hawp_core.workflow.paths import AT_WORK, artifact, data_config
from hawp_core.workflow.planning import plan_run
from hawp_core.workflow.record import read_record, record_file
from hawp_core.workflow.settings import merged_settings
from hawp_core.workflow.sharing import take_over_idle

# Holds a lease until its standard input ends.
HOLD = "import sys; from pathlib import Path; from hawp_core.runtime.lease import lease\nwith lease(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def first(tmp_path_factory, photographs) -> Path:
    """A folder with round 0 of a run named a, made by hand, and the configuration of a run named b beside its own."""
    from hawp_core.commands import cli

    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["hawp"])
        shutil.copytree(photographs, "photos")
        for name in "ab":
            Path(f"{name}.yaml").write_text(TINY.read_text().replace("name: tiny", f"name: {name}"))
            settings = yaml.safe_load(Path(f"{name}.yaml").read_text()) | {"photographs": {"folder": "photos"}}
            Path(f"{name}.yaml").write_text(yaml.safe_dump(settings))
        round0 = planned("a").rounds[0]
        model, shapes = artifact(round0.train), str(round0.train.places.data)
        for words in (
            ["synthesize", "--config", "a.yaml"],
            ["train", "--datacfg", shapes, "--modelcfg", "a.yaml", "--name", "a-round0"],
            ["homoadp", "--datacfg", "a.yaml", "--ckpt", str(model)],
            ["evaluate", "--config", "a.yaml", "--ckpt", str(model)],
        ):
            assert cli.main(words) == 0
    return folder


@pytest.fixture
def folder(first, tmp_path, monkeypatch) -> Path:
    """A copy of it to work in."""
    # With its hard links: a model has two names already.
    subprocess.run(["cp", "-a", first, tmp_path / "run"], check=True)
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def planned(name: str) -> Chain:
    return plan_run(merged_settings([Path(f"{name}.yaml")]), 0)


def train(hawp, name: str) -> str:
    data = planned(name).rounds[0].train.places.data
    code, printed = hawp("train", "--datacfg", data, "--modelcfg", f"{name}.yaml", "--name", f"{name}-round0")
    assert code == 0, printed
    return printed


def test_a_run_of_another_name_is_given_all_that_is_there(folder, hawp):
    theirs, mine = planned("a").rounds[0], planned("b").rounds[0]
    for recipe in (mine.train, mine.export, mine.evaluate):
        take_over_idle(recipe)
    for stage in ("train", "export"):
        assert artifact(getattr(mine, stage)).samefile(artifact(getattr(theirs, stage)))
    assert "b-round0" in data_config(mine.export).read_text() and "a-round0" not in data_config(mine.export).read_text()
    assert read_json(artifact(mine.evaluate))["model"] == str(artifact(mine.train))
    for recipe in (mine.train, mine.export, mine.evaluate):
        assert read_record(record_file(artifact(recipe))).name == "b-round0"
    code, printed = hawp("verify")
    assert code == 0, printed
    # And the run goes on under its own name.
    code, printed = hawp("homoadp", "--datacfg", "b.yaml", "--ckpt", artifact(mine.train), "--min-score", "0.9")
    assert code == 0 and len(list(Path("data-ssl/b-round0").glob("*.h5"))) == 2


def test_a_training_by_hand_is_not_repeated_and_one_changed_byte_is_not_taken_over(folder, hawp):
    model, other = (artifact(planned(name).rounds[0].train) for name in "ab")
    printed = train(hawp, "b")
    assert f"{other} is the same as {model}: linked, not trained again" in printed and other.samefile(model)
    shutil.rmtree(other.parent)
    rows = model.with_name("metrics.jsonl")
    rows.write_bytes(rows.read_bytes() + b"\n")
    assert "not taken over" in (printed := train(hawp, "b")) and "linked" not in printed
    assert not other.samefile(model)


def test_one_waits_for_another_name_that_trains_the_same_and_takes_its_model(folder, hawp):
    model, recipe = artifact(planned("a").rounds[0].train), planned("b").rounds[0].train
    away = folder / "away"
    shutil.move(model.parent, away)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(AT_WORK / recipe.key)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"

        def finish() -> None:
            shutil.move(away, model.parent)
            other.stdin.close()

        ending = threading.Timer(0.5, finish)
        ending.start()
        printed = train(hawp, "b")
        ending.join()
    assert "waiting for" in printed and "not trained again" in printed
    assert artifact(recipe).samefile(model)


def test_what_one_name_no_longer_needs_goes_and_is_counted_once(folder, hawp):
    for recipe in (r := planned("b").rounds[0]).train, r.export:
        take_over_idle(recipe)
    kept, gone = artifact(planned("a").rounds[0].train), artifact(planned("b").rounds[0].train)
    content = kept.read_bytes()
    code, printed = hawp("lineage", "--gc", "--delete", "--config", "a.yaml", "rounds=0")
    assert code == 0 and f"0.0 MB  {gone}" in printed and str(kept.parent) not in printed
    assert not gone.parent.exists() and kept.read_bytes() == content
    assert hawp("verify")[0] == 0

    # Of no run any more: once for all of its names.
    take_over_idle(planned("b").rounds[0].train)
    changed = yaml.safe_load(Path("a.yaml").read_text()) | {"name": "c", "seed": 9}
    Path("c.yaml").write_text(json.dumps(changed))
    _, printed = hawp("lineage", "--gc", "--config", "c.yaml", "rounds=0")
    sizes = [float(line.split()[1]) for line in printed.splitlines() if line.endswith(kept.name)]
    assert len(sizes) == 4 and sorted(size > 0 for size in sizes) == [False, False, False, True]
