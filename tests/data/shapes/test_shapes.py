"""Synthetic shapes: exact labels on edges that can be seen, the same pixels whoever draws them."""

import itertools

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawp_core.data.label_file import LabelFile
from hawp_core.data.shapes import drawing
from hawp_core.data.shapes.drawing import MIN_LABELLED, SPLITS, draw, labelled_lines, synthesize
from hawp_core.data.shapes.primitives import PRIMITIVES
from hawp_core.data.shapes.published.boards import grid_lines, joined_edges
from hawp_core.data.shapes.published.canvas import background, fill, fill_grid, soften, stroke

pytestmark = pytest.mark.numeric

WITH_LINES = [p for p in PRIMITIVES if p != "gaussian_noise"]
SMALL = {"canvas": (240, 320), "image_size": 128}


def profiles(image: np.ndarray, lines: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(M, K, 31) greys at 31 places along each line, at K offsets to its right, bilinear."""
    start, step = lines[:, None, None, :2], (lines[:, 2:] - lines[:, :2])[:, None, None]
    normal = np.stack([-step[..., 1], step[..., 0]], axis=-1) / np.linalg.norm(step, axis=-1, keepdims=True)
    points = start + np.linspace(0.15, 0.85, 31)[:, None] * step + offsets[:, None, None] * normal
    flat = points.reshape(len(lines), len(offsets) * 31, 2).astype(np.float32)
    if not len(lines):
        return np.zeros((0, len(offsets), 31))
    greys = cv2.remap(image.astype(np.float32), flat, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return greys.reshape(len(lines), len(offsets), 31)


def contrast(image: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """(M,) median over the line of the contrast across it, as an edge or as a ridge, between 2 and 6 px away."""
    reach = np.array([2.0, 4.0, 6.0])
    greys = profiles(image, lines.astype(np.float64), np.concatenate([-reach, [0.0], reach]))
    left, centre, right = greys[:, :3], greys[:, 3:4], greys[:, 4:]
    ridge = np.minimum(np.abs(centre - left), np.abs(centre - right))
    return np.median(np.maximum(np.abs(left - right), ridge).max(axis=1), axis=1)


@pytest.mark.parametrize("primitive", WITH_LINES)
def test_every_label_has_a_visible_edge(primitive):
    values, elsewhere = [], []
    for index in range(12):
        image, wireframe = draw(primitive, seed=5, split="train", index=index)
        other, _ = draw(primitive, seed=6, split="train", index=index)
        values.append(contrast(image, wireframe.lines))
        elsewhere.append(contrast(other, wireframe.lines))
    assert np.mean(np.concatenate(values) >= 12.0) >= 0.98
    # The same lines on another image are not on edges: the measure can tell.
    assert np.mean(np.concatenate(elsewhere) >= 12.0) < 0.9 * np.mean(np.concatenate(values) >= 12.0)


@pytest.mark.parametrize(("primitive", "ridge"), [("polygon", False), ("multiple_polygons", False), ("lines", True)])
def test_labels_are_at_the_edge_to_a_fraction_of_a_pixel(primitive, ridge):
    offsets = np.arange(-5.0, 5.01, 0.25)
    errors, inwards = [], []
    for index in range(12):
        image, wireframe = draw(primitive, seed=7, split="test", index=index)
        lines = wireframe.lines[((wireframe.lines > 6) & (wireframe.lines < 505)).all(axis=1)].astype(np.float64)
        for line, profile in zip(lines, profiles(image, lines, offsets).mean(axis=2), strict=True):
            slope = np.linspace(profile[0], profile[-1], len(profile))
            weight = np.abs(profile - slope) if ridge else np.abs(np.diff(profile))
            places = offsets if ridge else offsets[:-1] + 0.125
            errors.append((weight * places).sum() / weight.sum())
            to_centre = wireframe.junctions.mean(axis=0) - line[:2]
            inwards.append(errors[-1] * np.sign(to_centre @ [line[1] - line[3], line[2] - line[0]]))
    assert len(errors) > 10
    assert np.median(np.abs(errors)) < 0.12
    if primitive == "polygon":
        # Shapes are neither swollen nor shrunk.
        assert abs(np.mean(inwards)) < 0.06


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(PRIMITIVES),
    st.integers(0, 2**31),
    st.sampled_from(sorted(SPLITS)),
    st.integers(0, 10**6),
    st.sampled_from([((240, 320), 128), ((240, 320), 256), ((480, 480), 192), ((960, 1280), 64)]),
)
def test_wireframes_are_clean(primitive, seed, split, index, sizes):
    canvas, size = sizes
    image, wireframe = draw(primitive, seed=seed, split=split, index=index, image_size=size, canvas=canvas)
    assert image.shape == (size, size) and image.dtype == np.uint8 and image.std() > 0
    assert (wireframe.width, wireframe.height) == (size, size)
    assert (len(wireframe.edges) == 0) == (primitive == "gaussian_noise")
    assert ((wireframe.junctions >= 0) & (wireframe.junctions <= size - 1)).all()
    assert len(np.unique(wireframe.junctions, axis=0)) == len(wireframe.junctions)
    assert len({tuple(edge) for edge in wireframe.edges.tolist()}) == len(wireframe.edges)
    assert (wireframe.edges[:, 0] < wireframe.edges[:, 1]).all()
    # The minimum holds on the canvas, whose sides are resized by different factors.
    across = (wireframe.lines[:, 2:] - wireframe.lines[:, :2]) * np.array(canvas[::-1]) / size
    assert (np.hypot(*across.T) >= MIN_LABELLED * min(canvas) - 1e-3).all()


@pytest.mark.parametrize("primitive", WITH_LINES)
def test_labels_follow_a_resize(primitive):
    inner = 0
    for index in range(8):
        _, large = draw(primitive, seed=8, split="val", index=index, image_size=512)
        _, small = draw(primitive, seed=8, split="val", index=index, image_size=256)
        # Ends on the border are cut half a pixel apart; all others are the same points.
        found, expected = (
            lines[((lines > 2) & (lines < 509)).all(axis=1)] for lines in (small.resized(512, 512).lines, large.lines)
        )
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-3)
        inner += len(found)
    assert inner >= 8


def test_shards_do_not_change_the_images(tmp_path):
    pixels, labels = [], []
    for number, cuts in enumerate([(0, 20), (0, 3, 11, 20)]):
        images, lines, names = [], [], []
        for first, end in itertools.pairwise(cuts):
            path = tmp_path / f"{number}-{first}.h5"
            ticks = []
            synthesize(
                path, seed=3, split="val", first=first, count=end - first, progress=lambda t=ticks: t.append(1), **SMALL
            )
            assert len(ticks) == end - first
            shard = LabelFile(path)
            images.append(np.array(shard.images()))
            lines += [shard[name].lines for name in shard.names]
            names += shard.names
        pixels.append(np.concatenate(images))
        labels.append((names, np.concatenate(lines)))
    assert labels[0][0] == labels[1][0]
    assert labels[0][0][:2] == ["val/checkerboard/000000", "val/lines/000000"] and labels[0][0][8][-6:] == "000001"
    np.testing.assert_array_equal(pixels[0], pixels[1])
    np.testing.assert_array_equal(labels[0][1], labels[1][1])
    with h5py.File(path) as file:
        assert '"first": 11' in file.attrs["about"]


def test_pixels_depend_on_the_key_alone():
    images = []
    for state in (1, 2):
        np.random.seed(state)
        cv2.setRNGSeed(state)
        images.append([draw(p, seed=4, split="train", index=9, **SMALL) for p in PRIMITIVES])
        assert np.random.get_state()[1][0] == state
    for (first, lines), (second, again) in zip(*images, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(lines.lines, again.lines)


@pytest.mark.parametrize("primitive", WITH_LINES)
def test_splits_seeds_and_numbers_share_no_geometry(primitive):
    keys = [(0, split, index) for split in SPLITS for index in (0, 1)] + [(1, "train", 0)]
    drawn = [draw(primitive, seed=seed, split=split, index=index, **SMALL) for seed, split, index in keys]
    junctions = np.concatenate([wireframe.junctions for _, wireframe in drawn])
    # Junctions on the border share a coordinate, so whole points are compared.
    assert len(np.unique(junctions.round(3), axis=0)) >= len(junctions) - 1
    assert len({image.tobytes() for image, _ in drawn}) == len(keys)


def test_lines_neither_cross_nor_touch():
    for index in range(40):
        _, wireframe = draw("lines", seed=9, split="train", index=index, **SMALL)
        mask = np.zeros((512, 512), np.uint8)
        for x1, y1, x2, y2 in np.rint(wireframe.lines * 4).astype(int).tolist():
            cv2.line(mask, (x1, y1), (x2, y2), 255)
        assert cv2.connectedComponents(mask, connectivity=8)[0] - 1 == len(wireframe.edges)


def test_cubes_show_at_most_nine_edges_and_seven_corners():
    for index in range(30):
        _, wireframe = draw("cube", seed=2, split="train", index=index, **SMALL)
        whole = (wireframe.junctions > 0).all() and (wireframe.junctions < 127).all()
        assert len(wireframe.edges) <= 9 and (not whole or len(wireframe.junctions) <= 7)


def step_picture(left: int = 60, right: int = 160) -> np.ndarray:
    picture = np.full((960, 1280), left, np.uint8)
    picture[:, 640:] = right
    return picture


def label(picture: np.ndarray, *line: float, width: float = 0.0) -> np.ndarray | None:
    return labelled_lines(picture, np.array([line]), np.array([width]), 512)


def test_only_seen_lines_are_labelled():
    edge = (639.5, 100.0, 639.5, 800.0)
    found = label(step_picture(), *edge)
    np.testing.assert_allclose(found, [[255.5, 100.5 / 1.875 - 0.5, 255.5, 800.5 / 1.875 - 0.5]])
    assert len(label(step_picture(), 300.0, 100.0, 300.0, 800.0)) == 0, "nothing there"
    assert len(label(step_picture(100, 104), *edge)) == 0, "too faint for anyone"
    assert len(label(step_picture(), 639.5, 100.0, 639.5, 194.0)) == 0, "too short"
    assert len(label(step_picture(), 639.5, -800.0, 639.5, 90.0)) == 0, "too short inside the image"


def test_faint_and_partly_hidden_lines_end_the_drawing():
    edge = (639.5, 100.0, 639.5, 800.0)
    assert label(step_picture(100, 112), *edge) is None
    covered = step_picture()
    covered[300:600, 500:800] = 30
    assert label(covered, *edge) is None


def test_a_stroke_is_labelled_along_its_centre():
    picture = step_picture(90, 90)
    stroke(picture, np.array([100.0, 200.0, 900.0, 700.0]), 200, 18)
    assert len(label(picture, 100.0, 200.0, 900.0, 700.0, width=20.0)) == 1
    # Beyond the stroke there is nothing, and inside it no contrast close by.
    assert len(label(picture, 100.0, 300.0, 900.0, 800.0, width=20.0)) == 0


def test_edges_without_a_corner_between_them_are_one_line():
    vertices = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1)
    along = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    across = np.array([[1, 0, 1, 1], [1, 0, 0, 1]], bool)
    lines = [line.tolist() for line in joined_edges(vertices, along, across)]
    top, middle, bottom = ([line for line in lines if line[1] == y] for y in (0, 1, 2))
    assert top == [[0, 0, 2, 0], [2, 0, 3, 0]]
    assert middle == [[0, 1, 1, 1], [2, 1, 3, 1]]
    assert bottom == [[0, 2, 3, 2]]


def test_cells_of_one_grey_have_no_edge_between_them():
    picture = np.full((960, 1280), 20, np.uint8)
    vertices = np.stack(np.meshgrid([200.0, 500.0, 800.0], [100.0, 400.0, 700.0]), axis=-1)
    fill_grid(picture, vertices, np.array([[120, 120], [220, 60]]))
    lines, _ = grid_lines(picture, vertices, 0.0)
    found = {tuple(line) for line in lines.tolist()}
    # Upper cells are one: their common edge is gone, and the upper rim runs through; elsewhere corners remain.
    assert (200.0, 100.0, 800.0, 100.0) in found
    assert (500.0, 100.0, 500.0, 400.0) not in found and (500.0, 400.0, 500.0, 700.0) in found
    assert {(200.0, 400.0, 500.0, 400.0), (500.0, 400.0, 800.0, 400.0)} <= found
    assert len(found) == 10


def test_a_drawing_that_always_fails_ends_with_a_clear_error(monkeypatch):
    calls = []
    monkeypatch.setitem(drawing._PAINTERS, "star", lambda rng, picture: calls.append(rng.random()))
    with pytest.raises(ValueError, match=r"1000 draws of 'star' on a canvas of \(24, 32\)"):
        draw("star", seed=0, split="train", index=0, canvas=(24, 32), image_size=16)
    assert len(set(calls)) == drawing.MAX_DRAWS, "every draw goes on where the last one ended"


@pytest.mark.parametrize("change", [{"primitive": "ellipse"}, {"split": "validation"}, {"seed": -1}])
def test_unknown_keys_are_errors(change):
    key = {"primitive": "cube", "seed": 0, "split": "train", "index": 0} | change
    with pytest.raises(ValueError):
        draw(key.pop("primitive"), **key)


@pytest.mark.parametrize("mirrored", [False, True])
def test_filled_areas_are_those_of_the_polygons(mirrored):
    excesses = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        angle, (a, b) = rng.uniform(0.0, 6.28), rng.uniform(60.0, 150.0, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = np.array([[-a, -b], [a, -b], [a, b], [-a, b]]) @ turn.T + 220.0 + rng.random(2)
        corners = corners[::-1] if mirrored else corners
        picture, grid = np.zeros((2, 440, 440), np.uint8)
        fill(picture, corners, 1)
        fill_grid(grid, np.stack([corners[[0, 1]], corners[[3, 2]]]), np.array([[1]]))
        excesses.append([(int(p.sum()) - 4 * a * b) / (4 * (a + b)) for p in (picture, grid)])
    # Pixels on each side; OpenCV's own fill has 0.45.
    assert np.abs(np.mean(excesses, axis=0)).max() < 0.1
    assert np.abs(excesses).max() < 0.5


def test_neighbouring_cells_leave_no_gap_and_meet_on_the_grid_line():
    holes, errors = 0, []
    for seed in range(40):
        angle = np.random.default_rng(seed).uniform(0.0, 6.28)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        vertices = np.stack(np.meshgrid([-150.0, 0.0, 150.0], [-150.0, 150.0]), axis=-1) @ turn.T + 250.0
        picture = np.zeros((500, 500), np.uint8)
        fill_grid(picture, vertices, np.array([[1, 2]]))
        inner = np.zeros_like(picture)
        cv2.fillConvexPoly(inner, np.rint((vertices[[0, 0, 1, 1], [0, 2, 2, 0]] - 250.0) * 0.97 + 250.0).astype(int), 1)
        holes += int(((picture == 0) & (inner > 0)).sum())
        errors.append(((picture == 1).sum() - (picture == 2).sum()) / 2 / 300)
    # Pixels along 300 of common edge, and across it.
    assert holes / (40 * 300) < 0.01
    assert abs(np.mean(errors)) < 0.1


def test_the_final_image_is_that_of_the_published_blur_and_resize():
    for number, primitive in enumerate(PRIMITIVES):
        rng = np.random.default_rng(number)
        picture = background(rng, drawing.CANVAS)
        drawing._PAINTERS[primitive](rng, picture)
        published = cv2.resize(cv2.GaussianBlur(picture, (11, 11), 0), (512, 512)).astype(int)
        found = soften(picture, 512).astype(int)
        noise = primitive == "gaussian_noise"
        assert np.abs(found - published).mean() < (3.0 if noise else 0.3)
        assert abs(found.mean() - published.mean()) < 0.3 and abs(found.std() / published.std() - 1) < 0.05
