"""What holds of every tracker: rates, classes, ids, repeatability, bad boxes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import detections, squares
from tracker.config import ByteTrackSettings, OcSortSettings, SteadySettings
from tracker.interfaces import Tracker
from tracker.structures import LOST, Detections
from tracker.track import ByteTrack, OcSort, Steady, make_tracker

KINDS = {
    "bytetrack": (ByteTrack, ByteTrackSettings),
    "ocsort": (OcSort, OcSortSettings),
    "steady": (Steady, SteadySettings),
}


def make(name: str) -> Tracker:
    """The tracker as it comes; ours keeps lost tracks for 1 s as the others do, and shows none that is missed."""
    return Steady(SteadySettings(coast_s=0, max_lost_s=1)) if name == "steady" else KINDS[name][0]()


def walk(x: float, y: float = 100, score: float = 0.9, label: int = 0) -> Detections:
    return detections((x, y, x + 40, y + 100, score, label))


@pytest.fixture(params=sorted(KINDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tracker(name: str) -> Tracker:
    return make(name)


def test_a_name_chooses_the_tracker(name: str) -> None:
    kind, settings = KINDS[name]
    made = make_tracker(settings(max_lost_s=3))
    assert type(made) is kind
    assert made.settings.max_lost_s == 3


def test_crossing_walkers_keep_their_ids(tracker: Tracker) -> None:
    for k in range(120):
        found = detections((2 * k, 100, 2 * k + 40, 200, 0.9, 0), (240 - 2 * k, 110, 280 - 2 * k, 215, 0.9, 0))
        tracks = tracker.update(found, k / 30)
        assert sorted(tracks.ids) == [1, 2]
        order = tracks.boxes[np.argsort(tracks.ids), 0]
        if k in (0, 119):
            assert (order[0] < order[1]) == (k == 0)


@pytest.mark.parametrize("rate", [60.0, 30.0, 15.0, 7.5, 3.0])
def test_settings_mean_the_same_at_every_frame_rate(tracker: Tracker, rate: float) -> None:
    seen = {i for k in range(int(6 * rate)) for i in tracker.update(walk(10 + 30 * k / rate), k / rate).ids.tolist()}
    assert seen == {1}


@pytest.mark.parametrize("rate", [60.0, 30.0, 15.0, 7.5, 3.0])
@pytest.mark.parametrize(("gap_s", "same"), [(1.0, True), (1.7, False)])
def test_a_gap_keeps_the_id_up_to_max_lost_s(tracker: Tracker, rate: float, gap_s: float, same: bool) -> None:
    """Seen 3 s long, then unseen: the whole of max_lost_s is allowed, also where its end is a frame's time."""
    frames, missed = int(3 * rate) + 1, round(gap_s * rate)
    for k in range(frames):
        before = tracker.update(walk(100), k / rate)
    for k in range(frames, frames + missed - 1):
        assert len(tracker.update(Detections.empty(), k / rate)) == 0
    tracks = before
    for k in range(frames + missed - 1, frames + missed + 4):
        tracks = tracker.update(walk(100), k / rate)
    assert before.ids.tolist() == [1]
    assert (tracks.ids.tolist() == [1]) == same


@pytest.mark.parametrize("last", [1, 30, 32, 36, 51])
def test_the_last_allowed_moment_does_not_hang_on_rounding(tracker: Tracker, last: int) -> None:
    """30 steps of 1/30 s are at times a little more than 1.0: after frame 32, for one."""
    for k in range(last + 30 + 1):
        tracker.update(walk(100) if k <= last else Detections.empty(), k / 30)
    assert tracker.all().ids.tolist() == [1]
    tracker.update(Detections.empty(), (last + 31) / 30)
    assert len(tracker.all()) == 0


def test_empty_frames_age_tracks(tracker: Tracker) -> None:
    for k in range(5):
        tracker.update(walk(50), k / 30)
    tracker.update(Detections.empty(), 0.5)
    lost = tracker.all()
    assert lost.state.tolist() == [LOST]
    assert lost.missed_s[0] == pytest.approx(0.5 - 4 / 30, abs=1e-6)
    tracker.update(Detections.empty(), 1.5)
    assert len(tracker.all()) == 0


def test_classes_never_swap(tracker: Tracker) -> None:
    """Two classes that take turns in one place are two tracks."""
    for k in range(20):
        label = 2 if k % 2 else 7
        tracks = tracker.update(
            detections((50, 100, 90, 200, 0.9, label), (300 + 2 * k, 100, 340 + 2 * k, 200, 0.9, 4)), k / 30
        )
        for got, identity in zip(tracks.class_ids, tracks.ids, strict=True):
            assert (identity == 2) == (got == 4)
            assert (identity == 1) <= (got == 7)


def test_two_trackers_do_not_share_ids(name: str) -> None:
    first, second = (make(name) for _ in range(2))
    first.update(walk(50), 0.0)
    assert second.update(walk(50), 0.0).ids.tolist() == [1]


def crowd(k: int) -> Detections:
    """Forty objects that wander, come and go, with scores of all kinds; of two classes."""
    rng = np.random.default_rng(k)
    place = np.random.default_rng(1).uniform(0, 800, (40, 2)) + 2 * k * np.random.default_rng(2).normal(0, 1, (40, 2))
    corner = place + rng.normal(0, 2, (40, 2))
    boxes = np.concatenate((corner, corner + np.array([60, 120])), 1)
    labels = np.arange(40) % 2
    keep = rng.random(40) < 0.9
    return Detections(boxes[keep].astype(np.float32), rng.random(40).astype(np.float32)[keep] ** 0.3, labels[keep])


def test_the_same_input_gives_the_same_tracks(name: str) -> None:
    runs = []
    for _ in range(2):
        tracker = make(name)
        found = [tracker.update(crowd(k), k / 30) for k in range(60)]
        runs.append([(tracks.ids, tracks.boxes, tracks.scores) for tracks in found])
    assert all(np.array_equal(x, y) for a, b in zip(*runs, strict=True) for x, y in zip(a, b, strict=True))
    assert sum(len(ids) for ids, _, _ in runs[0]) > 1000


def test_ids_are_unique_in_a_frame_and_never_come_back(tracker: Tracker) -> None:
    alive: set[int] = set()
    gone: set[int] = set()
    for k in range(120):
        found = crowd(k) if k % 40 < 30 else Detections.empty()
        shown = tracker.update(found, k / 5).ids.tolist()
        assert len(shown) == len(set(shown))
        now = set(tracker.all().ids.tolist())
        assert set(shown) <= now and not now & gone
        gone |= alive - now
        alive = now
    assert gone


def test_time_must_not_go_backwards(tracker: Tracker) -> None:
    tracker.update(walk(0), 1.0)
    with pytest.raises(ValueError, match="backwards"):
        tracker.update(walk(0), 0.5)


@pytest.mark.parametrize(
    "box",
    [
        (10, 10, 10, 50),
        (50, 10, 10, 50),
        (50, 50, 10, 10),
        (np.nan, 10, 20, 50),
        (10, 10, np.inf, 50),
        (-np.inf, 10, np.inf, 50),
        (np.inf, 10, np.inf, 50),
        (-3e38, -3e38, 3e38, 3e38),
    ],
)
def test_boxes_without_area_or_end_are_left_out(tracker: Tracker, box: tuple[float, ...]) -> None:
    for k in range(5):
        tracks = tracker.update(detections((*box, 0.9, 0), (100, 100, 140, 200, 0.9, 0)), k / 30)
        assert tracks.boxes.tolist() == [[100, 100, 140, 200]]
    assert len(tracker.all()) == 1


def test_two_frames_of_one_time_are_two_frames(tracker: Tracker) -> None:
    assert len(tracker.update(walk(50), 0.0)) == 1
    assert len(tracker.update(Detections.empty(), 0.0)) == 0
    assert tracker.all().state.tolist() == [LOST]
    for _ in range(4):
        tracks = tracker.update(walk(50), 0.0)
    assert tracks.ids.tolist() == [1]


def test_squares_are_followed_to_the_end(tracker: Tracker) -> None:
    for k in range(100):
        tracks = tracker.update(squares(k), k / 30)
        assert tracks.ids.tolist() == [1, 2]
        assert np.abs(tracks.boxes - squares(k).boxes).max() < 2


def test_after_a_break_of_an_hour_nobody_is_known_again(tracker: Tracker) -> None:
    """A camera that came back: what stands where somebody stood before is somebody else."""
    for k in range(30):
        tracker.update(walk(100), k / 10)
    shown = {i for k in range(30) for i in tracker.update(walk(100), 3600 + k / 10).ids.tolist()}
    assert shown == {2}


def test_a_slow_stream_is_no_break(tracker: Tracker) -> None:
    """A picture every 4 s, as a time-lapse has it: steps longer than max_lost_s, all of them."""
    shown = {i for k in range(30) for i in tracker.update(walk(100), 4.0 * k).ids.tolist()}
    assert shown == {1}
