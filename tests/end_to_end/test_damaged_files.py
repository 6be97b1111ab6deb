"""Every reader is fed damaged and malformed files: it reads what was written, or says in one sentence what is wrong.

Bytes are flipped, cut off, left out and put in; fields change their type, go and come. Where a file keeps a digest of itself,
what is read from damaged bytes must be what was written. HAWP_TEST_EXAMPLES=20000 asks for so many examples in all, other ones
each time, instead of the same few hundred.
"""

import contextlib
import copy
import hashlib
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import PHOTOGRAPHS, TINY

from hawp_core.data.data_config import PhotographData, ShapeData, read_data_config
from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import write_labels
from hawp_core.data.own_labels.listing import read_listing, write_listing
from hawp_core.data.own_labels.reading import read_own_labels
from hawp_core.data.own_labels.wireframe_json import read_annotations
from hawp_core.data.own_labels.writing import write_own_labels
from hawp_core.data.photographs.dataset import cache_faults
from hawp_core.data.photographs.folder import Rejected
from hawp_core.data.photographs.listed import ListedPhotograph
from hawp_core.data.photographs.manifest import Manifest
from hawp_core.data.video import frames
from hawp_core.errors import UserError
from hawp_core.evaluation.results import Evaluation
from hawp_core.evaluation.wording import as_text, headline
from hawp_core.geometry.wireframe import Wireframe
from hawp_core.labelling.shards import usable_records
from hawp_core.model.architecture import Architecture
from hawp_core.model.checkpoint import load_checkpoint, load_state, save_checkpoint, save_state
from hawp_core.model.network import WireframeNetwork
from hawp_core.report.formats import to_json
from hawp_core.report.json_lines import JsonLines
from hawp_core.runtime.journal import Journal, last_records
from hawp_core.runtime.lease import worker
from hawp_core.training.metrics import last_metrics, read_metrics
from hawp_core.workflow import cost
from hawp_core.workflow import settings as configuration
from hawp_core.workflow.chain import plan
from hawp_core.workflow.recipe import read_recipe
from hawp_core.workflow.recipe_builders import Origin
from hawp_core.workflow.recipe_file import digest
from hawp_core.workflow.record import read_record, write_record

USUAL = 700
EXAMPLES = int(os.environ.get("HAWP_TEST_EXAMPLES", USUAL))
NAMES = [
    "shapes.yaml", "photographs.yaml", "tiny.yaml", "labels.h5", "lineage.json", "recipe.json", "shapes-recipe.json",
    "export-recipe.json", "lease.json", "metrics.jsonl", "evaluation.json", "list.jsonl", "journal.jsonl", "model.pth", "resume.pth",
    "truth.json", "rates.json", "cache.h5", "labelme.json", "cvat.xml", "a_label.npz", "listing.json", "wireframes.jsonl", "clip.avi",
]  # fmt: skip
TEXTS = [name for name in NAMES if name.endswith((".yaml", ".json", ".jsonl"))]
# One share for the bytes of each file, for the fields of each text, for the tables of labels and for the contents of models.
SHARES = len(NAMES) + len(TEXTS) + 2
often = settings(
    max_examples=max(1, EXAMPLES // SHARES), deadline=None, database=None, derandomize=EXAMPLES == USUAL,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip

# What a field becomes.
ODD = [
    None, True, False, 0, 1, -1, 5, 2**31, 2**63, 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "5", "/",
    "..", "../x", "/dev/zero", "a\0b", "\ud800", "\n", "$x", "ü" * 300, "0" * 16, "f" * 64, [], {}, [[]], [{}], [None], ["x"],
    [1, 2], {"": None}, {"x": "y"}, {"train": 1}, [[[[]]]], "!!int", "2020-99-99",
]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: of the file.
        content: of a sound one.
        read: from the working folder; what it gives can be compared.
        digested: whether damaged bytes may not be read as something else.
        form: "json", "yaml", "lines" (JSON lines), "checked lines" (with CRC-32), "manifest", or None.
        reseal: makes a changed record fit its own digests.
    """

    name: str
    content: bytes
    read: Callable[[Path], object]
    digested: bool = False
    form: str | None = None
    reseal: Callable[[dict], dict] = dict


def _labels(path: Path) -> object:
    file = LabelFile(path)
    file.check()
    found = [
        (w.junctions.tolist(), w.edges.tolist(), w.scores.tolist(), w.width, w.height)
        for w in map(file.__getitem__, file.names)
    ]
    return file.names, found, file.images().tolist() if file.has_images else None


def _model(path: Path) -> object:
    network, info = load_checkpoint(path)
    return Origin.of(info, path), info, {name: value.tolist() for name, value in network.state_dict().items()}


def _state(path: Path) -> object:
    return {
        name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in load_state(path).items()
    }


def _manifest(path: Path) -> object:
    found = Manifest.read(path)
    return list(found.entries), found.rejected


def _journal(path: Path) -> object:
    journal = Journal(path)
    journal.close()
    assert all(record in journal.records for record in last_records(path))
    return usable_records(journal.records)


def _own(path: Path) -> object:
    found = read_own_labels(path, "photos", Manifest("photos", [ListedPhotograph("a.jpg", "e" * 64, 5, 6)]))
    return {name: (drawn.size, drawn.lines.tolist(), drawn.scores.tolist()) for name, drawn in found.drawn.items()}


def _rows(path: Path) -> object:
    """What of the rows is kept: whole ones of before, as they were."""
    before = path.read_bytes().splitlines(keepends=True)
    lines = JsonLines(path, {"a.jpg": "0" * 16}.get)
    lines.close()
    kept = path.read_bytes().splitlines(keepends=True)
    assert all(line in before and line.endswith(b"\n") for line in kept)
    return lines.done <= {"a.jpg"}


def _sealed_recipe(record: dict) -> dict:
    identity = {name: record[name] for name in ("stage", "version", "settings", "inputs") if name in record}
    return record | {"seal": digest([record.get("name"), record.get("places")])[:16], "key": digest(identity)[:16]}


def _sealed_record(record: dict) -> dict:
    rest = {name: value for name, value in record.items() if name != "seal"}
    return rest | {"seal": digest(rest)}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> dict[str, Kind]:
    """A sound file of every kind."""
    place = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return {kind.name: kind for kind in _kinds()}


def _kinds() -> list[Kind]:
    def kept(name: str, read: Callable[[Path], object], **more) -> Kind:
        return Kind(name, Path(name).read_bytes(), read, **more)

    tiny = configuration.load(TINY)
    Path("tiny.yaml").write_text(TINY.read_text())
    Path("shapes.yaml").write_text(ShapeData("a" * 16, (Path("a.h5"), Path("b.h5")), (Path("c.h5"),)).as_yaml())
    labelled = PhotographData("b" * 16, Path("l.h5"), "photos", "c" * 64, Path("shapes.yaml"))
    Path("photographs.yaml").write_text(labelled.as_yaml())
    wireframes = [Wireframe.from_lines([[1, 2, 3, 4], [3, 4, 60, 70.5]], 100, 90), Wireframe.empty(8, 8)]
    write_labels(
        "labels.h5",
        ["a", "b/ü.jpg"],
        wireframes,
        images=np.arange(128, dtype=np.uint8).reshape(2, 8, 8),
        about={"x": 1},
    )
    chain = plan(tiny, "d" * 64, PHOTOGRAPHS, 1)
    recipe = chain.rounds[1].train
    for name, each in {
        "recipe.json": recipe,
        "shapes-recipe.json": chain.shapes,
        "export-recipe.json": chain.rounds[0].export,
    }.items():
        Path(name).write_bytes(each.write().read_bytes())
    counts = {"images": 3, "sAP10": 12.5, "headline": "sAP10 12.5"}
    write_record(
        Path("model.pth"), recipe, outputs={"model.pth": b"x"}, upstream=[], seconds=3.5, device="CPU", counts=counts
    )
    Path("lease.json").write_text(
        json.dumps({"host": os.uname().nodename, "pid": os.getpid(), "started": "1", "slurm_job": "5"})
    )
    rows = [
        {"loss": 2.5, "images_per_second": 4.0, "epoch": 1, "step": 3, "of": 8, "lr": 0.1},
        {"sAP10": 1.5, "epoch": 1, "step": 4, "of": 8},
    ]
    Path("metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    scores = {"repeatability": 0.5, "localisation": None}
    means = scores | {"undefined_repeatability": 0, "undefined_localisation": 1}
    measured = {
        "pairs": 1, "threshold": 5.0, "lines_per_image": 2.5, "structural": means, "orthogonal": means,
        "images": [{"name": "a", "lines": [3, 2], "structural": scores, "orthogonal": scores}],
    }  # fmt: skip
    shapes = {"sAP5": 1.0, "sAP10": 2.0, "sAP15": 3.0, "mAPJ": 4.0, "junction_recall": 0.5, "lines": 6.5}
    evaluation = {
        "model": "m.pth",
        "photographs": "photos",
        "epoch": 3,
        "shapes": shapes,
        "repeatability": {"model": measured},
    }
    Path("evaluation.json").write_text(json.dumps(evaluation))
    Manifest(
        "photos",
        [ListedPhotograph("a.jpg", "e" * 64, 5, 6), ListedPhotograph("b/ü.png", "f" * 64, 7, 8)],
        [Rejected("c.jpg", "no")],
    ).write("list.jsonl")
    journal = Journal(Path("journal.jsonl"))
    line = {
        "index": 0,
        "name": "a.jpg",
        "size": [9, 8],
        "junctions": [[0.5, 2.0], [3, 4]],
        "edges": [[0, 1]],
        "scores": [0.5],
    }
    journal.extend(
        [line, {"index": 1, "name": "b.jpg", "rejected": "no"}, line | {"index": 2, "at": 5.5, "seconds": 0.25}]
    )
    journal.close()
    torch.manual_seed(0)
    network = WireframeNetwork(
        Architecture(
            image_size=32,
            width=16,
            depth=1,
            stacks=1,
            junction_features=2,
            line_features=1,
            verification_width=8,
            lineness_widths=(2, 2),
            line_points=3,
        )
    )
    save_checkpoint("model.pth", network, epoch=3, recipe={"key": "0" * 16, "name": "n", "shapes": "shapes.yaml"})
    save_state("resume.pth", {"key": "k", "at": {"epoch": 1}, "tensor": torch.arange(5.0)})
    entry = {"filename": "a.png", "width": 9, "height": 8, "junctions": [[1, 2], [3, 4.5]], "edges_positive": [[0, 1]]}
    Path("truth.json").write_text(
        json.dumps([entry, {"filename": "b.png", "width": 9, "height": 8, "lines": [[1, 2, 3, 4]]}])
    )
    Path("rates.json").write_bytes(cost.RATES_FILE.read_bytes())
    for layout in ("labelme", "cvat", "npz"):
        write_own_labels(layout, Path(), "photos", [("a.jpg", wireframes[0])], lambda: None)
    Path("a.json").rename("labelme.json")
    Path("annotations.xml").rename("cvat.xml")
    own = read_own_labels("cvat.xml", "photos", Manifest("photos", [ListedPhotograph("a.jpg", "e" * 64, 5, 6)]))
    write_listing(Path("listing.json"), own)
    rows = [to_json(name, wireframes[0], made) for name, made in (("a.jpg", "0" * 16), ("b.jpg", "1" * 16))]
    Path("wireframes.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    film = cv2.VideoWriter("clip.avi", cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 32))
    for level in range(3):
        film.write(np.full((32, 32, 3), 60 * level, np.uint8))
    film.release()
    with h5py.File("cache.h5", "w") as file:
        images = np.arange(128, dtype=np.uint8).reshape(2, 8, 8)
        file.create_dataset("images", images.shape, np.uint8)[...] = images
        file["sums"] = np.array([zlib.crc32(image.tobytes()) for image in images], np.uint32)
        file["sums"].attrs["sum"] = zlib.crc32(file["sums"][()].tobytes())
        file.attrs["key"] = "k"
    return [
        kept("shapes.yaml", read_data_config, form="yaml"),
        kept("photographs.yaml", read_data_config, form="yaml"),
        kept("tiny.yaml", configuration.load, form="yaml"),
        kept("labels.h5", _labels, digested=True),
        kept("lineage.json", read_record, digested=True, form="json", reseal=_sealed_record),
        kept("recipe.json", read_recipe, digested=True, form="json", reseal=_sealed_recipe),
        kept("shapes-recipe.json", read_recipe, digested=True, form="json", reseal=_sealed_recipe),
        kept("export-recipe.json", read_recipe, digested=True, form="json", reseal=_sealed_recipe),
        kept("lease.json", lambda path: worker(path.parent), form="json"),
        kept("metrics.jsonl", lambda path: (read_metrics(path), last_metrics(path)), form="lines"),
        kept("evaluation.json", lambda path: (e := Evaluation.read(path), headline(e), as_text(e))[0], form="json"),
        kept("list.jsonl", _manifest, digested=True, form="manifest"),
        kept("journal.jsonl", _journal, form="checked lines"),
        kept("model.pth", _model, digested=True),
        kept("resume.pth", _state, digested=True),
        kept("truth.json", lambda path: [name for name, _ in read_annotations(path)], form="json"),
        kept("rates.json", cost.read_rates, form="json"),
        kept("cache.h5", cache_faults),
        kept("labelme.json", _own, form="json"),
        kept("cvat.xml", _own),
        kept("a_label.npz", _own),
        kept("listing.json", lambda path: read_listing(path, own.key), digested=True, form="json"),
        kept("wireframes.jsonl", _rows, form="lines"),
        kept("clip.avi", lambda path: [frame.shape for _, frame in frames(path, 2)]),
    ]


@pytest.fixture
def damaged(kinds, tmp_path, monkeypatch):
    """Write a damaged file, and read it: None for a sentence, else a tuple of what was read."""
    monkeypatch.chdir(tmp_path)

    def read(kind: Kind, content: bytes) -> tuple | None:
        path = tmp_path / kind.name
        path.write_bytes(content)
        try:
            return (kind.read(path),)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 3000, error
            return None

    return read


# What sound files give, read once.
SOUND: dict[str, tuple | None] = {}


@st.composite
def damages(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with a few faults."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        what = draw(st.sampled_from(["flip", "flip", "flip", "cut", "leave out", "put in", "repeat", "zero"]))
        length = draw(st.integers(1, 40))
        if what == "flip":
            content = (
                content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]
                if content
                else b"x"
            )
        elif what == "cut":
            content = content[:at]
        elif what == "leave out":
            content = content[:at] + content[at + length :]
        elif what == "put in":
            content = content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at:]
        elif what == "repeat":
            content = content[: at + length] + content[at:]
        else:
            content = content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]
    return content


@pytest.mark.parametrize("name", NAMES)
@often
@given(data=st.data())
def test_damaged_bytes_are_noticed_or_harmless(kinds, damaged, name, data):
    kind = kinds[name]
    content = data.draw(damages(kind.content))
    if name not in SOUND:
        SOUND[name] = damaged(kind, kind.content)
    sound = SOUND[name]
    assert sound is not None
    found = damaged(kind, content)
    if found is None:
        return
    if kind.digested:
        assert found == sound
    elif name == "journal.jsonl":
        assert all(record in sound[0] for record in found[0])
    elif name == "cache.h5" and content != kind.content:
        # Bytes of HDF5's own bookkeeping may change nothing.
        assert found == ([],) or found[0]


def _places(tree: object, place: tuple = ()) -> list[tuple]:
    """The paths of everything in a tree of mappings and lists."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place, *(found for name, each in inner for found in _places(each, (*place, name)))]


@st.composite
def swaps(draw: st.DrawFn, tree: object) -> object:
    """A tree in which a few fields have another type, are gone, or are new."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(tree)))
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        if not place:
            tree = odd if draw(st.integers(0, 9)) == 0 else tree
            continue
        holder = tree
        for name in place[:-1]:
            holder = holder[name]
        what = draw(st.sampled_from(["swap", "swap", "swap", "remove", "add", "nest"]))
        if what == "swap":
            holder[place[-1]] = odd
        elif what == "remove":
            del holder[place[-1]]
        elif what == "nest":
            holder[place[-1]] = [holder[place[-1]]]
        elif isinstance(holder, dict):
            holder["new"] = odd
        else:
            holder.append(odd)
    return tree


def _parsed(kind: Kind) -> object:
    if kind.form == "yaml":
        return yaml.safe_load(kind.content)
    if kind.form == "json":
        return json.loads(kind.content)
    start = 9 if kind.form == "checked lines" else 0
    return [json.loads(line[start:]) for line in kind.content.splitlines()]


def _written(kind: Kind, tree: object, seal: bool) -> bytes:
    if kind.form == "yaml":
        return yaml.safe_dump(tree, allow_unicode=True).encode(errors="surrogatepass")
    if kind.form == "json":
        if seal and isinstance(tree, dict):
            # JSON has no number that is none.
            with contextlib.suppress(ValueError):
                tree = kind.reseal(tree)
        return json.dumps(tree).encode()
    lines = [json.dumps(row) for row in tree] if isinstance(tree, list) else [json.dumps(tree)]
    if kind.form == "checked lines":
        lines = [f"{zlib.crc32(line.encode()):08x} {line}" for line in lines]
    elif kind.form == "manifest" and seal and isinstance(tree, list) and tree and isinstance(tree[0], dict):
        # A block of photographs, and one of rejected files.
        blocks = ["".join(f"{line}\n" for line in some).encode() for some in (lines[1:3], lines[3:])]
        sums = [[len(block), hashlib.sha256(block).hexdigest()] for block in blocks]
        head = tree[0] | (
            {"blocks": sums} if kind.content.splitlines()[1:] != [line.encode() for line in lines[1:]] else {}
        )
        rest = json.dumps({name: value for name, value in head.items() if name != "sum"}, sort_keys=True)
        lines[0] = json.dumps(head | {"sum": hashlib.sha256(rest.encode()).hexdigest()})
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.mark.parametrize("name", TEXTS)
@often
@given(data=st.data())
def test_fields_of_other_types_are_noticed_or_left_alone(kinds, damaged, name, data):
    kind = kinds[name]
    tree = data.draw(swaps(_parsed(kind)))
    damaged(kind, _written(kind, tree, data.draw(st.booleans())))


ARRAYS = st.one_of(
    st.sampled_from([np.int8, np.int32, np.int64, np.uint32, np.float32, np.float64, np.bool_, np.complex64]).flatmap(
        lambda kind: st.sampled_from([(), (0,), (1,), (2,), (3,), (0, 2), (2, 2), (4, 2), (3, 4), (2, 8, 8)]).map(
            lambda shape: np.full(shape, 1, kind)
        )
    ),
    st.sampled_from(
        [np.array([0, 2, 2]), np.array([0, -1, 3]), np.array([[0, 9]], np.int32), np.full((3, 2), np.nan, np.float32)]
    ),
)


@often
@given(data=st.data())
def test_tables_of_other_types_are_noticed(kinds, damaged, tmp_path, data):
    path = tmp_path / "swapped.h5"
    path.write_bytes(kinds["labels.h5"].content)
    with h5py.File(path, "r+") as file:
        name = data.draw(st.sampled_from([*file, "about", "format"]))
        if name in file:
            values = data.draw(ARRAYS)
            del file[name]
            way = data.draw(
                st.sampled_from(["array", "array", "array", "nothing", "group", "link", "outside", "chunks"])
            )
            if way == "array":
                file[name] = values
                file[name].attrs["sum"] = zlib.crc32(values.tobytes())
            elif way == "group":
                file.create_group(name)
            elif way == "link":
                file[name] = h5py.SoftLink("/sizes")
            elif way == "outside":
                file[name] = h5py.ExternalLink("/etc/passwd", "/")
            elif way == "chunks":
                file.create_dataset(name, (2**40,), np.uint8, chunks=(2**16,))
        else:
            file.attrs[name] = data.draw(
                st.sampled_from([5, "", "[]", "{}", "null", "{", "[" * 10**5, np.zeros(3), "hawp-rounds wireframes 2"])
            )
    damaged(kinds["labels.h5"], path.read_bytes())


@often
@given(data=st.data())
def test_models_of_other_contents_are_noticed(kinds, damaged, tmp_path, data):
    kind = kinds[data.draw(st.sampled_from(["model.pth", "resume.pth"]))]
    (tmp_path / "m").write_bytes(kind.content)
    content = torch.load(tmp_path / "m", weights_only=True)
    tensors = [
        torch.zeros(0),
        torch.ones(3),
        torch.full((2, 2), float("nan")),
        torch.zeros(3, dtype=torch.complex64),
        torch.arange(4),
    ]
    for _ in range(data.draw(st.integers(1, 2))):
        holder = content
        if data.draw(st.booleans()):
            inner = [value for value in content.values() if isinstance(value, dict) and value]
            holder = data.draw(st.sampled_from(inner)) if inner else content
        name = data.draw(st.sampled_from([*holder, "new"]))
        if data.draw(st.integers(0, 4)) == 0:
            holder.pop(name, None)
        else:
            # A copy, for the next turn may write into it.
            holder[name] = copy.deepcopy(data.draw(st.sampled_from([*tensors, *ODD])))
    torch.save(content, tmp_path / "m")
    damaged(kind, (tmp_path / "m").read_bytes())


def test_the_list_of_kinds_is_whole(kinds):
    assert list(kinds) == NAMES and {each.name for each in fields(Kind)} >= {"digested", "form"}
