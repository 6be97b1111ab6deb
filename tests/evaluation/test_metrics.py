"""Metrics against cases worked out by hand, against published programs, and under changes that must not matter.

`data/metrics.npz` holds made-up wireframes and what published programs say of them, numbers only. published_sap,
published_f, published_map_junctions: HAWP's evaluation of sAP5/10/15 and of junctions; published_heatmap_*: HAWP's line
drawing and Berkeley's correspondPixels at heatmap_levels; published_repeatability: HAWP's `compute_metrics_v2` at 5
pixels for three pairs, structural repeatability and localisation, then orthogonal.
"""

import itertools
import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import STORED
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from hawp_core.data.own_labels.wireframe_json import read_annotations
from hawp_core.errors import UserError
from hawp_core.evaluation import repeatability
from hawp_core.evaluation.heatmap_ap import _draw, _pair, heatmap_ap
from hawp_core.evaluation.lsd import lsd
from hawp_core.evaluation.precision_recall import PrecisionRecall
from hawp_core.evaluation.repeatability import compare_pairs, find_pairs, orthogonal_distances
from hawp_core.evaluation.results import PairScores
from hawp_core.evaluation.structural_ap import junction_ap, junction_recall, structural_ap
from hawp_core.geometry.line_distances import structural_distances
from hawp_core.geometry.wireframe import Wireframe

pytestmark = pytest.mark.numeric

PUBLISHED = np.load(STORED / "metrics.npz")
AGREEMENT = 0.1  # points, of published programs


def wireframe(*lines, scores=None, width=128, height=128):
    return Wireframe.from_lines(np.array(lines, float), width, height, scores)


def stored_wireframes(kind):
    for k, (width, height) in enumerate(PUBLISHED["sizes"].tolist()):
        scores = PUBLISHED[f"scores_{k}"] if kind == "lines" else None
        yield Wireframe.from_lines(PUBLISHED[f"{kind}_{k}"], width, height, scores)


TRUTHS, PREDICTIONS = list(stored_wireframes("truth")), list(stored_wireframes("lines"))
SCORES_OF = {
    "structural": lambda p, t: structural_ap(p, t, 10).ap,
    "junctions": junction_ap,
    "recall": lambda p, t: junction_recall(p, t, 2.0),
    "heatmap": lambda p, t: heatmap_ap(p, t).ap,
}


# The precision-recall curve


def test_area_and_best_f_by_hand():
    curve = PrecisionRecall.of([np.array([0.7, 0.9]), np.array([0.8])], [np.array([True, True]), np.array([False])], 4)
    assert curve.scores.tolist() == [0.9, 0.8, 0.7]
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve.recall.tolist() == [0.25, 0.25, 0.5]
    assert curve.ap == pytest.approx(100 * (0.25 * 1 + 0.25 * 2 / 3))
    assert curve.f == pytest.approx(100 * 2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))


def test_equal_scores_make_one_point():
    for hits in itertools.permutations([True, False, True]):
        curve = PrecisionRecall.of([np.ones(3)], [np.array(hits)], 2)
        assert (curve.precision.tolist(), curve.recall.tolist()) == ([2 / 3], [1.0])


# Structural AP


@pytest.mark.parametrize(("threshold", "expected"), [(5, 0), (10, 0), (10.01, 100), (15, 100)])
def test_distance_is_the_sum_of_both_ends_squared_and_stays_below_the_threshold(threshold, expected):
    true, predicted = wireframe([10, 10, 50, 10]), wireframe([51, 12, 11, 12])  # 1 + 4 at either end, ends swapped
    assert structural_ap([predicted], [true], threshold).ap == expected


def test_each_axis_is_scaled_to_the_grid_by_itself():
    true = wireframe([20, 20, 200, 20], width=256, height=64)
    for by, expected in (([6, 0], 0.0), ([4, 0], 100.0), ([0, 2], 0.0), ([0, 1], 100.0)):  # 2 (6/2)^2, 2 (2 * 2)^2
        predicted = wireframe(np.add([20, 20, 200, 20], by * 2), width=256, height=64)
        assert structural_ap([predicted], [true], 10).ap == expected
    # A prediction at another size is scaled from its own.
    assert structural_ap([wireframe([40, 80, 400, 80], width=512, height=256)], [true], 5).ap == 100


def test_a_line_stands_for_its_nearest_true_line_only():
    true = wireframe([10, 10, 50, 10], [10, 12, 50, 12])
    predicted = wireframe([10, 10, 50, 10], [10, 10.5, 50, 10.5], scores=[0.9, 0.8])
    curve = structural_ap([predicted], [true], 15)  # the second is near both, but the first has taken the nearer
    assert (curve.precision.tolist(), curve.recall.tolist()) == ([1.0, 0.5], [0.5, 0.5])


def test_the_better_scored_of_two_is_right_even_if_it_is_farther_off():
    true = wireframe([10, 10, 50, 10])
    predicted = wireframe([10, 10, 50, 10], [10, 11, 50, 11], scores=[0.3, 0.6])
    assert structural_ap([predicted], [true], 10).precision.tolist() == [1.0, 0.5]


def test_scores_rank_over_the_whole_data_set():
    true = wireframe([10, 10, 50, 10])
    wrong, right = wireframe([10, 80, 50, 80], scores=[0.9]), wireframe([10, 10, 50, 10], scores=[0.5])
    curve = structural_ap([wrong, right], [true, true], 10)
    assert curve.precision.tolist() == [0.0, 0.5]
    assert curve.ap == 25.0  # half of the truths at a precision of one half


def test_duplicates_lower_precision():
    doubled = []
    for p in PREDICTIONS:
        near, fewer = p.lines + 0.01, np.concatenate([p.scores, p.scores * 0.999])
        doubled.append(Wireframe.from_lines(np.concatenate([p.lines, near]), p.width, p.height, fewer))
    once, twice = structural_ap(PREDICTIONS, TRUTHS), structural_ap(doubled, TRUTHS)
    assert twice.precision[-1] == pytest.approx(once.precision[-1] / 2)
    assert twice.recall[-1] == once.recall[-1]
    assert twice.ap < 0.8 * once.ap


# All metrics


@pytest.mark.parametrize("name", SCORES_OF)
def test_order_of_lines_and_images_and_direction_do_not_matter(name):
    rng = np.random.default_rng([7, 3])
    expected = SCORES_OF[name](PREDICTIONS, TRUTHS)
    assert 0 < expected < 100

    def shuffled(w):
        order = rng.permutation(len(w.edges))
        lines = w.lines.reshape(-1, 2, 2)
        turned = np.where(rng.random((len(lines), 1, 1)) < 0.5, lines, lines[:, ::-1]).reshape(-1, 4)
        return Wireframe.from_lines(turned[order], w.width, w.height, w.scores[order])

    order = [2, 0, 1]
    again = SCORES_OF[name]([shuffled(PREDICTIONS[i]) for i in order], [shuffled(TRUTHS[i]) for i in order])
    assert again == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", SCORES_OF)
def test_perfect_and_empty(name):
    score = SCORES_OF[name]
    nothing, something = Wireframe.empty(128, 128), wireframe([10, 10, 50, 10])
    assert score([something], [something]) == (1.0 if name == "recall" else 100.0)
    assert score([nothing], [something]) == 0.0
    assert math.isnan(score([something], [nothing]))
    assert math.isnan(score([nothing], [nothing]))
    assert math.isnan(score([], []))
    with pytest.raises(ValueError, match="argument 2"):
        score([something], [something, something])


@pytest.mark.parametrize("name", ["structural", "junctions", "heatmap"])
def test_lines_in_an_image_without_truth_are_wrong(name):
    nothing, something = Wireframe.empty(128, 128), wireframe([10, 10, 50, 10])
    assert SCORES_OF[name]([something, something], [something, nothing]) == pytest.approx(50.0)


def test_f_is_undefined_without_truth_and_zero_without_predictions():
    nothing, something = Wireframe.empty(128, 128), wireframe([10, 10, 50, 10])
    assert math.isnan(structural_ap([something], [nothing]).f)
    assert structural_ap([nothing], [something]).f == 0.0


# Junctions


def test_junction_ap_by_hand():
    true = wireframe([10, 10, 50, 10])
    # One end is 0.7 off and the other 1.5: right at no radius of three, at two, and at one; both score alike.
    predicted = wireframe([10.7, 10, 50, 11.5], scores=[0.4])
    ap = {0.5: 0.0, 1.0: 25.0, 2.0: 100.0}
    assert junction_ap([predicted], [true]) == pytest.approx(sum(ap.values()) / 3)


def test_a_junction_scores_as_its_best_line():
    # The corner has lines of 0.2 and 0.9; the wrong end of the better line ranks with it, the other one after both.
    predicted = Wireframe([[10, 10], [90, 90], [10, 50]], [[0, 2], [0, 1]], [0.2, 0.9], 128, 128)
    true = wireframe([10, 10, 10, 50])
    assert junction_ap([predicted], [true]) == pytest.approx(100 * (2 / 3))
    lone = Wireframe([[10, 10], [90, 90], [10, 50], [99, 9]], [[0, 2]], [0.9], 128, 128)
    assert junction_ap([lone], [true]) == pytest.approx(100.0)  # lone junctions come last


@pytest.mark.parametrize(("radius", "expected"), [(0.9, 0.25), (1.0, 0.5), (5.0, 0.75)])
def test_junction_recall_by_hand(radius, expected):
    true = wireframe([10, 10, 50, 10], [10, 80, 50, 80])
    predicted = wireframe([10.5, 10, 50, 11], [10, 84, 90, 120])
    assert junction_recall([predicted], [true], radius) == expected


# Heatmap AP


def test_pixels_pair_one_to_one_within_the_tolerance():
    true = wireframe([10, 50, 60, 50], width=100, height=100)  # 51 pixels; tolerance 1.41
    one, two = ([10, 51, 60, 51], [10, 52, 60, 52])
    assert heatmap_ap([wireframe(one, width=100, height=100)], [true]).ap == 100
    assert heatmap_ap([wireframe(two, width=100, height=100)], [true]).ap == 0
    both = wireframe([10, 49, 60, 49], one, scores=[0.9, 0.8], width=100, height=100)
    curve = heatmap_ap([both], [true])
    assert (curve.precision.tolist(), curve.recall.tolist()) == ([1.0, 0.5], [1.0, 1.0])
    assert (curve.ap, curve.f) == (100.0, 100.0)
    # A prediction at another size is brought to that of the truth.
    assert heatmap_ap([wireframe([20.5, 100.5, 120.5, 100.5], width=200, height=200)], [true]).ap == 100


def test_a_pixel_scores_as_its_best_line_and_lines_end_at_the_border():
    crossing = wireframe([-3.5, 2, 12.5, 2], [4, -3.5, 4, 12.5], scores=[0.3, 0.8], width=10, height=10)
    drawn = _draw(crossing)
    expected = np.full((10, 10), -np.inf)
    expected[2], expected[:, 4] = np.float32(0.3), np.float32(0.8)
    assert np.array_equal(drawn, expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pairing_is_the_largest_for_every_prefix(seed):
    rng = np.random.default_rng(seed)
    expected = rng.random((9, 8)) < rng.uniform(0.05, 0.6)
    pixels = rng.permutation(np.argwhere(rng.random((9, 8)) < rng.uniform(0.05, 0.9)))
    tolerance = rng.uniform(0.5, 3.5)
    paired = _pair(pixels, expected, tolerance)
    near = np.linalg.norm(pixels[:, None] - np.argwhere(expected), axis=2) <= tolerance
    for count in range(1, len(pixels) + 1):
        largest = (maximum_bipartite_matching(csr_matrix(near[:count]), "column") >= 0).sum() if expected.any() else 0
        assert paired[:count].sum() == largest


# Published programs


def test_agrees_with_published_structural_ap():
    curves = [structural_ap(PREDICTIONS, TRUTHS, threshold) for threshold in (5, 10, 15)]
    assert [curve.ap for curve in curves] == pytest.approx(PUBLISHED["published_sap"], abs=AGREEMENT)
    assert [curve.f for curve in curves] == pytest.approx(PUBLISHED["published_f"], abs=AGREEMENT)


def test_agrees_with_published_junction_ap():
    # A hub and a line to every junction give each junction a score of its own.
    predictions = []
    for k, true in enumerate(TRUTHS):
        junctions, scores = PUBLISHED[f"junctions_{k}"], PUBLISHED[f"junction_scores_{k}"]
        edges = [(0, i) for i in range(1, len(junctions))]
        predictions.append(Wireframe(junctions, edges, scores, true.width, true.height))
    assert junction_ap(predictions, TRUTHS) == pytest.approx(PUBLISHED["published_map_junctions"], abs=AGREEMENT)


def test_agrees_with_published_heatmap_curve():
    curve = heatmap_ap(PREDICTIONS, TRUTHS)
    at = [np.sum(curve.scores > level) - 1 for level in PUBLISHED["heatmap_levels"]]
    assert 100 * curve.recall[at] == pytest.approx(100 * PUBLISHED["published_heatmap_recall"], abs=AGREEMENT)
    assert 100 * curve.precision[at] == pytest.approx(100 * PUBLISHED["published_heatmap_precision"], abs=AGREEMENT)


@pytest.mark.parametrize("k", range(3))
def test_agrees_with_published_repeatability(k):
    pair = PUBLISHED[f"pair_{k}"], PUBLISHED[f"pair_warped_{k}"], PUBLISHED[f"homography_{k}"], (512, 512)
    values = [*repeatability.repeatability(*pair), *repeatability.repeatability(*pair, distance="orthogonal")]
    assert values == pytest.approx(PUBLISHED["published_repeatability"][k], abs=AGREEMENT / 100)


# Annotations


def annotations(tmp_path, value):
    path = tmp_path / "test.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_reads_lines_and_junctions_with_edges(tmp_path):
    size = {"width": 640, "height": 480}
    junctions = {"junctions": [[1, 2], [30, 40], [5.5, 6], [9, 9]], "edges_positive": [[0, 1], [2, 0]]}
    entries = [
        {"filename": "a.png", **size, "lines": [[1, 2, 30, 40], [5.5, 6, 1, 2]], "junc": [[1, 2]]},
        {"filename": "b.png", **size, **junctions, "edges_negative": [[1, 2]]},
        {"filename": "c.png", **size, "lines": []},
    ]
    (name_a, a), (name_b, b), (name_c, c) = read_annotations(annotations(tmp_path, entries))
    assert [name_a, name_b, name_c] == ["a.png", "b.png", "c.png"]
    assert (a.width, a.height, len(a.junctions), len(c.edges)) == (640, 480, 3, 0)
    for found in (a, b):
        assert sorted(map(sorted, found.lines.reshape(-1, 2, 2).tolist())) == [[[1, 2], [5.5, 6]], [[1, 2], [30, 40]]]
    assert np.array_equal(a.scores, [1, 1])
    shifted = read_annotations(annotations(tmp_path, entries), origin=1)[0][1]
    assert np.array_equal(shifted.lines, a.lines - 1)


GOOD = {"filename": "a.png", "width": 640, "height": 480, "lines": [[1, 2, 30, 40]]}


@pytest.mark.parametrize(
    "value",
    [
        "[",
        {"filename": "a.png"},
        [GOOD, 3],
        [{k: v for k, v in GOOD.items() if k != "width"}],
        [{k: v for k, v in GOOD.items() if k != "lines"}],
        [GOOD | {"width": 0}],
        [GOOD | {"height": "tall"}],
        [GOOD | {"filename": 7}],
        [GOOD | {"lines": [[1, 2, 3]]}],
        [GOOD | {"lines": [[1, 2, 3, "x"]]}],
        [GOOD | {"lines": [[1e308, 1e308, -1e308, 1]]}],
        '[{"filename": "a", "width": 9, "height": 9, "lines": [[1, 2, NaN, 4]]}]',
        [{"filename": "a", "width": 9, "height": 9, "junctions": [[1, 2]], "edges_positive": [[0, 5]]}],
        [{"filename": "a", "width": 9, "height": 9, "junctions": [[1, 2], [3, 4]], "edges_positive": [[0, -1]]}],
    ],
)
def test_malformed_annotations_are_the_users_to_mend(tmp_path, value):
    path = annotations(tmp_path, value)
    with pytest.raises(UserError) as error:
        read_annotations(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_annotations_are_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match=r"none\.json cannot be read"):
        read_annotations(tmp_path / "none.json")


# Repeatability


SHAPE = (200, 300)
LINE = np.array([[50.0, 60.0, 150.0, 60.0]])


def moved(lines, *by):
    return lines + np.array(by, float)


def pair(lines, warped_lines, distance="structural", homography=None):
    homography = np.eye(3) if homography is None else homography
    return repeatability.repeatability(
        np.asarray(lines), np.asarray(warped_lines), homography, SHAPE, distance=distance
    )


def test_structural_distance_is_the_sum_over_both_ends():
    assert structural_distances(LINE, np.array([[150.0, 64.0, 53.0, 60.0]])).tolist() == [[7.0]]  # 3 and 4, swapped
    assert pair(LINE, moved(LINE, 0, 3, 0, 2)) == (1.0, 5.0)
    assert pair(LINE, moved(LINE, 0, 3, 0, 2.01))[0] == 0.0


def test_orthogonal_distance_by_hand():
    beside = moved(LINE, 20, 2, 20, 2)  # both ends 2 off, seen from either line; 80 of 100 overlap
    assert orthogonal_distances(LINE, beside).tolist() == [[4.0]]
    assert pair(LINE, beside, "orthogonal") == (1.0, 4.0)
    assert pair(LINE, beside)[0] == 0.0
    piece = np.array([[60.0, 60.0, 70.0, 60.0]])  # a tenth of the line, but all of the piece: 0.55 on average
    assert pair(LINE, piece, "orthogonal") == (1.0, 0.0)
    apart = moved(LINE, 51, 0, 51, 0)
    assert orthogonal_distances(LINE, apart).tolist() == [[np.inf]]
    assert pair(LINE, apart, "orthogonal")[0] == 0.0


def test_orthogonal_distance_of_slanted_lines_is_symmetric_and_as_defined():
    rng = np.random.default_rng([7, 4])
    first, second = rng.uniform(0, 20, (7, 4)), rng.uniform(0, 20, (9, 4))

    def beside(line, other):
        start, end = line[:2], line[2:]
        unit = (end - start) / np.linalg.norm(end - start)
        along = sorted((point - start) @ unit / np.linalg.norm(end - start) for point in (other[:2], other[2:]))
        off = sum(abs(np.linalg.det(np.stack([unit, point - start]))) for point in (other[:2], other[2:]))
        return off, max(0.0, min(along[1], 1.0) - max(along[0], 0.0))

    found = orthogonal_distances(first, second)
    assert 0 < np.isfinite(found).sum() < found.size
    assert found == pytest.approx(orthogonal_distances(second, first).T)
    for (i, a), (j, b) in itertools.product(enumerate(first), enumerate(second)):
        (off_a, share_a), (off_b, share_b) = beside(a, b), beside(b, a)
        expected = (off_a + off_b) / 2 if share_a + share_b >= 1 else np.inf
        assert found[i, j] == pytest.approx(expected)


def test_lines_of_both_images_count_and_may_share_their_nearest():
    near = moved(LINE, 0, 1, 0, 1)
    other = np.array([[50.0, 150.0, 90.0, 150.0]])
    # Two of the image's lines have a match, one of the copy's two: (2 + 1) / 4; the copy's match is 0 off.
    assert pair(np.concatenate([LINE, near]), np.concatenate([LINE, other])) == (0.75, 0.0)
    # The other way round both lines of the copy count: 0 and 2 off.
    assert pair(np.concatenate([LINE, other]), np.concatenate([LINE, near])) == (0.75, 1.0)


def test_unknown_distance():
    with pytest.raises(ValueError, match="area"):
        pair(LINE, LINE, "area")


@pytest.mark.parametrize("distance", ["structural", "orthogonal"])
def test_without_lines(distance):
    nothing = np.zeros((0, 4))
    for lines, warped_lines in ((LINE, nothing), (nothing, LINE)):
        share, error = pair(lines, warped_lines, distance)
        assert share == 0.0 and math.isnan(error)
    assert all(math.isnan(value) for value in pair(nothing, nothing, distance))


def test_only_lines_that_both_images_show_whole_count():
    shift = np.array([[1.0, 0, 100], [0, 1, 0], [0, 0, 1]])  # the copy shows the image 100 pixels further right
    left = np.array([[20.0, 60, 120, 60]])
    assert pair(left, moved(left, 100, 0, 100, 0), homography=shift) == (1.0, 0.0)
    leaves = np.array([[150.0, 60, 250, 60]])  # would end at 350
    assert pair(np.concatenate([left, leaves]), moved(left, 100, 0, 100, 0), homography=shift) == (1.0, 0.0)
    unseen = np.array([[50.0, 90, 150, 90]])  # begins left of what the image shows
    assert pair(left, np.concatenate([moved(left, 100, 0, 100, 0), unseen]), homography=shift) == (1.0, 0.0)
    for border in ([50.0, 1.9, 150, 1.9], [50.0, 198, 150, 198]):  # ends on the copy's outermost two pixels
        assert math.isnan(pair([border], [border])[0])
    assert pair([[50.0, 2, 150, 2]], [[50.0, 197.9, 150, 197.9]])[0] == 0.0


def test_lines_behind_the_camera_do_not_count():
    horizon = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])  # w < 0 right of x = 100
    assert math.isnan(pair([[150.0, 50, 190, 60]], np.zeros((0, 4)), homography=horizon)[0])
    seen = np.array([[20.0, 20, 60, 40]])
    assert pair(seen, [[25.0, 25, 150, 100]], homography=horizon) == pytest.approx((1.0, 0.0))


def test_many_lines_are_compared_in_blocks(monkeypatch):
    rng = np.random.default_rng([7, 5])
    lines, warped_lines = rng.uniform(10, 190, (40, 4)), rng.uniform(10, 190, (50, 4))
    lines[:20] = warped_lines[:20] + rng.normal(0, 1, (20, 4))
    whole = pair(lines, warped_lines)
    assert 0 < whole[0] < 1
    monkeypatch.setattr(repeatability, "ROWS", 7)
    assert pair(lines, warped_lines) == whole


def test_evaluation_sums_up_pairs_and_leaves_undefined_ones_out():
    plain = np.full(SHAPE, 90, np.uint8)
    shift = np.array([[1.0, 0, 10], [0, 1, 20], [0, 0, 1]])
    asked = []

    def homographies(name, width, height):
        asked.append((name, width, height))
        return shift

    # The images are told apart by their grey; a copy by the black border that the shift leaves.
    in_image = {90: LINE, 91: np.concatenate([LINE, moved(LINE, 0, 50, 0, 50)]), 92: np.zeros((0, 4))}
    in_copy = {90: moved(LINE, 10, 20, 10, 20), 91: moved(LINE, 10, 22, 10, 22), 92: np.zeros((0, 4))}

    def detect(image):
        lines = (in_copy if image[0, 0] == 0 else in_image)[int(image[-1, -1])]
        return Wireframe.from_lines(lines, image.shape[1], image.shape[0])

    images = [("a", plain), ("b", plain + 1), ("c", plain + 2)]
    summary = compare_pairs(find_pairs(detect, iter(images), homographies))
    assert asked == [(name, 300, 200) for name in "abc"]
    assert (summary.pairs, summary.threshold) == (3, 5.0)
    assert summary.lines_per_image == pytest.approx((1 + 1 + 2 + 1 + 0 + 0) / 6)
    assert summary.images[1].lines == (2, 1)
    assert summary.images[1].structural == PairScores(pytest.approx(2 / 3), 4.0)
    assert summary.images[2].orthogonal == PairScores(None, None)
    for found in (summary.structural, summary.orthogonal):
        assert found.repeatability == pytest.approx((1 + 2 / 3) / 2)
        assert found.localisation == pytest.approx((0 + 4) / 2, abs=1e-4)
        assert (found.undefined_repeatability, found.undefined_localisation) == (1, 1)


def test_an_image_of_several_copies_is_looked_at_once():
    grid = np.indices((40, 60)).sum(0).astype(np.uint8)
    other = grid[::-1].copy()
    seen: list[np.ndarray] = []

    def detect(image):
        seen.append(image)
        return Wireframe.from_lines(np.array([[5.0, len(seen), 50.0, 30.0]]), 60, 40)

    names = ("a#0", "a#1", "a#2", "b#0", "b#1")
    pairs = find_pairs(detect, zip(names, (grid, grid, grid, other, other), strict=True), lambda *_: np.eye(3))
    assert [sum(each is whole for each in seen) for whole in (grid, other)] == [1, 1]
    assert [pair.lines[0, 1] for pair in pairs] == [1, 1, 1, 5, 5]
    assert [pair.warped_lines[0, 1] for pair in pairs] == [2, 3, 4, 6, 7]


def test_evaluation_of_no_image():
    summary = compare_pairs(find_pairs(lsd, [], lambda *_: np.eye(3)))
    assert (summary.pairs, summary.lines_per_image) == (0, None)
    assert summary.structural.repeatability is None


# The baseline, and all of it together


def picture():
    image = np.full(SHAPE, 40, np.uint8)
    cv2.rectangle(image, (60, 50), (219, 129), 200, -1)
    return image


def test_lsd_finds_edges_where_they_are():
    found = lsd(picture())
    assert (found.width, found.height) == (300, 200)
    lines = found.lines
    assert len(lines) == 4
    vertical = lines[np.abs(lines[:, 0] - lines[:, 2]) < 1]
    horizontal = lines[np.abs(lines[:, 1] - lines[:, 3]) < 1]
    # Between the centres of the last grey and the first white pixel, without the shift that OpenCV leaves.
    assert np.sort(vertical[:, [0, 2]].mean(1)).tolist() == pytest.approx([59.5, 219.5], abs=0.05)
    assert np.sort(horizontal[:, [1, 3]].mean(1)).tolist() == pytest.approx([49.5, 129.5], abs=0.05)


def test_lsd_scores_by_its_number_of_false_alarms():
    _, _, _, meaning = cv2.createLineSegmentDetector(cv2.LSD_REFINE_ADV).detect(picture())
    assert len(np.unique(meaning)) > 1
    assert lsd(picture()).scores == pytest.approx(np.ravel(meaning / (meaning + 10)), rel=1e-6)


def test_lsd_finds_nothing_in_a_plain_image_and_takes_grey_bytes_only():
    assert len(lsd(np.full(SHAPE, 90, np.uint8)).edges) == 0
    for wrong in (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20))):
        with pytest.raises(ValueError, match="takes"):
            lsd(wrong)


def test_lsd_repeats_in_a_turned_copy():
    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D((140.0, 90.0), 10.0, 0.9)
    turn[:2, 2] += [6.0, -3.0]
    summary = compare_pairs(find_pairs(lsd, [("rectangle", picture())], lambda *_: turn))
    assert summary.orthogonal.repeatability == 1.0
    assert summary.orthogonal.localisation < 0.5
    assert summary.structural.localisation < 4.0
