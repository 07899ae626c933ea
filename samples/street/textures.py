"""Noise, bricks and leaves, made once and used for every picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .camera import Array


def fractal(rng: np.random.Generator, size: int, slope: float, low: float = 0.0) -> Array:
    """Periodic noise (size, size) float32 of mean 0 and deviation 1 whose spectrum falls as frequency ** -slope."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    frequency[0, 0] = 1.0
    gain = frequency**-slope * (frequency > low)
    gain[0, 0] = 0.0
    phase = np.exp(2j * np.pi * rng.random(gain.shape))
    noise = np.fft.irfft2(gain * phase * size, s=(size, size))
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _bricks(rng: np.random.Generator, size: int, rows: int, columns: int, mortar: float) -> Array:
    """Brickwork (size, size) float32 around 0: courses with a half offset, every brick a little different."""
    tile = np.full((size, size), mortar, dtype=np.float32)
    high, wide = size // rows, size // columns
    for row in range(rows):
        for column in range(columns):
            left = column * wide + (wide // 2 if row % 2 else 0)
            level = float(rng.normal(0, 0.5))
            for start in (left, left - size):
                cv2.rectangle(tile, (start + 1, row * high + 1), (start + wide - 2, row * high + high - 2), level, -1)
    return tile + 0.3 * fractal(rng, size, 0.6)


def _foliage(rng: np.random.Generator, size: int) -> Array:
    """A crown of leaves (size, size, 4) uint8: grey light and shade, and coverage."""
    crown = np.zeros((size, size, 4), dtype=np.uint8)
    clumps = int(rng.integers(9, 16))
    angle, reach = rng.uniform(0, 2 * np.pi, clumps), 0.30 * np.sqrt(rng.random(clumps))
    middle = np.stack([0.5 + reach * np.cos(angle), 0.48 + reach * np.sin(angle) * 0.95], axis=1) * size
    spread = rng.uniform(0.10, 0.17, clumps) * size
    for part in np.argsort(middle[:, 1])[::-1]:
        leaves = 420
        turn, away = rng.uniform(0, 2 * np.pi, leaves), spread[part] * np.sqrt(rng.random(leaves))
        offset = np.stack([np.cos(turn), np.sin(turn)], axis=1) * away[:, None]
        light = 118 - 80 * offset[:, 1] / spread[part] - 30 * offset[:, 0] / spread[part] + rng.normal(0, 24, leaves)
        order = np.argsort(-away)
        for at, level in zip((middle[part] + offset)[order], np.clip(light, 22, 240)[order], strict=True):
            axes = (int(rng.integers(2, 6)), int(rng.integers(1, 3)))
            centre = (int(at[0]), int(at[1]))
            cv2.ellipse(crown, centre, axes, float(rng.uniform(0, 180)), 0, 360, (level, level, level, 255), -1)
    x, y, wide, tall = cv2.boundingRect(crown[:, :, 3])
    return np.ascontiguousarray(crown[y : y + tall, x : x + wide])


@dataclass(frozen=True)
class Textures:
    """Everything random that is too slow to make for every picture; tiles are (512, 512) float32 around 0."""

    fine: Array
    blotch: Array
    clouds: Array
    bricks: Array
    blocks: Array
    weave: list[Array]
    crowns: list[Array]


def make_textures(seed: int) -> Textures:
    """All textures for a seed."""
    rng = np.random.default_rng(seed)
    weave = []
    for _ in range(8):
        folds = cv2.GaussianBlur(rng.normal(0, 1, (40, 22)).astype(np.float32), (0, 0), 1.3, sigmaY=2.0)
        weave.append(np.clip(folds / folds.std() * 0.33, -1, 1))
    return Textures(
        fine=fractal(rng, 512, 0.45, 6),
        blotch=fractal(rng, 512, 1.5),
        clouds=fractal(rng, 512, 1.75, 1.5),
        bricks=_bricks(rng, 512, 32, 16, -1.6),
        blocks=_bricks(rng, 512, 16, 8, -1.0),
        weave=weave,
        crowns=[_foliage(rng, 360) for _ in range(6)],
    )
