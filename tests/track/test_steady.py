"""Our own tracker: what a detection may begin, continue and confirm, at any rate; what is shown; numba or not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.fakes import detections
from tracker.config import SteadySettings
from tracker.structures import CONFIRMED, LOST, TENTATIVE, Detections, Tracks
from tracker.track import Steady, associate, calibrate, compiled, kalman
from tracker.track.steady import DISTANCE_SHARE, GROWTH, LARGEST_GROWTH, POSITION

NOTHING = Detections.empty()


def walk(x: float, y: float = 100, score: float = 0.9, label: int = 0) -> Detections:
    return detections((x, y, x + 40, y + 100, score, label))


ROUND = {
    "high_score": 0.5, "low_score": 0.24, "confirm": 1.5, "min_similarity": 0.18, "min_similarity_lost": 0.42,
    "min_similarity_low": 0.53, "max_lost_s": 1.12, "max_tentative_s": 0.05,
}  # fmt: skip
"""Settings that the tests count with; the defaults are tuned, and change."""


def plain(**changes: float) -> Steady:
    """A tracker that takes scores as they are."""
    return Steady(SteadySettings(learn_scores=False, **(ROUND | changes)))


def settled(frames: int = 10, score: float = 0.9, **changes: float) -> Steady:
    """One that has seen a standing object at 30 frames a second."""
    tracker = plain(**changes)
    for k in range(frames):
        tracker.update(walk(100, score=score), k / 30)
    return tracker


def awake(**changes: float) -> Steady:
    """One past its first moments, in which all counts at once."""
    tracker = plain(**changes)
    tracker.update(NOTHING, 0.0)
    tracker.update(NOTHING, 0.1)
    return tracker


def crowd(k: int, count: int = 40) -> Detections:
    """Objects of two classes that wander, are missed at times, and have scores of all kinds."""
    rng = np.random.default_rng(k)
    place = np.random.default_rng(1).uniform(0, 800, (count, 2))
    place += 2 * k * np.random.default_rng(2).normal(0, 1, (count, 2))
    corner = place + rng.normal(0, 2, (count, 2))
    boxes = np.concatenate((corner, corner + np.array([60, 120])), 1)
    keep = rng.random(count) < 0.9
    return Detections(
        boxes[keep].astype(np.float32), rng.random(count).astype(np.float32)[keep] ** 0.5, np.arange(count)[keep] % 2
    )


@pytest.mark.parametrize("score", [0.1, 0.24, 0.49])
def test_a_weak_detection_begins_nothing(score: float) -> None:
    tracker = plain()
    for k in range(20):
        assert len(tracker.update(walk(100, score=score), k / 30)) == 0
    assert len(tracker.all()) == 0
    assert tracker.update(walk(100, score=0.5), 1.0).ids.tolist() == []
    assert tracker.all().ids.tolist() == [1]


@pytest.mark.parametrize(("score", "shown"), [(0.49, True), (0.25, True), (0.23, False)])
def test_a_weak_detection_continues_a_confirmed_track_down_to_low_score(score: float, shown: bool) -> None:
    tracker = settled(coast_s=0)
    for k in range(10, 30):
        assert (len(tracker.update(walk(100, score=score), k / 30)) == 1) == shown


def test_a_weak_detection_needs_more_similarity() -> None:
    """Shifted by 18 of 40 pixels: alike enough for a sure detection only."""
    assert settled(coast_s=0).update(walk(118, score=0.9), 10 / 30).ids.tolist() == [1]
    assert settled(coast_s=0).update(walk(118, score=0.45), 10 / 30).ids.tolist() == []


def test_a_track_missed_by_the_last_frame_needs_more_similarity() -> None:
    """Shifted by 22 of 40: the track of the last frame takes it, a lost one does not."""
    assert settled(40).update(walk(122), 40 / 30).ids.tolist() == [1]
    lost = settled(40)
    lost.update(NOTHING, 40 / 30 - 0.01)
    lost.update(walk(122), 40 / 30)
    assert lost.all().ids.tolist() == [1, 2]
    assert lost.all().state.tolist() == [LOST, TENTATIVE]


def test_a_weak_detection_does_not_continue_a_tentative_track() -> None:
    tracker = awake()
    tracker.update(walk(100, score=0.6), 0.2)
    tracker.update(walk(100, score=0.45), 0.2 + 1 / 30)
    assert tracker.assigned[0].tolist() == [0]
    assert tracker.all().missed_s.tolist() == pytest.approx([1 / 30], abs=1e-6)


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


@pytest.mark.parametrize("rate", [30.0, 15.0, 7.5, 3.0, 1.0])
@pytest.mark.parametrize("learn", [True, False])
def test_one_setting_keeps_a_walker_at_every_rate(rate: float, learn: bool) -> None:
    """0.3 of its height a second across and the same away, with a jitter of 2 %."""
    rng, tracker = np.random.default_rng(3), Steady(SteadySettings(learn_scores=learn))
    seen = set()
    for k in range(max(12, int(6 * rate))):
        x, y = 30 * k / rate + rng.normal(0, 2), 100 + 30 * k / rate + rng.normal(0, 2)
        seen |= set(tracker.update(walk(x, y), k / rate).ids.tolist())
    assert seen == {1}


def test_doubt_grows_with_the_time_between_frames() -> None:
    """A jump of a box's width is another object after 1/30 s, and may be the same after a second."""
    for dt_s, ids in ((1 / 30, [1, 2]), (1.0, [1])):
        tracker = plain(max_lost_s=5)
        for k in range(10):
            tracker.update(walk(100), k * dt_s)
        tracker.update(walk(145), 10 * dt_s)
        assert tracker.all().ids.tolist() == ids


def test_of_two_detections_the_sure_one_goes_first() -> None:
    """The weak one fits better; a track has one detection, and the other begins nothing."""
    tracker = settled()
    both = detections((100, 100, 140, 200, 0.45, 0), (106, 100, 146, 200, 0.9, 0))
    tracker.update(both, 10 / 30)
    assert tracker.assigned[0].tolist() == [0, 1]


def test_of_two_sure_detections_the_score_decides_where_places_do_not() -> None:
    tracker = settled()
    both = detections((96, 100, 136, 200, 0.6, 0), (104, 100, 144, 200, 0.95, 0))
    tracker.update(both, 10 / 30)
    assert tracker.assigned[0].tolist() == [2, 1]


def test_confirmed_tracks_choose_before_tentative_ones() -> None:
    """One detection between both, nearer to the tentative track."""
    tracker = settled()
    tracker.update(detections((100, 100, 140, 200, 0.9, 0), (115, 100, 155, 200, 0.6, 0)), 10 / 30)
    assert tracker.all().state.tolist() == [CONFIRMED, TENTATIVE]
    tracker.update(walk(111), 11 / 30)
    assert tracker.assigned[0].tolist() == [1]


def test_the_thresholds_may_stand_upside_down() -> None:
    """A low_score above high_score: what is high is high."""
    tracker = settled(low_score=0.95)
    tracker.update(walk(118), 10 / 30)  # not alike enough for a weak one
    assert tracker.assigned[0].tolist() == [1]


def test_the_best_score_of_a_track_is_kept() -> None:
    tracker = settled(3)
    tracker.update(walk(100, score=0.6), 0.1)
    assert tracker._table["peak"].tolist() == pytest.approx([0.9])


def test_each_detection_goes_to_one_track_and_is_told() -> None:
    tracker, known, again = Steady(), set(), 0
    for k in range(90):
        found = crowd(k)
        tracks = tracker.update(found, k / 30)
        ids, scores = tracker.assigned
        taken = ids[ids > 0]
        assert len(ids) == len(scores) == len(found)
        assert len(set(taken.tolist())) == len(taken)
        every = tracker.all()
        now = dict(zip(every.ids.tolist(), every.missed_s.tolist(), strict=True))
        assert sorted(i for i, missed in now.items() if missed == 0) == sorted(taken.tolist())
        kinds = dict(zip(every.ids.tolist(), every.class_ids.tolist(), strict=True))
        assert [kinds[i] for i in taken.tolist()] == found.class_ids[ids > 0].tolist()
        assert np.all(scores[ids == 0] < tracker.settings.high_score)  # a sure one is never left without
        assert set(tracks.ids.tolist()) <= set(now)
        again += len(known & set(taken.tolist()))
        known |= set(taken.tolist())
    assert again > 1000


def test_assigned_leaves_out_what_has_no_area() -> None:
    tracker = plain()
    tracker.update(detections((9, 9, 9, 50, 0.9, 0), (100, 100, 140, 200, 0.9, 0), (0, 0, 5, 5, 0.3, 0)), 0.0)
    assert tracker.assigned[0].tolist() == [1, 0]
    assert tracker.assigned[1] == pytest.approx([0.9, 0.3])
    tracker.update(NOTHING, 0.1)
    assert [part.tolist() for part in tracker.assigned] == [[], []]


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
