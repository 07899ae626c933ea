"""SORT: identities through crossings, gaps, rates and classes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import detections, squares
from tracker.config import SortSettings
from tracker.structures import CONFIRMED, LOST, TENTATIVE, Detections
from tracker.track import Sort


def walk(x: float, y: float = 100, score: float = 0.9, label: int = 0) -> Detections:
    return detections((x, y, x + 40, y + 100, score, label))


def ids_of(tracker: Sort, path: list[tuple[float, Detections]]) -> list[list[int]]:
    return [tracker.update(found, time_s).ids.tolist() for time_s, found in path]


def test_one_walker_keeps_one_id() -> None:
    seen = ids_of(Sort(), [(k / 30, walk(10 + 3 * k)) for k in range(60)])
    assert seen == [[1]] * 60


def test_crossing_walkers_keep_their_ids() -> None:
    tracker = Sort()
    for k in range(120):
        tracks = tracker.update(
            detections((2 * k, 100, 2 * k + 40, 200, 0.9, 0), (240 - 2 * k, 110, 280 - 2 * k, 215, 0.9, 0)), k / 30
        )
        assert sorted(tracks.ids) == [1, 2]
        order = tracks.boxes[np.argsort(tracks.ids), 0]
        if k in (0, 119):
            assert (order[0] < order[1]) == (k == 0)


@pytest.mark.parametrize(("gap_s", "same"), [(0.8, True), (1.3, False)])
def test_a_gap_keeps_the_id_up_to_max_lost_s(gap_s: float, same: bool) -> None:
    tracker = Sort(SortSettings(max_lost_s=1.0))
    for k in range(30):
        before = tracker.update(walk(100), k / 30)
    for k in range(round(gap_s * 30)):
        assert len(tracker.update(Detections.empty(), 1 + k / 30)) == 0
    tracks = before
    for k in range(6):
        tracks = tracker.update(walk(100), 1 + gap_s + k / 30)
    assert (tracks.ids.tolist() == before.ids.tolist()) == same


@pytest.mark.parametrize("rate", [60.0, 30.0, 7.5, 3.0])
def test_settings_mean_the_same_at_every_frame_rate(rate: float) -> None:
    """The same walk, seen at another rate: one identity."""
    tracker = Sort()
    seen = {i for k in range(int(6 * rate)) for i in tracker.update(walk(10 + 30 * k / rate), k / rate).ids.tolist()}
    assert seen == {1}


def test_empty_frames_age_tracks() -> None:
    tracker = Sort()
    for k in range(5):
        tracker.update(walk(50), k / 30)
    tracker.update(Detections.empty(), 0.5)
    lost = tracker.all()
    assert lost.state.tolist() == [LOST]
    assert lost.missed_s[0] == pytest.approx(0.5 - 4 / 30, abs=1e-6)


def test_a_flicker_is_never_shown() -> None:
    """One false alarm in the middle of a run stays tentative and goes."""
    tracker = Sort()
    for k in range(30):
        tracks = tracker.update(
            walk(50) if k != 15 else detections((50, 100, 90, 200, 0.9, 0), (300, 10, 340, 60, 0.9, 0)), k / 30
        )
        assert tracks.ids.tolist() == [1]
        if k == 15:
            assert tracker.all().state.tolist() == [CONFIRMED, TENTATIVE]
    assert len(tracker.all()) == 1


def test_classes_never_swap() -> None:
    tracker = Sort()
    for k in range(10):
        tracks = tracker.update(walk(50, label=2 if k % 2 else 7), k / 30)
        for label, identity in zip(tracks.class_ids, tracks.ids, strict=True):
            assert (identity == 1) == (label == 7)


def test_two_trackers_do_not_share_ids() -> None:
    first, second = Sort(), Sort()
    first.update(walk(50), 0.0)
    assert second.update(walk(50), 0.0).ids.tolist() == [1]


def test_the_same_input_gives_the_same_tracks() -> None:
    runs = []
    for _ in range(2):
        tracker = Sort()
        runs.append([tracker.update(squares(k), k / 30).boxes for k in range(50)])
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_ids_are_never_reused() -> None:
    tracker, seen = Sort(SortSettings(max_lost_s=0.1, min_hits=1)), []
    for k in range(10):
        seen += tracker.update(walk(10 + 300 * (k % 2), y=50 * k), k * 1.0).ids.tolist()
    assert seen == sorted(set(seen))


def test_time_must_not_go_backwards() -> None:
    tracker = Sort()
    tracker.update(walk(0), 1.0)
    with pytest.raises(ValueError, match="backwards"):
        tracker.update(walk(0), 0.5)


def test_boxes_without_area_are_left_out() -> None:
    assert len(Sort().update(detections((10, 10, 10, 50, 0.9, 0)), 0.0)) == 0


def test_two_frames_of_one_time_are_two_frames() -> None:
    """Times may repeat: what the second frame lacks was not seen in it."""
    tracker = Sort()
    assert len(tracker.update(walk(50), 0.0)) == 1
    assert len(tracker.update(Detections.empty(), 0.0)) == 0
    assert tracker.all().state.tolist() == [LOST]
