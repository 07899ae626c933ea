"""The batched filter against filterpy's, step by step, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter as Reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.track import compiled, kalman
from tracker.track.kalman import AGITATION, DRIFT, POSITION


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs on NumPy alone and on the kernels."""
    if request.param == "numpy":
        monkeypatch.setattr(compiled, "kernels", lambda saving_s: None)
    elif compiled.load() != "numba":
        pytest.skip(compiled.reason())


def reference(box: np.ndarray) -> Reference:
    """filterpy's filter with the same start: an 8x8 covariance, nothing factored."""
    mean, covariance = kalman.start(box[None])
    filter_ = Reference(dim_x=8, dim_z=4)
    filter_.x = mean[0][:, None].copy()
    filter_.P = full(covariance[0])
    filter_.H = np.eye(4, 8)
    return filter_


def full(blocks: np.ndarray) -> np.ndarray:
    """(4, 3) blocks -> (8, 8)."""
    matrix = np.zeros((8, 8))
    for k, (position, both, velocity) in enumerate(blocks):
        matrix[k, k], matrix[k, k + 4], matrix[k + 4, k], matrix[k + 4, k + 4] = position, both, both, velocity
    return matrix


def step(filter_: Reference, dt: float) -> None:
    height = max(filter_.x[3, 0], 1.0)
    noise = np.zeros((8, 8))
    for k in range(4):
        noise[k, k] = DRIFT * height**2 * dt + AGITATION * height**2 * dt**3 / 3
        noise[k, k + 4] = noise[k + 4, k] = AGITATION * height**2 * dt**2 / 2
        noise[k + 4, k + 4] = AGITATION * height**2 * dt
    motion = np.eye(8)
    motion[:4, 4:] = dt * np.eye(4)
    filter_.predict(F=motion, Q=noise)


@pytest.mark.parametrize("seed", range(5))
def test_equals_filterpy_step_by_step(seed: int) -> None:
    """Random walks, random gaps, misses; mean and covariance to 1e-9."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(50, 200, (6, 4))
    mean, covariance = kalman.start(boxes)
    theirs = [reference(box) for box in boxes]
    for _ in range(40):
        dt = float(rng.choice([1 / 30, 1 / 7.5, 0.5]))
        kalman.predict(mean, covariance, dt)
        for filter_ in theirs:
            step(filter_, dt)
        rows = np.flatnonzero(rng.random(6) < 0.7)
        boxes = boxes + rng.normal(0, 1, boxes.shape)
        noise = [(POSITION * max(theirs[k].x[3, 0], 1.0)) ** 2 for k in rows]
        kalman.update(mean, covariance, rows, boxes[rows])
        for k, r in zip(rows, noise, strict=True):
            theirs[k].update(boxes[k][:, None], R=r * np.eye(4))
        for k, filter_ in enumerate(theirs):
            assert np.allclose(mean[k], filter_.x[:, 0], rtol=1e-9, atol=1e-9)
            assert np.allclose(full(covariance[k]), filter_.P, rtol=1e-9, atol=1e-9)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(1e-3, 10), st.booleans()), min_size=1, max_size=30), st.floats(1, 2000))
def test_covariance_stays_positive(steps, height) -> None:
    mean, covariance = kalman.start(np.array([[100.0, 100.0, height / 2, height]]))
    for dt, seen in steps:
        kalman.predict(mean, covariance, dt)
        if seen:
            kalman.update(mean, covariance, np.array([0]), np.array([[100.0, 100.0, height / 2, height]]))
        position, both, velocity = covariance[0].T
        assert (position > 0).all() and (velocity > 0).all() and (position * velocity >= both**2).all()


def test_two_half_steps_are_one_whole_step() -> None:
    """Process noise is a density in time: a dropped frame is only a larger dt."""
    once, twice = (kalman.start(np.array([[10.0, 20.0, 30.0, 40.0]])) for _ in range(2))
    for mean, _ in (once, twice):
        mean[0, 4:] = (5, -3, 0, 0)
    kalman.predict(*once, 0.2)
    kalman.predict(*twice, 0.1)
    kalman.predict(*twice, 0.1)
    assert np.allclose(once[0], twice[0])
    assert np.allclose(once[1], twice[1])


def test_noise_of_ones_own_takes_the_place_of_the_filters() -> None:
    same, calm = (kalman.start(np.array([[10.0, 20.0, 30.0, 40.0]])) for _ in range(2))
    still = same[1].copy()
    kalman.predict(*calm, 0.2, kalman.process_noise(0.2, 0.0, 0.0))
    kalman.predict(*same, 0.2)
    still[..., 0] += 0.2**2 * still[..., 2]
    still[..., 1] += 0.2 * still[..., 2]
    assert np.allclose(calm[1], still)
    assert (same[1] > still).all()
    assert np.array_equal(same[0], calm[0])


def test_a_shrinking_box_never_turns_inside_out() -> None:
    mean, covariance = kalman.start(np.array([[10.0, 10.0, 4.0, 4.0]]))
    mean[0, 6:] = -100
    kalman.predict(mean, covariance, 1.0)
    assert (mean[0, 2:4] >= 1).all()


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3), st.floats(-3.1, 3.1), st.floats(-500, 500), st.floats(-500, 500))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_warp_and_its_inverse_change_nothing(seed: int, scale: float, turn: float, x: float, y: float) -> None:
    rng = np.random.default_rng(seed)
    mean, covariance = rng.normal(0, 100, (7, 8)), rng.uniform(1, 9, (7, 4, 3))
    covariance[:, 1] = covariance[:, 0]  # as the trackers have it: x and y are equally sure
    motion = np.array(
        ((scale * np.cos(turn), -scale * np.sin(turn), x), (scale * np.sin(turn), scale * np.cos(turn), y))
    )
    inverse = np.linalg.inv(np.vstack((motion, (0, 0, 1))))[:2]
    there, doubt = mean.copy(), covariance.copy()
    kalman.warp(there, doubt, motion)
    assert there[:, :2] == pytest.approx(mean[:, :2] @ motion[:, :2].T + (x, y))
    assert np.hypot(*there[:, 4:6].T) == pytest.approx(scale * np.hypot(*mean[:, 4:6].T))
    assert doubt == pytest.approx(scale**2 * covariance)
    kalman.warp(there, doubt, inverse)
    assert there == pytest.approx(mean, abs=1e-9)
    assert doubt == pytest.approx(covariance)


def test_a_quarter_turn_swaps_the_doubts_of_x_and_y() -> None:
    mean, covariance = kalman.start(np.array([[10.0, 20, 4, 8]]))
    covariance[0, :2] = ((1, 2, 3), (4, 5, 6))
    kalman.warp(mean, covariance, np.array(((0.0, -1, 0), (1, 0, 0))))
    assert mean[0, :4].tolist() == pytest.approx([-20, 10, 4, 8])
    assert covariance[0, :2].tolist() == [pytest.approx([4, 5, 6]), pytest.approx([1, 2, 3])]
