"""A constant-velocity Kalman filter over all tracks at once, with the true time between frames.

The state of a track is (cx, cy, w, h, vx, vy, vw, vh) in pixels and pixels a second. Motion, process noise and
measurement noise never couple the four coordinates, so the 8x8 covariance is four 2x2 blocks and is kept as their three
numbers: variance of the position, covariance, variance of the velocity. This is the full filter, not an approximation
(the tests hold it to `filterpy.kalman.KalmanFilter` step by step), without an inverse and without a loop over tracks.

Noise: as in SORT's descendants (Wojke et al. 2017; Zhang et al. 2022) deviations are fractions of the box height, a
twentieth for positions, a 160th a frame for velocities at 30 frames a second; here as densities in continuous time, so
that two steps of 1/30 s and one of 1/15 s mean the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.track import compiled

Array = NDArray[np.float64]

PAPER_RATE = 30.0  # frames a second at which the papers' noise figures were chosen
POSITION = 1 / 20  # deviation of a measured position, in box heights
MEASUREMENT = np.full(4, POSITION)
DRIFT = PAPER_RATE * POSITION**2  # variance that a position gains a second, in box heights^2
AGITATION = PAPER_RATE * (PAPER_RATE / 160) ** 2  # variance that a velocity gains a second, in box heights^2 / s^2
SPEED = 10 * PAPER_RATE / 160  # deviation of the velocity of a new track, in box heights a second


def start(measured: Array, position: float | Array = 2 * POSITION, speed: float | Array = SPEED) -> tuple[Array, Array]:
    """Mean (K, 8) and covariance (K, 4, 3) of tracks at `measured` (K, 4) cx, cy, w, h, at rest as far as known.

    position, speed: deviations in box heights and heights a second, one for all or (4,), a coordinate.
    """
    height = measured[:, 3:4]
    mean = np.zeros((len(measured), 8))
    mean[:, :4] = measured
    block = np.zeros((len(measured), 4, 3))
    block[..., 0] = (position * height) ** 2
    block[..., 2] = (speed * height) ** 2
    return mean, block


def predict(mean: Array, covariance: Array, dt_s: float, noise: Array | None = None) -> None:
    """Move every track `dt_s` seconds on, in place: mean (M, 8), covariance (M, 4, 3). No box shrinks below a pixel.

    `noise`: (4, 3) of `process_noise`, where it is not this module's.
    """
    fast = compiled.kernels(15e-6 + 0.1e-6 * len(mean))
    noise = process_noise(dt_s) if noise is None else noise
    (predict_numpy if fast is None else fast.predict)(mean, covariance, float(dt_s), noise)


def update(
    mean: Array, covariance: Array, rows: NDArray[np.int64], measured: Array, position: Array = MEASUREMENT
) -> None:
    """Correct tracks `rows` (K,), each at most once, by measurements (K, 4) cx, cy, w, h, in place.

    position: (4,), deviations of a measurement in box heights.
    """
    fast = compiled.kernels(15e-6 + 0.1e-6 * len(rows))
    (update_numpy if fast is None else fast.update)(mean, covariance, rows, measured, position)


def warp(mean: Array, covariance: Array, motion: Array) -> None:
    """Move all tracks with the camera, in place, by a similarity (2, 3) from the old picture's pixels to the new one's.

    Velocities turn and scale as places do, so they stay those of the world. A turn mixes the doubts about x and y; that
    the two then go together is left out, which is exact where they are equal, as they are for all trackers here.
    """
    turn = motion[:, :2]
    mean[:, :4] = warped(mean[:, :4], motion)
    mean[:, 4:] = warped(mean[:, 4:], np.column_stack((turn, np.zeros(2))))
    covariance[:, :2] = np.einsum("ij,mjk->mik", turn**2, covariance[:, :2])
    covariance[:, 2:] *= turn[0, 0] ** 2 + turn[1, 0] ** 2


def warped(boxes: Array, motion: Array) -> Array:
    """Boxes (M, 4) cx, cy, w, h moved by a similarity (2, 3); they grow with it but do not turn."""
    scale = np.hypot(motion[0, 0], motion[1, 0])
    return np.concatenate((boxes[:, :2] @ motion[:, :2].T + motion[:, 2], boxes[:, 2:] * scale), 1)


def process_noise(dt_s: float, drift: float | Array = DRIFT, agitation: float | Array = AGITATION) -> Array:
    """What variance, covariance and velocity's variance gain in `dt_s`, (4, 3), for a box of height 1.

    drift, agitation: one for all, or (4,), a coordinate.
    """
    noise = np.empty((4, 3))
    noise[:, 0] = drift * dt_s + agitation * (dt_s**3 / 3)
    noise[:, 1] = agitation * (dt_s**2 / 2)
    noise[:, 2] = agitation * dt_s
    return noise


def predict_numpy(mean: Array, covariance: Array, dt_s: float, noise: Array) -> None:
    """`predict` in NumPy, by `noise` (4, 3) of a box of height 1."""
    height = np.maximum(mean[:, 3], 1.0)
    height *= height
    mean[:, :4] += dt_s * mean[:, 4:]
    small = mean[:, 2:4] < 1.0
    if small.any():
        mean[:, 2:4][small] = 1.0
        mean[:, 6:8][small] = 0.0
    cross = covariance[..., 1]
    moved = cross + dt_s * covariance[..., 2]
    covariance[..., 0] += (cross + moved) * dt_s
    covariance[..., 1] = moved
    covariance += height[:, None, None] * noise


def update_numpy(mean: Array, covariance: Array, rows: NDArray[np.int64], measured: Array, position: Array) -> None:
    """`update` in NumPy, for measurements of deviations `position` (4,) heights.

    Of a block's variance p, measured with noise r, remains pr / (p + r), which is positive whatever the rounding.
    """
    block, state = covariance.take(rows, 0), mean.take(rows, 0)
    noise = position * np.maximum(state[:, 3], 1.0)[:, None]
    noise *= noise
    noise = noise[..., None]
    gain = block[..., :2] / (block[..., :1] + noise)
    block[..., 2] -= gain[..., 1] * block[..., 1]
    block[..., :2] = gain * noise
    covariance[rows] = block
    rest = measured - state[:, :4]
    state.reshape(-1, 2, 4)[...] += gain.transpose(0, 2, 1) * rest[:, None]
    mean[rows] = state
