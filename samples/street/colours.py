"""Colours of painted things in a street."""

from __future__ import annotations

import numpy as np

from .camera import Array

SIGNS = [(40, 40, 170), (110, 50, 30), (60, 96, 40), (34, 34, 36), (226, 228, 230), (60, 90, 130), (60, 180, 220),
         (150, 110, 60), (90, 40, 90), (40, 90, 200), (190, 190, 186)]  # fmt: skip


def tint(rng: np.random.Generator) -> Array:
    """A colour of a sign, an awning or goods: mostly a plain one, sometimes any."""
    if rng.random() < 0.2:
        return np.clip(rng.uniform(30, 220) + rng.normal(0, 45, 3), 10, 240)
    base = np.array(SIGNS[int(rng.integers(len(SIGNS)))], dtype=float)
    return np.clip(base * rng.uniform(0.75, 1.1) + rng.normal(0, 8, 3), 8, 240)
