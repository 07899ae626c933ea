"""What the place in the picture says of a box: things on one ground grow towards the camera.

The logarithm of the height of the objects of a class is taken for a line over the height of their feet in the picture
(the linear law of a camera above a plane: Hoiem, Efros & Hebert 2008, "Putting objects in perspective"), fitted to what
is surely real. A box far off that line is rather false; where there is no such law (a camera from above) the line is
flat and wide, and says little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.structures import Ids

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Perspective:
    """How much is made of the law.

    Attributes:
        weight: of the logarithm of the odds.
        false: scale of the logarithms of the heights of false boxes about the line.
        real, steady: the same of real ones before any is seen, and how many boxes that counts for.
        least, most: of the logarithm of the odds, before its weight.
    """

    weight: float = 0.2
    false: float = 5.8
    real: float = 0.25
    steady: float = 2.0
    least: float = -4.0
    most: float = 2.0


PERSPECTIVE = Perspective()


def perspective(boxes: Array, class_ids: Ids, chance: Array, law: Perspective = PERSPECTIVE) -> Array:
    """Logarithms (N,) of the odds that boxes (N, 4) cx, cy, w, h are real, by their height and place.

    chance: (N,) how probably each is, without that.
    """
    result = np.zeros(len(boxes))
    for label in np.unique(class_ids):
        rows = np.flatnonzero(class_ids == label)
        weights = chance[rows] ** 2 + 1e-4
        feet, heights = boxes[rows, 1] + boxes[rows, 3] / 2, np.log(np.maximum(boxes[rows, 3], 1.0))
        feet = feet - np.average(feet, weights=weights)
        feet /= max(float(feet.std()), 1e-9)
        middle = np.average(heights, weights=weights)
        slope = (weights * feet * (heights - middle)).sum() / ((weights * feet**2).sum() + law.steady)
        off = np.abs(heights - middle - slope * feet)
        scale = ((weights * off).sum() + law.steady * law.real) / (weights.sum() + law.steady)
        odds = np.log(law.false / scale) - off / scale
        result[rows] = law.weight * np.clip(odds, law.least, law.most)
    return result
