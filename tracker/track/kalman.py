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


class KalmanFilter:
    """State (M, 8) and covariance blocks (M, 4, 3) of M tracks."""

    def __init__(self) -> None:
        """No tracks."""
        self.mean: Array = np.zeros((0, 8))
        self.covariance: Array = np.zeros((0, 4, 3))

    def add(self, measured: Array) -> None:
        """Start tracks at `measured` (K, 4) cx, cy, w, h: at rest, with a wide doubt about the velocity."""
        count = len(measured)
        height = measured[:, 3:4]
        block = np.zeros((count, 4, 3))
        block[..., 0] = (2 * POSITION * height) ** 2
        block[..., 2] = (10 * PAPER_RATE / 160 * height) ** 2
        self.mean = np.concatenate((self.mean, np.concatenate((measured, np.zeros((count, 4))), 1)))
        self.covariance = np.concatenate((self.covariance, block))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Keep the tracks of the mask (M,)."""
        self.mean, self.covariance = self.mean[rows], self.covariance[rows]

    def predict(self, dt_s: float) -> None:
        """Move every track `dt_s` seconds on. A box never shrinks below a pixel."""
        height = np.maximum(self.mean[:, 3:4], 1.0)
        self.mean[:, :4] += dt_s * self.mean[:, 4:]
        small = self.mean[:, 2:4] < 1.0
        self.mean[:, 2:4][small] = 1.0
        self.mean[:, 6:8][small] = 0.0
        block = self.covariance
        agitation = AGITATION * height**2
        block[..., 0] += (
            dt_s * (2 * block[..., 1] + dt_s * block[..., 2]) + DRIFT * height**2 * dt_s + agitation * dt_s**3 / 3
        )
        block[..., 1] += dt_s * block[..., 2] + agitation * dt_s**2 / 2
        block[..., 2] += agitation * dt_s

    def update(self, rows: NDArray[np.int64], measured: Array) -> None:
        """Correct tracks `rows` (K,) by measurements (K, 4) cx, cy, w, h.

        Joseph form for the diagonal of the blocks: the covariance stays positive whatever the rounding.
        """
        block = self.covariance[rows]
        noise = (POSITION * np.maximum(self.mean[rows, 3:4], 1.0)) ** 2
        total = block[..., 0] + noise
        gain, gain_v = block[..., 0] / total, block[..., 1] / total
        rest = measured - self.mean[rows, :4]
        self.mean[rows, :4] += gain * rest
        self.mean[rows, 4:] += gain_v * rest
        left = 1 - gain
        new = np.empty_like(block)
        new[..., 0] = left**2 * block[..., 0] + gain**2 * noise
        new[..., 1] = left * (block[..., 1] - gain_v * block[..., 0]) + gain * gain_v * noise
        new[..., 2] = block[..., 2] - 2 * gain_v * block[..., 1] + gain_v**2 * total
        self.covariance[rows] = new
