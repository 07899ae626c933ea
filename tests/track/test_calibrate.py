"""What scores turn out to be worth: kinds of detectors, classes, memory, evidence for and against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import detections
from tracker.track import calibrate
from tracker.track.calibrate import BEST_FLOOR, BINS, CENTRES, EDGES, MEMORY, STALE, ScoreCalibration
from tracker.track.steady import Steady

Scorer = Callable[[np.random.Generator], float]


def watched(real: Scorer | None, flicker: Scorer | None, seconds: float = 8, label: int = 0) -> Steady:
    """A tracker that has seen five standing objects and five detections anywhere in each frame, scored so."""
    rng, tracker = np.random.default_rng(1), Steady()
    for k in range(int(30 * seconds)):
        rows = [(200 * i, 100, 200 * i + 40, 200, real(rng), label) for i in range(5) if real]
        for x, y in rng.uniform(300, 20000, (5, 2)):
            rows += [(x, y, x + 40, y + 100, flicker(rng), label)] if flicker else []
        tracker.update(detections(*rows), k / 30)
    return tracker


def worth(tracker: Steady, *scores: float, label: int = 0) -> np.ndarray:
    """What the tracker takes these scores for now."""
    found = np.array(scores, np.float32), np.full(len(scores), label, np.int64)
    return tracker._scores.calibrated(*found)


def told(found: int, returned: int, score: float = 0.9, label: int = 0) -> ScoreCalibration:
    """A calibration after `found` frames with a detection of `score`, whose track was found again so often."""
    scores = ScoreCalibration()
    one, row = np.full(1, label, np.int64), np.zeros(1, np.int64)
    for k in range(found):
        scores.calibrated(np.full(1, score, np.float32), one)
        rows = row[: int(k < returned)]
        scores.learn(one, np.ones(1, np.float32), np.ones(1, np.bool_), rows, rows)
    scores._renew()
    return scores


def test_a_score_that_only_flicker_has_is_worth_little() -> None:
    tracker = watched(lambda rng: 0.95, lambda rng: 0.7)
    low, high = worth(tracker, 0.7, 0.95)
    assert low < 0.4  # begins nothing any more
    assert high > 0.9


def test_a_score_that_real_objects_have_at_times_keeps_its_worth() -> None:
    tracker = watched(lambda rng: rng.uniform(0.3, 1), None)
    assert worth(tracker, 0.4, 0.6).min() > 0.65
    assert worth(tracker, 0.6)[0] > worth(watched(lambda rng: 0.95, lambda rng: 0.6), 0.6)[0] + 0.3


def test_a_stream_of_nothing_but_flicker_sinks() -> None:
    """What never comes back in the next frame is not real, whatever its score."""
    before = worth(Steady(), 0.95, 0.8, 0.6)
    after = worth(watched(None, lambda rng: rng.uniform(0.5, 1)), 0.95, 0.8, 0.6)
    assert np.all(before > 0.55)
    assert np.all(after < 0.3)


@pytest.mark.parametrize("score", [0.0, 1e-9, 0.1, 0.25, 0.5, 0.8, 0.99, 1.0])
def test_before_any_evidence_a_score_is_taken_at_its_word(score: float) -> None:
    fresh = ScoreCalibration().calibrated(np.array([score], np.float32), np.zeros(1, np.int64))
    assert fresh[0] == pytest.approx(score, abs=0.06)


def test_nothing_found_is_nothing() -> None:
    none = np.zeros(0, np.int64)
    scores = ScoreCalibration()
    assert scores.calibrated(np.zeros(0, np.float32), none).shape == (0,)
    scores.learn(none, np.zeros(0, np.float32), np.zeros(0, np.bool_), none, none)
    scores._renew()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.floats(0.05, 3), st.integers(1, 4))
def test_always_a_probability_and_finite(seed: int, power: float, kinds: int) -> None:
    rng, scores = np.random.default_rng(seed), ScoreCalibration()
    for _ in range(25):
        count = int(rng.integers(0, 20))
        raw, labels = rng.random(count).astype(np.float32) ** power, rng.integers(0, kinds, count)
        result = scores.calibrated(np.round(raw).astype(np.float32) if seed % 5 == 0 else raw, labels)
        assert result.shape == (count,)
        assert np.all((result >= 0) & (result <= 1))
        rows = rng.permutation(count)[: count // 2]
        scores.learn(labels, raw, rng.random(count) < 0.5, rows, rows)


def test_worth_rises_with_the_score_where_precision_does() -> None:
    """Of 0.3 to 0.95 the more are real the higher; the curve that is learnt rises from bin to bin."""
    tracker = watched(lambda rng: rng.beta(6, 1), lambda rng: rng.beta(1, 4))
    curve = worth(tracker, *np.linspace(0.05, 0.98, 40))
    assert np.diff(curve).min() > -0.02
    assert curve[-1] > 0.9
    assert curve[0] < 0.2
    assert curve[30] > curve[15] > curve[5]


def test_the_curve_has_no_steps() -> None:
    tracker = watched(lambda rng: 0.95, lambda rng: rng.uniform(0.2, 0.8))
    curve = worth(tracker, *np.linspace(0, 1, 2001))
    assert np.abs(np.diff(curve))[20:-20].max() < 0.02
    assert np.ptp(curve) > 0.8


def test_between_two_centres_lies_the_line_between_their_precisions() -> None:
    scores, label = told(300, 250), np.zeros(3, np.int64)
    logit = np.log(CENTRES / (1 - CENTRES))
    middle = 1 / (1 + np.exp(-(0.75 * logit[8] + 0.25 * logit[9])))
    raw = np.array([CENTRES[8], middle, CENTRES[9]], np.float32)
    learnt = (scores.calibrated(raw, label) - (1 - calibrate.BELIEF) * raw) / calibrate.BELIEF
    assert learnt[[0, 2]] == pytest.approx(scores._precision[0, [8, 9]], abs=1e-5)
    assert learnt[1] == pytest.approx(0.75 * learnt[0] + 0.25 * learnt[2], abs=1e-5)


def test_classes_are_apart() -> None:
    """What is flicker in one class is worth as much as ever in another that was never met, or met with good manners."""
    tracker = watched(lambda rng: 0.95, lambda rng: 0.7, label=3)
    alone = worth(tracker, 0.7, label=3)[0]
    assert worth(tracker, 0.7, label=2)[0] == pytest.approx(0.7, abs=0.05)
    assert worth(tracker, 0.7, label=3)[0] == pytest.approx(alone, abs=0.01)


def test_classes_met_later_and_odd_ids_keep_their_own_counts() -> None:
    scores, labels = ScoreCalibration(), np.array([7, -5, 2**62, 0, -(2**62)])
    for k in range(len(labels)):
        now = labels[: k + 1]
        for _ in range(k + 1):
            scores.calibrated(np.full(len(now), 0.9, np.float32), now)
    order = np.argsort(labels)
    assert scores._classes.tolist() == labels[order].tolist()
    expected = np.array([sum(range(k + 1, 6)) for k in range(5)])
    assert scores._detected.sum(1).tolist() == expected[order].tolist()
    assert scores._tally[:, 0].tolist() == expected[order].tolist()


def test_one_frame_may_hold_new_and_old_classes_many_times() -> None:
    scores = ScoreCalibration()
    scores.calibrated(np.full(4, 0.5, np.float32), np.array([9, 9, 9, 4]))
    scores.calibrated(np.full(5, 0.5, np.float32), np.array([5, 9, 5, 1, 4]))
    assert scores._classes.tolist() == [1, 4, 5, 9]
    assert scores._detected.sum(1).tolist() == [1, 2, 2, 4]


def test_counts_are_halved_beyond_the_memory_so_that_news_counts() -> None:
    scores, many = ScoreCalibration(), np.zeros(5000, np.int64)
    raw = np.full(5000, 0.9, np.float32)
    totals = []
    for _ in range(60):
        scores.calibrated(raw, many)
        scores.learn(many[:1], np.ones(1, np.float32), np.ones(1, np.bool_), many[:1], many[:1])
        totals.append(scores._detected.sum())
        assert scores._tally[0, 0] == totals[-1]
    assert min(totals[12:]) > MEMORY / 2
    assert max(totals) <= MEMORY + 5000
    assert scores._matched.sum() < 30  # of 60, halved along
    assert scores._returns.max() < 30


def test_another_class_keeps_its_counts_when_one_is_halved() -> None:
    scores = ScoreCalibration()
    scores.calibrated(np.full(10, 0.9, np.float32), np.ones(10, np.int64))
    for _ in range(3):
        scores.calibrated(np.full(30000, 0.9, np.float32), np.zeros(30000, np.int64))
    assert scores._detected.sum(1).tolist() == [60000, 10]


def test_a_track_counts_only_with_a_best_score_behind_it() -> None:
    """Matches of tracks whose best score lies below the best bins teach nothing."""
    for peak, learns in ((0.6, False), (0.9, True)):
        scores, one, row = told(200, 150), np.zeros(1, np.int64), np.zeros(1, np.int64)
        before, returns = scores._matched.sum(), scores._returns.copy()
        scores.calibrated(np.full(1, 0.9, np.float32), one)
        scores.learn(one, np.full(1, peak, np.float32), np.ones(1, np.bool_), row, row)
        assert (scores._matched.sum() == before + 1) == learns
        assert (scores._returns - returns).tolist() == [[float(learns)] * 2]


def test_a_return_is_asked_of_tracks_that_the_last_frame_had() -> None:
    scores, one, row = told(200, 150), np.zeros(1, np.int64), np.zeros(1, np.int64)
    returns, matched = scores._returns.copy(), scores._matched.sum()
    scores.calibrated(np.full(1, 0.9, np.float32), one)
    scores.learn(one, np.ones(1, np.float32), np.zeros(1, np.bool_), row, row)
    assert np.array_equal(scores._returns, returns)
    assert scores._matched.sum() == matched + 1


@pytest.mark.parametrize(("returned", "low", "high"), [(400, 0.9, 1.0), (260, 0.3, 0.7), (150, 0.0, 0.25)])
def test_the_share_that_returns_decides_what_the_best_are_worth(returned: int, low: float, high: float) -> None:
    precision = told(400, returned)._precision[0]
    assert low < precision[EDGES.searchsorted(0.9) - 1] < high


def test_the_best_are_never_below_the_floor() -> None:
    """A detector whose scores are all low has no best ones."""
    assert told(300, 300, 0.2)._best[0] == pytest.approx(BEST_FLOOR)
    assert told(300, 300, 0.97)._best[0] > 0.9


def test_the_precisions_follow_new_counts() -> None:
    """Renewed by itself once enough is new, and not in each frame of a long stream."""
    scores, one = told(1000, 1000), np.zeros(1, np.int64)
    held = scores._precision
    for _ in range(round(0.5 * STALE * 2000)):
        scores.calibrated(np.full(1, 0.7, np.float32), one)
    assert scores._precision is held
    for _ in range(30):
        scores.calibrated(np.full(1, 0.7, np.float32), one)
    assert scores._precision is not held
    assert scores._precision[0, EDGES.searchsorted(0.7) - 1] < 0.2


def test_the_bins_cover_all_scores() -> None:
    assert len(CENTRES) == len(EDGES) == BINS
    assert np.all((EDGES < CENTRES) & (np.append(EDGES[1:], 1.0) > CENTRES))
    scores = ScoreCalibration()
    scores.calibrated(np.array([0, 1e-30, 0.9999999, 1], np.float32), np.zeros(4, np.int64))
    assert scores._detected[0, [0, -1]].tolist() == [2, 2]
