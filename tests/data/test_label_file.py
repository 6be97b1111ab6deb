"""Wireframes and the label file."""

import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hawp_core.data.label_file import LabelFile
from hawp_core.data.label_writing import write_labels, write_parts
from hawp_core.data.names import Names
from hawp_core.errors import UserError
from hawp_core.geometry.wireframe import Wireframe

coordinates = st.floats(-50, 2000, width=32)
lines = arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=coordinates)
names = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), unique=True, max_size=5)


def same(one: Wireframe, other: Wireframe) -> bool:
    fields = ("junctions", "edges", "scores")
    return (one.width, one.height) == (other.width, other.height) and all(
        np.array_equal(getattr(one, field), getattr(other, field)) for field in fields
    )


@settings(deadline=None, max_examples=60)
@given(names, st.data())
def test_label_file_round_trip(tmp_path_factory, names, data):
    wireframes = [Wireframe.from_lines(data.draw(lines), 640, 480) for _ in names]
    path = tmp_path_factory.mktemp("labels") / "a.h5"
    write_labels(path, names, wireframes, about={"made": "here"})
    read = LabelFile(path)
    assert read.names == names
    assert read.about == {"made": "here"}
    assert all(same(read[name], wireframe) for name, wireframe in zip(names, wireframes, strict=True))
    assert read.line_count == sum(len(w.edges) for w in wireframes)


@given(lines)
def test_from_lines_has_no_duplicate_no_empty_edge_no_lone_junction(found):
    wireframe = Wireframe.from_lines(found, 10, 10)
    edges = wireframe.edges
    assert (edges[:, 0] < edges[:, 1]).all()
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert set(edges.reshape(-1)) == set(range(len(wireframe.junctions)))


def test_resizing_keeps_pixel_areas():
    wireframe = Wireframe.from_lines([[-0.5, -0.5, 9.5, 19.5]], 10, 20)
    # The outer corners of the corner pixels stay outer corners.
    assert np.allclose(wireframe.resized(30, 5).lines, [[-0.5, -0.5, 29.5, 4.5]])
    assert np.allclose(wireframe.resized(30, 5).resized(10, 20).lines, wireframe.lines, atol=1e-5)


def test_images_are_mapped_and_a_cut_file_is_refused(tmp_path):
    images = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)
    path = tmp_path / "shard.h5"
    write_labels(path, ["a", "b"], [Wireframe.empty(8, 8)] * 2, images=images)
    assert np.array_equal(LabelFile(path).images(), images)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"shard\.h5"):
        LabelFile(path).images()


def test_every_flipped_byte_of_a_label_is_noticed(tmp_path):
    path = tmp_path / "labels.h5"
    write_labels(path, ["a"], [Wireframe.from_lines([[1, 2, 3, 4], [3, 4, 60, 70.5]], 100, 90)])
    truth, whole = LabelFile(path)["a"], path.read_bytes()
    for position in range(0, len(whole), 61):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :])
        try:
            read = LabelFile(path)
            found = read["a"] if read.names == ["a"] else None
        except UserError:
            continue
        # Bytes of HDF5's own bookkeeping may change nothing; what is read must then be what was written.
        assert found is not None, position
        assert same(found, truth), position


def test_another_version_says_so(tmp_path):
    path = tmp_path / "old.h5"
    write_labels(path, [], [])
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "hawp-rounds wireframes 0"
    with pytest.raises(UserError, match="this version reads"):
        LabelFile(path)


@settings(deadline=None, max_examples=50)
@given(names)
def test_names_in_any_order_are_found(names):
    kept = Names.of(names)
    assert list(kept) == names and kept == names and kept[1:] == names[1:]
    assert [kept.row(name) for name in names] == list(range(len(names)))
    assert "none of\0these" not in kept and "\ud800" not in kept and 5 not in kept


def test_names_that_come_twice_are_refused():
    with pytest.raises(ValueError, match="twice"):
        Names.of(["b", "a", "b"])


@pytest.fixture
def some() -> tuple[list[str], list[Wireframe]]:
    """Names and wireframes, one without a line."""
    rng = np.random.default_rng(0)
    return ["a", "é", "b", "c"], [Wireframe.from_lines(rng.uniform(0, 90, (k, 4)), 100, 90) for k in (3, 0, 9, 1)]


def test_the_parts_that_labels_come_in_change_no_byte(tmp_path, some):
    names, wireframes = some
    write_labels(tmp_path / "all.h5", names, wireframes, about={"made": "here"})
    for i, part in enumerate([slice(0, 1), slice(1, 1), slice(1, 4)]):
        write_labels(tmp_path / f"{i}.h5", names[part], wireframes[part])
    parts = [LabelFile(tmp_path / f"{i}.h5") for i in range(3)]
    totals = 4, sum(part.junction_count for part in parts), sum(part.line_count for part in parts)
    write_parts(tmp_path / "joined.h5", totals, (part.labels() for part in parts), None, {"made": "here"})
    assert (tmp_path / "joined.h5").read_bytes() == (tmp_path / "all.h5").read_bytes()


def test_labels_are_compared_when_they_are_read_and_those_of_before_when_they_are_opened(tmp_path, some):
    path = tmp_path / "labels.h5"
    write_labels(path, *some)
    with h5py.File(path) as file:
        offset = file["scores"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset + 4 * 4] ^= 1  # the second score of "b"
    path.write_bytes(content)
    read = LabelFile(path)
    assert all(same(read[name], wireframe) for name, wireframe in zip(*some, strict=True) if name != "b")
    for use in (lambda: read["b"], read.check, read.labels):
        with pytest.raises(UserError, match=r"labels\.h5 .*the labels of 'b' changed since they were written"):
            use()
    with h5py.File(path, "r+") as file:
        del file["label_sums"]
    with pytest.raises(UserError, match=r"the bytes of 'scores' changed"):
        LabelFile(path)
    write_labels(path, *some)
    with h5py.File(path, "r+") as file:
        del file["label_sums"]
    read = LabelFile(path)
    assert all(same(read[name], wireframe) for name, wireframe in zip(*some, strict=True))
    assert read.labels().sums.dtype == np.uint32


def test_a_worker_maps_the_labels_itself(tmp_path, some):
    path = tmp_path / "labels.h5"
    write_labels(path, [f"{i:04d}" for i in range(1000)], [some[1][2]] * 1000)
    sent = pickle.dumps(LabelFile(path))
    assert len(sent) < path.stat().st_size / 5
    assert same(pickle.loads(sent)["0500"], some[1][2])


@pytest.mark.parametrize(("at", "value"), [(0, bytes(16)), (8, b"\xf0" + b"\xff" * 7), (40, bytes(8))])
def test_strings_that_lead_nowhere_are_refused(tmp_path, at, value):
    """HDF5 itself would walk among them without end: over a size of zero, over one that wraps around, and at their last one."""
    path = tmp_path / "a.h5"
    write_labels(path, ["a"], [Wireframe.empty(8, 8)], images=np.zeros((1, 8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    first = content.find(b"GCOL") + 16
    if at == 40:  # what is free
        first = next(i for i in range(first, len(content), 8) if content[i : i + 2] == b"\0\0" and content[i + 9]) - 32
    content[first + at : first + at + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(UserError, match="its strings are damaged"):
        LabelFile(path)
