"""Labelling a folder: the same labels however the work is divided, resumed image by image, and bad images listed."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from places import TINY

from hawp_core.data.label_file import LabelFile
from hawp_core.labelling import shards as export
from hawp_core.labelling.shards import _records
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork


@pytest.fixture
def model(workplace, tiny) -> Path:
    """An untrained network as a model: it finds lines enough when every score is kept."""
    torch.manual_seed(0)
    path = Path("exp-ssl/a-round0/0123/model-00001.pth")
    save_checkpoint(
        path, WireframeNetwork(Architecture.from_dict(asdict(tiny.model))), epoch=1, recipe={"name": "a-round0"}
    )
    return path


@pytest.fixture
def folder(workplace, photographs) -> Path:
    """A copy of the photographs that a test may damage."""
    return Path(shutil.copytree(photographs, "photos"))


def run(hawp, model, folder, *options):
    return hawp("homoadp", "--datacfg", TINY, "--images", folder, "--ckpt", model, *options)


def labels() -> LabelFile:
    return LabelFile(next(Path("data-ssl/a-round0").glob("*-model-00001.h5")))


def content(file: LabelFile) -> list:
    return [(n, *(a.tobytes() for a in (file[n].junctions, file[n].edges, file[n].scores))) for n in file.names]


def test_an_export_leaves_labels_config_record_and_lineage(hawp, model, folder):
    code, printed = run(hawp, model, folder)
    assert code == 0, printed
    file = labels()
    assert file.names == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))
    assert file.line_count > 0
    for name in file.names:
        wireframe = file[name]
        with Image.open(folder / name) as image:
            assert image.size == (wireframe.width, wireframe.height)
        assert (wireframe.junctions >= -0.5).all()
        assert (wireframe.junctions <= np.array([wireframe.width, wireframe.height]) - 0.5).all()
    config = yaml.safe_load(file.path.with_suffix(".yaml").read_text())
    assert config["kind"] == "photographs"
    assert Path(config["labels"]) == file.path
    assert file.path.name == f"{config['key']}-model-00001.h5"
    assert "hawp homoadp --datacfg" in file.path.with_suffix(".log").read_text()
    record = json.loads(file.path.with_suffix(".lineage.json").read_text())
    assert record["counts"]["lines"] == file.line_count
    assert not list(Path("data-ssl/a-round0").rglob("*.work"))


def test_shards_and_batches_change_no_bit(hawp, model, folder):
    run(hawp, model, folder)
    whole = content(labels())
    labels().path.unlink()
    for shard in (2, 0, 1, 3):
        code, printed = run(hawp, model, folder, "--shard", f"{shard}/4", "--batch-size", 5)
        assert code == 0, printed
    code, printed = run(hawp, model, folder, "--gather", 4)
    assert code == 0, printed
    assert content(labels()) == whole


def test_the_record_of_an_export_knows_the_work_of_every_shard(hawp, model, folder):
    for shard in (0, 1):
        run(hawp, model, folder, "--shard", f"{shard}/2")
    shards = [LabelFile(path).about for path in Path("data-ssl/a-round0").rglob("0000?-of-00002.h5")]
    assert len(shards) == 2 and all(about["seconds"] > 0 for about in shards)
    run(hawp, model, folder, "--gather", 2)
    record = json.loads(labels().path.with_suffix(".lineage.json").read_text())
    assert record["device"] == "CPU (float32)"
    # The record keeps tenths of a second.
    assert record["seconds"] >= record["counts"]["labelling_seconds"] - 0.05
    assert record["counts"]["labelling_seconds"] == pytest.approx(sum(about["seconds"] for about in shards), abs=0.1)


def test_shards_of_an_older_program_leave_the_time_open(hawp, model, folder):
    run(hawp, model, folder, "--shard", "0/1")
    with h5py.File(next(Path("data-ssl/a-round0").rglob("00000-of-00001.h5")), "r+") as file:
        about = json.loads(file.attrs["about"])
        file.attrs["about"] = json.dumps({name: about[name] for name in ("export", "rejected")})
    code, printed = run(hawp, model, folder, "--gather", 1)
    assert code == 0, printed
    record = json.loads(labels().path.with_suffix(".lineage.json").read_text())
    assert (record["seconds"], record["device"]) == (None, "unknown")
    assert hawp("lineage")[0] == 0


def test_a_stopped_export_carries_on_after_the_last_image(hawp, model, folder, monkeypatch):
    run(hawp, model, folder)
    whole = content(labels())
    labels().path.unlink()
    done = []
    original = _records

    def counted(photos, labeller):
        done.extend(photo.name for photo in photos)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(photos, labeller)

    monkeypatch.setattr(export, "_records", counted)
    code, printed = run(hawp, model, folder)
    assert code == 75
    assert "3 of 6 photographs" in printed
    code, printed = run(hawp, model, folder)
    assert code == 0, printed
    assert sorted(done) == labels().names, "an image was labelled twice"
    assert content(labels()) == whole


def test_a_damaged_journal_loses_only_what_is_damaged(hawp, model, folder, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export, "_write", killed)
        assert run(hawp, model, folder)[0] == 75
    journal = next(Path("data-ssl").rglob("*.jsonl"))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:-9])
    code, printed = run(hawp, model, folder)
    assert code == 0, printed
    assert "(4 of them earlier)" in printed


def test_unreadable_photographs_are_listed_and_too_many_fail(hawp, model, folder):
    (folder / "a.jpg").write_bytes((folder / "a.jpg").read_bytes()[:300])
    (folder / "g.png").write_bytes(b"")
    code, printed = run(hawp, model, folder)
    assert code == 2
    assert "2 of 7 photographs" in printed
    assert "are unreadable (a.jpg, g.png), more than photographs.max_rejected = 0.1" in printed
    code, printed = run(hawp, model, folder, "--max-rejected", 0.5)
    assert code == 0, printed
    assert "unreadable (a.jpg, g.png) and have no labels" in printed
    with open(next(Path("data-ssl/a-round0").glob("*-rejected.csv"))) as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows] == ["photograph", "a.jpg", "g.png"]
    assert "a.jpg" not in labels()


def test_a_photograph_that_changes_during_the_run_stops_it(hawp, model, folder):
    from hawp_core.data.photographs.fingerprint import fingerprint

    fingerprint(str(folder)).write("list.jsonl")
    (folder / "f.png").write_bytes((folder / "b.png").read_bytes())
    code, printed = run(hawp, model, folder, "--manifest", "list.jsonl")
    assert code == 2
    assert "f.png" in printed
    assert "Traceback" not in printed


def test_photographs_that_were_moved_are_labelled_where_they_lie_now(hawp, model, folder):
    from hawp_core.data.photographs.fingerprint import fingerprint

    fingerprint(str(folder)).write("list.jsonl")
    moved = folder.rename("moved")
    code, printed = run(hawp, model, moved, "--manifest", "list.jsonl")
    assert code == 0, printed
    assert len(labels()) == 6


def test_a_finished_shard_that_was_deleted_comes_back_from_its_journal(hawp, model, folder, monkeypatch):
    run(hawp, model, folder, "--shard", "0/1")
    shard = next(Path("data-ssl").rglob("00000-of-00001.h5"))
    before = shard.read_bytes()
    shard.unlink()
    monkeypatch.setattr(export, "_records", None)
    code, printed = run(hawp, model, folder, "--shard", "0/1")
    assert code == 0, printed
    assert "(6 of them earlier)" in printed
    assert content(LabelFile(shard))
    assert len(shard.read_bytes()) == len(before)
    code, printed = run(hawp, model, folder, "--gather", 1)
    assert code == 0, printed
    assert not list(Path("data-ssl").rglob("*.work"))


def test_a_shard_of_another_export_is_refused(hawp, model, folder):
    run(hawp, model, folder, "--shard", "0/2")
    run(hawp, model, folder, "--shard", "1/2", "--min-score", "0.1")
    first, other = sorted(Path("data-ssl/a-round0").glob("*-shards"), key=lambda p: not list(p.glob("00000*")))
    shutil.copy(next(other.glob("*.h5")), first / "00001-of-00002.h5")
    code, printed = run(hawp, model, folder, "--gather", 2)
    assert code == 2
    assert "belongs to the export" in printed


@pytest.mark.parametrize("metarch", ["HAWP-heatmap", "HAWP-votes"])
def test_both_ways_to_label(hawp, model, folder, metarch):
    code, printed = run(hawp, model, folder, "--metarch", metarch)
    assert code == 0, printed
    assert len(labels()) == 6


def test_votes_use_no_views(hawp, model, folder, monkeypatch):
    monkeypatch.setattr("hawp_core.labelling.homographic_adaptation.aggregate_views", None)
    code, printed = run(hawp, model, folder, "--metarch", "HAWP-votes")
    assert code == 0, printed


def test_an_export_by_hand_leaves_a_shard_that_it_did_not_make(hawp, model, folder):
    run(hawp, model, folder, "--shard", "0/1")
    shard = next(Path("data-ssl").rglob("00000-of-00001.h5"))
    code, printed = run(hawp, model, folder)
    assert code == 0, printed
    whole = content(labels())
    assert shard.is_file(), "a workflow that runs beside has lost its shard"
    labels().path.unlink()
    code, printed = run(hawp, model, folder, "--gather", 1)
    assert code == 0, printed
    assert content(labels()) == whole


def test_two_exports_of_one_folder_take_turns(model, folder, workplace):
    words = [sys.executable, "-m", "hawp_core.commands.cli", "homoadp", "--datacfg", str(TINY), "--images", str(folder)]
    both = [
        subprocess.Popen([*words, "--ckpt", str(model)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    printed = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], printed
    assert sum("nothing to do" in text for text in printed) == 1
    assert len(labels()) == 6


def test_a_folder_of_unreadable_photographs_makes_no_labels(hawp, model, workplace):
    Path("bad").mkdir()
    Path("bad/a.jpg").write_bytes(b"\xff\xd8 no more")
    code, printed = run(hawp, model, Path("bad"), "--max-rejected", 1)
    assert code == 2
    assert "none of the 1 photographs in bad is readable" in printed


@pytest.mark.parametrize(
    "options",
    [("--min-score", "nan"), ("--min-score", 5), ("--max-rejected", -1), ("--threads", -1), ("--memory-gb", 0)],
)
def test_an_option_out_of_range_is_one_sentence(hawp, model, folder, options):
    code, printed = run(hawp, model, folder, *options)
    assert code == 2
    assert "Traceback" not in printed
    assert str(options[1]) in printed
