"""What looks tell: learnt from the stream, 0.5 where nothing is known, running means by id."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.track.looks import FEWEST, RATE, Looks, nearness

NAMES = np.arange(1, 6)
ONES = np.ones(5)
LABELS = np.zeros(5, np.int64)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vectors(seed: int, spread: float = 0.15, base: float = 0.0) -> np.ndarray:
    """(5, 32): five objects, each with a look of its own beside what all share, as seen in one picture."""
    own = np.random.default_rng(0).normal(0, 1, (5, 32)) + base
    return unit(own + np.random.default_rng(seed).normal(0, spread, (5, 32)))


def trained(frames: int = 30, **how: float) -> Looks:
    looks = Looks()
    for k in range(frames):
        looks.take(NAMES, vectors(k + 1, **how), ONES, LABELS)
    return looks


@pytest.mark.parametrize("base", [0.0, 2.0])
def test_the_same_are_told_from_others_whatever_their_products(base: float) -> None:
    """With a share common to all, products of others are near 0.8, without near 0."""
    looks, new = trained(base=base), vectors(99, base=base)
    assert np.all(looks.alike(NAMES, new) > 0.95)
    assert np.all(looks.alike(NAMES, np.roll(new, 1, 0)) < 0.05)
    every = looks.every(NAMES, new)
    assert np.diag(every) == pytest.approx(looks.alike(NAMES, new))
    assert every.argmax(1).tolist() == [0, 1, 2, 3, 4]


def test_looks_that_tell_nothing_say_nothing() -> None:
    looks = Looks()
    for k in range(200):
        looks.take(NAMES, unit(np.random.default_rng(k).normal(1, 1, (5, 32))), ONES, LABELS)
    alike = looks.every(NAMES, unit(np.random.default_rng(999).normal(1, 1, (5, 32))))
    assert np.abs(alike - 0.5).max() < 0.35
    assert np.abs(alike - 0.5).mean() < 0.1


def test_until_enough_was_seen_all_is_as_likely_as_not() -> None:
    frames = int(FEWEST // 5)
    assert np.all(trained(frames).alike(NAMES, vectors(99)) == 0.5)
    assert np.all(trained(frames + 1).alike(NAMES, vectors(99)) > 0.5)


def test_others_are_those_of_the_same_class() -> None:
    """Of five objects of five classes nothing is known about others."""
    looks = Looks()
    for k in range(50):
        looks.take(NAMES, vectors(k + 1), ONES, np.arange(5))
    assert np.all(looks.alike(NAMES, vectors(99)) == 0.5)


def test_what_is_not_known_is_as_likely_as_not() -> None:
    looks, new = trained(), vectors(99)
    new[2] = 0
    alike = looks.alike(np.array([1, 2, 3, 77, 5]), new)
    assert alike[[2, 3]].tolist() == [0.5, 0.5]
    assert np.all(alike[[0, 1, 4]] > 0.9)
    assert looks.alike_tracks(np.array([1, 1, 88, 1]), np.array([1, 2, 1, 99]))[2:].tolist() == [0.5, 0.5]
    assert looks.alike_tracks(np.array([1, 1]), np.array([1, 2])) == pytest.approx([1, 0], abs=0.05)
    assert Looks().alike(NAMES, new).tolist() == [0.5] * 5
    assert Looks().alike_tracks(NAMES, NAMES).tolist() == [0.5] * 5
    assert Looks().every(NAMES[:0], new).shape == (0, 5)


def test_a_vector_follows_its_detections_sure_ones_faster() -> None:
    one, other = np.eye(2, dtype=np.float32)
    for score, share in ((1.0, RATE), (0.5, RATE / 2), (0.0, 0.0), (7.0, RATE)):
        looks = Looks()
        looks.take(np.array([3]), one[None], np.ones(1), LABELS[:1])
        looks.take(np.array([3]), other[None], np.array([score]), LABELS[:1])
        want = (1 - share) * one + share * other
        assert looks._vectors[0] == pytest.approx(want / np.linalg.norm(want), abs=1e-6)


def test_tracks_come_and_go() -> None:
    """In any order of the detections, many more than there is room for at first; 0 is no track."""
    rng, looks, living = np.random.default_rng(0), Looks(), np.zeros(0, np.int64)
    every = unit(rng.normal(0, 1, (400, 16)))
    for first in range(1, 400, 7):
        ids = rng.permutation(np.concatenate((living[-20:], np.arange(first, min(first + 7, 400)), (0, 0))))
        looks.take(ids, every[ids], np.ones(len(ids)), np.zeros(len(ids), np.int64))
        living = np.unique(np.concatenate((living, ids[ids > 0])))
        if first % 5 == 0:
            living = living[-30:]
            looks.keep(living)
        assert len(looks) == len(living)
        assert looks._ids[: len(looks)].tolist() == living.tolist()
        assert np.abs(looks._vectors[: len(looks)] - every[living]).max() < 1e-5
    looks.keep(NAMES[:0])
    assert len(looks) == 0 and not looks
    looks.take(np.array([1000]), np.ones((1, 4), np.float32) / 2, np.ones(1), LABELS[:1])
    assert len(looks) == 1


def test_counts_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.track.looks.MEMORY", 100.0)
    assert np.all(trained(300)._sums[:, 0] <= 120)
    assert np.all(trained(300).alike(NAMES, vectors(999)) > 0.95)


def test_nearness_falls_with_the_distance_and_ends_at_the_reach() -> None:
    place = np.array([[100.0, 100, 40, 100], [0, 0, 40, 100]])
    others = np.array([[100.0, 100, 40, 100], [200, 100, 40, 100], [100, 350, 40, 100], [100, 100, 80, 200]])
    near = nearness(place, others, np.array([2.0, 0.5]))
    assert near[0].tolist() == pytest.approx([1, 0.5, 0, 0])
    assert near[1].tolist() == [0, 0, 0, 0]
