"""Homographies, clipping and warping: one convention for pixel centres, proved by round trips."""

import kornia
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hawp_core.geometry.homography import MIN_LINE, clip_lines, sample_homography, warp_lines, warp_points
from hawp_core.geometry.warping import invert, warp_images, warp_validity

pytestmark = pytest.mark.numeric

SIZE = 128
VIEW = {"patch_ratio": 0.85, "perspective": 0.2, "scale": 0.2}
# Its horizon x = 40 crosses the image: what lies right of it is behind the camera.
HORIZON = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1 / 40, 0.0, 1.0]])
SHIFT = np.array([[1.0, 0.0, 20.0], [0.0, 1.0, 15.0], [0.0, 0.0, 1.0]])

seeds = st.integers(0, 2**32 - 1)


def draw(seed, *, artifacts=False, width=SIZE, height=SIZE, **changes):
    return sample_homography(np.random.default_rng(seed), width, height, artifacts=artifacts, **{**VIEW, **changes})


def grid(size=SIZE):
    return np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(float)


def as_image(values):
    return torch.from_numpy(values).float()[None, None]


def as_batch(*homographies):
    return torch.from_numpy(np.stack(homographies))


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_views_without_artifacts_keep_the_frame_inside(seed):
    homography = draw(seed, width=96, height=64)
    corners = np.array([[-0.5, -0.5], [95.5, -0.5], [95.5, 63.5], [-0.5, 63.5]])
    warped = warp_points(homography, corners)
    assert (warped >= -0.5 - 1e-6).all()
    assert (warped <= np.array([95.5, 63.5]) + 1e-6).all()


@given(seeds, st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_whole_image_lies_in_front_of_the_camera_and_keeps_its_orientation(seed, artifacts):
    homography = draw(seed, artifacts=artifacts, perspective=0.6, overflow=0.05)
    assert np.isfinite(warp_points(homography, grid())).all()
    assert np.linalg.det(homography) > 0


def test_a_view_without_any_disturbance_shrinks_the_frame_about_its_centre():
    homography = sample_homography(
        np.random.default_rng(0), 100, 60, patch_ratio=0.8, perspective=0, scale=0, max_angle=0, translation=False
    )
    expected = [[0.8, 0, 0.2 * 49.5], [0, 0.8, 0.2 * 29.5], [0, 0, 1]]
    np.testing.assert_allclose(homography, expected, atol=1e-9)


def test_a_patch_as_large_as_the_frame_is_drawn_without_end():
    homography = sample_homography(
        np.random.default_rng(0), 64, 64, patch_ratio=1.0, perspective=0.2, scale=0.2, artifacts=False
    )
    corners = warp_points(homography, np.array([[-0.5, -0.5], [63.5, 63.5]]))
    assert (np.abs(corners - 31.5) <= 32 + 1e-6).all()


def test_views_spread_over_angles_scales_and_places():
    views = [draw(seed, artifacts=True) for seed in range(200)]
    centres = np.stack([warp_points(view, np.array([63.5, 63.5])) for view in views])
    along = np.stack([warp_points(view, np.array([64.5, 63.5])) for view in views]) - centres
    angles, scales = np.arctan2(along[:, 1], along[:, 0]), np.hypot(*along.T)
    assert angles.min() < -1.2
    assert angles.max() > 1.2
    assert 0.75 < np.median(scales) < 0.95
    assert scales.std() > 0.05
    assert (centres.std(axis=0) > 3).all()


def test_the_same_generator_gives_the_same_view():
    np.testing.assert_array_equal(draw(7), draw(7))
    assert not np.array_equal(draw(7), draw(8))


def test_points_behind_the_camera_have_no_image():
    warped = warp_points(HORIZON, np.array([[10.0, 5.0], [40.0, 5.0], [60.0, 5.0]]))
    np.testing.assert_allclose(warped[0], [10 / 0.75, 5 / 0.75])
    assert np.isnan(warped[1:]).all()


def test_a_line_that_passes_behind_the_camera_is_cut_and_stays_on_its_line():
    lines = warp_lines(HORIZON, np.array([[10.0, 5, 60, 30], [60.0, 30, 10, 5], [50.0, 5, 60, 9]]))
    assert np.isnan(lines[2]).all()
    np.testing.assert_allclose(lines[0], lines[1][[2, 3, 0, 1]])
    through = warp_points(HORIZON, np.array([[10.0, 5], [20, 10]]))
    direction, towards = through[1] - through[0], lines[0, 2:] - lines[0, :2]
    assert abs(direction[0] * towards[1] - direction[1] * towards[0]) / np.hypot(*towards) < 1e-5
    clipped, rows = clip_lines(lines, SIZE, SIZE)
    assert rows.tolist() == [0, 1]
    assert clipped.max() <= SIZE - 1


coordinates = st.floats(-60, 120, allow_nan=False).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=8))
@settings(max_examples=150, deadline=None)
def test_clipping_keeps_exactly_the_part_inside(lines):
    lines = np.array(lines, float).reshape(-1, 4)
    clipped, rows = clip_lines(lines, 64, 48, min_length=0.5)
    assert len(clipped) == len(rows)
    assert (clipped >= 0).all()
    assert (clipped <= [63, 47, 63, 47]).all()
    share = np.linspace(0, 1, 4001)[:, None]
    for number, line in enumerate(lines):
        points = line[:2] + share * (line[2:] - line[:2])
        inside = points[((points >= 0) & (points <= [63, 47])).all(axis=1)]
        step = np.hypot(*(line[2:] - line[:2])) / 4000 + 1e-9
        if number in rows:
            kept = clipped[rows.tolist().index(number)]
            assert np.hypot(*(kept[2:] - kept[:2])) >= 0.5
            assert np.hypot(*(inside[0] - kept[:2])) <= step * 1.01
            assert np.hypot(*(inside[-1] - kept[2:])) <= step * 1.01
        elif len(inside):
            assert np.hypot(*(inside[-1] - inside[0])) < 0.5 + 2 * step


def test_clipping_leaves_inner_ends_alone_and_drops_what_is_left_over():
    lines = np.array([[1 / 3, 0.1, 62.9, 47.0], [-5, 20, 30 + 1 / 3, 20], [63, -9, 63, 90], [-1, 0.5, 0.5, -1],
                      [np.nan] * 4, [5, 5, 5, 5], [5, 5, 5 + 0.9 * MIN_LINE, 5]])  # fmt: skip
    clipped, rows = clip_lines(lines, 64, 48)
    assert rows.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(clipped[0], lines[0])
    np.testing.assert_array_equal(clipped[1], [0, 20, 30 + 1 / 3, 20])
    np.testing.assert_array_equal(clipped[2], [63, 0, 63, 47])
    assert clip_lines(np.zeros((0, 4)), 64, 48)[0].shape == (0, 4)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_inverses_agree_with_lapack(seed):
    homography = draw(seed, artifacts=True)
    np.testing.assert_allclose(invert(as_batch(homography))[0], np.linalg.inv(homography), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_warping_agrees_with_kornia(mode, padding):
    images = torch.rand(3, 2, 40, 56, generator=torch.Generator().manual_seed(0))
    homographies = as_batch(*(draw(seed, width=56, height=40) for seed in range(3)))
    expected = kornia.geometry.warp_perspective(
        images, homographies.float(), (40, 56), mode=mode, padding_mode=padding, align_corners=True
    )
    difference = (warp_images(images, homographies, padding=padding, mode=mode) - expected).abs()
    # Nearest neighbours may differ where a coordinate falls on the middle between two pixels.
    assert difference.mean() < 1e-4
    assert (difference > 1e-3).float().mean() < 1e-3


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_a_homography_is_the_one_through_its_corners_and_moves_points_as_kornia_does(seed):
    homography = torch.from_numpy(draw(seed, artifacts=True))[None]
    frame = np.array([[-0.5, -0.5], [-0.5, SIZE - 0.5], [SIZE - 0.5, SIZE - 0.5], [SIZE - 0.5, -0.5]])
    moved = kornia.geometry.transform_points(homography, torch.from_numpy(frame)[None])
    np.testing.assert_allclose(warp_points(homography[0].numpy(), frame), moved[0], atol=1e-8)
    solved = kornia.geometry.get_perspective_transform(torch.from_numpy(frame)[None], moved)
    np.testing.assert_allclose(homography / homography[:, 2:, 2:], solved, atol=1e-8)


def test_the_identity_changes_nothing():
    image = torch.rand(2, 1, 33, 65, generator=torch.Generator().manual_seed(0))
    eye = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    np.testing.assert_allclose(warp_images(image, eye), image, atol=2e-5)
    half = warp_images(image.bfloat16(), eye)
    assert half.dtype == torch.bfloat16
    np.testing.assert_allclose(half.float(), image, atol=5e-3)
    assert warp_validity(eye, 33, 65).all()
    inner = warp_validity(eye, 33, 65, margin=3.0)
    assert inner[:, 3:-3, 3:-3].all()
    assert inner.sum() == 2 * 27 * 59


@pytest.mark.parametrize("margin", [0.0, 3.0])
@pytest.mark.parametrize(
    "homography", [draw(1, artifacts=True), SHIFT @ np.linalg.inv(draw(2)), draw(3), SHIFT @ HORIZON]
)
def test_validity_is_the_exact_polygon(homography, margin):
    inverse = np.linalg.inv(homography)
    source = warp_points(inverse, grid())
    inside = ((source >= 0) & (source <= SIZE - 1)).all(axis=-1)
    # Sides of the visible polygon, as lines in the warped image: the image of x = 0 is row 0 of the inverse, ...
    sides = np.stack(
        [inverse[0], inverse[0] - (SIZE - 1) * inverse[2], inverse[1], inverse[1] - (SIZE - 1) * inverse[2]]
    )
    homogeneous = np.concatenate([grid(), np.ones((SIZE, SIZE, 1))], axis=-1)
    distance = np.abs(homogeneous @ sides.T / np.hypot(sides[:, 0], sides[:, 1])).min(axis=-1)
    expected = inside & (distance >= margin)
    found = warp_validity(as_batch(homography), SIZE, SIZE, margin)[0].numpy()
    undecided = np.abs(distance - margin) < 0.01
    assert 100 < expected.sum() < SIZE**2
    np.testing.assert_array_equal(found[~undecided], expected[~undecided])


def test_nothing_from_behind_the_camera_is_shown():
    image = torch.ones(1, 1, SIZE, SIZE)
    beyond = as_batch(np.linalg.inv(HORIZON) @ np.diag([-1.0, -1.0, 1.0]))
    shown = warp_images(image, beyond)[0, 0]
    assert torch.isfinite(shown).all()
    assert (shown[1:, 1:] == 0).all()
    assert not warp_validity(beyond, SIZE, SIZE)[0, 1:, 1:].any()


def blob(points, centre):
    return np.exp(-((points - centre) ** 2).sum(axis=-1) / (2 * 3.5**2))


def centroid(values):
    return (grid(len(values)) * values[..., None]).sum(axis=(0, 1)) / values.sum()


@given(seeds, st.floats(60, 195), st.floats(60, 195))
@settings(max_examples=40, deadline=None)
def test_round_trip_of_pixels_and_points(seed, x, y):
    """Image to warp to unwarp, under 0.05 px; and in between the pixels are where the points go."""
    homography, point = draw(seed, width=256, height=256), np.array([x, y])
    inverse, pixels = np.linalg.inv(homography), grid(256)
    warped = warp_images(as_image(blob(pixels, point)), as_batch(homography))
    back = warp_images(warped, as_batch(inverse))
    # What the warped picture is without any resampling: brightest at the warped point.
    exact = blob(warp_points(inverse, pixels), point)
    assert np.hypot(*(centroid(warped[0, 0].numpy()) - centroid(exact))) < 0.05
    assert blob(warp_points(inverse, warp_points(homography, point)), point) > 1 - 1e-9
    assert np.hypot(*(centroid(back[0, 0].numpy()) - point)) < 0.05


@given(seeds, st.lists(st.floats(5, 122), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_round_trip_of_lines(seed, line):
    homography = draw(seed)
    back = warp_lines(np.linalg.inv(homography), warp_lines(homography, np.array([line])))
    np.testing.assert_allclose(back[0], line, atol=1e-6)


@given(seeds, st.floats(0, np.pi))
@settings(max_examples=30, deadline=None)
def test_a_drawn_line_and_its_label_stay_together(seed, angle):
    """Brightness along the warped label's normals is centred on the label, within 0.05 px."""
    homography, normal = draw(seed), np.array([-np.sin(angle), np.cos(angle)])
    picture = np.exp(-(((grid() - 63.5) @ normal) ** 2) / (2 * 2.0**2))
    along = np.array([normal[1], -normal[0]]) * 45
    label = warp_lines(homography, np.concatenate([63.5 - along, 63.5 + along])[None])[0]
    warped = warp_images(as_image(picture), as_batch(homography))
    step = (label[2:] - label[:2]) / np.hypot(*(label[2:] - label[:2]))
    offsets = np.linspace(-6, 6, 49)
    centres = label[:2] + np.linspace(0.1, 0.9, 21)[:, None] * (label[2:] - label[:2])
    places = centres[:, None] + offsets[None, :, None] * np.array([-step[1], step[0]])
    unit = torch.from_numpy(places * 2 / (SIZE - 1) - 1).float()[None]
    brightness = torch.nn.functional.grid_sample(warped, unit, align_corners=True)[0, 0].numpy()
    error = (brightness * offsets).sum(axis=1) / brightness.sum(axis=1)
    assert np.abs(error).mean() < 0.05
