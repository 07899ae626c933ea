"""What an overlay needs to draw zones and lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tracker.analyze.geometry import Array
from tracker.analyze.settings import LineSettings, ZoneSettings

ARROW = 0.05  # length of the arrow of a line, share of the picture's shorter side


@dataclass(frozen=True)
class Shape:
    """A zone or a line with its numbers, in pixels of the picture asked for.

    Attributes:
        kind: "zone" or "line".
        name: of the place.
        points: (K, 2) float64, xy; corners of a zone in order, without the first repeated; the two ends of a line.
        arrow: (2, 2) float64 from the middle of a line towards "in"; None for a zone.
        label_at: where the text fits: the topmost point of a zone, the middle of a line.
        text: name and numbers, such as "yard 3/5" (3 in, 5 allowed) or "gate in 4 out 2".
        counts: as `Analyzer.counts()` has them for this place.
        alert: more are in than allowed.
    """

    kind: Literal["zone", "line"]
    name: str
    points: Array
    arrow: Array | None
    label_at: tuple[float, float]
    text: str
    counts: Mapping[str, Any]
    alert: bool = False


def zone_shape(name: str, zone: ZoneSettings, counts: Mapping[str, Any], size: Array) -> Shape:
    """The zone in a picture of `size` (2,) pixels."""
    points = zone.shares() * size
    inside, limit = counts["occupancy"], zone.max_occupancy
    text = f"{name} {inside}" if limit is None else f"{name} {inside}/{limit}"
    top = points[points[:, 1].argmin()]
    alert = limit is not None and inside > limit
    return Shape("zone", name, points, None, (float(top[0]), float(top[1])), text, counts, alert)


def line_shape(name: str, line: LineSettings, counts: Mapping[str, Any], size: Array) -> Shape:
    """The line in a picture of `size` (2,) pixels."""
    points = line.shares() * size
    middle, along = points.mean(0), points[1] - points[0]
    right = np.array((-along[1], along[0])) / np.hypot(along[0], along[1])
    arrow = np.stack((middle, middle + ARROW * float(size.min()) * right))
    text = f"{name} {line.names[0]} {counts['in']} {line.names[1]} {counts['out']}"
    return Shape("line", name, points, arrow, (float(middle[0]), float(middle[1])), text, counts)
