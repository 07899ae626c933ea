"""Rendered frames for where there are none of the user's: ranges for INT8, pictures to compare a plan's boxes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from tracker.structures import Frame, Image

RENDERED = 24
SIZE = (640, 360)


def rendered_frames() -> Iterator[Frame]:
    """RENDERED frames (640x360) of streets as simple as can be, by day and by night; the same each time."""
    rng = np.random.default_rng(4)
    for index in range(RENDERED):
        yield Frame.from_bgr(index, index / 10, _scene(rng))


def _scene(rng: np.random.Generator) -> Image:
    """Sky, walls and a road with objects on it, noise and a gain: the range of values matters here, not the look."""
    width, height = SIZE
    picture = np.empty((height, width, 3), np.float32)
    horizon = int(rng.uniform(0.25, 0.5) * height)
    picture[:horizon] = rng.uniform(120, 250, 3) * np.linspace(1, 0.7, horizon)[:, None, None]
    picture[horizon:] = rng.uniform(60, 130) * np.linspace(0.8, 1.1, height - horizon)[:, None, None]
    for _ in range(int(rng.integers(3, 8))):  # walls with windows
        left, top = int(rng.integers(-60, width)), int(rng.integers(0, horizon))
        wide = int(rng.integers(60, 200))
        cv2.rectangle(picture, (left, top), (left + wide, horizon), rng.uniform(20, 220, 3).tolist(), -1)
        for x in range(left + 8, left + wide - 12, 24):
            for y in range(top + 8, horizon - 12, 28):
                cv2.rectangle(picture, (x, y), (x + 10, y + 14), rng.uniform(0, 255, 3).tolist(), -1)
    for _ in range(int(rng.integers(4, 14))):
        _object(picture, rng, horizon)
    gain = rng.uniform(0.25, 1.2)
    noisy = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.4)) * gain + rng.normal(0, 6, picture.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _object(picture: Any, rng: np.random.Generator, horizon: int) -> None:
    """A person or a car, larger the nearer it stands."""
    width, height = SIZE
    foot = int(rng.uniform(horizon + 10, height))
    scale = 0.15 + 0.85 * (foot - horizon) / (height - horizon)
    x, color, other = int(rng.integers(0, width)), rng.uniform(0, 255, 3).tolist(), rng.uniform(0, 255, 3).tolist()
    if rng.random() < 0.5:
        tall = int(150 * scale)
        cv2.rectangle(picture, (x, foot - tall * 3 // 4), (x + tall // 4, foot - tall // 3), color, -1)
        cv2.rectangle(picture, (x, foot - tall // 3), (x + tall // 4, foot), other, -1)
        cv2.circle(picture, (x + tall // 8, foot - tall * 7 // 8), max(2, tall // 9), (140, 170, 210), -1)
        return
    wide, tall = int(220 * scale), int(80 * scale)
    cv2.rectangle(picture, (x, foot - tall), (x + wide, foot), color, -1)
    cv2.rectangle(picture, (x + wide // 5, foot - tall * 3 // 2), (x + wide * 4 // 5, foot - tall), other, -1)
    for wheel in (x + wide // 5, x + wide * 4 // 5):
        cv2.circle(picture, (wheel, foot), max(2, tall // 4), (15, 15, 15), -1)
