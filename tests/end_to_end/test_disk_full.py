"""A full disk: one clear sentence, nothing lost, and the same command carries on once there is room."""

import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from places import TINY

from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import write_labels
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import load_checkpoint, save_checkpoint
from hawp_core.model.network import WireframeNetwork

ROOM = 6_000_000  # bytes of the small disk


@pytest.fixture
def small_disk(tmp_path, monkeypatch, drawn):
    """The working folder, on a file system of a few megabytes, with shapes in it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    monkeypatch.chdir(disk)
    shutil.copytree(drawn, disk, dirs_exist_ok=True)
    yield disk
    monkeypatch.undo()
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Take all the room but `leave` bytes."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    with open(filler, "wb") as stream:
        stream.write(b"\0" * (free.f_bavail * free.f_frsize - leave))
    return filler


def test_an_export_on_a_full_disk(hawp, small_disk, photographs, tiny):
    torch.manual_seed(0)
    network = WireframeNetwork(Architecture.from_dict(asdict(tiny.model)))
    save_checkpoint("model.pth", network, epoch=1, recipe={"name": "a"})
    words = ["homoadp", "--datacfg", TINY, "--images", photographs, "--ckpt", "model.pth"]
    assert hawp(*words)[0] == 0
    expected = LabelFile(next(Path("data-ssl/a").glob("*.h5")))
    expected = [expected[name].lines.tobytes() for name in expected.names]
    for leave in (0, 4096, 20_000):
        shutil.rmtree("data-ssl")
        filler = fill(small_disk, leave)
        code, printed = hawp(*words)
        assert code == 2, printed
        assert "No space left on device" in printed
        assert "Traceback" not in printed
        assert not list(Path().rglob("*.part"))
        assert not list(Path("data-ssl").rglob("*-model-*.h5"))
        filler.unlink()
        code, printed = hawp(*words)
        assert code == 0, printed
        found = LabelFile(next(Path("data-ssl/a").glob("*.h5")))
        assert [found[name].lines.tobytes() for name in found.names] == expected


def test_labels_on_a_full_disk_are_one_sentence_wherever_it_is_met(small_disk, capfd):
    # HDF5 may write as a dataset is let go or the file closed, where h5py raises another error, or can only print one.
    rng = np.random.default_rng(0)
    lines = [Wireframe.from_lines(rng.uniform(0, 60, (20, 4)), 64, 64) for _ in range(30)]
    images = rng.integers(0, 255, (len(lines), 64, 64), dtype=np.uint8)
    told = 0
    for leave in range(0, 200_000, 8192):
        filler = fill(small_disk, leave)
        try:
            write_labels("labels/a.h5", [str(i) for i in range(len(lines))], lines, images=images)
        except UserError as error:
            assert "No space left on device" in str(error)
            assert not list(Path("labels").iterdir())
            told += 1
        filler.unlink()
    assert 10 < told < 25
    assert LabelFile("labels/a.h5").names[29] == "29"
    assert capfd.readouterr() == ("", "")


# Often saved, the state finds no room; rarely saved, a row of metrics does not.
@pytest.mark.parametrize(
    ("minutes", "leave"), [("0.0001", 0), ("0.0001", 100_000), ("0.0001", 400_000), ("5", 6_000), ("5", 24_000)]
)
def test_a_training_on_a_full_disk(hawp, small_disk, trained, minutes, leave):
    shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
    words = ["train", "--datacfg", shapes, "--modelcfg", TINY, "--name", "a", "--save-minutes", minutes]
    expected = load_checkpoint(next(trained.glob("model-*.pth")))[0].state_dict()
    filler = fill(small_disk, leave)
    code, printed = hawp(*words)
    assert code == 2, printed
    assert "No space left on device" in printed
    assert "Traceback" not in printed
    assert "Exception" not in printed
    assert "exp-ssl/" in printed
    assert not list(Path("exp-ssl").rglob("*.part"))
    filler.unlink()
    code, printed = hawp(*words)
    assert code == 0, printed
    found = load_checkpoint(next(Path("exp-ssl/a").rglob("model-*.pth")))[0].state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
