"""Repeatability at equal line counts, by both protocols, and what is said of it."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from hawp_core.evaluation import one_to_one as module
from hawp_core.evaluation.comparison import difference
from hawp_core.evaluation.equal_counts import at_counts, lines_above
from hawp_core.evaluation.one_to_one import one_to_one
from hawp_core.evaluation.repeatability import (
    by_length,
    by_score,
    compare_pairs,
    find_pairs,
    orthogonal_distances,
)
from hawp_core.evaluation.results import BASELINE, MODEL, Conditions, Evaluation
from hawp_core.evaluation.wording import as_text, headline
from hawp_core.geometry.line_distances import structural_distances
from hawp_core.geometry.wireframe import Wireframe

pytestmark = pytest.mark.numeric

SHAPE = (200, 300)
LINE = np.array([[50.0, 60.0, 150.0, 60.0]])
NOTHING = np.zeros((0, 4))


def moved(lines, *by):
    return lines + np.array(by, float)


def paired(lines, warped_lines, distance="structural", homography=None):
    return one_to_one(lines, warped_lines, np.eye(3) if homography is None else homography, SHAPE, distance=distance)


def test_the_structural_distance_is_the_mean_of_both_ends_and_reaches_five_pixels():
    assert paired(LINE, moved(LINE, 0, 4, 0, 6)) == (1.0, 5.0)
    assert paired(LINE, moved(LINE[:, [2, 3, 0, 1]], 0, 4, 0, 6)) == (1.0, 5.0)
    share, error = paired(LINE, moved(LINE, 0, 4, 0, 6.1))
    assert share == 0.0 and math.isnan(error)


def test_no_line_is_the_partner_of_two_and_the_image_with_fewer_counts():
    two = np.concatenate([moved(LINE, 0, 1, 0, 1), moved(LINE, 0, 2, 0, 2)])
    assert paired(LINE, two) == (1.0, 1.0)
    assert paired(np.concatenate([LINE, moved(LINE, 0, 90, 0, 90)]), two) == (0.5, 1.0)


def test_as_many_lines_are_paired_as_can_be():
    # The nearest pair alone, 2 to 3, would leave 1 and 4 without a partner.
    first = np.concatenate([LINE, moved(LINE, 0, 4, 0, 4)])
    second = np.concatenate([moved(LINE, 0, 4.5, 0, 4.5), moved(LINE, 0, 8.5, 0, 8.5)])
    assert paired(first, second) == (1.0, 4.5)


def test_lines_are_cut_to_what_both_images_show():
    shift = np.array([[1.0, 0, -100], [0, 1, 0], [0, 0, 1]])
    # Of the line from 50 to 150 the copy shows what lies right of 100, at 0 to 50.
    assert paired(LINE, np.array([[0.0, 60.0, 50.0, 60.0]]), homography=shift) == (1.0, 0.0)
    # Nine pixels of it are too few.
    assert all(map(math.isnan, paired(np.array([[50.0, 60.0, 109.0, 60.0]]), NOTHING, homography=shift)))


def test_lines_that_cross_steeply_or_lie_one_behind_the_other_are_no_pair():
    short = np.array([[100.0, 100.0, 110.5, 100.0]])
    turned = np.array([[101.0, 96.0, 109.0, 104.0]])
    assert structural_distances(short, turned)[0, 0] / 2 < 5.0 and paired(short, turned)[0] == 0.0
    assert paired(short, moved(short, 4.9, 0, 4.9, 0))[0] == 1.0
    assert paired(short, moved(short, 0, 1, -5.5, 1))[0] == 0.0


def test_orthogonal_pairs_need_half_of_both_lines():
    third = np.array([[100.0, 61.0, 140.0, 61.0]])
    assert orthogonal_distances(LINE, third)[0, 0] == pytest.approx(2.0)
    assert paired(LINE, third, "orthogonal")[0] == 0.0
    assert paired(LINE, np.array([[95.0, 61.0, 150.0, 61.0]]), "orthogonal") == (1.0, pytest.approx(2.0))


def test_without_lines_and_with_an_unknown_distance():
    assert all(map(math.isnan, paired(NOTHING, NOTHING)))
    for share, error in (paired(LINE, NOTHING), paired(NOTHING, LINE)):
        assert share == 0.0 and math.isnan(error)
    with pytest.raises(ValueError, match="distance is 'area'"):
        paired(LINE, LINE, "area")


def test_pairing_in_parts_is_that_of_the_whole_matrix(monkeypatch):
    rng = np.random.default_rng(3)
    centres, angles = rng.uniform(20, 120, (60, 2)), rng.uniform(0, 0.3, 60)
    step = 15.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    first = np.concatenate([centres - step, centres + step], axis=1)
    second = first[rng.permutation(60)[:50]] + rng.normal(0, 3, (50, 4))
    costs = structural_distances(first, second) / 2
    steep = np.abs(module._directions(first) @ module._directions(second).T) < math.cos(math.radians(30))
    overlap = (module.beside(first, second)[1] + module.beside(second, first)[1].T) / 2
    costs[(costs > 5) | steep | (overlap <= 0.5)] = 1e5
    taken = np.sort(costs[linear_sum_assignment(costs)])
    taken = taken[taken < 1e5]
    assert 20 < len(taken) < 50
    assert one_to_one(first, second, np.eye(3), SHAPE) == (len(taken) / 50, pytest.approx(taken[:50].mean()))
    monkeypatch.setattr(module, "ROWS", 7)
    assert one_to_one(first, second, np.eye(3), SHAPE) == (len(taken) / 50, pytest.approx(taken[:50].mean()))


def found_in(images, rank):
    """Pairs of a detector that finds `images`, name to (lines, scores) of image and copy, which are the same view."""
    sides = [side for pair in images.values() for side in pair]
    answers = iter([Wireframe.from_lines(lines, SHAPE[1], SHAPE[0], scores) for lines, scores in sides])
    plain = [(name, np.zeros(SHAPE, np.uint8)) for name in images]
    return find_pairs(lambda image: next(answers), plain, lambda *_: np.eye(3), rank)


def grid(count, wrong=()):
    """`count` level lines that grow longer from the top, of falling scores; those of `wrong` lie elsewhere."""
    y = np.arange(count) + 10.0
    lines = np.stack([np.full(count, 20.0), 1.4 * y, 60.0 + y, 1.4 * y], axis=1)
    lines[list(wrong)] += [100.0, 0.0, 100.0, 0.0]
    return lines, np.linspace(0.9, 0.1, count)


def measured(images, rank=by_score, least=0.5):
    pairs = found_in(images, rank)
    return at_counts(pairs, [lines_above(pair, least) for pair in pairs])


def test_the_best_lines_of_each_image_are_compared():
    # Of 60 lines the 30 with the highest scores are repeated, and these are the shortest; 7 px apart by 1.4 px a row.
    wrong = range(30, 60)
    images = {"a#0": (grid(60), grid(60, wrong))}
    by_scores, by_lengths = measured(images), measured(images, by_length)
    assert [each.lines for each in by_scores] == [25, 50, 100, None]
    assert [each.lines_per_image for each in by_scores] == [25, 50, 60, 30]
    assert by_scores[0].nearest.structural.repeatability == 1.0
    assert by_lengths[0].nearest.structural.repeatability == 0.0
    assert by_scores[1].one_to_one.structural.repeatability == pytest.approx(30 / 50)
    assert by_lengths[1].one_to_one.structural.repeatability == pytest.approx(20 / 50)
    assert by_scores[0].each == (1.0,) and by_scores[0].one_to_one.structural.localisation == 0.0


def evaluation(images, others):
    """An evaluation of a model that finds `images` and a baseline that finds `others`."""
    model, baseline = found_in(images, by_score), found_in(others, by_length)
    whole = [lines_above(pair, 0.5) for pair in model]
    found = {
        title: dataclasses.replace(compare_pairs(pairs), at_counts=at_counts(pairs, whole))
        for title, pairs in ((MODEL, model), (BASELINE, baseline))
    }
    return Evaluation("m.pth", "photos", 1, None, found, {}, Conditions(512, 512, 45.0, 1, 0.5))


GOOD = {f"{name}#0": (grid(60), grid(60)) for name in "abcd"}
POOR = {f"{name}#0": (grid(60), grid(60, range(k, 60))) for k, name in enumerate("abcd", 20)}


def test_the_verdict_says_which_is_better_with_numbers_and_keeps_what_it_was_given(tmp_path):
    better = evaluation(GOOD, POOR)
    assert "The model is better than LSD: Rep-5 at 50 lines 1.000 against" in as_text(better)
    assert "The model is worse than LSD" in as_text(evaluation(POOR, GOOD))
    assert "The model is neither better nor worse than LSD" in as_text(evaluation(GOOD, GOOD))
    assert headline(better).startswith("Rep-5 1.000 at 50 lines, LSD 0.")
    text = as_text(better)
    assert "50 longest, LSD" in text and "as many, LSD" in text and "512 px, 4 pairs" in text and "one to one" in text
    better.write(tmp_path / "e.json")
    again = Evaluation.read(tmp_path / "e.json")
    assert again == better and as_text(again) == text


def test_fewer_lines_than_asked_for_are_said():
    few = {name: (grid(12), grid(12)) for name in GOOD}
    assert "1.000 (of 12 lines only) against" in as_text(evaluation(few, POOR))


def test_copies_of_a_photograph_count_once_and_one_photograph_proves_nothing():
    copies = {f"a#{k}": pair for k, pair in enumerate(GOOD.values())}
    poorer = {f"a#{k}": pair for k, pair in enumerate(POOR.values())}
    found = evaluation(copies, poorer).repeatability
    apart = difference(found[MODEL], found[BASELINE])
    assert apart.photographs == 1 and apart.mean > 0 and apart.word == "neither better nor worse than"
    assert apart.amount.endswith("one photograph")
    whole = evaluation(GOOD, POOR).repeatability
    apart = difference(whole[MODEL], whole[BASELINE])
    values = [1 - value for value in whole[BASELINE].at(50).each]
    assert apart.mean == pytest.approx(np.mean(values))
    assert apart.error == pytest.approx(2 * np.std(values, ddof=1) / 2)
    assert difference(whole[MODEL], None) is None and difference(found[MODEL], whole[BASELINE]).photographs == 1
