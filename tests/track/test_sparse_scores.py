"""What scores and places are worth where objects are seen seldom, and the odds of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from tracker.track.scene import perspective
from tracker.track.sparse_chains import best_chains
from tracker.track.sparse_gain import NEIGHBOURS, Sights, candidates, gains, room
from tracker.track.sparse_scores import LinkedScores, together

CARS = np.zeros(1, np.int64)


def worth(links: list[tuple[float, float]], asked: list[float], detected: list[float]) -> np.ndarray:
    scores = LinkedScores()
    scores.count(np.array(detected))
    a, b = np.array(links).reshape(-1, 2).T
    scores.link(a, b, np.zeros(len(a), np.int64))
    return scores.real(np.array(asked), np.zeros(len(asked), np.int64))


def test_belief_spreads_along_links() -> None:
    """Where 0.4 and 0.9 are one object, 0.4 is worth more than where it is linked with its like alone."""
    asked, detected = [0.4, 0.6, 0.95], [0.4, 0.6, 0.95] * 40
    mixed = worth([(0.4, 0.95), (0.6, 0.95), (0.95, 0.95)] * 40, asked, detected)
    apart = worth([(0.4, 0.4), (0.6, 0.6), (0.95, 0.95)] * 40, asked, detected)
    assert mixed[0] > 4 * apart[0]
    assert mixed[1] > apart[1]
    assert (np.diff(mixed) >= 0).all()
    assert (np.diff(apart) >= 0).all()


def test_belief_spreads_over_several_links() -> None:
    asked, detected = [0.3, 0.99], [0.3, 0.6, 0.8, 0.99] * 40
    chain = worth([(0.3, 0.6), (0.6, 0.8), (0.8, 0.99)] * 40, asked, detected)
    broken = worth([(0.3, 0.6), (0.8, 0.99)] * 40, asked, detected)
    assert chain[0] > 2 * broken[0]


def test_without_links_a_score_is_taken_at_its_word_relative_to_the_best() -> None:
    low = worth([], [0.3, 0.5, 0.7], [0.3, 0.5, 0.7] * 10)
    high = worth([], [0.3, 0.5, 0.7], [0.7, 0.9, 0.99] * 10)
    assert (low > high).all()
    assert low[2] == pytest.approx(0.999)
    assert (np.diff(low) > 0).all()


def test_classes_share_a_detector() -> None:
    """What links of one class say changes the word for another that has none."""
    scores = LinkedScores()
    scores.count(np.array([0.4, 0.95] * 40))
    before = scores.real(np.array([0.4]), CARS + 7)
    scores.link(np.full(40, 0.4), np.full(40, 0.95), np.zeros(40, np.int64))
    assert scores.real(np.array([0.4]), CARS + 7) > before
    assert scores.real(np.array([0.4]), CARS) > scores.real(np.array([0.4]), CARS + 7)


def test_probabilities_stay_between_0_and_1() -> None:
    asked = np.linspace(0, 1, 50)
    chance = worth([(1.0, 1.0)] * 5000 + [(0.0, 0.0)] * 5000, asked.tolist(), [0.0, 1.0] * 5000)
    assert ((chance > 0) & (chance < 1)).all()
    assert len(worth([], [], [])) == 0


def test_more_sights_are_more_sure() -> None:
    one, two = np.log1p(-0.5), 2 * np.log1p(-0.5)
    assert together(np.array([one]), np.array([1])) == pytest.approx(0.5)
    assert 0.5 < together(np.array([two]), np.array([2]))[0] < 0.75


def test_boxes_off_the_perspective_are_rather_false() -> None:
    feet = np.linspace(200, 1000, 30)
    height = 40 * np.exp(feet / 600)
    height[10] *= 4
    boxes = np.column_stack((np.full(30, 300.0), feet - height / 2, height / 2, height))
    odds = perspective(boxes, np.zeros(30, np.int64), np.full(30, 0.9))
    others = np.delete(odds, 10)
    assert odds[10] < 0 < others.min()
    assert odds[10] < others.min() - 0.3


def test_perspective_of_one_box_and_of_none_says_little() -> None:
    assert len(perspective(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))) == 0
    assert np.isfinite(perspective(np.array([[9.0, 9, 4, 8]]), CARS, np.array([0.5]))).all()


def sights(*rows: tuple[float, float, float, float], score: float = 0.9, label: int = 0) -> Sights:
    boxes = np.array(rows, np.float64).reshape(-1, 4)
    return Sights(boxes, np.full(len(boxes), label), np.full(len(boxes), score))


def gain(dx: float = 0.0, dt_s: float = 2.0, *, height: float = 100, missed: int = 0, rivals: float = 5.0,
         speed: float = np.nan, score: float = 0.9, scale: float = 1.0) -> float:  # fmt: skip
    a = sights((0, 0, 40 * scale, 100 * scale))
    b = sights((dx * scale, 0, 0.4 * height * scale, height * scale), score=score)
    speeds = (np.array([[speed * scale, 0.0]]),)
    number, area = np.array([missed]), 2e6 * scale**2
    return float(gains(a, b, np.array([dt_s]), number, speeds, np.array([rivals]), area)[0])


def test_the_nearer_the_likelier() -> None:
    found = [gain(dx) for dx in (0, 30, 80, 200, 600)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0 > found[-1]


def test_the_reach_grows_with_the_time() -> None:
    short, long = gain(0, 0.5) - gain(150, 0.5), gain(0, 2.0) - gain(150, 2.0)
    assert short > long > 0
    assert gain(0, 3600) > 0 > gain(600, 3600)


def test_what_goes_on_as_it_moved_is_likelier() -> None:
    assert gain(160, 2.0, speed=80) > gain(160, 2.0) > gain(160, 2.0, speed=-80)


def test_all_that_differs_counts_against_it() -> None:
    for other in ({"height": 130}, {"missed": 2}, {"rivals": 50.0}, {"score": 0.4}):
        assert gain(40, **other) < gain(40)


def test_pixels_mean_nothing() -> None:
    assert gain(60, speed=20, scale=7.0) == pytest.approx(gain(60, speed=20))


def test_two_sights_of_one_time_have_odds() -> None:
    assert np.isfinite(gain(3, 0.0, speed=10))


def test_candidates_are_of_one_class_near_and_alike() -> None:
    a = sights((0, 0, 40, 100), (500, 0, 40, 100))
    b = Sights(
        np.array([[10, 0, 40, 100], [10, 0, 40, 500], [5000, 0, 40, 100], [500, 9, 40, 90]], np.float64),
        np.array([0, 0, 0, 1]), np.full(4, 0.9),
    )  # fmt: skip
    rows, columns = candidates(a, b)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (1, 0)]
    assert [len(part) for part in candidates(sights(), b)] == [0, 0]


def test_of_a_crowd_the_nearest_are_tried() -> None:
    x = np.arange(300) * 30.0
    crowd = sights(*((place, 0, 20, 50) for place in x))
    rows, columns = candidates(crowd, crowd)
    assert len(rows) <= 300 * NEIGHBOURS
    assert {(k, k) for k in range(300)} <= set(zip(rows.tolist(), columns.tolist(), strict=True))


def test_a_picture_is_larger_than_its_only_object() -> None:
    boxes = np.array([[50, 50, 40.0, 100.0]])
    assert room(np.array([30, 0, 70, 100.0]), boxes) == 16 * 4000
    assert room(np.array([0, 0, 1000, 1000.0]), boxes) == 1e6


def test_chains_are_of_the_largest_total() -> None:
    rows, columns, gain_ = np.array([0, 0, 1, 1, 2]), np.array([5, 6, 5, 6, 6]), np.array([9.0, 8.5, 8.0, 1.0, 3.0])
    chosen = best_chains(rows, columns, gain_)
    assert sorted(zip(*(part.tolist() for part in chosen), strict=True)) == [(0, 6), (1, 5)]
    assert len(best_chains(rows[:0], columns[:0], gain_[:0])[0]) == 0


def test_chains_are_the_best_of_all_choices() -> None:
    """Against SciPy's dense assignment, with ties and without."""
    rng = np.random.default_rng(0)
    for k in range(60):
        matrix = rng.random((9, 7)) * (rng.random((9, 7)) < rng.uniform(0.1, 1))
        matrix = np.round(matrix, 1) if k % 2 else matrix
        rows, columns = matrix.nonzero()
        mine, theirs = best_chains(rows, columns, matrix[rows, columns])
        assert len(set(mine.tolist())) == len(mine)
        assert len(set(theirs.tolist())) == len(theirs)
        best = linear_sum_assignment(matrix, maximize=True)
        assert matrix[mine, theirs].sum() == pytest.approx(matrix[best].sum())
