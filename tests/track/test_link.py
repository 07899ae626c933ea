"""Whole videos: the smoother against a plain one, what is linked and what not, gaps, noise, ids, odd input, growth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from scipy.optimize import linear_sum_assignment

from tests.fakes import detections
from tracker.config import SteadySettings
from tracker.structures import CONFIRMED, LOST, Detections, Tracks
from tracker.track import link as module
from tracker.track.link import FIRST_SPEED, Path, link
from tracker.track.steady import Steady

NOTHING = Detections.empty()
SETTINGS = SteadySettings()
Frames = list[tuple[Detections, float]]


def walk(x: float, y: float = 100, score: float = 0.9, label: int = 0, height: float = 100) -> Detections:
    return detections((x, y, x + 40, y + height, score, label))


def linked(frames: Frames, settings: SteadySettings = SETTINGS) -> list[Tracks]:
    tracks = list(link(settings, frames))
    assert len(tracks) == len(frames)
    return tracks


def ids(tracks: Sequence[Tracks]) -> set[int]:
    return {identity for one in tracks for identity in one.ids.tolist()}


def path_of(lengths: Sequence[int], seed: int = 0, times: np.ndarray | None = None) -> Path:
    """Tracklets of these lengths, one after the other in time, with irregular steps."""
    rng, count = np.random.default_rng(seed), sum(lengths)
    times = np.cumsum(rng.choice([0.01, 1 / 30, 0.1, 0.5, 3.0], count)) if times is None else times
    boxes = np.cumsum(rng.normal(0, 3, (count, 4)), 0) + 100
    names = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    ones = np.ones(count)
    return Path(names, np.arange(count), times, boxes, ones, ones.astype(np.float32), np.zeros(count, np.int64))


def smoothed(times: np.ndarray, measured: np.ndarray, noise: float, agitation: float) -> np.ndarray:
    """Place and velocity (N, 2) by a Kalman filter written out, and filterpy's Rauch-Tung-Striebel pass."""
    mean, covariance = np.array([measured[0], 0.0]), np.diag([noise**2, FIRST_SPEED**2])
    means, covariances, moves, noises = [mean], [covariance], [np.eye(2)], [np.zeros((2, 2))]
    for dt, z in zip(np.maximum(np.diff(times), 1e-3), measured[1:], strict=True):
        move = np.array([[1, dt], [0, 1]])
        grown = agitation * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        mean, covariance = move @ mean, move @ covariance @ move.T + grown
        gain = covariance[:, 0] / (covariance[0, 0] + noise**2)
        keep = np.eye(2) - np.outer(gain, [1, 0])
        mean = mean + gain * (z - mean[0])
        covariance = keep @ covariance @ keep.T + noise**2 * np.outer(gain, gain)
        means.append(mean)
        covariances.append(covariance)
        moves.append(move)
        noises.append(grown)
    return KalmanFilter(2, 1).rts_smoother(np.array(means), np.array(covariances), moves, noises)[0]


@pytest.mark.parametrize("lengths", [[1], [2], [40], [1, 30, 1, 1, 2, 60], [200]])
@pytest.mark.parametrize(("noise", "agitation"), [(0.064, 1.7), (0.016, 0.044)])
def test_the_posterior_is_that_of_a_smoother(lengths: list[int], noise: float, agitation: float) -> None:
    path = path_of(lengths)
    places, speeds = module._posterior(path, path.boxes[:, :2], noise, agitation)
    for name in range(1, len(lengths) + 1):
        mine = path.ids == name
        for side in range(2):
            want = smoothed(path.times[mine], path.boxes[mine, side], noise, agitation)
            assert places[mine, side] == pytest.approx(want[:, 0], rel=1e-6)
            assert speeds[mine, side] == pytest.approx(want[:, 1], rel=1e-6, abs=1e-6)


def test_centres_and_sizes_have_their_own_noise() -> None:
    path = path_of([50])
    boxes, speeds = module._smooth(path)
    for side in range(4):
        noise = (module.CENTRE_NOISE, module.CENTRE_AGITATION) if side < 2 else (
            module.SIZE_NOISE, module.SIZE_AGITATION)  # fmt: skip
        want = smoothed(path.times, path.boxes[:, side], *noise)
        assert np.column_stack((boxes[:, side], speeds[:, side])) == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_frames_of_nearly_one_time_cost_little_precision() -> None:
    """Steps of a second and of nothing in one system: the smoother knows all places to a thousandth of a pixel."""
    path = path_of([200], times=np.cumsum(np.random.default_rng(1).choice([0, 1e-3, 1 / 30, 1.0], 200)))
    places, _ = module._posterior(path, path.boxes[:, :2] + 3000, 0.016, 0.044)
    want = smoothed(path.times, path.boxes[:, 0] + 3000, 0.016, 0.044)
    assert places[:, 0] == pytest.approx(want[:, 0], abs=1e-3)


@pytest.mark.parametrize("step_s", [0.0, 1e-5, 1e-3, 3600.0])
def test_the_system_stays_solvable(step_s: float) -> None:
    """Frames of one time, or hours apart, thousands of them."""
    path = path_of([5000], times=np.arange(5000) * step_s)
    path.boxes[:] = 100 + np.random.default_rng(0).normal(0, 3, path.boxes.shape)
    boxes, speeds = module._smooth(path)
    assert np.abs(boxes - 100).max() < 20
    assert np.isfinite(speeds).all()


def behind_a_pole(hidden_s: float, rate: float = 30) -> Frames:
    """A walker at 60 pixels a second, 5 s long, unseen for a while from 2 s on."""
    shown = [not 2 <= k / rate < 2 + hidden_s for k in range(int(5 * rate))]
    return [(walk(100 + 60 * k / rate) if seen else NOTHING, k / rate) for k, seen in enumerate(shown)]


def test_a_walker_behind_a_pole_is_one_track() -> None:
    frames = behind_a_pole(2.0)
    online = Steady()
    assert ids([online.update(*frame) for frame in frames]) == {1, 2}
    tracks = linked(frames)
    assert ids(tracks) == {1}
    assert [len(one) for one in tracks] == [len(found) for found, _ in frames]  # longer than offline_gap_s


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


@pytest.mark.parametrize("other", ["same", "size", "class", "far", "late", "back", "turned"])
def test_only_what_may_be_the_same_is_linked(other: str) -> None:
    changes = {"size": {"height": 150}, "class": {"label": 1}}.get(other, {})
    begin = 5.1 if other == "late" else 4.0
    frames = []
    for k in range(240):
        time_s = k / 30
        x = 100 + 60 * time_s + (70 if other == "far" else 0)
        x = 100 + 60 * 4 - 60 * (time_s - 4) if other == "back" else x
        x = 100 + 60 * 2 - 60 * (time_s - 2) if other == "turned" else x
        if time_s < 2:
            frames.append((walk(100 + 60 * time_s), time_s))
        else:
            frames.append((walk(x, **changes) if time_s >= begin else NOTHING, time_s))
    assert len(ids(linked(frames))) == (1 if other == "same" else 2)


def test_of_two_that_went_on_the_one_that_fits_better_is_linked() -> None:
    frames = []
    for k in range(180):
        time_s = k / 30
        shift = ((-9, 9), (7, 130))[0] if time_s < 2 else (4, 36)
        rows = [(100 + 60 * time_s + dx, 100 + dx, 140 + 60 * time_s + dx, 200 + dx, 0.9, 0) for dx in shift]
        rows = rows[1:] if time_s < 2 else rows
        frames.append((detections(*rows) if not 2 <= time_s < 3.5 else NOTHING, time_s))
    last = linked(frames)[-1]
    assert last.boxes[last.ids == 1, 0] == pytest.approx([100 + 60 * 179 / 30 + 4], abs=1)


def test_a_link_is_worth_less_the_longer_the_gap_and_the_worse_the_fit() -> None:
    path = path_of([1, 1, 1, 1], times=np.array([0.0, 1.0, 2.0, 1.0]))
    path.boxes[:] = (100, 100, 40, 100)
    path.boxes[3, 0] += 20
    still = path.boxes, np.zeros((4, 4))
    near, late, beside = module._continuity(path, still, np.zeros(3, np.int64), np.array([1, 2, 3]))
    assert near == pytest.approx(np.exp(-module.GAP_COST))
    assert late == pytest.approx(near**2)
    assert 0 < beside < late


def test_weak_detections_are_sights_too() -> None:
    frames = [(walk(100, score=0.4 if 20 <= k < 50 else 0.9), k / 30) for k in range(70)]
    tracks = linked(frames, SteadySettings(learn_scores=False))
    assert all(one.state.tolist() == [CONFIRMED] for one in tracks)
    assert tracks[30].scores == pytest.approx([0.4])


def test_one_sight_is_no_track_whatever_the_settings() -> None:
    settings = SteadySettings(learn_scores=False, offline_confirm=0.5)
    assert sum(map(len, linked([(walk(100), 0.0), (NOTHING, 0.1)], settings))) == 0


def test_no_box_is_smaller_than_a_pixel() -> None:
    tracks = linked([(detections((5, 5, 5.6, 5.6, 0.9, 0)), k / 30) for k in range(20)])
    boxes = np.concatenate([one.boxes for one in tracks])
    assert len(boxes) == 20
    assert boxes[:, 2:] - boxes[:, :2] == pytest.approx(np.ones((20, 2)), abs=1e-5)


def test_the_one_to_one_choice_is_the_best() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = rng.random((6, 8)) * (rng.random((6, 8)) < 0.4)
        rows, columns = np.nonzero(matrix)
        shuffled = rng.permutation(len(rows))
        one, other = module._choose(rows[shuffled] * 10, columns[shuffled] * 7, matrix[rows, columns][shuffled])
        best = matrix[linear_sum_assignment(matrix, maximize=True)].sum()
        assert matrix[one // 10, other // 7].sum() == pytest.approx(best)
        assert len(set(one)) == len(set(other)) == len(one)
        assert np.all(matrix[one // 10, other // 7] > 0)


def test_pairs_are_looked_at_in_groups_with_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, frames = np.random.default_rng(4), []
    for k in range(400):
        rows = [(x, 100, x + 40, 200, 0.9, 0) for x in range(0, 2000, 100) if rng.random() < 0.9 and (k + x) % 70 < 30]
        frames.append((detections(*rows), k / 30))
    results = []
    for at_once in (1, 50, 10**9):
        monkeypatch.setattr(module, "LINK_AT_ONCE", at_once)
        results.append([(one.ids.tolist(), one.boxes.tolist()) for one in linked(frames)])
    assert results[0] == results[1] == results[2]
    assert len({identity for names, _ in results[0] for identity in names}) < 45


def test_tracks_begin_at_their_first_sight() -> None:
    """Where the online tracker waits for more evidence."""
    frames = [(walk(100 + k) if k >= 20 else NOTHING, k / 30) for k in range(60)]
    online = Steady()
    assert [len(online.update(*frame)) for frame in frames].index(1) > 20
    assert [len(one) for one in linked(frames)].index(1) == 20


@pytest.mark.parametrize(("sights", "score", "kept"), [(2, 0.6, False), (1, 0.9, False), (2, 0.95, True),
                                                       (9, 0.55, False), (9, 0.9, True)])  # fmt: skip
def test_what_has_too_little_evidence_is_dropped(sights: int, score: float, kept: bool) -> None:
    settings = SteadySettings(learn_scores=False)
    frames = [(walk(100, score=score) if 20 <= k < 20 + sights else NOTHING, k / 30) for k in range(60)]
    assert sum(map(len, linked(frames, settings))) == (sights if kept else 0)


def test_the_evidence_of_a_chain_counts_together() -> None:
    """Twice two sights of 0.8: neither half is worth a track, both are."""
    settings = SteadySettings(learn_scores=False)
    first, second = {20, 21}, {70, 71}
    for shown, count in ((first, 0), (second, 0), (first | second, 4)):
        frames = [(walk(100, score=0.8) if k in shown else NOTHING, k / 30) for k in range(100)]
        assert sum(map(len, linked(frames, settings))) == count


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


def crowd(k: int) -> Detections:
    """Thirty objects in waves, of two classes."""
    rng = np.random.default_rng(k)
    place = np.random.default_rng(1).uniform(0, 1500, (30, 2)) + k * np.random.default_rng(2).normal(0, 1, (30, 2))
    corner = place + rng.normal(0, 2, (30, 2))
    keep = (rng.random(30) < 0.8) & ((k + 7 * np.arange(30)) % 100 < 70)
    boxes = np.concatenate((corner, corner + np.array([60, 120])), 1)[keep].astype(np.float32)
    return Detections(boxes, rng.uniform(0.4, 1, 30).astype(np.float32)[keep], np.arange(30)[keep] % 2)


def test_ids_run_from_1_in_the_order_of_appearance_once_a_frame() -> None:
    tracks = linked([(crowd(k), k / 30) for k in range(200)])
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
    frames = [(crowd(k), k / 30) for k in range(120)]
    for (found, _), one in zip(frames, linked(frames), strict=True):
        for box, score, kind, state in zip(one.boxes, one.scores, one.class_ids, one.state, strict=True):
            near = (np.abs(found.boxes - box).max(1) < 12) & (found.class_ids == kind) & (found.scores == score)
            assert state == LOST or near.any()


def test_the_same_input_gives_the_same_tracks_and_a_generator_will_do() -> None:
    frames = [(crowd(k), k / 30) for k in range(60)]
    one, other = linked(frames), list(link(SETTINGS, iter(frames)))
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
        list(link(SETTINGS, [(walk(0), 1.0), (walk(0), 0.5)]))


def flicker(count: int) -> Path:
    """What is seen twice every 1.3 s in one place, `count` times: one chain in which each may follow two others."""
    times = np.repeat(np.arange(count) * 1.3, 2) + np.tile([0.0, 0.07], count)
    path = path_of([2] * count, times=times)
    path.boxes[:] = (100, 100, 40, 100)
    return path


def test_a_chain_of_a_day_is_linked_in_little_memory() -> None:
    """As a matrix it would be 4000 x 4000."""
    import tracemalloc

    path = flicker(4000)
    tracemalloc.start()
    rows, columns = module._links(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert columns.tolist() == (rows + 1).tolist()
    assert len(rows) == 3999
    assert peak < 30e6
    assert len(np.unique(module._joined(path, (rows, columns)).ids)) == 1


def test_work_grows_with_the_frames_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs looked at for links, by the length of the video."""
    looked, pairs = module._continuity, {}
    for count in (2000, 8000):
        pairs[count] = 0

        def counted(path, smooth, end, begin, count=count):
            pairs[count] += len(end)
            return looked(path, smooth, end, begin)

        monkeypatch.setattr(module, "_continuity", counted)
        module._links(flicker(count))
    assert pairs[2000] > 2000
    assert pairs[8000] < 4.2 * pairs[2000]
