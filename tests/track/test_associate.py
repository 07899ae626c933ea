"""Candidates against every pair, assignment against exhaustive search."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tracker.boxes import iou_matrix
from tracker.track.associate import Pairs, choose, overlaps


def best_total(similarity: np.ndarray, threshold: float) -> float:
    """Largest total of allowed pairs over all one-to-one maps."""
    allowed = np.where(similarity >= threshold, similarity, 0.0)
    if allowed.shape[0] > allowed.shape[1]:
        allowed = allowed.T
    rows = range(allowed.shape[0])
    return max(
        sum(allowed[r, c] for r, c in zip(rows, order, strict=False)) for order in permutations(range(allowed.shape[1]))
    )


def pairs_of(similarity: np.ndarray) -> Pairs:
    rows, columns = np.nonzero(similarity)
    return Pairs(rows, columns, similarity[rows, columns])


@pytest.mark.parametrize("seed", range(30))
def test_equals_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.random((rng.integers(1, 6), rng.integers(1, 6)))
    rows, columns = choose(pairs_of(similarity).at_least(0.3))
    assert (similarity[rows, columns] >= 0.3).all()
    assert len(set(rows)) == len(rows) and len(set(columns)) == len(columns)
    assert (np.diff(rows) > 0).all()
    assert similarity[rows, columns].sum() == pytest.approx(best_total(similarity, 0.3))


def test_a_pair_below_the_threshold_does_not_force_better_pairs_apart() -> None:
    """Plain Hungarian would take 0.5 + 0.29 over 0.6."""
    rows, columns = choose(pairs_of(np.array([[0.6, 0.5], [0.29, 0.0]])).at_least(0.3))
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_pair(shape) -> None:
    rows, columns = choose(pairs_of(np.zeros(shape)))
    assert len(rows) == len(columns) == 0


@pytest.mark.parametrize(("count", "others"), [(0, 4), (4, 0), (1, 1), (40, 60), (300, 200)])
def test_candidates_are_all_overlapping_pairs_of_one_class(count: int, others: int) -> None:
    rng = np.random.default_rng(count)
    a, b = (np.repeat(rng.uniform(0, 900, (n, 2)), 2, 0).reshape(n, 4) for n in (count, others))
    for boxes in (a, b):
        boxes[:, 2:] += rng.uniform(1, 120, (len(boxes), 2))
    a_classes, b_classes = rng.integers(0, 3, count), rng.integers(0, 3, others)
    pairs = overlaps(a, a_classes, b, b_classes)
    every = iou_matrix(a, b) * (a_classes[:, None] == b_classes[None, :])
    rows, columns = np.nonzero(every)
    assert pairs.rows.tolist() == rows.tolist() and pairs.columns.tolist() == columns.tolist()
    assert np.allclose(pairs.gain, every[rows, columns], rtol=1e-12)
