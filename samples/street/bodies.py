"""Proportions of cars and vans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Body:
    """Proportions of a car in metres: places along it run from the rear (negative) to the front."""

    length: float
    width: float
    height: float
    belt: float
    sill: float
    rear_glass: float
    roof_rear: float
    roof_front: float
    front_glass: float
    nose: float
    wheel: float
    blind: bool = False


def random_body(rng: np.random.Generator) -> Body:
    """A hatchback, saloon, estate, off-roader or van."""
    kind = rng.choice(["hatch", "saloon", "estate", "suv", "van"], p=[0.28, 0.27, 0.12, 0.21, 0.12])
    if kind == "hatch":
        length = rng.uniform(3.6, 4.3)
        half = length / 2
        return Body(length, 1.74, rng.uniform(1.44, 1.55), 0.93, 0.2, -half + 0.1, -half + rng.uniform(0.3, 0.5), 0.32,
                    half - 1.05, 0.74, 0.31)  # fmt: skip
    if kind == "saloon":
        length = rng.uniform(4.4, 4.95)
        half = length / 2
        return Body(length, 1.82, rng.uniform(1.40, 1.47), 0.92, 0.19, -half + 0.75, -half + 1.4, 0.28, half - 1.35,
                    0.72, 0.33)  # fmt: skip
    if kind == "estate":
        length = rng.uniform(4.5, 4.9)
        half = length / 2
        return Body(length, 1.82, rng.uniform(1.45, 1.52), 0.93, 0.2, -half + 0.08, -half + 0.5, 0.3, half - 1.3,
                    0.73, 0.33)  # fmt: skip
    if kind == "suv":
        length = rng.uniform(4.2, 4.9)
        half = length / 2
        return Body(length, 1.88, rng.uniform(1.62, 1.8), 1.06, 0.27, -half + 0.08, -half + 0.42, 0.38, half - 1.15,
                    0.9, 0.37)  # fmt: skip
    length = rng.uniform(4.7, 5.6)
    half = length / 2
    return Body(length, 1.98, rng.uniform(1.9, 2.45), 1.12, 0.24, -half + 0.03, -half + 0.1, half - 1.55, half - 0.75,
                0.95, 0.34, bool(rng.random() < 0.55))  # fmt: skip
