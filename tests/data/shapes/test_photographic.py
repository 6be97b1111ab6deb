"""Shapes that look like photographs: labels lie on what can be seen, as faint and as short as in photographs."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hawp_core.data.label_file import LabelFile
from hawp_core.data.shapes.drawing import SPLITS, draw, synthesize
from hawp_core.data.shapes.primitives import PRIMITIVES, SCENES
from hawp_core.data.shapes.scenes.finishing import finish
from hawp_core.data.shapes.scenes.scene import Scene
from hawp_core.data.shapes.scenes.visibility import SHORTEST, visible_lines
from hawp_core.workflow.recipe_builders import synthesize_recipe
from hawp_core.workflow.settings import complete

pytestmark = pytest.mark.numeric

WITH_LINES = [p for p in SCENES if p != "no_lines"]
SMALL = {"canvas": (360, 480), "image_size": 128, "style": "photographic"}
USUAL = {"canvas": (720, 960), "image_size": 256, "style": "photographic"}


def across(image: np.ndarray, lines: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """(M,) grey levels across each line, of means along it: as an edge or as a ridge."""
    lines = lines.astype(np.float64)
    start, step = lines[:, None, None, :2], (lines[:, 2:] - lines[:, :2])[:, None, None]
    normal = np.stack([-step[..., 1], step[..., 0]], axis=-1) / np.linalg.norm(step, axis=-1, keepdims=True)
    offsets = shift + np.array([-1.75, 0.0, 1.75])
    points = start + np.linspace(0.1, 0.9, 41)[:, None] * step + offsets[:, None, None] * normal
    flat = points.reshape(len(lines), -1, 2).astype(np.float32)
    greys = cv2.remap(image.astype(np.float32), flat, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    left, middle, right = np.moveaxis(greys.reshape(len(lines), 3, 41).mean(axis=2), 1, 0)
    return np.maximum(np.abs(left - right), np.minimum(np.abs(middle - left), np.abs(middle - right)))


@pytest.fixture(scope="module")
def drawn() -> list:
    """Twelve images of each scene with lines."""
    return [draw(p, seed=5, split="train", index=i, **USUAL) for i in range(12) for p in WITH_LINES]


def test_every_label_lies_on_an_edge_that_stands_out(drawn):
    on, beside = (np.concatenate([across(image, w.lines, shift) for image, w in drawn]) for shift in (0.0, 6.0))
    assert np.mean(on >= 5.0) > 0.97
    # Six pixels to the side there is mostly nothing: the measure can tell.
    assert np.median(beside) < 0.5 * np.median(on)


def test_contrast_and_length_are_spread_as_in_photographs(drawn):
    contrast = np.concatenate([across(image, w.lines) for image, w in drawn])
    length = np.concatenate([np.hypot(*(w.lines[:, 2:] - w.lines[:, :2]).T) / w.width for _, w in drawn])
    lines = np.array([len(w.edges) for _, w in drawn])
    low, middle = np.quantile(contrast, [0.05, 0.5])
    assert low < 16.0 and 25.0 < middle < 70.0
    short, usual, long = np.quantile(length, [0.05, 0.5, 0.95])
    assert short < 0.05 and 0.06 < usual < 0.14 and long > 0.3
    assert np.median(lines) > 20 and lines.max() > 100


def twice(lines: np.ndarray, within: float) -> int:
    """How many lines another one accompanies over half their length, nowhere farther than `within` pixels."""
    ends = lines.astype(np.float64).reshape(-1, 2, 2)
    step = ends[:, 1] - ends[:, 0]
    length = np.hypot(*step.T)
    along = step / length[:, None]
    offset = ends[None] - ends[:, None, None, 0]
    beside = np.abs(offset[..., 1] * along[:, None, None, 0] - offset[..., 0] * along[:, None, None, 1]).max(axis=2)
    place = (offset * along[:, None, None]).sum(axis=3)
    common = np.minimum(place.max(axis=2), length[:, None]) - np.maximum(place.min(axis=2), 0.0)
    close = (beside < within) & (common > 0.5 * length)
    np.fill_diagonal(close, False)
    return int(close.any(axis=0).sum())


def test_hardly_any_line_is_labelled_twice(drawn):
    lines = sum(len(w.edges) for _, w in drawn)
    # York Urban has 18 % at this size: two sides of one bar.
    assert sum(twice(w.lines, 2.0) for _, w in drawn) < 0.1 * lines


def test_scenes_without_lines_have_none_and_all_others_have_some():
    for index in range(6):
        assert len(draw("no_lines", seed=1, split="train", index=index, **SMALL)[1].edges) == 0
        assert all(len(draw(p, seed=1, split="train", index=index, **SMALL)[1].edges) for p in WITH_LINES)


@pytest.mark.parametrize("canvas, size", [((240, 320), 128), ((480, 480), 96), ((320, 240), 256)])
def test_wireframes_are_clean(canvas, size):
    for index in range(3):
        for primitive in SCENES:
            image, w = draw(
                primitive, seed=3, split="val", index=index, canvas=canvas, image_size=size, style="photographic"
            )
            assert image.shape == (size, size) and image.dtype == np.uint8 and image.std() > 0
            assert ((w.junctions >= 0) & (w.junctions <= size - 1)).all()
            assert len({tuple(edge) for edge in w.edges.tolist()}) == len(w.edges)
            reach = (w.lines[:, 2:] - w.lines[:, :2]) * np.array(canvas[::-1]) / size
            assert (np.hypot(*reach.T) >= SHORTEST * min(canvas) - 1e-2).all()


def test_the_key_alone_decides():
    images = []
    for state in (1, 2):
        np.random.seed(state)
        cv2.setRNGSeed(state)
        images.append([draw(p, seed=4, split="train", index=9, **SMALL) for p in SCENES])
    for (first, lines), (second, again) in zip(*images, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(lines.lines, again.lines)


@pytest.mark.parametrize("primitive", WITH_LINES)
def test_splits_seeds_and_numbers_share_no_image(primitive):
    keys = [(0, split, index) for split in SPLITS for index in (0, 1)] + [(1, "train", 0)]
    images = [draw(primitive, seed=seed, split=split, index=index, **SMALL)[0] for seed, split, index in keys]
    assert len({image.tobytes() for image in images}) == len(keys)


def test_shards_hold_the_style_and_its_images(tmp_path):
    synthesize(tmp_path / "a.h5", seed=3, split="val", first=2, count=8, **SMALL)
    shard = LabelFile(tmp_path / "a.h5")
    assert shard.names[:2] == ["val/room/000000", "val/boxes/000000"] and shard.names[-1] == "val/front/000001"
    image, wireframe = draw("room", seed=3, split="val", index=0, **SMALL)
    np.testing.assert_array_equal(shard.images()[0], image)
    np.testing.assert_array_equal(shard[shard.names[0]].lines, wireframe.lines)


def test_as_many_scenes_as_published_shapes_and_no_name_twice():
    assert len(SCENES) == len(PRIMITIVES) == len(set(SCENES) | set(PRIMITIVES)) / 2


def square(scene: Scene, low: float, high: float, grey: int) -> None:
    corners = np.array([[low, low], [high, low], [high, high], [low, high]], float)
    scene.outlined(corners, grey, scene.surface())


def plain_scene() -> Scene:
    scene = Scene(np.random.default_rng(0), (400, 400))
    scene.grey[:] = 100
    return scene


def visible(scene: Scene, noise: float = 0.0) -> list[list[int]]:
    lines = visible_lines(scene.lines, scene.owners, scene.owner, scene.grey.astype(np.float32), noise)
    return sorted(np.rint(lines).astype(int).tolist())


def test_what_a_later_surface_hides_is_not_labelled():
    scene = plain_scene()
    square(scene, 50, 200, 160)
    square(scene, 120, 300, 40)
    found = visible(scene)
    assert len(found) == 8
    # The right and the lower side of the first square end where the second one begins.
    ends = [line for line in found if 200 in line and 160 not in line]
    assert [50, 50, 200, 50] in found and all(abs(max(line[2:]) - 200) <= 2 for line in ends if line[:2] == [50, 50])
    cut = next(line for line in found if line[0] == 200 and line[1] == 50)
    assert cut[2] == 200 and abs(cut[3] - 120) <= 3
    square(scene, 20, 380, 220)
    assert visible(scene) == [[20, 20, 380, 20], [20, 380, 20, 20], [380, 20, 380, 380], [380, 380, 20, 380]]


def test_clutter_in_front_cuts_a_line_and_a_thin_stroke_does_not():
    scene = plain_scene()
    scene.strokes(np.array([[50.0, 200.0, 350.0, 200.0]]), 3.0, 180, scene.surface())
    scene.strokes(np.array([[100.0, 100.0, 100.0, 300.0]]), 2.0, 30, scene.surface())
    assert [50, 200, 350, 200] in visible(scene)
    owner = scene.surface()
    for picture, value in ((scene.grey, 60), (scene.owner, owner)):
        cv2.circle(picture, (200, 200), 30, value, -1)
    level = [line for line in visible(scene) if line[1] == line[3] == 200]
    assert [line[0] for line in level] == [50, pytest.approx(231, abs=3)]
    assert [line[2] for line in level] == [pytest.approx(169, abs=3), 350]


@pytest.mark.parametrize(("grey", "noise", "count"), [(104, 0.0, 0), (112, 0.0, 4), (112, 20.0, 0)])
def test_what_is_too_faint_or_lost_in_noise_is_not_labelled(grey, noise, count):
    scene = plain_scene()
    square(scene, 50, 200, grey)
    assert len(visible(scene, noise)) == count


def test_thin_strokes_have_one_line_and_wide_ones_two():
    for width, count in ((2.0, 1), (9.0, 2)):
        scene = plain_scene()
        scene.strokes(np.array([[50.0, 200.0, 350.0, 200.0]]), width, 180, scene.surface())
        assert len(visible(scene)) == count


def test_edges_lie_on_the_geometry_not_beside_it():
    errors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = plain_scene()
        angle, half = rng.uniform(0.0, 6.28), rng.uniform(60.0, 120.0)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ turn.T + 200.0
        scene.outlined(corners, 200, 1)
        quads = plain_scene()
        quads.quads(corners[None], 200, 1)
        for each in (scene, quads):
            for area in ((each.grey.astype(float) - 100).sum() / 100, (each.owner == 1).sum()):
                errors.append((area - 4 * half**2) / (8 * half))
    # Pixels on each side, of either way to paint, in greys and in surfaces.
    assert np.abs(np.mean(np.reshape(errors, (-1, 4)), axis=0)).max() < 0.1, np.mean(
        np.reshape(errors, (-1, 4)), axis=0
    )


def test_noise_follows_the_size_of_the_picture():
    sigmas = {}
    for size in (128, 512):
        _, _, sigmas[size] = finish(plain_scene(), size)
        image, clean, sigma = finish(plain_scene(), size)
        assert np.std(image - clean) == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.1)
    assert max(sigmas.values()) <= 7.0 and sigmas[128] <= 7.0 / 4


def test_an_address_names_the_style_only_where_it_is_not_the_published_one():
    usual, explicit, other = (
        synthesize_recipe(complete({"shapes": shapes}))
        for shapes in ({}, {"style": "published"}, {"style": "photographic"})
    )
    assert usual.key == explicit.key != other.key
    assert "style" not in usual.settings["shapes"] and other.settings["shapes"]["style"] == "photographic"


def test_drawing_scenes_needs_no_torch():
    code = (
        "import sys; from hawp_core.data.shapes.drawing import draw; "
        "draw('room', seed=0, split='val', index=0, image_size=64, canvas=(120, 160), style='photographic'); "
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_an_unknown_style_is_an_error():
    with pytest.raises(ValueError, match="no style 'painted'"):
        draw("room", seed=0, split="val", index=0, style="painted")
    with pytest.raises(ValueError, match="no primitive 'room'"):
        draw("room", seed=0, split="val", index=0)


def test_the_label_file_says_its_style(tmp_path):
    import h5py

    synthesize(tmp_path / "a.h5", seed=0, split="val", first=0, count=1, **SMALL)
    with h5py.File(tmp_path / "a.h5") as file:
        assert json.loads(file.attrs["about"])["style"] == "photographic"
