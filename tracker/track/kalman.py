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

Array = NDArray[np.float64]

PAPER_RATE = 30.0  # frames a second at which the papers' noise figures were chosen
POSITION = 1 / 20  # deviation of a measured position, in box heights
DRIFT = PAPER_RATE * POSITION**2  # variance that a position gains a second, in box heights^2
AGITATION = PAPER_RATE * (PAPER_RATE / 160) ** 2  # variance that a velocity gains a second, in box heights^2 / s^2


def start(measured: Array) -> tuple[Array, Array]:
    """Mean (K, 8) and covariance (K, 4, 3) of tracks at `measured` (K, 4) cx, cy, w, h, at rest as far as known."""
    height = measured[:, 3:4]
    mean = np.zeros((len(measured), 8))
    mean[:, :4] = measured
    block = np.zeros((len(measured), 4, 3))
    block[..., 0] = (2 * POSITION * height) ** 2
    block[..., 2] = (10 * PAPER_RATE / 160 * height) ** 2
    return mean, block


def predict(mean: Array, covariance: Array, dt_s: float) -> None:
    """Move every track `dt_s` seconds on, in place: mean (M, 8), covariance (M, 4, 3). No box shrinks below a pixel."""
    height = np.maximum(mean[:, 3:4], 1.0)
    mean[:, :4] += dt_s * mean[:, 4:]
    small = mean[:, 2:4] < 1.0
    if small.any():
        mean[:, 2:4][small] = 1.0
        mean[:, 6:8][small] = 0.0
    height *= height
    position, cross, velocity = covariance[..., 0], covariance[..., 1], covariance[..., 2]
    position += dt_s * (2 * cross + dt_s * velocity) + (DRIFT * dt_s + AGITATION * dt_s**3 / 3) * height
    cross += dt_s * velocity + (AGITATION * dt_s**2 / 2) * height
    velocity += (AGITATION * dt_s) * height


def update(mean: Array, covariance: Array, rows: NDArray[np.int64], measured: Array) -> None:
    """Correct tracks `rows` (K,), each at most once, by measurements (K, 4) cx, cy, w, h, in place.

    Joseph form for the diagonal of the blocks: the covariance stays positive whatever the rounding.
    """
    block, state = covariance[rows], mean[rows]
    noise = (POSITION * np.maximum(state[:, 3:4], 1.0)) ** 2
    total = block[..., 0] + noise
    gain, gain_v = block[..., 0] / total, block[..., 1] / total
    rest = measured - state[:, :4]
    state[:, :4] += gain * rest
    state[:, 4:] += gain_v * rest
    mean[rows] = state
    left = 1 - gain
    new = np.empty_like(block)
    new[..., 0] = left**2 * block[..., 0] + gain**2 * noise
    new[..., 1] = left * (block[..., 1] - gain_v * block[..., 0]) + gain * gain_v * noise
    new[..., 2] = block[..., 2] - 2 * gain_v * block[..., 1] + gain_v**2 * total
    covariance[rows] = new
