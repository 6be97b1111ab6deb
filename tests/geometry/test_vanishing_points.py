"""The directions of a scene are found among lines that have none."""

import numpy as np
import pytest

from hawp_core.geometry.vanishing_points import angles_to, vanishing_points

CAMERA = np.array([[500.0, 0, 256], [0, 500, 256], [0, 0, 1]])


def turned(rng) -> np.ndarray:
    """A rotation by which all three directions of a box are seen askew."""
    a, b = rng.uniform(0.5, 0.9), rng.uniform(0.25, 0.45)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_y


def scene(seed: int, edges: int, strays: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines of edges in three directions, then of strays, in 512 x 512 pixels, half a pixel off; the directions (3, 3) in the image."""
    rng = np.random.default_rng(seed)
    rotation = turned(rng)
    lines = []
    while len(lines) < edges:
        start = rng.uniform(-2, 2, 3)
        ends = np.stack([start, start + rng.uniform(0.5, 2) * np.eye(3)[len(lines) % 3]])
        seen = (ends @ rotation.T + [0, 0, 6]) @ CAMERA.T
        seen = seen[:, :2] / seen[:, 2:]
        if (seen > 0).all() and (seen < 511).all() and np.hypot(*(seen[0] - seen[1])) > 30:
            lines.append((seen + rng.normal(0, 0.5, (2, 2))).ravel())
    for _ in range(strays):
        middle, angle, half = rng.uniform(60, 450, 2), rng.uniform(0, np.pi), rng.uniform(15, 50)
        step = half * np.array([np.cos(angle), np.sin(angle)])
        lines.append(np.r_[middle - step, middle + step])
    return np.array(lines), CAMERA @ rotation, rng.permutation(len(lines))


def apart(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(V, 3) degrees between the viewing rays of points and true directions."""
    rays = (np.linalg.inv(CAMERA) @ points.T).T
    truth = (np.linalg.inv(CAMERA) @ truth).T
    cosine = np.abs(rays @ truth.T) / np.linalg.norm(rays, axis=1)[:, None] / np.linalg.norm(truth, axis=1)
    return np.rad2deg(np.arccos(np.clip(cosine, 0, 1)))


@pytest.mark.parametrize("seed", range(4))
def test_the_three_directions_of_boxes_are_found_among_as_many_strays(seed):
    lines, truth, order = scene(seed, 60, 60)
    length = np.hypot(*(lines[:, 2:] - lines[:, :2]).T)
    points = vanishing_points(lines[order], length[order], count=3)
    assert apart(points, truth).min(axis=0).max() < 3
    missed = np.rad2deg(angles_to(lines, points).min(axis=1))
    assert np.median(missed[:60]) < 1 and (missed[:60] < 3).mean() > 0.9
    assert (missed[60:] < 3).mean() < 0.4


def test_a_line_on_paper_and_parallel_ones_meet_at_infinity():
    lines = np.array([[10.0, y, 400, y] for y in (20, 100, 300)])
    points = vanishing_points(lines, np.ones(3), count=4)
    assert len(points) == 1
    assert abs(points[0, 2]) < 1e-6 and np.rad2deg(angles_to(lines, points)).max() < 0.01


def test_a_rotated_turned_and_moved_drawing_has_the_same_points_moved():
    lines, _, _ = scene(7, 40, 0)
    weights = np.hypot(*(lines[:, 2:] - lines[:, :2]).T)
    points = vanishing_points(lines, weights, count=3)
    moved = lines * 1.7 + np.tile([31.0, -80.0], 2)
    there = vanishing_points(moved[:, [2, 3, 0, 1]], weights, count=3)
    np.testing.assert_allclose(angles_to(moved, there), angles_to(lines, points), atol=1e-6)


@pytest.mark.parametrize(
    "lines",
    [np.zeros((0, 4)), np.array([[1.0, 2, 30, 40]]), np.array([[5.0, 5, 5, 5]] * 3)],
    ids=["no lines", "one line", "points"],
)
def test_few_lines_have_no_directions_or_finite_ones(lines):
    points = vanishing_points(lines, np.ones(len(lines)), count=4)
    assert points.shape[1] == 3 and np.isfinite(points).all()
    assert np.isfinite(angles_to(lines, points)).all()
    assert len(vanishing_points(lines, np.zeros(len(lines)), count=4)) == 0
