"""Assignment against exhaustive search."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tracker.track.associate import assign


def best_total(similarity: np.ndarray, threshold: float) -> float:
    """Largest total of allowed pairs over all one-to-one maps."""
    allowed = np.where(similarity >= threshold, similarity, 0.0)
    if allowed.shape[0] > allowed.shape[1]:
        allowed = allowed.T
    rows = range(allowed.shape[0])
    return max(
        sum(allowed[r, c] for r, c in zip(rows, order, strict=False)) for order in permutations(range(allowed.shape[1]))
    )


@pytest.mark.parametrize("seed", range(30))
def test_equals_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.random((rng.integers(1, 6), rng.integers(1, 6)))
    rows, columns = assign(similarity, 0.3)
    assert (similarity[rows, columns] >= 0.3).all()
    assert len(set(rows)) == len(rows) and len(set(columns)) == len(columns)
    assert similarity[rows, columns].sum() == pytest.approx(best_total(similarity, 0.3))


def test_a_pair_below_the_threshold_does_not_force_better_pairs_apart() -> None:
    """Plain Hungarian would take 0.5 + 0.29 over 0.6."""
    rows, columns = assign(np.array([[0.6, 0.5], [0.29, 0.0]]), 0.3)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_pair(shape) -> None:
    rows, columns = assign(np.zeros(shape), 0.3)
    assert len(rows) == len(columns) == 0
