"""Augmentation: what each operator computes, and that pixels, labels and valid masks stay together."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hawp_core.data import photometry as photo
from hawp_core.data.augmentation import (
    REAL,
    SYNTHETIC,
    augment_images,
    cut_out,
    flip_homography,
    line_heatmap,
    sample_geometry,
    transform_wireframe,
)
from hawp_core.data.photometry import BLUR_DIRECTIONS, OPERATORS, Photometry, change_levels, sample_photometry
from hawp_core.geometry.wireframe import Wireframe

pytestmark = pytest.mark.numeric

SIZE = 96
LINE = np.array([20.3, 30.6, 70.8, 61.2])
seeds = st.integers(0, 2**32 - 1)


def picture_of(line, size=SIZE):
    """(1, 1, S, S) uint8: a bright line of one pixel's width, drawn smoothly between sub-pixel ends."""
    points = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(float)
    step = line[2:] - line[:2]
    share = np.clip((points - line[:2]) @ step / (step @ step), 0, 1)
    distance = np.linalg.norm(points - line[:2] - share[..., None] * step, axis=-1)
    return torch.from_numpy((255 * np.exp(-(distance**2) / 2)).astype(np.uint8))[None, None]


def wireframe_of(*lines):
    return Wireframe.from_lines(np.array(lines), SIZE, SIZE)


def batch_of(*homographies):
    return torch.from_numpy(np.stack(homographies))


def photometry(seed=0, size=SIZE, ranges=SYNTHETIC.photometric, **changes):
    drawn = sample_photometry(np.random.default_rng(seed), ranges, size)
    return Photometry(**{**vars(drawn), **changes})


def changed(name, level, **changes):
    """The result of one operator on grey levels (S, S)."""
    level = level.clone().float()
    change_levels(level, photometry(order=(name,), **changes), torch.Generator())
    return level


def noise_image(seed=0, size=SIZE):
    return torch.randint(0, 256, (size, size), generator=torch.Generator().manual_seed(seed)).float()


# Photometry


def test_brightness_and_contrast():
    level = noise_image()
    np.testing.assert_allclose(changed("brightness", level, brightness=1.3), (level * 1.3).clamp(0, 255), atol=1e-3)
    expected = (level.mean() + 0.4 * (level - level.mean())).clamp(0, 255)
    np.testing.assert_allclose(changed("contrast", level, contrast=0.4), expected, atol=1e-3)
    assert changed("contrast", level, contrast=1.5).max() == 255


def test_noise_has_its_sigma_and_follows_its_seed():
    level = torch.full((SIZE, SIZE), 128.0)
    noisy = changed("noise", level, noise=10.0, seed=3)
    assert abs(noisy.mean() - 128) < 0.5
    assert abs(noisy.std() - 10) < 0.5
    assert torch.equal(noisy, changed("noise", level, noise=10.0, seed=3))
    assert not torch.equal(noisy, changed("noise", level, noise=10.0, seed=4))


def test_speckle_blackens_and_whitens_its_share():
    level = torch.full((256, 256), 128.0)
    speckled = changed("speckle", level, speckle=0.005)
    for value in (0, 255):
        assert 0.0047 < (speckled == value).float().mean() <= 0.00501
    assert torch.equal(changed("speckle", level, speckle=0.0), level)


def test_shade_darkens_where_its_map_is_and_negative_shade_lightens():
    level = torch.full((SIZE, SIZE), 200.0)
    shade_map = np.zeros((SIZE // 8, SIZE // 8), np.float32)
    shade_map[:6] = 1.0
    dark = changed("shade", level, shade=0.5, shade_map=shade_map)
    np.testing.assert_allclose(dark[:40], torch.full((40, SIZE), 100.0), atol=1e-3)
    np.testing.assert_allclose(dark[56:], level[56:], atol=1e-3)
    assert (changed("shade", level, shade=-0.5, shade_map=shade_map)[:40] == 255).all()


@pytest.mark.parametrize("ranges", [SYNTHETIC.photometric, REAL.photometric])
def test_shade_at_an_eighth_of_the_resolution_looks_like_shade_at_full(ranges, monkeypatch):
    level = torch.full((512, 512), 200.0)
    seeds = range(3)
    coarse = [changed("shade", level, shade=0.5, shade_map=photometry(seed, 512, ranges).shade_map) for seed in seeds]
    monkeypatch.setattr(photo, "SHADE_STRIDE", 1)
    fine = [changed("shade", level, shade=0.5, shade_map=photometry(seed, 512, ranges).shade_map) for seed in seeds]
    for low, full in zip(coarse, fine, strict=True):
        assert full.min() < 150
        assert (low - full).abs().max() < 10
        assert (low - full).abs().mean() < 1


@pytest.mark.parametrize("direction", BLUR_DIRECTIONS)
@pytest.mark.parametrize("radius", [0, 1, 5])
def test_motion_blur_is_a_filter_along_a_line(direction, radius):
    level, side = noise_image(), 2 * radius + 1
    offset = np.arange(side) - radius
    kernel = np.zeros((side, side))
    kernel[radius + direction[1] * offset, radius + direction[0] * offset] = 1
    kernel *= np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * side**2 / 16))
    taps = next(
        drawn.blur[1]
        for drawn in (photometry(seed, 512) for seed in range(500))
        if drawn.blur[0] == direction and len(drawn.blur[1]) == side
    )
    blurred = changed("blur", level, blur=(direction, taps))
    expected = cv2.filter2D(level.numpy(), -1, kernel / kernel.sum())
    np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-2)


def test_drawn_photometry_stays_in_the_published_ranges():
    for ranges, longest in ((SYNTHETIC.photometric, 11), (REAL.photometric, 3)):
        drawn = [photometry(seed, 512, ranges) for seed in range(300)]
        for name in ("brightness", "contrast", "noise", "speckle", "shade"):
            low, high = getattr(ranges, name)
            values = np.array([getattr(each, name) for each in drawn])
            assert low <= values.min() < low + 0.1 * (high - low)
            assert high - 0.1 * (high - low) < values.max() <= high
        lengths = [len(each.blur[1]) for each in drawn]
        assert set(lengths) == set(range(1, longest + 1, 2))
        assert len({each.order for each in drawn}) > 200
        assert all(sorted(each.order) == sorted(OPERATORS) for each in drawn)
        assert all(abs(sum(each.blur[1]) - 1) < 1e-6 for each in drawn)


# Geometry


@pytest.mark.parametrize("flip", range(4))
def test_flips_move_pixels_and_labels_alike(flip):
    image = noise_image()[None, None].to(torch.uint8)
    homography = flip_homography(flip, SIZE)
    flipped, valid = augment_images(image, batch_of(homography), None)
    axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if flip & bit]
    np.testing.assert_allclose(flipped, torch.flip(image, axes).float() / 255, atol=1e-4)
    assert valid.all()
    junctions = transform_wireframe(wireframe_of(LINE), homography, SIZE).junctions
    x, y = LINE[:2]
    expected = [SIZE - 1 - x if flip & 1 else x, SIZE - 1 - y if flip & 2 else y]
    np.testing.assert_allclose(junctions[0], expected, atol=1e-4)


@given(seeds, st.floats(0.7, 1.5))
@settings(max_examples=25, deadline=None)
def test_scaling_zooms_into_a_crop_or_out_to_the_centre(seed, factor):
    only_scaling = replace(REAL, photometric=None, homographic=None, scaling=(factor, factor))
    homography = sample_geometry(np.random.default_rng(seed), only_scaling, SIZE)
    _, valid = augment_images(torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8), batch_of(homography), None)
    assert homography[0, 0] == homography[1, 1] == factor
    if factor >= 1:
        # Outermost half pixels aside, a crop shows the image everywhere.
        assert valid[0, 1:-1, 1:-1].all()
    else:
        rows = np.flatnonzero(valid[0].any(dim=1).numpy())
        assert abs(len(rows) - factor * SIZE) <= 2
        assert abs(rows[0] - (SIZE - 1 - rows[-1])) <= 1
        assert valid.sum() == len(rows) ** 2


def test_the_margin_is_taken_off_the_valid_mask():
    homography = batch_of(np.array([[0.5, 0, 20.0], [0, 0.5, 20.0], [0, 0, 1]]))
    image = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8)
    wide, narrow = (augment_images(image, homography, None, margin)[1][0].any(dim=0).sum() for margin in (0.0, 3.0))
    assert wide - narrow == 6


@given(seeds, st.sampled_from([SYNTHETIC, REAL]), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_labelled_lines_lie_on_bright_pixels(seed, augmentation, flip):
    homography = sample_geometry(np.random.default_rng(seed), augmentation, SIZE, flip)
    warped = transform_wireframe(wireframe_of(LINE), homography, SIZE)
    junctions, edges = warped.junctions, warped.edges
    image, valid = augment_images(picture_of(LINE), batch_of(homography), None, augmentation.margin)
    image = image[0, 0].numpy()
    assert len(junctions) == 2 * len(edges) <= 2
    for start, end in junctions[edges].astype(float):
        step = (end - start) / np.hypot(*(end - start))
        pixels = np.stack(np.nonzero(image > 0.3)[::-1], axis=1)
        # Brightness beyond a cut end belongs to the part of the line outside the image.
        share = (pixels - start) @ step
        near = (share > 0) & (share < np.hypot(*(end - start)))
        offset = (pixels[near] - start) @ np.array([-step[1], step[0]])
        weight = image[pixels[near, 1], pixels[near, 0]]
        if len(offset) > 5:
            assert abs((offset * weight).sum() / weight.sum()) < 0.5
        drawn = line_heatmap(np.concatenate([start, end])[None], SIZE).astype(bool)
        inner = drawn & (valid[0].numpy() > 0)
        if inner.sum() > 5:
            assert np.median(image[inner]) > 0.3


def test_geometry_composes_all_parts_and_follows_the_generator():
    first, again = (sample_geometry(np.random.default_rng(3), REAL, SIZE, 1) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, sample_geometry(np.random.default_rng(3), REAL, SIZE) @ flip_homography(1, SIZE))
    np.testing.assert_array_equal(sample_geometry(np.random.default_rng(3), None, SIZE), np.eye(3))


# Labels


def test_edges_keep_sharing_junctions_and_cut_ends_get_their_own():
    # A star about (50, 40), moved so that one ray is cut and one leaves the image.
    rays = [[50, 40, 60.5, 50.25], [50, 40, 90, 40], [50, 40, 50, 20], [92, 40, 94, 60]]
    shift = np.array([[1, 0, 20.25], [0, 1, 0], [0, 0, 1.0]])
    warped = transform_wireframe(wireframe_of(*rays), shift, SIZE)
    junctions, edges = warped.junctions, warped.edges
    assert junctions.dtype == np.float32
    assert len(edges) == 3
    assert len(junctions) == 4
    hub = int(np.flatnonzero((np.abs(junctions - [70.25, 40]) < 1e-4).all(axis=1))[0])
    assert (edges == hub).any(axis=1).all()
    assert [SIZE - 1, 40] in junctions.tolist()
    assert [80.75, 50.25] in junctions.tolist()
    assert (edges[:, 0] < edges[:, 1]).all()


def test_wireframes_without_lines_and_lines_outside_leave_nothing():
    away = np.array([[1, 0, 500.0], [0, 1, 0], [0, 0, 1]])
    for wireframe, homography in ((Wireframe.empty(SIZE, SIZE), np.eye(3)), (wireframe_of(LINE), away)):
        warped = transform_wireframe(wireframe, homography, SIZE)
        assert warped.junctions.shape == (0, 2)
        assert warped.edges.shape == (0, 2)
        assert line_heatmap(warped.lines, SIZE).sum() == 0


def test_every_line_keeps_its_score():
    scores = np.array([0.25, 0.5, 0.75], np.float32)
    rays = np.array([[2, 40, 9, 47], [60, 40, 60, 20], [70, 70, 90, 75]], float)
    wireframe = Wireframe.from_lines(rays, SIZE, SIZE, scores)
    shift = np.array([[1, 0, -10.0], [0, 1, 0], [0, 0, 1]])
    warped = transform_wireframe(wireframe, shift, SIZE)
    assert [(line.tolist(), score) for line, score in zip(warped.lines, warped.scores, strict=True)] == [
        ([50, 40, 50, 20], 0.5), ([60, 70, 80, 75], 0.75),
    ]  # fmt: skip
    lengths = np.hypot(*(rays[:, 2:] - rays[:, :2]).T)
    seen = set()
    for seed in range(20):
        _, piece = cut_out(np.random.default_rng(seed), np.zeros((SIZE, SIZE), np.uint8), wireframe, SIZE // 2)
        seen |= set(piece.scores.tolist())
        for line, score in zip(piece.lines, piece.scores, strict=True):
            assert np.hypot(*(line[2:] - line[:2])) <= lengths[scores == score] + 1e-4
    assert seen == set(scores.tolist())


@given(st.lists(st.floats(0, SIZE - 1), min_size=4, max_size=4))
@settings(max_examples=80, deadline=None)
def test_the_line_heatmap_is_one_pixel_wide_and_sub_pixel(line):
    line = np.array(line)
    length = np.hypot(*(line[2:] - line[:2]))
    heatmap = line_heatmap(line[None], SIZE)
    pixels = np.stack(np.nonzero(heatmap)[::-1], axis=1)
    assert heatmap.dtype == np.uint8
    assert set(np.unique(heatmap)) <= {0, 1}
    if length > 2:
        offset = (pixels - line[:2]) @ np.array([-(line[3] - line[1]), line[2] - line[0]]) / length
        assert np.abs(offset).max() <= 0.51
        assert cv2.connectedComponents(heatmap, connectivity=8)[0] == 2
        assert np.abs(line[2:] - line[:2]).max() - 1 <= len(pixels) <= np.abs(line[2:] - line[:2]).max() + 3


def test_a_line_between_two_rows_is_drawn_on_the_nearer_one():
    for y, row in ((10.4, 10), (10.6, 11), (SIZE - 1.0, SIZE - 1), (0.0, 0)):
        rows = np.nonzero(line_heatmap(np.array([[5, y, 60, y]]), SIZE))[0]
        assert set(rows) == {row}


# Batches


def test_an_image_does_not_depend_on_its_batch():
    images = torch.stack([noise_image(seed)[None] for seed in range(4)]).to(torch.uint8)
    homographies = batch_of(*(sample_geometry(np.random.default_rng(seed), SYNTHETIC, SIZE) for seed in range(4)))
    drawn = [photometry(seed) for seed in range(4)]
    together = augment_images(images, homographies, drawn)
    for i in range(4):
        alone = augment_images(images[i : i + 1], homographies[i : i + 1], drawn[i : i + 1])
        for all_of_them, one in zip(together, alone, strict=True):
            assert torch.equal(all_of_them[i : i + 1], one)
    assert together[0].dtype == torch.float32
    assert 0 <= together[0].min() < together[0].max() <= 1
    assert together[1].shape == (4, SIZE, SIZE)
    assert together[1].dtype == torch.uint8


def test_the_stored_image_is_left_alone():
    image = noise_image()[None, None].to(torch.uint8)
    before = image.clone()
    augment_images(image, batch_of(np.eye(3)), [photometry()])
    assert torch.equal(image, before)
