"""The light of a scene: one sun, an even sky, haze, and what they do to a colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Array

Colour = tuple[float, float, float]
"""Blue, green, red from 0 to 255."""


@dataclass(frozen=True)
class Light:
    """Light in a scene; intensities are factors on a surface's own colour, in blue, green, red order."""

    direction: Array
    sun: Array
    sky: Array
    haze_colour: Array
    haze: float
    night: float = 0.0

    @property
    def shadow(self) -> float:
        """Share of the light on flat ground that a shadow takes away, 0 to 1."""
        direct = float(self.sun.mean() * max(self.direction[1], 0.0))
        return direct / (direct + float(self.sky.mean()))

    def shade(self, colours: Array, normals: Array, sunlit: float = 1.0) -> Array:
        """Colours (..., 3) of surfaces with unit normals (..., 3) under this light."""
        facing = np.clip(normals @ self.direction, 0.0, 1.0)[..., None]
        open_sky = (0.72 + 0.28 * normals[..., 1])[..., None]
        lit: Array = colours * (self.sky * open_sky + self.sun * facing * sunlit)
        return lit

    def through_air(self, colours: Array, depth: Array | float) -> Array:
        """Colours (..., 3) seen from a depth in metres (...) through the haze."""
        share = np.exp(-self.haze * np.maximum(np.asarray(depth, dtype=float), 0.0))[..., None]
        seen: Array = colours * share + self.haze_colour * (1 - share)
        return seen


def _direction(azimuth: float, elevation: float) -> Array:
    """Unit vector (3,) towards a sun at a heading and an elevation, in radians."""
    flat = np.cos(elevation)
    return np.array([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat])


def daylight(azimuth: float, elevation: float, haze: float = 0.003) -> Light:
    """A clear day; azimuth and elevation of the sun in radians, haze per metre."""
    warmth = np.clip(1 - elevation / 0.7, 0, 1)
    sun = np.array([0.62 - 0.30 * warmth, 0.66 - 0.14 * warmth, 0.68 + 0.02 * warmth])
    sky = np.array([0.66, 0.60, 0.55]) * (1 - 0.2 * warmth)
    colour = np.array([225.0, 215.0 - 8 * warmth, 205.0 + 10 * warmth])
    return Light(_direction(azimuth, elevation), sun, sky, colour, haze)


def random_light(rng: np.random.Generator) -> Light:
    """Sun, overcast, fog, dusk or night, the common ones more often."""
    kind = rng.choice(["clear", "overcast", "fog", "dusk", "night"], p=[0.45, 0.30, 0.06, 0.10, 0.09])
    azimuth = float(rng.uniform(-np.pi, np.pi))
    if kind == "clear":
        return daylight(azimuth, float(rng.uniform(0.35, 1.25)), float(rng.uniform(0.0005, 0.006)))
    if kind in ("overcast", "fog"):
        level = rng.uniform(0.72, 1.0)
        sky = np.array([1.0, 0.98, 0.96]) * level
        veil = np.array([225.0, 222.0, 218.0]) * level
        haze = rng.uniform(0.012, 0.04) if kind == "fog" else rng.uniform(0.001, 0.007)
        sun = np.full(3, rng.uniform(0.0, 0.15))
        return Light(_direction(azimuth, rng.uniform(0.7, 1.3)), sun, sky, veil, float(haze))
    if kind == "dusk":
        sky = np.array([0.62, 0.50, 0.46]) * rng.uniform(0.55, 0.9)
        sun = np.array([0.10, 0.22, 0.38]) * rng.uniform(0.3, 1.2)
        veil = np.array([150.0, 140.0, 155.0]) * rng.uniform(0.7, 1.1)
        return Light(_direction(azimuth, rng.uniform(0.12, 0.3)), sun, sky, veil, 0.003, 0.4)
    sky = np.array([0.30, 0.31, 0.33]) * rng.uniform(0.6, 1.3)
    veil = np.array([38.0, 32.0, 32.0]) * rng.uniform(0.5, 1.5)
    return Light(_direction(azimuth, 1.0), np.array([0.10, 0.16, 0.2]) * rng.uniform(0, 1), sky, veil, 0.004, 1.0)
