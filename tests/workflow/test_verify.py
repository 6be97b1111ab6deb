"""`hawp verify` means every file that a run keeps: a byte of any of them is noticed, and what it does not cover it says."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import h5py
import pytest
import torch
from PIL import Image
from places import TINY

from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.workflow.inventory import records


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photographs) -> Path:
    """A round by hand: shapes, a training, labels, a training on them, a measurement."""
    from hawp_core.commands import cli
    from hawp_core.workflow import settings
    from hawp_core.workflow.planning import plan_run

    place = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        shutil.copytree(photographs, "photos")
        Path("photos/bad.jpg").write_bytes(b"no photograph")
        Path("tiny.yaml").write_text(
            TINY.read_text().replace("rounds: 2", "rounds: 0") + "photographs: {folder: photos, max_rejected: 0.9}\n"
        )

        def hawp(*words: object) -> None:
            assert cli.main([str(word) for word in words]) == 0, words

        plan_run(settings.load("tiny.yaml"), 0, write=True)
        hawp("synthesize", "--config", "tiny.yaml")
        shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
        torch.manual_seed(0)
        network = WireframeNetwork(Architecture.from_dict(asdict(settings.load(TINY).model)))
        save_checkpoint("model.pth", network, epoch=1, recipe={"name": "m", "shapes": str(shapes)})
        hawp("homoadp", "--datacfg", "tiny.yaml", "--ckpt", "model.pth")
        labels = next(Path("data-ssl/m").glob("*.yaml"))
        hawp("train", "--datacfg", labels, "--modelcfg", "tiny.yaml", "--name", "n")
        hawp("evaluate", "--config", "tiny.yaml", "--workdir", "exp-ssl/n")
        line = {"filename": "f.png", "width": 160, "height": 120, "lines": [[1, 2, 30, 40]]}
        with Image.open("photos/f.png") as image:
            Path("own.json").write_text(json.dumps([line | {"width": image.width, "height": image.height}]))
        hawp("import-labels", "own.json", "--images", "photos")
    return place


@pytest.fixture
def run(whole, tmp_path, monkeypatch, hawp):
    """A copy of the round that a test may damage; verifies it."""
    shutil.copytree(whole, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return lambda: hawp("verify")


KEPT = {
    "the shapes' data config": "data-ssl/synthetic-shapes/*.yaml",
    "a shard of shapes": "data-ssl/synthetic-shapes/*/train-00000*.h5",
    "the record of shapes": "data-ssl/synthetic-shapes/*.lineage.json",
    "labels": "data-ssl/m/*.h5",
    "the labels' data config": "data-ssl/m/*.yaml",
    "the labels' log": "data-ssl/m/*.log",
    "the rejected photographs": "data-ssl/m/*-rejected.csv",
    "the record of labels": "data-ssl/m/*.lineage.json",
    "a model": "exp-ssl/n/*/model-*.pth",
    "the settings of a model": "exp-ssl/n/*/model.yaml",
    "the metrics of a training": "exp-ssl/n/*/metrics.jsonl",
    "the record of a training": "exp-ssl/n/*/lineage.json",
    "an evaluation": "exp-ssl/n/*/evaluation-????????????????.json",
    "the record of an evaluation": "exp-ssl/n/*/evaluation-*.lineage.json",
    "a recipe": "recipes/tiny-round0/train-*.json",
    "a list of photographs": "recipes/photographs-*.jsonl",
    "the cached digests": "recipes/photographs.cache",
    "the cached pixels": "data-ssl/cache/*.h5",
    "own labels": "data-ssl/own-labels/*.h5",
    "the record of own labels": "data-ssl/own-labels/*.lineage.json",
    "a list of own labels": "recipes/labels-*.json",
    "the cached digests of own photographs": "recipes/own-photographs.cache",
}  # fmt: skip


def test_a_sound_run_is_sound_and_says_what_was_covered(run):
    code, printed = run()
    assert code == 0, printed
    assert f"{len(list(records()))} records" not in printed and "not covered: logs/" in printed
    assert "written by an earlier version" not in printed


@pytest.mark.parametrize("pattern", KEPT.values(), ids=KEPT)
def test_a_flipped_byte_is_noticed_and_its_file_named(run, pattern):
    path = next(Path().glob(pattern))
    content = bytearray(path.read_bytes())
    # In pixels and tensors the last third is payload; in text it is any letter.
    content[len(content) * 2 // 3] ^= 1
    path.unlink()
    path.write_bytes(content)
    code, printed = run()
    assert code == 2 and path.name in printed, printed


@pytest.mark.parametrize(
    "pattern",
    [pattern for name, pattern in KEPT.items() if "recipe" not in name and "list" not in name and "cached" not in name],
)
def test_a_file_that_is_gone_is_noticed(run, pattern):
    path = next(Path().glob(pattern))
    path.unlink()
    code, printed = run()
    assert code == 2 and path.name in printed, printed


def test_a_record_that_is_a_link_vouches_for_nothing(run, tmp_path):
    record = next(Path().glob("exp-ssl/n/*/lineage.json"))
    shutil.move(record, tmp_path / "elsewhere.json")
    record.symlink_to(tmp_path / "elsewhere.json")
    code, printed = run()
    assert code == 2 and f"{record} is a link" in printed, printed


def test_what_lies_behind_a_link_is_said_not_to_be_covered(run, tmp_path):
    shutil.move("exp-ssl", tmp_path / "elsewhere")
    Path("exp-ssl").symlink_to(tmp_path / "elsewhere")
    code, printed = run()
    assert code == 0 and "not covered: what lies behind links, of which there are 1: exp-ssl" in printed, printed


def test_what_only_a_new_training_makes_is_told(run):
    # The soak's finding: without model.yaml, neither the command nor the workflow makes it anew, as was said.
    settings, model = (next(Path().glob(f"exp-ssl/n/*/{name}")) for name in ("model.yaml", "model-*.pth"))
    settings.unlink()
    code, printed = run()
    assert code == 2
    [line] = [line for line in printed.splitlines() if line.startswith(str(settings))]
    assert f"remove {model.parent / 'lineage.json'} with what lies beside it, and run the workflow again" in line
    model.unlink()
    assert f"{model} is missing: run the workflow again to make it anew." in run()[1]


def test_records_of_before_seals_are_read_and_their_side_files_named(run):
    record = next(Path().glob("data-ssl/m/*.lineage.json"))
    content = json.loads(record.read_text())
    del content["seal"]
    content["outputs"] = {name: digest for name, digest in content["outputs"].items() if name.endswith(".h5")}
    record.write_text(json.dumps(content))
    code, printed = run()
    assert code == 0 and "written by an earlier version" in printed and f"{content['key']}-model-00001.yaml" in printed


def test_a_cache_of_before_sums_is_named_and_made_anew(run, hawp):
    cache = next(Path().glob("data-ssl/cache/*.h5"))
    with h5py.File(cache, "r+") as file:
        del file["sums"]
    code, printed = run()
    assert code == 0 and "written by an earlier version" in printed and cache.name in printed
    labels = next(Path("data-ssl/m").glob("*.yaml"))
    code, printed = hawp("train", "--datacfg", labels, "--modelcfg", "tiny.yaml", "--name", "o", "--seed", "1")
    assert code == 0, printed
    with h5py.File(cache, "r") as file:
        assert "sums" in file


def test_shapes_with_another_pixel_are_not_trained_on(run, hawp):
    shapes = next(Path("data-ssl/synthetic-shapes").glob("*.yaml"))
    shard = next(Path().glob("data-ssl/synthetic-shapes/*/train-00000*.h5"))
    from hawp_core.data.label_file import LabelFile

    start = LabelFile(shard).images().offset
    content = bytearray(shard.read_bytes())
    content[start + 100] ^= 1
    shard.write_bytes(content)
    code, printed = hawp("train", "--datacfg", shapes, "--modelcfg", "tiny.yaml", "--name", "o", "--seed", "1")
    assert code == 2 and shard.name in printed and "the pixels of" in printed


def test_a_cache_with_another_pixel_is_not_trained_on(run, hawp):
    cache = next(Path().glob("data-ssl/cache/*.h5"))
    content = bytearray(cache.read_bytes())
    content[len(content) // 2] ^= 1
    cache.write_bytes(content)
    labels = next(Path("data-ssl/m").glob("*.yaml"))
    code, printed = hawp("train", "--datacfg", labels, "--modelcfg", "tiny.yaml", "--name", "o", "--seed", "1")
    assert code == 2 and cache.name in printed and "remove it" in printed
