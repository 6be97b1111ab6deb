"""What `hawp lineage --gc --delete` removes: only what the run wrote, and all of it or nothing."""

import json
import shutil
import socket
from pathlib import Path

import pytest
from places import TINY

from hawp_core.runtime.lease import lease

KEYS = ("00000000000000aa", "00000000000000bb")


@pytest.fixture
def run(shapes, photographs, hawp):
    """A run of nothing but its shapes, and the artifacts of an older one that nobody needs."""
    shutil.copytree(photographs, "photos")
    Path("tiny.yaml").write_text(TINY.read_text() + "\nphotographs: {folder: photos}\n")
    old, labels = Path("exp-ssl/old-round0", KEYS[0]), Path("data-ssl/old-round0")
    (old / "tensorboard").mkdir(parents=True)
    labels.mkdir(parents=True)
    for name in (
        "model-00004.pth",
        "model.yaml",
        "metrics.jsonl",
        "lease.lock",
        "mlflow.json",
        "tensorboard/events.out.tfevents.1.host",
    ):
        (old / name).write_text("old")
    (old / "lineage.json").write_text(json.dumps({"key": KEYS[0], "outputs": {}}))
    (labels / f"{KEYS[1]}-model-00004.h5").write_text("old")
    (labels / f"{KEYS[1]}-model-00004.lineage.json").write_text(json.dumps({"key": KEYS[1], "outputs": {}}))

    def collect(*words):
        return hawp("lineage", "--gc", *words, "--config", "tiny.yaml")

    return collect


def everything() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.parts[0] in ("exp-ssl", "data-ssl", "outside")}


def test_what_nobody_needs_goes_and_the_run_stays(run):
    before = everything()
    code, printed = run()
    assert code == 0 and KEYS[0] in printed and KEYS[1] in printed and everything() == before
    assert run("--delete")[0] == 0
    assert not Path("exp-ssl/old-round0", KEYS[0]).exists()
    left = everything()
    assert not any(key in path for key in KEYS for path in left)
    assert {path for path in before if "synthetic-shapes" in path} <= left


def test_links_are_not_followed(run):
    outside = Path("outside", KEYS[0])
    outside.mkdir(parents=True)
    (outside / "model-00004.pth").write_text("theirs")
    (outside / "lineage.json").write_text(json.dumps({"key": KEYS[0]}))
    Path("exp-ssl/lnk").symlink_to(outside.parent.resolve())
    Path("exp-ssl/old-round0", "00000000000000cc").symlink_to(outside.resolve())
    assert run("--delete")[0] == 0
    assert (outside / "model-00004.pth").read_text() == "theirs" and Path("exp-ssl/lnk").is_symlink()


@pytest.mark.parametrize("root", ["exp-ssl", "data-ssl"])
def test_a_root_that_is_a_link_is_left_alone(run, root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / root
    shutil.move(root, elsewhere)
    Path(root).symlink_to(elsewhere)
    before = set(elsewhere.rglob("*"))
    assert run("--delete")[0] == 0
    assert set(elsewhere.rglob("*")) == before


@pytest.mark.parametrize(
    "name",
    [f"data-ssl/my/{KEYS[0]}.my-thesis.txt", f"data-ssl/my/{KEYS[0]}-notes.yaml", f"exp-ssl/my/{KEYS[1]}/thesis.tex"],
)
def test_a_users_own_file_stays(run, name):
    mine = Path(name)
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert run("--delete")[0] == 0
    assert mine.read_text() == "mine"


def test_a_users_file_in_a_folder_of_the_run_stays_and_is_told(run):
    mine = Path("exp-ssl/old-round0", KEYS[0], "notes.txt")
    mine.write_text("mine")
    code, printed = run("--delete")
    assert code == 0 and mine.read_text() == "mine" and "stays: it holds files that are not the run's" in printed
    assert not mine.with_name("model-00004.pth").exists()


def test_what_no_record_vouches_for_stays(run):
    lone = Path("exp-ssl/other-round0/00000000000000dd")
    lone.mkdir(parents=True)
    (lone / "model-00001.pth").write_text("whose?")
    assert run("--delete")[0] == 0
    assert (lone / "model-00001.pth").is_file()


def test_work_in_progress_is_refused_before_the_first_deletion(run):
    before = everything()
    folder = Path("exp-ssl/old-round0", KEYS[0])
    with lease(folder):
        code, printed = run("--delete")
    assert code == 2 and "is being written by process" in printed
    assert before <= everything()


def test_the_lease_of_a_dead_process_does_not_block(run):
    dead = {"host": socket.gethostname(), "pid": 2**22 + 1, "started": "1", "slurm_job": None}
    Path("exp-ssl/old-round0", KEYS[0], "lease.json").write_text(json.dumps(dead))
    assert run("--delete")[0] == 0
    assert not Path("exp-ssl/old-round0", KEYS[0]).exists()
