"""What a likeness of looks means, learnt from pairs that only may be the same."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.track.sparse_looks import FEWEST, chances, levelled, look_odds, products_of_others


def pairs(same: float, apart: float, share: float = 0.2, count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Products of pairs of which a share are the same, and which are."""
    rng = np.random.default_rng(0)
    true = rng.random(count) < share
    return np.where(true, rng.normal(same, 0.06, count), rng.normal(apart, 0.08, count)), true


def others(count: int = 500) -> np.ndarray:
    return np.random.default_rng(1).normal(0.5, 0.08, count)


def test_the_same_are_found_where_places_say_little() -> None:
    products, true = pairs(0.9, 0.5)
    odds = look_odds(products, np.full(1000, 0.15), others())
    assert np.median(odds[true]) > 2
    assert np.median(odds[~true]) < -2


def test_looks_that_tell_nothing_say_nothing() -> None:
    """All look the same, whoever it is: no pair gains much, none is forbidden."""
    products, _ = pairs(0.5, 0.5)
    odds = look_odds(products, np.full(1000, 0.2), others())
    assert np.abs(np.median(odds)) < 1


def test_what_is_unknown_says_nothing() -> None:
    products, _ = pairs(0.9, 0.5)
    products[::2] = np.nan
    odds = look_odds(products, np.full(1000, 0.15), others())
    assert not odds[::2].any()
    assert odds[1::2].any()
    assert not look_odds(products, np.full(1000, 0.15), others(FEWEST - 1)).any()
    assert not look_odds(np.full(5, 0.9), np.full(5, 0.5), others()).any()


def test_of_the_pairs_of_a_row_one_or_none_is_the_one() -> None:
    chance = chances(np.array([0, 0, 2]), np.array([3.0, 3.0, -9.0]))
    assert chance[0] == chance[1] == pytest.approx(np.e**3 / (1 + 2 * np.e**3))
    assert chance[2] < 0.01


def test_others_are_of_one_picture_and_class() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2, 0]]
    frames, class_ids = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 0])
    assert products_of_others(vectors, frames, class_ids).tolist() == [1.0, 0.0]
    assert len(products_of_others(vectors[:0], frames[:0], class_ids[:0])) == 0


def test_what_a_cloud_takes_from_all_is_given_back_and_the_rest_stays() -> None:
    """Four objects, three pictures; between the first and the second all products are .3 lower than usual."""
    frames, others = np.repeat([0, 1, 0], 4), np.repeat([1, 2, 2], 4)
    products = np.concatenate((np.full(4, 0.6), np.full(4, 0.9), np.full(4, 0.9)))
    products[3] = 0.1  # another object: what it has not in common stays
    chance = np.where(products < 0.2, 0.0, 1.0)
    found = levelled(products, chance, frames, others)
    assert np.ptp(found[chance == 1]) < 1e-9 and found[0] > 0.75
    assert found[3] == pytest.approx(found[0] - 0.5)


def test_few_or_unknown_pairs_do_not_tell_the_light() -> None:
    products = np.array([0.5, 0.6, 0.9, 0.9, 0.9, np.nan])
    found = levelled(products, np.ones(6), np.array([0, 0, 1, 1, 1, 0]), np.array([1, 1, 2, 2, 2, 1]))
    assert found[:2].tolist() == [0.5, 0.6] and np.isnan(found[5])
    assert levelled(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)).shape == (0,)
