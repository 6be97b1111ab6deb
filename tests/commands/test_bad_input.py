"""A user's mistake gets one clear sentence with the file, the value and the remedy, exit code 2, and nothing is lost."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from places import TINY

from hawp_core.data.data_config import read_data_config
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import save_checkpoint
from hawp_core.model.network import WireframeNetwork
from hawp_core.workflow.places import ReportPlaces
from hawp_core.workflow.recipe import ReportRecipe
from hawp_core.workflow.record import read_record, record_file


@pytest.fixture
def place(workplace, photographs, tiny, shapes) -> Path:
    """A working folder with photographs, a model, drawn shapes and labels, all of it sound."""
    shutil.copytree(photographs, "photos")
    (workplace / "empty").mkdir()
    save_checkpoint(
        "model.pth", WireframeNetwork(Architecture.from_dict(asdict(tiny.model))), epoch=1, recipe={"name": "m"}
    )
    shutil.copy(shapes, "shapes.yaml")
    return workplace


def write(name: str, content: bytes | str) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def cut(source: str, name: str, keep: float) -> str:
    data = Path(source).read_bytes()
    return write(name, data[: int(len(data) * keep)])


def flipped(source: str, name: str) -> str:
    data = bytearray(Path(source).read_bytes())
    data[len(data) // 2] ^= 0x10
    return write(name, bytes(data))


class Payload:
    """What a malicious pickle looks like: unpickling it would run code."""

    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def malicious() -> str:
    torch.save({"format": Payload()}, "evil.pth")
    return "evil.pth"


def pipe() -> str:
    os.mkfifo("pipe")
    return "pipe"


def config(**sections) -> str:
    settings = yaml.safe_load(TINY.read_text())
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values} if isinstance(values, dict) else values
    return write("mine.yaml", yaml.safe_dump(settings))


def data_config(**values) -> str:
    data = yaml.safe_load(Path("shapes.yaml").read_text()) | values
    return write("data.yaml", yaml.safe_dump({k: v for k, v in data.items() if v is not None}))


def photographs(**values) -> str:
    """A data config of labelled photographs, with changed fields."""
    data = {"kind": "photographs", "key": "a" * 16, "labels": "l.h5", "folder": "photos", "photographs": "b" * 64,
            "shapes": "shapes.yaml"}  # fmt: skip
    return write("data.yaml", yaml.safe_dump(data | values))


def report_of_nothing() -> Path:
    return ReportRecipe({}, {}, "a", ReportPlaces(())).write()


def imported(name: str) -> str:
    """A published checkpoint, and what came of another one of this name."""
    Path("exp-ssl", name).mkdir(parents=True)
    shutil.copy("model.pth", f"exp-ssl/{name}/model-00000.pth")
    return f"{name}.pth"


def label(*options):
    return ["homoadp", "--datacfg", TINY, "--ckpt", "model.pth", "--images", "photos", *options]


def measure(*options):
    return ["evaluate", "--ckpt", "model.pth", "--images", "photos", "--no-shapes", "--dest", "m.json", *options]


def truth(*names: str) -> str:
    """Annotations of photographs of these names."""
    return write(
        "truth.json", json.dumps([{"filename": n, "width": 9, "height": 9, "lines": [[1, 1, 7, 1]]} for n in names])
    )


def train(*options):
    return ["train", "--datacfg", "shapes.yaml", "--modelcfg", TINY, "--name", "a", *options]


CASES = {
    "no such folder": (lambda: [*label(), "--images", "nowhere"], ["nowhere", "give a folder"]),
    "an empty folder": (lambda: [*label(), "--images", "empty"], ["empty", "jpg"]),
    "a file as folder": (lambda: [*label(), "--images", "photos/b.png"], ["b.png", "not a folder"]),
    "only unreadable photographs": (
        lambda: [*label(), "--images", str(Path(write("empty/a.jpg", b"no image")).parent)], ["1 of 1", "max_rejected"],
    ),
    "no model": (lambda: ["homoadp", "--datacfg", TINY], ["--ckpt shipped", "--workdir"]),
    "no such model": (lambda: [*label(), "--ckpt", "gone.pth"], ["gone.pth", "does not exist"]),
    "no such training": (lambda: ["homoadp", "--workdir", "exp-ssl/gone"], ["exp-ssl/gone", "train first"]),
    "a checkpoint over a photograph": (
        lambda: ["export-checkpoint", "model.pth", "photos/a.jpg"], ["photos/a.jpg is there already", "another place"],
    ),
    "a graph over another model": (
        lambda: ["export-onnx", "model.pth", shutil.copy("model.pth", "other.pth")], ["other.pth is there already"],
    ),
    "a checkpoint over a folder": (lambda: ["export-checkpoint", "model.pth", "empty"], ["empty is there already"]),
    "a model below a file": (
        lambda: ["export-checkpoint", "model.pth", "photos/a.jpg/x.pth"], ["photos/a.jpg is a file", "another place"],
    ),
    "metrics below a file": (lambda: [*measure(), "--dest", "photos/a.jpg/m.json"], ["photos/a.jpg is a file"]),
    "labelled photographs that are not there": (
        lambda: measure("--truth", truth("a.jpg", "gone.jpg")), ["truth.json", "1 of 2", "gone.jpg", "--truth-images"],
    ),
    "labelled photographs elsewhere": (
        lambda: measure("--truth", truth("../a.jpg")), ["truth.json: ", "../a.jpg"],
    ),
    "annotations of nothing": (lambda: measure("--truth", truth()), ["truth.json", "no image"]),
    "photographs of no annotations": (lambda: measure("--truth-images", "photos"), ["--truth-images goes with --truth"]),
    "shapes and no shapes": (lambda: measure("--shapes", "shapes.yaml"), ["--no-shapes", "leave one out"]),
    "a model named twice": (lambda: label("--workdir", "exp-ssl"), ["--ckpt", "--workdir", "leave one"]),
    "an epoch of no training": (lambda: ["predict", "photos/a.jpg", "--epoch", "3"], ["--workdir", "--epoch"]),
    "a cut model": (lambda: [*label(), "--ckpt", cut("model.pth", "cut.pth", 0.7)], ["cut.pth"]),
    "a flipped bit in a model": (lambda: [*label(), "--ckpt", flipped("model.pth", "bit.pth")], ["bit.pth"]),
    "an empty model": (lambda: [*label(), "--ckpt", write("zero.pth", b"")], ["zero.pth"]),
    "a malicious model": (lambda: [*label(), "--ckpt", malicious()], ["evil.pth", "safely"]),
    "a text as model": (lambda: [*label(), "--ckpt", write("text.pth", "weights")], ["text.pth"]),
    "another network's config": (
        lambda: [*label(), "--modelcfg", config(model={"width": 32})], ["model.width = 16", "32"],
    ),
    "an unknown setting": (lambda: train("--modelcfg", config(model={"witdh": 3})), ["mine.yaml", "model.witdh"]),
    "a setting of the wrong type": (lambda: train("--modelcfg", config(seed="one")), ["mine.yaml", "seed is 'one'"]),
    "an impossible image size": (lambda: train("--modelcfg", config(model={"image_size": 70})), ["70", "set it to 64"]),
    "broken YAML": (lambda: train("--modelcfg", write("x.yaml", "a: [")), ["x.yaml", "not valid YAML"]),
    "no such data config": (lambda: [*train(), "--datacfg", "gone.yaml"], ["gone.yaml"]),
    "a configuration as data config": (lambda: [*train(), "--datacfg", TINY], ["tiny.yaml", "not a data config"]),
    "a data config that lacks its key": (lambda: [*train(), "--datacfg", data_config(key=None)], ["data.yaml", "lacks key"]),
    "a data config of several kinds": (lambda: [*train(), "--datacfg", data_config(kind=["x"])], ["data.yaml", "kind"]),
    "a data config that names a shard by a mapping": (lambda: [*train(), "--datacfg", data_config(train=[{}])], ["train[0]"]),
    "a data config without a shard": (lambda: [*train(), "--datacfg", data_config(validation=[])], ["validation names no"]),
    "a data config with a number as shards": (lambda: [*train(), "--datacfg", data_config(train=5)], ["train is 5"]),
    "a data config with an odd key": (lambda: [*train(), "--datacfg", data_config(key="../up")], ["key is '../up'"]),
    "labels that are a number": (lambda: [*train(), "--datacfg", photographs(labels=5)], ["data.yaml", "labels is 5"]),
    "labels of no name": (lambda: [*train(), "--datacfg", photographs(labels=None)], ["data.yaml", "labels is null"]),
    "a folder that is a number": (lambda: [*train(), "--datacfg", photographs(folder=5)], ["data.yaml", "folder is 5"]),
    "photographs that are a place": (
        lambda: [*train(), "--datacfg", photographs(photographs="/elsewhere/")], ["photographs is '/elsewhere/'"],
    ),
    "shapes that are the data config itself": (
        lambda: [*train(), "--datacfg", photographs(shapes="data.yaml")], ["data.yaml", "shapes are expected"],
    ),
    "shapes that are none": (lambda: [*train(), "--datacfg", photographs(shapes=None)], ["data.yaml", "names no shapes"]),
    "shapes that never end": (lambda: [*train(), "--datacfg", photographs(shapes="/dev/zero")], ["/dev/zero", "larger"]),
    "a data config as the configuration of an export": (
        lambda: [*label(), "--datacfg", photographs(shapes=None)], ["data.yaml", "not a setting"],
    ),
    "a section that is empty": (
        lambda: [*label(), "--datacfg", write("n.yaml", "shapes: null")], ["n.yaml", "shapes is None"],
    ),
    "a recipe of another stage": (
        lambda: ["synthesize", "--config", str(report_of_nothing())], ["report", "one of shapes"],
    ),
    "threads without end": (lambda: train("--threads", "99999999999"), ["99999999999", "1,024"]),
    "fewer threads than none": (lambda: train("--threads=-1"), ["'-1'"]),
    "workers without end": (lambda: train("--num-workers", "99999"), ["99999", "256"]),
    "processes without end": (lambda: train("--gpus", "99999999"), ["99999999", "1,024"]),
    "shards without end": (lambda: label("--gather", "99999999999"), ["99999999999", "1,000,000"]),
    "a missing shard": (lambda: [*train(), "--datacfg", data_config(train=["gone.h5"])], ["gone.h5"]),
    "a cut shard": (
        lambda: [*train(), "--datacfg", data_config(train=[cut(str(next(Path("data-ssl").rglob("train*.h5"))), "c.h5", 0.5)])],
        ["c.h5"],
    ),
    "a text as shard": (lambda: [*train(), "--datacfg", data_config(train=[write("t.h5", "x")])], ["t.h5"]),
    "a name that leaves its folder": (lambda: train("--name", "../up"), ["../up", "folder name"]),
    "a name that is an option": (lambda: train("--name=-rf"), ["-rf", "folder name"]),
    "a pretrained model that is none": (lambda: train("--pretrained", write("p.pth", b"x")), ["p.pth"]),
    "an address that it is not": (lambda: train("--expect", "0" * 16), ["--expect", "0000000000000000"]),
    "an altered recipe": (
        lambda: train("--modelcfg", write("r.json", '{"format": "hawp-rounds recipe 1", "stage": "train", "settings": {}, '
                                                    '"inputs": {}, "name": "a", "places": {}, "version": 1, "key": "0"}')),
        ["r.json", "was altered"],
    ),
    "a published checkpoint that is none": (lambda: ["import-checkpoint", "model.pth"], ["model.pth"]),
    "a model in the place of what is made of it": (
        lambda: ["export-checkpoint", "model.pth", "./model.pth"], ["model.pth", "would be written over"],
    ),
    "a graph in the place of its model": (lambda: ["export-onnx", "model.pth", "model.pth"], ["would be written over"]),
    "metrics in the package": (
        lambda: ["evaluate", "--ckpt", "shipped", "--images", "photos", "--no-shapes"], ["lies in the package", "--dest"],
    ),
    "a model that is there already": (
        lambda: ["import-checkpoint", imported("b")],
        ["exp-ssl/b/model-00000.pth is there already"],
    ),
    "a photograph in the place of a preview": (
        lambda: ["synthesize", "--config", TINY, "--preview", "photos/b.png"], ["photos/b.png is there already"],
    ),
    "nothing to predict": (lambda: ["predict", "gone*.jpg", "--ckpt", "model.pth"], ["gone*.jpg"]),
    "no such device": (lambda: train("--device", "gpu"), ["'gpu'", "cuda:1"]),
    "a GPU without end": (lambda: train("--device", "cuda:256"), ["'cuda:256'"]),
    "a line break": (lambda: train("--modelcfg", config(compute={"device": "cuda:1\n"})), ["compute.device", "not acceptable"]),
    "one GPU for several": (lambda: train("--device", "cuda:1", "--gpus", "2"), ["cuda:1", "CUDA_VISIBLE_DEVICES"]),
    "no GPU": pytest.param(
        lambda: train("--device", "cuda"), ["--device cuda"],
        marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
    ),
    "a shard beyond the last": (lambda: label("--shard", "4/4"), ["'4/4'", "I below N"]),
    "no number": (lambda: train("--epochs", "many"), ["'many'", "whole number from 0"]),
    "an unknown address": (lambda: ["lineage", "--why", "abc", "def"], ["'abc'"]),
    "a folder as log": (lambda: label("--log", "photos"), ["photos", "Is a directory"]),
    "a file as the folder of a log": (lambda: label("--log", "model.pth/a.log"), ["model.pth", "File exists"]),
    "a photograph as log": (lambda: label("--log", "photos/b.png"), ["photos/b.png", "is no text"]),
    "its own data config as log": (lambda: train("--log", "./shapes.yaml"), ["shapes.yaml", "datacfg"]),
    "a pipe as log": (lambda: label("--log", pipe()), ["pipe", "nobody reads"]),
    "metrics in the place of a photograph": (
        lambda: ["evaluate", "--config", TINY, "--ckpt", "model.pth", "--images", "photos", "--dest", "photos/b.png"],
        ["photos/b.png is there already"],
    ),
    "a value that is none": (lambda: label("--log=--"), ["--log=--", "give a value"]),
    "a pipe as data config": (lambda: [*train(), "--datacfg", pipe()], ["pipe", "nobody writes into it"]),
    "a pipe as list of photographs": (lambda: label("--manifest", pipe()), ["pipe", "no regular file"]),
    "not rounds": (lambda: ["lineage", "round=3"], ["'round=3'", "rounds=3"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "parts"),
    [case if hasattr(case, "values") else pytest.param(*case, id=name) for name, case in CASES.items()],
)
def test_a_mistake_gets_one_sentence(hawp, place, words, parts):
    arguments = words()
    before = {path: path.stat().st_size for path in place.rglob("*") if path.is_file()}
    code, printed = hawp(*arguments)
    assert code == 2, printed
    assert "Traceback" not in printed
    assert "defect" not in printed
    said = [line for line in printed.splitlines() if line.startswith("hawp") and ("error:" in line or ": " in line)]
    assert said, printed
    assert all(part in said[-1] for part in parts), said[-1]
    after = {path: path.stat().st_size for path in place.rglob("*") if path.is_file()}
    assert before.items() <= after.items(), "something was lost or changed"
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "name", ["a b.png", "q'uo\"te.png", "new\nline.png", "-rf.png", "ünï.png", "$(touch executed).png"]
)
def test_file_names_are_only_names(hawp, place, name):
    shutil.rmtree("photos")
    Path("photos").mkdir()
    shutil.copy(_photograph(), Path("photos") / name)
    code, printed = hawp(*label())
    assert code == 0, printed
    from hawp_core.data.label_file import LabelFile

    assert LabelFile(next(Path("data-ssl/m").glob("*.h5"))).names == [name]
    code, printed = hawp("predict", "photos", "--ckpt", "model.pth", "--saveto", "out", "--ext", "json")
    assert code == 0, printed
    assert [path.name for path in Path("out").iterdir()] == [f"{name}.json"]
    assert not Path("executed").exists()


def test_a_folder_whose_name_is_no_utf8_is_labelled(hawp, place):
    folder = os.fsdecode(b"ph\xff")
    Path("photos").rename(folder)
    code, printed = hawp(*label("--images", folder, "--log", f"{folder}.log"))
    assert code == 0, printed
    config = next(Path("data-ssl/m").glob("*.yaml"))
    assert read_data_config(config).folder == folder
    assert read_record(record_file(config.with_suffix(".h5"))).count("images") == 6
    assert "\\udcff" in Path(f"{folder}.log").read_text()


def test_what_is_printed_sends_no_commands_to_the_terminal(hawp, place):
    code, printed = hawp(*train("--datacfg", "\x1b[31mred\x07.yaml"))
    assert code == 2 and "\\x1b[31mred\\x07.yaml" in printed and "\x1b" not in printed


def test_a_log_that_takes_nothing_ends_no_work(hawp, place):
    code, printed = hawp("synthesize", "--config", TINY, "--preview", "p.png", "--log", "/dev/full")
    assert code == 0 and "/dev/full takes no more lines" in printed and "Traceback" not in printed
    assert Path("p.png").is_file()


def _photograph() -> Path:
    from hawp_core.data.photographs.folder import BUNDLED, bundled_folder

    return bundled_folder() / next(name for name in BUNDLED if name.endswith(".png"))


@pytest.mark.parametrize(
    "text",
    ["[" * 20_000, "seed: " + "9" * 5000, "name: 2020-99-99", "model: &m {depth: *m}", 'name: "abc\\n"', "[a]: 1"],
)
def test_a_configuration_made_to_harm_is_one_sentence(workplace, hawp, text):
    Path("odd.yaml").write_text(text)
    code, printed = hawp("plan", "--config", "odd.yaml")
    assert code == 2 and "odd.yaml" in printed and "Traceback" not in printed


@pytest.mark.parametrize("number", ["101", "99999999999999999999"])
def test_rounds_beyond_the_limit_are_one_sentence(workplace, hawp, number):
    code, printed = hawp("plan", "--config", TINY, f"rounds={number}")
    assert code == 2 and "rounds" in printed and "100" in printed


@pytest.mark.parametrize("threads", ["abc", "-1", "9" * 30, "1.5"])
def test_threads_of_the_environment_are_a_number(hawp, place, monkeypatch, threads):
    monkeypatch.setenv("HAWP_THREADS", threads)
    code, printed = hawp(*train("--threads", "0"))
    assert code == 2 and f"HAWP_THREADS is '{threads}'" in printed and "Traceback" not in printed


@pytest.mark.parametrize("value", [5, ["x"], "", "a\0b"])
def test_a_model_that_names_no_place_for_its_shapes_labels_nothing(hawp, place, tiny, value):
    network = WireframeNetwork(Architecture.from_dict(asdict(tiny.model)))
    save_checkpoint("odd.pth", network, epoch=1, recipe={"name": "m", "shapes": value})
    code, printed = hawp(*label("--ckpt", "odd.pth"))
    assert code == 2 and "odd.pth does not say what it was trained with (shapes is" in printed
    assert not Path("data-ssl/m").exists()


@pytest.mark.parametrize("content", ["{}", "5", "[]", '{"key": 5}'])
@pytest.mark.parametrize("command", ["lineage", "verify", "status"])
def test_a_damaged_lineage_record_is_one_sentence(hawp, place, content, command):
    shutil.copy(TINY, "tiny.yaml")
    Path("tiny.yaml").write_text(f"{TINY.read_text()}\nphotographs: {{folder: photos}}\n")
    record = next(Path("data-ssl/synthetic-shapes").glob("*.lineage.json"))
    record.write_text(content)
    code, printed = hawp(command, *([] if command == "verify" else ["--config", "tiny.yaml"]))
    assert code == 2 and record.name in printed and "Traceback" not in printed


@pytest.mark.parametrize("content", ["5", "[]", '"x"', "null", '{"pid": "x"}', '{"host": 1}', "[" * 100_000, ""])
def test_a_damaged_lease_is_nobodys(place, content):
    from hawp_core.runtime.lease import lease, worker

    Path("lease.json").write_text(content)
    assert worker(Path()) is None
    with lease(Path()):
        assert worker(Path())


def test_a_mistyped_option_shows_the_options_of_its_command(hawp, workplace):
    code, printed = hawp("predict", "--thresold", "0.3", "photo.jpg")
    assert code == 2 and "usage: hawp predict" in printed
    assert "hawp predict: error: unrecognized arguments: --thresold" in printed
