"""Whole videos: what comes out: gaps, smoothness, ids, odd input."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes import detections
from tests.track.scenes import NOTHING, SETTINGS, Frames, behind_a_pole, ids, linked, walk, waves
from tracker.config import SteadySettings
from tracker.structures import CONFIRMED, LOST
from tracker.track.whole import link_whole


@pytest.mark.parametrize(("hidden_s", "filled"), [(0.9, True), (1.1, False)])
def test_gaps_up_to_offline_gap_s_are_filled_along_the_path(hidden_s: float, filled: bool) -> None:
    frames = behind_a_pole(hidden_s)
    tracks = linked(frames)
    assert ids(tracks) == {1}
    for (found, time_s), one in zip(frames, tracks, strict=True):
        if len(found):
            assert one.state.tolist() == [CONFIRMED]
            assert one.missed_s.tolist() == [0]
        elif filled:
            assert one.state.tolist() == [LOST]
            assert one.missed_s[0] == pytest.approx(time_s - 59 / 30, abs=1e-5)
        else:
            assert len(one) == 0
        assert one.boxes[:, 0] == pytest.approx([100 + 60 * time_s] * len(one), abs=1.0)


def test_a_filled_gap_bends_as_the_path_does() -> None:
    """A turn hidden by a pole: 60 pixels a second to the right, then down; the way between is a curve, not a corner."""
    frames = []
    for k in range(120):
        x, y = 100 + 2 * min(k, 60), 100 + 2 * max(0, k - 60)
        frames.append((NOTHING if 51 <= k <= 69 else walk(x, y), k / 30))
    tracks = linked(frames)
    assert ids(tracks) == {1}
    boxes = np.concatenate([one.boxes for one in tracks])
    assert len(boxes) == 120
    middle, straight = boxes[60, :2], (boxes[50, :2] + boxes[70, :2]) / 2
    assert middle[0] - straight[0] > 2
    assert straight[1] - middle[1] > 2
    assert np.linalg.norm(np.diff(boxes[45:76, :2], axis=0), axis=1).max() < 2.6


def test_no_box_is_smaller_than_a_pixel() -> None:
    tracks = linked([(detections((5, 5, 5.6, 5.6, 0.9, 0)), k / 30) for k in range(20)])
    boxes = np.concatenate([one.boxes for one in tracks])
    assert len(boxes) == 20
    assert boxes[:, 2:] - boxes[:, :2] == pytest.approx(np.ones((20, 2)), abs=1e-5)


def test_smoothing_takes_jitter_out_and_offline_smoothing_how_much() -> None:
    rng = np.random.default_rng(2)
    places = 100 + 2 * np.arange(90) + rng.normal(0, 3, 90)
    frames = [(walk(float(x)), k / 30) for k, x in enumerate(places)]
    errors = {}
    for share in (0.0, 0.5, 1.0):
        boxes = [one.boxes[0, 0] for one in linked(frames, SteadySettings(offline_smoothing=share))]
        errors[share] = np.std(np.array(boxes) - 100 - 2 * np.arange(90))
        if share == 0:
            assert boxes == pytest.approx(places.tolist(), abs=1e-3)
    assert errors[1.0] < 0.6 * errors[0.0]
    assert errors[1.0] < errors[0.5] < errors[0.0]


def test_ids_run_from_1_in_the_order_of_appearance_once_a_frame() -> None:
    tracks = linked([(waves(k), k / 30) for k in range(200)])
    met: list[int] = []
    kinds: dict[int, int] = {}
    for one in tracks:
        names = one.ids.tolist()
        assert len(set(names)) == len(names)
        met += [name for name in names if name not in met]
        for name, kind in zip(names, one.class_ids.tolist(), strict=True):
            assert kinds.setdefault(name, kind) == kind
    assert sorted(met) == list(range(1, len(met) + 1))
    firsts = [next(k for k, one in enumerate(tracks) if name in one.ids) for name in sorted(met)]
    assert firsts == sorted(firsts)
    assert len(met) >= 30


def test_every_box_is_of_its_detection() -> None:
    """A track's box in a frame in which it was seen overlaps a detection of its class and carries its score."""
    frames = [(waves(k), k / 30) for k in range(120)]
    for (found, _), one in zip(frames, linked(frames), strict=True):
        for box, score, kind, state in zip(one.boxes, one.scores, one.class_ids, one.state, strict=True):
            near = (np.abs(found.boxes - box).max(1) < 12) & (found.class_ids == kind) & (found.scores == score)
            assert state == LOST or near.any()


def test_the_same_input_gives_the_same_tracks_and_a_generator_will_do() -> None:
    frames = [(waves(k), k / 30) for k in range(60)]
    one, other = linked(frames), list(link_whole(SETTINGS, iter(frames)))
    assert all(np.array_equal(a.boxes, b.boxes) and np.array_equal(a.ids, b.ids)
               for a, b in zip(one, other, strict=True))  # fmt: skip


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [(NOTHING, 0.0)],
        [(NOTHING, k / 30) for k in range(5)],
        [(walk(100), 0.0)],
        [(NOTHING, 0.0), (walk(100), 1.0), (NOTHING, 2.0)],
        [(walk(1000 * k), 3600.0 * k) for k in range(5)],
    ],
)
def test_every_frame_yields_once_however_little_there_is(frames: Frames) -> None:
    assert sum(map(len, linked(frames))) == 0


def test_frames_of_one_time_are_frames() -> None:
    shown = [k % 5 != 3 for k in range(30)]
    frames = [(walk(100) if seen else NOTHING, 7.0) for seen in shown]
    tracks = linked(frames)
    assert [one.ids.tolist() for one in tracks] == [[1]] * 30
    assert [one.state.tolist() == [CONFIRMED] for one in tracks] == shown
    assert all(np.abs(one.boxes - walk(100).boxes).max() < 0.01 for one in tracks)


def test_times_far_apart() -> None:
    """Seen for a second, an hour of nothing, seen again: two tracks and no box between."""
    frames = [(walk(100), k / 30 + 3600 * (k >= 30)) for k in range(60)]
    frames.insert(30, (NOTHING, 1800.0))
    tracks = linked(frames)
    assert ids(tracks) == {1, 2}
    assert len(tracks[30]) == 0
    assert all(np.isfinite(one.boxes).all() for one in tracks)


@pytest.mark.parametrize("box", [(10, 10, 10, 50), (50, 50, 10, 10), (np.nan, 10, 20, 50), (-3e38, -3e38, 3e38, 3e38)])
def test_boxes_without_area_or_end_are_left_out(box: tuple[float, ...]) -> None:
    frames = [(detections((*box, 0.9, 0), (100, 100, 140, 200, 0.9, 0)), k / 30) for k in range(20)]
    tracks = linked(frames)
    assert [one.ids.tolist() for one in tracks] == [[1]] * 20
    assert np.abs(np.concatenate([one.boxes for one in tracks]) - [100, 100, 140, 200]).max() < 1


def test_huge_and_tiny_boxes_stay_finite() -> None:
    frames = [(detections((-1e18, -1e18, 1e18, 1e18, 0.9, 0), (5, 5, 5.001, 5.001, 0.9, 1)), k / 30) for k in range(20)]
    for one in linked(frames):
        assert np.isfinite(one.boxes).all()
        assert np.all(one.boxes[:, 2:] >= one.boxes[:, :2])


def test_time_must_not_go_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        list(link_whole(SETTINGS, [(walk(0), 1.0), (walk(0), 0.5)]))
