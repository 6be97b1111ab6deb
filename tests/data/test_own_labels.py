"""Own labels: four layouts in and out, and what becomes of lines that do not fit their photograph."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import write_labels
from hawp_core.data.own_labels.drawn import Drawn
from hawp_core.data.own_labels.listing import read_listing, write_listing
from hawp_core.data.own_labels.placing import Counts, place, place_all
from hawp_core.data.own_labels.reading import OwnLabels, read_own_labels
from hawp_core.data.own_labels.writing import LAYOUTS, _apart, chosen, write_own_labels
from hawp_core.data.photographs.decoding import _TURNS, read_gray, read_size
from hawp_core.data.photographs.fingerprint import fingerprint
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe

SIZES = {"a.jpg": (120, 90), "a.png": (90, 120), "sub/b ü&<c>.png": (64, 80)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three photographs, two of them with one name but for the ending."""
    folder = tmp_path_factory.mktemp("labelled")
    for number, (name, size) in enumerate(SIZES.items()):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", size, 60 * number).save(folder / name)
    return folder


def own(files: Path, folder: Path) -> OwnLabels:
    return read_own_labels(files, str(folder), fingerprint(folder))


def coming_back(files: Path, folder: Path, join: float = 0.0) -> dict[str, Wireframe]:
    found = own(files, folder)
    return dict(zip(found.drawn, place_all(found, folder, join, lambda: None)[0], strict=True))


@st.composite
def wireframes(draw: st.DrawFn, size: tuple[int, int]) -> Wireframe:
    """Junctions anywhere on the photograph, also on its outermost half pixel; each belongs to a line."""
    at = st.tuples(*(st.integers(-32, 64 * side - 32).map(lambda n: n / 64) for side in size))
    junctions = draw(st.lists(at, min_size=2, max_size=9, unique=True))
    pair = st.lists(st.integers(0, len(junctions) - 1), min_size=2, max_size=2, unique=True).map(sorted).map(tuple)
    edges = draw(st.lists(pair, max_size=12, unique=True))
    scores = draw(st.lists(st.floats(0, 1, width=32), min_size=len(edges), max_size=len(edges)))
    return Wireframe(np.array(junctions), np.array(edges), np.array(scores), *size).without_lone_junctions()


def same(one: Wireframe, other: Wireframe, tolerance: float) -> bool:
    def ends(w: Wireframe) -> list:
        return [sorted(line) for line in w.lines.reshape(-1, 2, 2).tolist()]

    return (
        (one.width, one.height, len(one.junctions)) == (other.width, other.height, len(other.junctions))
        and np.array_equal(one.scores, other.scores)
        and len(one.edges) == len(other.edges)
        and np.allclose(np.ravel(ends(one)), np.ravel(ends(other)), rtol=0, atol=tolerance)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_round_trip_loses_nothing_that_the_layout_has(folder, tmp_path, layout, data):
    there = {name: data.draw(wireframes(size)) for name, size in SIZES.items()}
    files = tmp_path / "out"
    shutil.rmtree(files, ignore_errors=True)
    write_own_labels(layout, files, str(folder), list(there.items()), lambda: None)
    # CVAT lists images that nobody has labelled yet as well: one without a line is taken for such.
    kept = {name: w for name, w in there.items() if layout != "cvat" or len(w.edges)}
    if not kept:
        with pytest.raises(UserError, match="labels no image"):
            coming_back(files, folder)
        return
    back = coming_back(files, folder)
    assert back.keys() == kept.keys()
    for name, wireframe in kept.items():
        assert same(wireframe, back[name], 1e-4 if layout == "npz" else 0), name
    # The place of the files says nothing.
    moved = tmp_path / "moved" / "elsewhere"
    shutil.rmtree(moved, ignore_errors=True)
    shutil.copytree(files, moved)
    assert own(moved, folder).key == own(files, folder).key


def test_nothing_is_written_over(folder, tmp_path):
    labelled = [("sub/b ü&<c>.png", Wireframe.empty(64, 80))]
    for layout in LAYOUTS:
        (path,) = write_own_labels(layout, tmp_path, str(folder), labelled, lambda: None)
        before = path.read_bytes()
        with pytest.raises(UserError, match="is there already"):
            write_own_labels(layout, tmp_path, str(folder), labelled, lambda: None)
        assert path.read_bytes() == before


def test_the_key_knows_lines_and_names_and_a_list_of_them_is_read_back(folder, tmp_path):
    entry = {"filename": "a.jpg", "width": 120, "height": 90, "lines": [[1, 2, 30, 40]]}
    keys = set()
    for change in ({}, {"filename": "a.png", "width": 90, "height": 120}, {"lines": [[1, 2, 30, 41]]}, {"scores": [0.5]},
                   {"width": 240, "height": 180}):  # fmt: skip
        (tmp_path / "l.json").write_text(json.dumps([entry | change], indent=len(keys)))
        keys.add(own(tmp_path / "l.json", folder).key)
    assert len(keys) == 5
    found = own(tmp_path / "l.json", folder)
    write_listing(tmp_path / "listing.json", found)
    assert read_listing(tmp_path / "listing.json", found.key[:16]) == found.rows
    with pytest.raises(UserError, match="does not give the key"):
        read_listing(tmp_path / "listing.json", "0" * 16)


def test_names_that_a_layout_cannot_hold_are_refused_and_odd_ones_come_back(tmp_path):
    name = "bell\x07 and back\\slash.png"
    Image.new("L", (64, 80)).save(tmp_path / name)
    labelled = [(name, Wireframe.from_lines([[1, 2, 30, 40]], 64, 80))]
    for layout in LAYOUTS:
        if layout == "cvat":
            with pytest.raises(UserError, match="a character that CVAT's XML cannot name"):
                write_own_labels(layout, tmp_path / layout, str(tmp_path), labelled, lambda: None)
            assert not (tmp_path / layout).exists()
        else:
            write_own_labels(layout, tmp_path / layout, str(tmp_path), labelled, lambda: None)
            assert list(own(tmp_path / layout, tmp_path).drawn) == [name]


def test_a_photograph_that_is_chosen_twice_is_written_once(folder, tmp_path):
    write_labels(tmp_path / "l.h5", ["a.jpg"], [Wireframe.empty(120, 90)])
    assert [name for name, _ in chosen(LabelFile(tmp_path / "l.h5"), ["a.jpg", "a.jpg"], 0.0)] == ["a.jpg"]
    with pytest.raises(UserError, match=r"l\.h5 is no folder"):
        write_own_labels("json", tmp_path / "l.h5", str(folder), [], lambda: None)


# Names


LABELME = {
    "version": "5.5.0", "flags": {}, "imagePath": "a.jpg", "imageData": None, "imageWidth": 120, "imageHeight": 90,
    "shapes": [{"label": "x", "shape_type": "line", "points": [[1.5, 2.5], [30.5, 40.5]], "group_id": None, "flags": {}}],
}  # fmt: skip


def test_photographs_are_found_by_what_tools_write(folder, tmp_path):
    size = {"width": 64, "height": 80, "lines": [[1, 2, 3, 4]]}
    for name in ("sub/b ü&<c>.png", "b ü&<c>.png", "sub/b ü&<c>.jpg", "elsewhere/b ü&<c>"):
        (tmp_path / "l.json").write_text(json.dumps([{"filename": name, **size}]))
        assert list(own(tmp_path / "l.json", folder).drawn) == ["sub/b ü&<c>.png"]
    (tmp_path / "l.json").write_text(json.dumps([{"filename": "a", **size}]))
    with pytest.raises(UserError, match=r"a, which may be a\.jpg or a\.png"):
        own(tmp_path / "l.json", folder)
    (tmp_path / "l.json").write_text(json.dumps([{"filename": "../../etc/passwd", **size}]))
    with pytest.raises(UserError, match="not among the photographs"):
        own(tmp_path / "l.json", folder)
    # As Windows writes it.
    (tmp_path / "l.json").write_text(json.dumps(LABELME | {"imagePath": "..\\x\\a.jpg"}))
    assert list(own(tmp_path / "l.json", folder).drawn) == ["a.jpg"]


def test_a_photograph_labelled_twice_is_named(folder, tmp_path):
    for name in ("one.json", "two.json"):
        (tmp_path / name).write_text(json.dumps(LABELME))
    with pytest.raises(UserError, match=r"a\.jpg is labelled twice, in .*one\.json and in .*two\.json"):
        own(tmp_path, folder)


# Layouts


def test_labelmes_and_cvats_pixels_begin_at_the_corner_and_polylines_are_lines(folder, tmp_path):
    strip = LABELME | {"shapes": [LABELME["shapes"][0] | {"shape_type": "linestrip", "points": [[1.5, 2.5], [30.5, 40.5], [50.5, 9.5]]},
                                  {"label": "w", "shape_type": "polygon", "points": [[1, 1], [9, 1], [9, 9]]}]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(strip))
    xml = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task><name>image</name></task></meta>
    <image id="0" name="a.jpg" width="120" height="90"><polyline label="l" points="1.5,2.5;30.5,40.5;50.5,9.5" z_order="0">
    <attribute name="sure">yes</attribute></polyline><box xtl="1" ytl="1" xbr="5" ybr="5"></box></image>
    <image id="1" name="a.png" width="90" height="120"/></annotations>"""
    (tmp_path / "a.xml").write_text(xml)
    for file in ("a.json", "a.xml"):
        found = own(tmp_path / file, folder)
        assert found.others == 1
        wireframe = coming_back(tmp_path / file, folder)["a.jpg"]
        np.testing.assert_array_equal(wireframe.lines, [[1, 2, 30, 40], [30, 40, 50, 9]])
        assert len(wireframe.junctions) == 3 and (wireframe.scores == 1).all()


def test_lcnns_own_files_are_read(folder, tmp_path):
    """As its conversion writes them: junctions (y, x, 0) on 128 x 128 cells, with fields that are not ours."""
    junc = np.array([[64, 32, 0], [0, 0, 0], [127.9, 100, 0]], np.float32)
    pairs = np.array([[0, 1], [2, 0]])
    fields = {"junc": junc, "Lpos": pairs, "lpos": junc[pairs], "lmap": np.zeros((128, 128), np.float32)}
    for names in (("junc", "Lpos", "lmap"), ("lpos",)):
        np.savez_compressed(tmp_path / "a.jpg_label.npz", **{name: fields[name] for name in names})
        lines = coming_back(tmp_path, folder)["a.jpg"].lines
        np.testing.assert_allclose(lines[0], [30, 45, 0, 0], atol=1e-5)
        # The grid is the whole image: 127.9 of 128 cells are 89.93 of 90 pixels, beyond the last centre and cut at its end.
        assert lines[1, [1, 3]].max() == pytest.approx(89.5)
        assert lines[1].max() == pytest.approx(30 + 63.75 * 44.5 / (127.9 * 90 / 128 - 45))


# Lines that do not fit


def drawn(lines: list, size: tuple[int, int] | None) -> Drawn:
    return Drawn(("x",), size, np.array(lines, float), np.ones(len(lines)))


def test_lines_are_cut_at_the_photograph_and_what_is_none_is_counted(folder):
    lines = [
        [10, 10, 50, 10], [50, 10, 10, 10],  # the same
        [-20, 45, 20, 45], [100, 80, 140, 100],  # leave it
        [-9, -9, -1, -1], [200, 0, 200, 80], [-1, -5, -1, 95],  # beside it
        [7, 7, 7, 7],
        [9e5, 5, 2, 5],
    ]  # fmt: skip
    counts = Counts()
    found = place(drawn(lines, (120, 90)), folder / "a.jpg", 0.0, counts)
    assert (counts.lines, counts.cut, counts.outside, counts.points, counts.repeated) == (4, 3, 3, 1, 1)
    np.testing.assert_allclose(found.lines[1], [-0.5, 45, 20, 45])
    assert found.lines[:, ::2].max() <= 119.5 and found.lines[:, 1::2].max() <= 89.5
    np.testing.assert_array_equal(found.lines[0], [10, 10, 50, 10])


def test_files_of_photographs_whose_names_fall_together_stay_apart():
    assert _apart(["a.jpg", "b.png"], ".json") == ["a.json", "b.json"]
    assert _apart(["a.jpg", "A.png"], ".json") == ["a.jpg.json", "A.png.json"]
    assert _apart(["a.jpg", "a.png", "a.jpg.png"], ".json") == ["a.jpg.json", "a.png.json", "a.jpg.png.json"]


def test_a_line_that_lies_too_far_away_is_refused():
    with pytest.raises(ValueError, match="more than 1,000,000 pixels away"):
        drawn([[1e300, 5, 2, 5]], (120, 90))


def test_ends_that_nearly_meet_are_joined_where_asked(folder):
    lines = [[10, 10, 50, 10], [51, 10, 51, 50], [50.4, 9.4, 100, 10], [60, 60, 60.5, 60]]
    apart = place(drawn(lines, (120, 90)), folder / "a.jpg", 0.0, Counts())
    assert len(apart.junctions) == 8
    counts = Counts()
    met = place(drawn(lines, (120, 90)), folder / "a.jpg", 1.5, counts)
    assert (len(met.junctions), counts.lines, counts.repeated) == (4, 3, 1)
    np.testing.assert_allclose(met.junctions[1], np.mean([[50, 10], [51, 10], [50.4, 9.4]], axis=0), rtol=1e-6)


def test_more_near_ends_than_the_memory_holds_are_refused(folder, rng):
    lines = rng.uniform(0, 90, (4000, 4))
    with pytest.raises(UserError, match=r"a\.jpg has .* give a smaller --join"):
        place(drawn(lines.tolist(), (120, 90)), folder / "a.jpg", 90.0, Counts())


def test_labels_of_a_smaller_copy_are_scaled_and_of_another_shape_refused(folder):
    counts = Counts()
    found = place(drawn([[-0.5, -0.5, 29.5, 22]], (30, 23)), folder / "a.jpg", 0.0, counts)
    assert counts.scaled == 1
    # Pixel areas scale: the corner stays the corner.
    np.testing.assert_allclose(found.lines, [[-0.5, -0.5, 119.5, 22.5 * 90 / 23 - 0.5]], rtol=1e-6)
    for size in ((90, 120), (120, 80), (121, 121)):
        with pytest.raises(UserError, match=rf"is 120 x 90 pixels, and its labels were drawn on {size[0]} x {size[1]}"):
            place(drawn([[1, 2, 3, 4]], size), folder / "a.jpg", 0.0, Counts())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_labels_of_the_unturned_picture_only(tmp_path, orientation):
    stored = np.zeros((40, 64), np.uint8)
    stored[7, 50] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photograph.png"
    Image.fromarray(stored).save(path, exif=exif)
    upright, size = read_gray(path)
    assert read_size(path) == (size, orientation)
    y, x = np.argwhere(upright == 255)[0].tolist()
    # Drawn on the upright picture, as labelme and CVAT show it: taken as it stands, whatever EXIF says.
    seen = place(drawn([[x, y, 30, 30]], size), path, 0.0, Counts())
    assert [x, y] in seen.junctions.tolist()
    if orientation in _TURNS and size != (64, 40):
        counts = Counts()
        turned = place(drawn([[50, 7, 30, 30]], (64, 40)), path, 0.0, counts)
        assert [x, y] in turned.junctions.tolist() and counts.turned == 1
        # And on a copy of it in half the size.
        half = place(drawn([[24.75, 3.25, 15, 15]], (32, 20)), path, 0.0, counts)
        assert [x, y] in half.junctions.tolist() and (counts.turned, counts.scaled) == (2, 1)


# Files that are none


BOMB = (
    '<!DOCTYPE a [<!ENTITY x "ha">'
    + "".join(f'<!ENTITY x{n} "{f"&x{n - 1 if n else str()};" * 10}">' for n in range(12))
    + "]><annotations><version>&x11;</version></annotations>"
)
ENTITY = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations><image name="&x;" width="1" height="1"/></annotations>'
IMAGE = '<annotations><image name="a.jpg" width="120" height="90">{}</image></annotations>'
SHAPE = LABELME["shapes"][0]
ENTRY = {"filename": "a.jpg", "width": 120, "height": 90}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("l.json", "[", "is no label file"),
        ("l.json", "{}", "neither a list of images nor labelme's shapes"),
        ("l.json", "7", "neither a list"),
        ("l.json", "[" * 100_000, "nested too deeply"),
        ("l.json", "[]", "labels no image"),
        ("l.json", json.dumps([{"filename": "a.jpg", "width": 120, "height": 90, "lines": [[1, 2, 3]]}]), "image 0 is not annotated"),
        ("l.json", json.dumps([{"filename": "a.jpg", "width": 9, "height": 9, "lines": [[1, 2, 3, 4]], "scores": [2]}]), "from 0 to 1"),
        ("l.json", json.dumps([ENTRY | {"lines": [[1, 2, 3, 4, 0.5]] * 4}]), "lines are not of 4 numbers each"),
        ("l.json", json.dumps([ENTRY | {"lines": [1, 2, 3, 4]}]), "lines are not of 4 numbers each"),
        ("l.json", json.dumps([ENTRY | {"junctions": [[1, 2, 0]] * 2, "edges_positive": [[0, 1]]}]), "junctions are not of 2"),
        ("l.json", json.dumps([ENTRY | {"junctions": [[1, 2]] * 4, "edges_positive": [[0, 1, 2, 3]]}]), "edges are not of 2"),
        ("l.json", json.dumps([ENTRY | {"junctions": [[1, 2]] * 2, "edges_positive": [[0, 1.9]]}]), "by a broken one"),
        ("l.json", json.dumps(LABELME | {"imageWidth": None}), "imageWidth is null"),
        ("l.json", json.dumps(LABELME | {"imageWidth": 0}), "width and height are 0 x 90"),
        ("l.json", json.dumps(LABELME | {"shapes": [SHAPE | {"points": [[1, 2, 3]]}]}), r"shapes\[0\]\.points\[0\] is"),
        ("l.json", json.dumps(LABELME | {"shapes": [SHAPE | {"points": [[1, 10**400], [1, 2]]}]}), "is no label file"),
        ("l.json", json.dumps(LABELME).replace("30.5", "NaN"), "holds NaN"),
        ("l.xml", BOMB, "declares a document type"),
        ("l.xml", ENTITY, "declares a document type"),
        ("l.xml", "<annotations><image", "is no label file"),
        ("l.xml", "<svg/>", "begins with <svg>"),
        ("l.xml", "<a>" * 200_000, "begins with <a>"),
        ("l.xml", "<annotations>" * 200_000, "is no label file"),
        ("l.xml", IMAGE.replace(' width="120"', "").format(""), "<image> without width"),
        ("l.xml", IMAGE.format('<polyline points="1,2;3"/>'), "not of the form x,y;x,y"),
        ("l.xml", IMAGE.format('<polyline points="1,2;nan,4"/>'), "a coordinate is not a number"),
        ("l.xml", IMAGE.format('<polyline points="1,2;x,4"/>'), "is no label file"),
        ("l.xml", IMAGE.format('<polyline points="1,2;3,4"><attribute name="score">7</attribute></polyline>'), "from 0 to 1"),
        ("l.npz", "PK no zip", "is no label file"),
    ],
)  # fmt: skip
def test_what_is_no_label_file_is_one_sentence(folder, tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=sentence) as said:
        own(tmp_path, folder)
    assert name in str(said.value) or "labels no image" in str(said.value)
    assert "\n" not in str(said.value) and len(str(said.value)) < 600


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"junc": np.zeros(3), "Lpos": np.array([[0, 1]])}, {"junc": np.zeros((2, 3)), "Lpos": np.array([[0, 5]])},
        {"junc": np.zeros((2, 3)), "Lpos": np.array([[0, -1]])}, {"lpos": np.zeros((3, 3, 3))}, {"lpos": np.full((1, 2, 3), np.nan)},
        {"lpos": np.array([[None, {}]])}, {"lpos": np.zeros((1, 2, 3)), "scores": np.array([0.5, 0.5])},
        {"lpos": np.array("text")}, {"junc": np.zeros((4, 3)), "Lpos": np.array([[0, 1, 2, 3]])},
    ],
)  # fmt: skip
def test_an_npz_that_is_none_is_one_sentence(folder, tmp_path, fields):
    np.savez(tmp_path / "a.jpg_label.npz", **fields)
    with pytest.raises(UserError, match=r"a\.jpg_label\.npz is no label file"):
        own(tmp_path, folder)


def test_a_pipe_among_label_files_is_not_waited_for(folder, tmp_path):
    for name in ("l.npz", "l.json"):
        place = tmp_path / name[2:]
        place.mkdir()
        os.mkfifo(place / name)
        with pytest.raises(UserError, match=rf"{name} is no label file"):
            own(place, folder)


def test_files_that_grow_beyond_measure_are_refused(folder, tmp_path, monkeypatch):
    """A zip of a few kilobytes that unpacks to more than the limit, and one whose header promises more than it holds."""
    with zipfile.ZipFile(tmp_path / "a.jpg_label.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("lpos.npy", bytes(2**20 + 1))
    monkeypatch.setattr("hawp_core.data.own_labels.lcnn_npz.LARGEST", 2**20)
    with pytest.raises(UserError, match="larger than 1 MB"):
        own(tmp_path, folder)
    header = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 2, 3), }"
    )
    with zipfile.ZipFile(tmp_path / "a.jpg_label.npz", "w") as packed:
        packed.writestr("lpos.npy", header.ljust(127) + b"\n")
    with pytest.raises(UserError, match="is no label file"):
        own(tmp_path, folder)


def test_places_without_labels_say_so(folder, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        own(tmp_path / "none", folder)
    (tmp_path / ".hidden.json").write_text("[]")
    with pytest.raises(UserError, match="holds no label file"):
        own(tmp_path, folder)
