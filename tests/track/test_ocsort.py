"""OC-SORT: momentum, recovery, re-update, and boxes that are observations."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import detections
from tracker.boxes import xyxy_to_cxcywh
from tracker.config import OcSortSettings, SortSettings
from tracker.structures import LOST, TENTATIVE, Detections
from tracker.track import OcSort, Sort, kalman
from tracker.track.associate import Pairs
from tracker.track.ocsort import _predict


def walk(x: float, y: float = 100, score: float = 0.9, label: int = 0) -> Detections:
    return detections((x, y, x + 60, y + 120, score, label))


def after_a_turn() -> np.ndarray:
    """Velocity in pixels a second of one who goes right at 150, is hidden for a second and comes out behind and below.

    From (250, 100) at 1.0 s to (240, 130) at 1.97 s; read from where the filter expects it in later empty frames.
    """
    tracker = OcSort()
    for k in range(31):
        tracker.update(walk(100 + 5 * k), k / 30)
    for k in range(31, 59):
        tracker.update(Detections.empty(), k / 30)
    tracker.update(walk(240, 130), 59 / 30)
    assert tracker.all().ids.tolist() == [1]
    centres = []
    for time_s in (2.1, 2.2):
        tracker.update(Detections.empty(), time_s)
        centres.append(xyxy_to_cxcywh(tracker.all().boxes)[0, :2])
    return (centres[1] - centres[0]) / 0.1


def test_re_update_gives_the_velocity_of_the_way_really_gone() -> None:
    assert after_a_turn() == pytest.approx([-10 / 0.967, 30 / 0.967], abs=8)


def test_without_re_update_the_velocity_is_that_of_the_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: the filter takes the way back from where it had run to for a velocity."""
    monkeypatch.setattr(OcSort, "_replay", lambda *_: None)
    assert after_a_turn()[0] < -25


def test_re_update_step_by_step() -> None:
    """The filter of one track by hand: observed, virtual for each missed frame at its true time, observed."""
    times = [0.0, 0.03, 0.1, 0.12, 0.2, 0.31]
    seen = {0: 100.0, 1: 101.0, 5: 111.0}
    tracker = OcSort()
    start = xyxy_to_cxcywh(walk(100).boxes.astype(float))
    mean, covariance = kalman.start(start)
    row = np.array([0])
    for k, time_s in enumerate(times):
        tracker.update(walk(seen[k]) if k in seen else Detections.empty(), time_s)
        if k:
            x = seen.get(k, 101 + 10 * (time_s - 0.03) / 0.28)
            _predict(mean, covariance, time_s - times[k - 1])
            kalman.update(mean, covariance, row, start + np.array([x - 100, 0, 0, 0]))
    assert np.allclose(tracker._table["mean"], mean, rtol=1e-9)
    assert np.allclose(tracker._table["covariance"], covariance, rtol=1e-9)


def test_re_update_of_many_tracks_is_that_of_each_alone() -> None:
    """Gaps of different length that end in one frame."""
    gaps = (0, 7, 1, 3, 3, 12)

    def scene(k: int, chosen: tuple[int, ...]) -> Detections:
        return detections(
            *(
                (100 * i + k + i, 50 + 2 * k, 100 * i + 60 + k, 150 + 2 * k, 0.9, 0)
                for i in chosen
                if not 30 - gaps[i] <= k < 30
            )
        )

    together, alone = OcSort(), [OcSort() for _ in gaps]
    for k in range(34):
        tracks = together.update(scene(k, tuple(range(len(gaps)))), k / 30)
        for i, tracker in enumerate(alone):
            tracker.update(scene(k, (i,)), k / 30)
    assert sorted(tracks.ids) == [1, 2, 3, 4, 5, 6]
    for i, tracker in enumerate(alone):
        assert np.allclose(together._table["mean"][i], tracker._table["mean"][0], rtol=1e-9)


@pytest.mark.parametrize(("speed", "height"), [(1, 8), (2, 10), (3, 16)])
@pytest.mark.parametrize(("inertia", "kept"), [(0.2, True), (0.0, False)])
def test_momentum_keeps_ids_in_a_crossing(speed: int, height: int, inertia: float, kept: bool) -> None:
    """Two walk through each other and change heights when they meet: by overlap alone each takes the other's place."""
    tracker, meeting = OcSort(OcSortSettings(inertia=inertia)), 120 // speed
    for k in range(2 * meeting):
        y = (100, 100 + height) if k < meeting else (100 + height, 100)
        x = (100 + speed * k, 340 - speed * k)
        found = detections(*((x[i], y[i], x[i] + 60, y[i] + 120, 0.9, 0) for i in range(2)))
        tracks = tracker.update(found, k / 30)
    assert sorted(tracks.ids) == [1, 2]
    left = tracks.boxes[np.argsort(tracks.ids), 0]
    assert (left[0] > left[1]) == kept


@pytest.mark.parametrize(("inertia", "ahead"), [(0.2, True), (0.0, False)])
def test_straight_on_is_worth_more_than_a_little_overlap(inertia: float, ahead: bool) -> None:
    """Two candidates, 10 pixels before and 8 behind of where a slow walker to the right is expected."""
    tracker = OcSort(OcSortSettings(inertia=inertia))
    for k in range(30):
        tracker.update(walk(100 + k), k / 30)
    found = detections((122, 100, 182, 220, 0.9, 0), (140, 100, 200, 220, 0.9, 0))
    tracks = tracker.update(found, 1.0)
    assert tracks.ids.tolist() == [1]
    assert tracks.boxes[0, 0] == (140 if ahead else 122)


@pytest.mark.parametrize(("x", "score", "gain"), [(105, 1.0, 0.1), (105, 0.7, 0.07), (70, 0.7, -0.07)])
def test_momentum_counts_by_the_score(x: float, score: float, gain: float) -> None:
    tracker = OcSort()
    for k in range(10):
        tracker.update(walk(91 + k), k / 30)
    pair = Pairs(np.array([0]), np.array([0]), np.array([0.5]))
    boxes = walk(x).boxes.astype(float)
    assert tracker._momentum(pair, boxes, np.float32([score]), tracker._anchors()) == pytest.approx(gain, abs=1e-3)


def test_directions_are_those_of_the_observations_looked_up_by_hand() -> None:
    """A trembling walker at uneven times, now and then unseen for longer than `delta_s` and than the ring turns."""
    rng = np.random.default_rng(5)
    tracker = OcSort()
    seen: list[tuple[float, np.ndarray]] = []
    time_s = 0.0
    for k in range(400):
        time_s += rng.uniform(0.02, 0.04)
        if k < 5 or rng.random() < 0.3 or k % 40 > 25:
            tracker.update(Detections.empty(), time_s)
            continue
        found = walk(100 + 5 * rng.random(), 100 + 5 * rng.random())
        tracker.update(found, time_s)
        centre = xyxy_to_cxcywh(found.boxes.astype(float))[0, :2]
        if seen:
            before = next((place for at, place in seen if time_s - at <= 0.105), seen[-1][1])
            way = centre - before
            assert np.allclose(tracker._table["heading"], way / np.hypot(*way), atol=1e-4)
        seen.append((time_s, centre))
    assert tracker.all().ids.tolist() == [1]


@pytest.mark.parametrize("rate", [7.5, 15, 30, 60, 120, 240])
def test_the_direction_is_taken_over_delta_s_at_every_rate(rate: float) -> None:
    """An object that goes right at 60 pixels a second and jumps up and down by a pixel at each frame.

    Over 0.1 s (6 pixels) the jump is little; over one frame at 240 a second it would be nearly all.
    """
    tracker = OcSort()
    for k in range(int(2 * rate)):
        tracker.update(walk(100 + 60 * k / rate, 100 + k % 2), k / rate)
        if k > rate:
            assert tracker._table["heading"][0, 0] > 0.97


def test_recovery_finds_an_object_that_stopped_behind_something() -> None:
    """The prediction has run away; the last observation is where it is. SORT loses it."""
    ids = {}
    for name, tracker in (("sort", Sort(SortSettings(min_iou=0.3))), ("ocsort", OcSort())):
        for k in range(30):
            tracker.update(walk(100 + 6 * k), k / 30)
        for k in range(30, 45):
            tracker.update(Detections.empty(), k / 30)
        for k in range(45, 55):
            tracks = tracker.update(walk(100 + 6 * 30), k / 30)
        ids[name] = tracks.ids.tolist()
    assert ids["ocsort"] == [1]
    assert ids["sort"] != [1]


def test_boxes_are_the_observations() -> None:
    rng = np.random.default_rng(0)
    tracker = OcSort()
    for k in range(20):
        found = walk(100 + rng.normal(0, 5), 100 + rng.normal(0, 5))
        tracks = tracker.update(found, k / 30)
        assert np.array_equal(tracks.boxes, found.boxes)
        assert np.array_equal(tracker.all().boxes, found.boxes)
    tracker.update(Detections.empty(), 20 / 30)
    assert tracker.all().state.tolist() == [LOST]


def test_a_late_track_is_shown_after_min_hits_matches() -> None:
    tracker = OcSort()
    for k in range(5):
        tracker.update(Detections.empty(), k / 30)
    assert [len(tracker.update(walk(100), k / 30)) for k in range(5, 10)] == [0, 0, 0, 1, 1]


def test_a_track_of_the_first_frames_counts_until_it_is_missed() -> None:
    tracker = OcSort()
    tracker.update(Detections.empty(), 0.0)
    assert [len(tracker.update(walk(100), k / 30)) for k in range(1, 6)] == [1] * 5


def test_a_track_found_again_must_prove_itself_again() -> None:
    tracker = OcSort()
    for k in range(10):
        tracker.update(walk(100), k / 30)
    for k in range(10, 15):
        tracker.update(Detections.empty(), k / 30)
    counts = [len(tracker.update(walk(100), 15 / 30))]
    assert tracker.all().state.tolist() == [TENTATIVE]
    counts += [len(tracker.update(walk(100), k / 30)) for k in range(16, 19)]
    assert counts == [0, 0, 1, 1]


@pytest.mark.parametrize(("use_byte", "kept"), [(False, 0), (True, 1)])
def test_weak_detections_count_only_with_use_byte(use_byte: bool, kept: int) -> None:
    tracker = OcSort(OcSortSettings(use_byte=use_byte))
    for k in range(10):
        tracker.update(walk(100), k / 30)
    assert len(tracker.update(walk(100, score=0.3), 10 / 30)) == kept
    assert len(OcSort(OcSortSettings(use_byte=True)).update(walk(100, score=0.3), 0.0)) == 0


def test_a_track_takes_one_detection_a_frame() -> None:
    """A weak one where it is expected, a strong one where it was last seen: recovery must not take it again."""
    tracker = OcSort(OcSortSettings(use_byte=True))
    for k in range(30):
        tracker.update(walk(100 + 10 * k), k / 30)
    for k in range(30, 35):
        tracker.update(Detections.empty(), k / 30)
    tracker.update(detections((450, 100, 510, 220, 0.4, 0), (380, 100, 440, 220, 0.9, 0)), 35 / 30)
    assert tracker.all().ids.tolist() == [1, 2]
    assert tracker.all().boxes[:, 0].tolist() == [450, 380]


def test_memory_does_not_grow_with_the_stream() -> None:
    tracker = OcSort()
    for k in range(2000):
        tracker.update(walk(100) if k % 50 == 0 else Detections.empty(), k / 30)
        assert len(tracker._times) <= 33
