"""Our own tracker: which detection goes to which track, at any rate."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import detections
from tests.track.scenes import NOTHING, awake, crowd, plain, settled, walk
from tracker.config import SteadySettings
from tracker.structures import CONFIRMED, LOST, TENTATIVE
from tracker.track import Steady


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
