"""Our own tracker: what confirms a track, how long it lives, what is shown of it, what its scores are worth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import detections
from tests.track.scenes import NOTHING, awake, crowd, plain, settled, walk
from tracker.config import SteadySettings
from tracker.structures import CONFIRMED, LOST, TENTATIVE
from tracker.track import Steady


@pytest.mark.parametrize(("score", "needed"), [(0.5, 3), (0.7, 3), (0.76, 2), (1.0, 2)])
def test_a_track_counts_once_its_scores_add_up(score: float, needed: int) -> None:
    tracker = awake()
    shown = [len(tracker.update(walk(100, score=score), 0.2 + k / 30)) for k in range(5)]
    assert shown == [0] * (needed - 1) + [1] * (6 - needed)


def test_tracks_of_the_first_moments_count_at_once() -> None:
    tracker = plain()
    assert len(tracker.update(walk(100, score=0.5), 7.0)) == 1
    both = detections((100, 100, 140, 200, 0.9, 0), (400, 100, 440, 200, 0.9, 0))
    assert len(tracker.update(both, 7.04)) == 2
    assert len(tracker.update(detections((800, 100, 840, 200, 0.9, 0)), 7.06)) == 2  # the two coast, the new one waits


def test_a_tentative_track_has_little_patience() -> None:
    tracker = awake()
    tracker.update(walk(100), 0.2)
    tracker.update(NOTHING, 0.2 + 0.05)
    assert tracker.all().state.tolist() == [TENTATIVE]
    tracker.update(NOTHING, 0.2 + 0.06)
    assert len(tracker.all()) == 0


def test_a_confirmed_track_just_missed_is_shown_for_less_than_coast_s() -> None:
    tracker = plain(coast_s=0.1)
    for k in range(31):
        tracker.update(walk(100 + 2 * k), k / 30)
    states, missed, lefts = [], [], []
    for late in (0.03, 0.06, 0.09, 0.101, 0.2):
        tracks = tracker.update(NOTHING, 1 + late)
        states += [tracks.state.tolist()]
        missed += tracks.missed_s.tolist()
        lefts += tracks.boxes[:, 0].tolist()
    assert states == [[LOST], [LOST], [LOST], [], []]
    assert missed == pytest.approx([0.03, 0.06, 0.09], abs=1e-6)
    assert np.diff(lefts) == pytest.approx([1.8, 1.8], abs=0.1)  # it goes on at 60 pixels a second
    assert tracker.update(walk(160 + 12), 1.2 + 1e-3).state.tolist() == [CONFIRMED]


def test_a_tentative_track_never_coasts() -> None:
    tracker = awake(max_tentative_s=1)
    tracker.update(walk(100), 0.2)
    assert len(tracker.update(NOTHING, 0.21)) == 0
    assert len(tracker.all()) == 1


@pytest.mark.parametrize("smoothing", [0.0, 0.4, 1.0])
def test_a_box_lies_between_the_detection_and_the_filter(smoothing: float) -> None:
    tracker = settled(smoothing=smoothing)
    found = walk(104, 103)
    shown, filtered = tracker.update(found, 10 / 30).boxes, tracker.all().boxes
    assert np.abs(filtered - found.boxes).max() > 0.5
    assert shown == pytest.approx(smoothing * filtered + (1 - smoothing) * found.boxes, abs=1e-4)


def test_a_missed_box_is_the_filters() -> None:
    tracker = settled(smoothing=0, coast_s=1)
    tracker.update(walk(110), 10 / 30)
    shown = tracker.update(NOTHING, 11 / 30)
    assert shown.boxes.tolist() == tracker.all().boxes.tolist()
    assert shown.boxes[0, 0] != 110


def test_the_best_score_of_a_track_is_kept() -> None:
    tracker = settled(3)
    tracker.update(walk(100, score=0.6), 0.1)
    assert tracker._table["peak"].tolist() == pytest.approx([0.9])


def test_without_learning_scores_are_taken_as_they_are() -> None:
    tracker = plain()
    for k in range(60):
        found = crowd(k)
        tracker.update(found, k / 30)
        assert np.array_equal(tracker.assigned[1], found.scores.astype(np.float64))
    assert len(tracker._scores._classes) == 0
    learning = Steady()
    for k in range(60):
        learning.update(crowd(k), k / 30)
    assert not np.allclose(learning.assigned[1], crowd(59).scores, atol=0.05)


def test_flicker_of_a_middling_score_is_not_shown_once_learnt() -> None:
    """Two detections by chance in one place confirm 0.75 at its word; beside real ones of 0.95 it is nothing."""
    shown = {}
    for learn in (True, False):
        rng, tracker, shown[learn] = np.random.default_rng(5), Steady(SteadySettings(learn_scores=learn)), 0
        for k in range(300):
            rows = [(200 * i, 100, 200 * i + 40, 200, rng.uniform(0.9, 1), 0) for i in range(8)]
            rows += [(x, 500, x + 80, 700, rng.uniform(0.7, 0.8), 0) for x in rng.uniform(0, 400, 2)]
            tracks = tracker.update(detections(*rows), k / 30)
            assert k < 10 or (tracks.boxes[:, 1] < 200).sum() == 8
            shown[learn] += (tracks.boxes[:, 1] > 300).sum() if k > 150 else 0
    assert shown[False] > 100
    assert shown[True] < 5


@pytest.mark.parametrize("score", [np.inf, np.nan, -1.0, 50.0])
def test_impossible_scores_do_no_harm(score: float) -> None:
    tracker = Steady()
    for k in range(10):
        found = detections((100, 100, 140, 200, 0.9, 0), (110, 100, 150, 200, score, 0))
        assert np.isfinite(tracker.update(found, k / 30).boxes).all()
        assert len(tracker.assigned[0]) == (2 if score == 50 else 1)
    assert 1 in tracker.all().ids


def test_after_an_hour_without_frames_all_numbers_are_finite() -> None:
    tracker = settled()
    for hour in (1, 2, 500):
        assert np.isfinite(tracker.update(walk(150), 3600.0 * hour).boxes).all()
        assert np.isfinite(tracker._table["covariance"]).all()
