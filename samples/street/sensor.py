"""What a lens and a sensor do to a picture: exposure, colour, glow, vignette, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .camera import Array


@dataclass(frozen=True)
class Sensor:
    """Settings of a camera; blur is the deviation in pixels, noise the deviation at mid grey in levels."""

    exposure: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vignette: float = 0.12
    blur: float = 0.5
    motion: tuple[float, float] = (0.0, 0.0)
    noise: float = 2.0
    glow: float = 0.1
    grain: float = 0.5


def random_sensor(rng: np.random.Generator, mean: float, night: float = 0.0) -> Sensor:
    """Any camera, exposed for a picture with a mean level; nights stay darker than days."""
    target = float(np.clip(rng.normal(124, 17), 80, 165)) * (1 - 0.38 * night)
    exposure = float(np.clip((target / max(mean, 1.0)) ** 0.85, 0.6, 2.8))
    motion = (float(rng.normal(0, 2.2)), float(rng.normal(0, 1.0))) if rng.random() < 0.15 else (0.0, 0.0)
    cast = rng.normal(0, 0.045, 3)
    return Sensor(
        exposure=exposure,
        contrast=float(rng.uniform(0.92, 1.38)),
        saturation=float(rng.uniform(0.55, 1.2)) if rng.random() > 0.04 else 0.0,
        balance=(float(1 + cast[0]), float(1 + cast[1] * 0.4), float(1 + cast[2])),
        vignette=float(rng.uniform(0, 0.3)),
        blur=float(
            rng.choice([rng.uniform(0.3, 0.6), rng.uniform(0.6, 1.1), rng.uniform(1.1, 1.9)], p=[0.55, 0.33, 0.12])
        ),
        motion=motion,
        noise=float(rng.gamma(2.0, 1.4)),
        glow=float(rng.uniform(0, 0.25)),
        grain=float(rng.uniform(0, 0.8)),
    )


def _smear(image: Array, motion: tuple[float, float]) -> Array:
    """Blur along a straight movement of some pixels."""
    length = float(np.hypot(*motion))
    if length < 1.2:
        return image
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    step = np.array(motion) / length * middle
    ends = [(round(middle + s * step[0]), round(middle + s * step[1])) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()))


def develop(image: Array, sensor: Sensor, rng: np.random.Generator) -> Array:
    """The picture (H, W, 3) uint8 a camera would deliver of a clean one."""
    height, width = image.shape[:2]
    picture = _smear(image, sensor.motion)
    if sensor.blur > 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), sensor.blur)
    level: Array = picture.astype(np.float32) * (np.array(sensor.balance, np.float32) * np.float32(sensor.exposure))
    if sensor.glow > 0:
        small = cv2.resize(
            np.maximum(level - 200, 0), (max(width // 8, 1), max(height // 8, 1)), interpolation=cv2.INTER_AREA
        )
        level += cv2.resize(cv2.blur(small, (5, 5)), (width, height), interpolation=cv2.INTER_LINEAR) * (
            sensor.glow * 2
        )
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    level *= 1 - np.float32(sensor.vignette) * (x[None, :, None] ** 2 + y[:, None, None] ** 2) / 2
    grey = level.mean(axis=2, keepdims=True)
    level = grey + (level - grey) * np.float32(sensor.saturation)
    level = 118 + (level - 118) * np.float32(sensor.contrast)
    bright = level > 200
    level[bright] = 200 + 55 * (1 - np.exp((200 - level[bright]) / 55))
    if sensor.noise > 0:
        coarse = rng.standard_normal(((height + 1) // 2, (width + 1) // 2, 3), dtype=np.float32)
        noise: Array = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
        fine: Array = rng.standard_normal((height, width), dtype=np.float32)
        if sensor.grain > 0.3:
            fine = np.asarray(cv2.GaussianBlur(fine, (0, 0), sensor.grain)) * np.float32(1 + 1.6 * sensor.grain)
        noise += fine[:, :, None]
        level += noise * (np.float32(sensor.noise * 0.7) * np.sqrt(np.clip(grey, 12, 255) / 128))
    return np.asarray(np.clip(level, 0, 255), dtype=np.uint8)
