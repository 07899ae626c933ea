"""Tracklets: the smoother against a plain one, and cuts where no object can have gone on so."""

from __future__ import annotations

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import detections
from tests.track.scenes import ids, linked, path_of
from tracker.config import SteadySettings
from tracker.track import Steady
from tracker.track import tracklets as module
from tracker.track.tracklets import FIRST_SPEED, Path, split


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
    places, speeds = module.posterior(path, path.boxes[:, :2], noise, agitation)
    for name in range(1, len(lengths) + 1):
        mine = path.ids == name
        for side in range(2):
            want = smoothed(path.times[mine], path.boxes[mine, side], noise, agitation)
            assert places[mine, side] == pytest.approx(want[:, 0], rel=1e-6)
            assert speeds[mine, side] == pytest.approx(want[:, 1], rel=1e-6, abs=1e-6)


def test_centres_and_sizes_have_their_own_noise() -> None:
    path = path_of([50])
    boxes, speeds = module.smoothed(path)
    for side in range(4):
        noise = (module.CENTRE_NOISE, module.CENTRE_AGITATION) if side < 2 else (
            module.SIZE_NOISE, module.SIZE_AGITATION)  # fmt: skip
        want = smoothed(path.times, path.boxes[:, side], *noise)
        assert np.column_stack((boxes[:, side], speeds[:, side])) == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_frames_of_nearly_one_time_cost_little_precision() -> None:
    """Steps of a second and of nothing in one system: the smoother knows all places to a thousandth of a pixel."""
    path = path_of([200], times=np.cumsum(np.random.default_rng(1).choice([0, 1e-3, 1 / 30, 1.0], 200)))
    places, _ = module.posterior(path, path.boxes[:, :2] + 3000, 0.016, 0.044)
    want = smoothed(path.times, path.boxes[:, 0] + 3000, 0.016, 0.044)
    assert places[:, 0] == pytest.approx(want[:, 0], abs=1e-3)


@pytest.mark.parametrize("step_s", [0.0, 1e-5, 1e-3, 3600.0])
def test_the_system_stays_solvable(step_s: float) -> None:
    """Frames of one time, or hours apart, thousands of them."""
    path = path_of([5000], times=np.arange(5000) * step_s)
    path.boxes[:] = 100 + np.random.default_rng(0).normal(0, 3, path.boxes.shape)
    boxes, speeds = module.smoothed(path)
    assert np.abs(boxes - 100).max() < 20
    assert np.isfinite(speeds).all()


def tracklet(boxes: np.ndarray, times: np.ndarray, names: np.ndarray) -> Path:
    ones = np.ones(len(times))
    return Path(
        names, np.arange(len(times)), times, boxes, ones, ones.astype(np.float32), np.zeros(len(times), np.int64)
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([30.0, 10.0, 2.5, 1.0]), st.integers(1, 58), st.floats(0.1, 20))
@settings(max_examples=60, deadline=None)
def test_a_switch_to_another_place_is_cut_and_only_there(seed: int, rate: float, at: int, size: float) -> None:
    """Walkers of any size; one tracklet goes on at the place of somebody who is too far away to be the same."""
    rng, count = np.random.default_rng(seed), 60
    times, height = np.arange(count) / rate, 100 * size
    walked = height * (rng.uniform(-1.5, 1.5, (3, 1, 2)) * times[:, None] + rng.normal(0, 0.02, (3, count, 2)))
    boxes = np.concatenate((walked, np.full((3, count, 2), (0.4 * height, height))), 2)
    boxes[1, at:, 0] = boxes[1, at - 1, 0] + height * (1.6 + 5.6 / rate) + walked[1, at:, 0] - walked[1, at, 0]
    path = tracklet(boxes.reshape(-1, 4), np.tile(times, 3), np.repeat((4, 7, 9), count))
    cut = split(path)
    assert cut.starts.tolist() == sorted({0, count, 2 * count, *np.flatnonzero(np.diff(cut.ids)) + 1})
    assert len(cut.starts) == 4
    assert [len(part) for part in np.split(cut.ids, cut.starts[1:])] == [count, count, at, count - at]
    assert cut.ids[0] == 4 and cut.ids[count] == 9 and cut.ids[2 * count :].min() > 9
    assert np.array_equal(np.sort(cut.boxes, 0), np.sort(path.boxes, 0))
    assert np.all(np.diff(cut.times)[np.diff(cut.ids) == 0] > 0)


@pytest.mark.parametrize(("factor", "pieces"), [(0.4, 2), (0.5, 1), (1.0, 1), (2.0, 1), (2.5, 2)])
def test_a_size_that_changes_at_once_is_cut(factor: float, pieces: int) -> None:
    boxes = np.tile((100.0, 100, 40, 100), (20, 1))
    boxes[10:, 2:] *= factor
    assert len(split(tracklet(boxes, np.arange(20) / 10, np.ones(20, np.int64))).starts) == pieces


def test_what_may_be_is_not_cut() -> None:
    """Random walks of all rates, one sight only, and nothing."""
    path = path_of([1, 30, 1, 1, 2, 60])
    path.boxes[:, 2:] = 100
    assert split(path) is path
    assert len(split(path_of([1])).ids) == 1


def test_what_is_cut_is_two_tracks() -> None:
    """A low car where a lorry stood a moment ago, as wide: the online tracker takes it for the same."""
    lorry, car = (100, 100, 500, 360, 0.95, 2), (100, 180, 500, 280, 0.95, 2)
    frames = [(detections(lorry if k < 12 else car), k / 5) for k in range(24)]
    online = Steady(SteadySettings(learn_scores=False))
    assert {name for found, time_s in frames for name in online.update(found, time_s).ids.tolist()} == {1}
    assert len(ids(linked(frames, SteadySettings(learn_scores=False)))) == 2
