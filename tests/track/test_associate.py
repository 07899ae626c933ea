"""Candidates against every pair, assignment against exhaustive search."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tracker.boxes import iou_matrix
from tracker.track import compiled
from tracker.track.associate import Pairs, choose, overlaps


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs on NumPy alone and on the kernels."""
    if request.param == "numpy":
        monkeypatch.setattr(compiled, "kernels", lambda saving_s: None)
    elif compiled.load() != "numba":
        pytest.skip(compiled.reason())


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


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (4, 1), (3, 3), (3, 5), (5, 3)])
def test_ties_are_matched_in_order(rows: int, columns: int) -> None:
    chosen = choose(pairs_of(np.full((rows, columns), 0.7)))
    assert chosen[0].tolist() == chosen[1].tolist() == list(range(min(rows, columns)))


def test_a_pair_without_gain_is_never_chosen() -> None:
    for gain in ([0.0, -1.0], [0.5, -1.0], [-0.5, 0.5]):
        pairs = Pairs(np.arange(2), np.arange(2), np.array(gain))
        assert choose(pairs)[0].tolist() == [k for k in range(2) if gain[k] > 0]
    crossed = Pairs(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.5, -0.1, 0.5]))
    assert [part.tolist() for part in choose(crossed)] == [[0], [0]]


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


def test_boxes_that_only_touch_or_have_no_area_do_not_overlap() -> None:
    rng = np.random.default_rng(5)
    corners = rng.integers(0, 12, (150, 2)).astype(float)
    boxes = np.concatenate((corners, corners + rng.integers(0, 4, (150, 2))), 1) / 3  # many edges alike, some areas 0
    some = boxes[:120]
    kinds = np.zeros(150, np.int64)
    pairs = overlaps(boxes, kinds, some, kinds[:120])
    rows, columns = np.nonzero(iou_matrix(boxes, some))
    assert pairs.rows.tolist() == rows.tolist() and pairs.columns.tolist() == columns.tolist()


@pytest.mark.parametrize("odd", [np.inf, -np.inf, 1e300])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_boxes_without_bounds_do_no_harm_to_others(odd: float) -> None:
    """They are turned away long before; here nothing may crash, and the others keep their pairs."""
    corners = np.random.default_rng(6).uniform(0, 500, (80, 2))
    boxes = np.concatenate((corners, corners + 40), 1)
    kinds = np.zeros(80, np.int64)
    least = overlaps(boxes[1:], kinds[1:], boxes[1:], kinds[1:])
    boxes[0, 2] = odd
    pairs = overlaps(boxes, kinds, boxes, kinds)
    others = (pairs.rows > 0) & (pairs.columns > 0)
    assert pairs.rows[others].tolist() == (least.rows + 1).tolist()
    assert pairs.columns[others].tolist() == (least.columns + 1).tolist()
