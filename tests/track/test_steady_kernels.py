"""Our own tracker: the same with numba and without; its similarity by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.track.scenes import crowd
from tracker.structures import Tracks
from tracker.track import Steady, associate, calibrate, compiled, kalman
from tracker.track.steady import DISTANCE_SHARE, GROWTH, LARGEST_GROWTH, POSITION


def shown(tracks: list[Tracks]) -> list[np.ndarray]:
    return [part for one in tracks for part in (one.ids, one.boxes, one.scores, one.state, one.missed_s)]


@pytest.mark.parametrize("count", [0, 1, 40, 120])
def test_the_same_tracks_with_and_without_numba(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: NumPy alone, kernels alone, and a change in the middle of a frame."""
    compiled.load()
    fast = compiled._start.kernels
    if fast is None:
        pytest.skip(compiled.reason())
    results = []
    for start in (0, 10**9, 211):
        calls = iter(range(10**6))
        monkeypatch.setattr(compiled, "kernels", lambda saving_s, start=start, calls=calls: fast if next(calls) >= start else None)  # noqa: E501  # fmt: skip
        tracker, times = Steady(), np.cumsum(np.random.default_rng(0).choice([0.0, 1 / 30, 0.2], 60)).tolist()
        tracks = [tracker.update(crowd(k, count), time_s) for k, time_s in enumerate(times)]
        results.append([*shown(tracks), *tracker.assigned, tracker._scores._precision, tracker._table["covariance"]])
    for one, other in pairwise(results):
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))
    assert count == 0 or sum(len(part) for part in results[0]) > 100


@pytest.mark.parametrize("spread", [50.0, 600.0, 5000.0])
@pytest.mark.parametrize(("count", "others"), [(0, 3), (3, 0), (1, 1), (30, 40), (150, 120)])
def test_the_kernels_of_this_tracker_equal_their_twins(count: int, others: int, spread: float) -> None:
    compiled.load()
    fast = compiled._start.kernels
    if fast is None:
        pytest.skip(compiled.reason())
    rng = np.random.default_rng([count, others, int(spread)])

    def boxes(size: int) -> np.ndarray:
        return np.concatenate((rng.uniform(0, spread, (size, 2)), rng.uniform(0.3, 90, (size, 2))), 1)

    mean, covariance = kalman.start(boxes(count))
    covariance *= rng.uniform(0, 30, (count, 1, 1)) ** 2
    call = (mean, covariance, rng.integers(0, 2, count), boxes(others), rng.integers(0, 2, others), POSITION,
            GROWTH, LARGEST_GROWTH)  # fmt: skip
    ours, theirs = associate.likeness_numpy(*call), fast.likeness(*call)
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True))
    assert np.all(ours.overlap > 0) and np.all(ours.overlap <= 1) and np.all(ours.distance >= 0)
    places, at, raw = rng.integers(0, 3, others), rng.uniform(-20, 30, others), rng.random(others)
    real, rows = (rng.random((2, count)) < 0.6), rng.permutation(min(count, others))
    counts = []
    for calibrated, learn in ((calibrate.calibrate_numpy, calibrate.learn_numpy), (fast.calibrate, fast.learn)):
        precision, detected, tally, matched, returns = np.linspace(0, 1, 48).reshape(3, 16), *np.zeros((4, 3, 16))
        tally, returns = tally[:, :2].copy(), returns[:, :2].copy()
        result, bins = calibrated(places, at, raw, 0.7, precision, detected, tally)
        learn(rng.__class__(np.random.PCG64(7)).integers(0, 3, count), *real, rows, bins[: len(rows)], matched, returns)
        counts.append((result, bins, detected, tally, matched, returns))
    assert all(np.array_equal(a, b) for a, b in zip(*counts, strict=True))
    assert counts[0][2].sum() == others == counts[0][3][:, 0].sum()


def test_likeness_is_the_iou_of_grown_boxes_and_the_mahalanobis_distance() -> None:
    """One pair by hand: boxes of 40 x 100, grown by the doubt about the centre, 10 pixels apart."""
    mean, covariance = kalman.start(np.array([[100.0, 100, 40, 100]]))
    covariance[0, :, 0] = (100.0, 300.0, 4.0, 9.0)
    measured = np.array([[110.0, 100, 40, 100]])
    label = np.zeros(1, np.int64)
    rows, columns, overlap, distance = associate.likeness(mean, covariance, label, measured, label, POSITION, 1.0, 2.0)
    factor = 1 + np.sqrt(200 / 4000)
    shared = (40 * factor - 10) * 100 * factor
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    assert overlap[0] == pytest.approx(shared / (2 * 4000 * factor**2 - shared))
    assert distance[0] == pytest.approx(100 / (100 + 25))
    covariance[0, :, 0] *= 10000
    far = np.array([[218.0, 100, 40, 100], [222.0, 100, 40, 100]])
    two = np.zeros(2, np.int64)
    assert associate.likeness(mean, covariance, label, far, two, POSITION, 1.0, 2.0).columns.tolist() == [0]
    assert 0 < DISTANCE_SHARE < 1
