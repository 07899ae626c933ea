"""ByteTrack: three stages, confirmation, lost tracks and duplicates."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import detections
from tracker.config import ByteTrackSettings, SortSettings
from tracker.structures import CONFIRMED, LOST, TENTATIVE, Detections
from tracker.track import ByteTrack, Sort, bytetrack


def walk(x: float, y: float = 100, score: float = 0.9, label: int = 0) -> Detections:
    return detections((x, y, x + 40, y + 100, score, label))


def settled(x: float = 100, frames: int = 10) -> ByteTrack:
    """A tracker that has seen one standing object."""
    tracker = ByteTrack()
    for k in range(frames):
        tracker.update(walk(x), k / 30)
    return tracker


def test_an_id_lives_through_weak_scores_where_sort_loses_it() -> None:
    """40 frames of 0.3, turning: what SORT's filter coasts to is not where the object is."""
    ids: dict[str, list[int]] = {"sort": [], "bytetrack": []}
    trackers = {"sort": Sort(SortSettings(min_score=0.6)), "bytetrack": ByteTrack()}
    for k in range(90):
        turn = k - 30 if 30 <= k < 70 else 0
        found = walk(100 + 2 * min(k, 30), 100 + 3 * max(0, min(k - 30, 40)), 0.3 if turn else 0.9)
        for name, tracker in trackers.items():
            ids[name] += tracker.update(found, k / 30).ids.tolist()
    assert ids["bytetrack"] == [1] * 90
    assert len(set(ids["sort"])) > 1


@pytest.mark.parametrize("score", [0.1, 0.59, 0.6, 0.69])
def test_a_detection_below_the_margin_starts_nothing(score: float) -> None:
    tracker = ByteTrack()
    for k in range(10):
        assert len(tracker.update(walk(100, score=score), k / 30)) == 0
    assert len(tracker.all()) == 0


def test_weak_detections_below_low_score_do_not_continue_a_track() -> None:
    tracker = settled()
    assert tracker.update(walk(100, score=0.1), 10 / 30).ids.tolist() == [1]
    assert len(tracker.update(walk(100, score=0.09), 11 / 30)) == 0


def test_a_lost_track_is_not_found_again_by_a_weak_detection() -> None:
    """Only tracks of the last frame take part in the second stage."""
    tracker = settled()
    tracker.update(Detections.empty(), 10 / 30)
    assert len(tracker.update(walk(100, score=0.5), 11 / 30)) == 0
    assert tracker.all().state.tolist() == [LOST]
    assert tracker.update(walk(100), 12 / 30).ids.tolist() == [1]


def test_a_weak_detection_needs_half_the_overlap() -> None:
    tracker = settled()
    assert len(tracker.update(walk(116, score=0.5), 10 / 30)) == 0  # 24 of 56 columns
    assert settled().update(walk(110, score=0.5), 10 / 30).ids.tolist() == [1]  # 30 of 50


def test_a_strong_detection_goes_to_the_first_stage() -> None:
    """The strong one of two takes the track although the weak one fits better."""
    found = detections((100, 100, 140, 200, 0.5, 0), (108, 100, 148, 200, 0.9, 0))
    tracks = settled().update(found, 10 / 30)
    assert tracks.boxes[tracks.ids == 1, 0] > 103


def test_the_first_frame_counts_at_once_and_later_ones_need_a_second_sighting() -> None:
    tracker = ByteTrack()
    assert tracker.update(walk(100), 0.0).ids.tolist() == [1]
    both = detections((100, 100, 140, 200, 0.9, 0), (400, 100, 440, 200, 0.9, 0))
    assert tracker.update(both, 1 / 30).ids.tolist() == [1]
    assert tracker.all().state.tolist() == [CONFIRMED, TENTATIVE]
    assert tracker.update(both, 2 / 30).ids.tolist() == [1, 2]


def test_an_empty_first_frame_is_the_first_frame() -> None:
    tracker = ByteTrack()
    tracker.update(Detections.empty(), 0.0)
    assert len(tracker.update(walk(100), 1 / 30)) == 0
    assert tracker.all().state.tolist() == [TENTATIVE]


def test_a_tentative_track_goes_at_its_first_miss() -> None:
    tracker = settled()
    tracker.update(detections((100, 100, 140, 200, 0.9, 0), (400, 100, 440, 200, 0.9, 0)), 10 / 30)
    tracker.update(walk(100), 11 / 30)
    assert tracker.all().ids.tolist() == [1]


@pytest.mark.parametrize(("fuse", "kept"), [(True, False), (False, True)])
def test_overlap_counts_times_the_score(fuse: bool, kept: bool) -> None:
    """A tentative track, overlap 0.4 and score 0.7: 0.28 does not confirm it."""
    tracker = ByteTrack(ByteTrackSettings(fuse_score=fuse))
    tracker.update(Detections.empty(), 0.0)
    tracker.update(walk(100), 1 / 30)
    assert (len(tracker.update(walk(117.14, score=0.7), 2 / 30)) == 1) == kept


def test_a_pair_below_the_least_overlap_is_no_pair() -> None:
    tracks = settled().update(walk(134), 10 / 30)  # 6 of 74 columns
    assert len(tracks) == 0


def test_one_good_match_is_worth_more_than_two_poor_ones() -> None:
    """As in the authors' solver: 1.0 and nothing, rather than 0.127 twice."""
    tracker = ByteTrack()
    tracker.update(detections((69, 100, 109, 200, 0.95, 0), (100, 100, 140, 200, 0.95, 0)), 0.0)
    tracks = tracker.update(detections((100, 100, 140, 200, 0.95, 0), (131, 100, 171, 200, 0.95, 0)), 1 / 30)
    assert tracks.ids.tolist() == [2]
    assert tracks.boxes[0, 0] == 100


def test_one_frame_serves_all_three_stages() -> None:
    """Strong to confirmed, weak to tracked, strong to tentative, at once and of two classes."""
    tracker = ByteTrack()
    tracker.update(detections((0, 0, 40, 80, 0.9, 0), (200, 0, 240, 80, 0.9, 3)), 0.0)
    three = detections((0, 0, 40, 80, 0.9, 0), (200, 0, 240, 80, 0.9, 3), (400, 0, 440, 80, 0.9, 0))
    tracker.update(three, 1 / 30)
    mixed = detections((400, 0, 440, 80, 0.9, 0), (200, 0, 240, 80, 0.2, 3), (0, 0, 40, 80, 0.9, 0))
    tracks = tracker.update(mixed, 2 / 30)
    assert tracks.ids.tolist() == [1, 2, 3]
    assert tracks.scores.tolist() == pytest.approx([0.9, 0.2, 0.9])
    assert tracks.boxes[:, 0].tolist() == pytest.approx([0, 200, 400], abs=1e-3)


def test_a_lost_track_keeps_its_size() -> None:
    """As in the authors' code: a box that shrank when it was lost does not vanish while it coasts."""
    tracker = ByteTrack()
    for k in range(20):
        tracker.update(detections((100 + 2 * k, 100, 180 + k, 300 - 4 * k, 0.9, 0)), k / 30)
    boxes = []
    for k in range(20, 40):
        tracker.update(Detections.empty(), k / 30)
        boxes.append(tracker.all().boxes[0])
    sides = np.array(boxes)[:, 2:] - np.array(boxes)[:, :2]
    assert np.allclose(sides[1:], sides[1], atol=1e-3)
    assert boxes[-1][0] > boxes[0][0] + 20


def met(since: int, speed: int) -> list[int]:
    """Ids that live at the end: 1 stands for 20 frames and is lost; 2, seen from frame `since`, stops in its place."""
    tracker = ByteTrack()
    for k in range(46):
        x = 160 - min(speed * max(k - 20, 0), 60)
        rows = [(100, 100, 140, 200, 0.9, 0)] * (k < 20) + [(x, 100, x + 40, 200, 0.9, 0)] * (k >= since)
        tracker.update(detections(*rows), k / 30)
    return tracker.all().ids.tolist()


@pytest.mark.parametrize(("since", "speed", "stays"), [(15, 5, 1), (8, 3, 2)])
def test_of_two_tracks_on_one_object_the_longer_lived_stays(
    since: int, speed: int, stays: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first to the last sighting: 1 has 0.63 s; 2 has less in the first case and more in the second."""
    assert met(since, speed) == [stays]
    monkeypatch.setattr(bytetrack, "DUPLICATE", 1.1)
    assert met(since, speed) == [1, 2]
