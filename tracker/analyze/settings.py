"""Settings of zones and lines.

One rule for coordinates: they are shares of the picture (0..1 from the left and from the top), unless the place says
the `picture: [width, height]` that they were measured on; then they are pixels of that. Either way the place keeps to
the picture when a camera changes its resolution.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from tracker.analyze.geometry import Array, check_area
from tracker.config import Section

Point = tuple[float, float]


class PlaceSettings(Section):
    """What zones and lines have in common."""

    picture: tuple[int, int] | None = Field(
        None, description="[width, height] on which pixel coordinates were measured; without it they are shares, 0..1"
    )
    classes: tuple[str, ...] = Field((), description="names of the classes that count; empty: all")
    anchor: Literal["foot", "centre"] = Field(
        "foot", description="point of the box that counts: middle of its lower edge (where things stand), or its centre"
    )
    lost_s: float = Field(2.0, ge=0, description="a track unseen for longer is gone, seconds of stream that was there")

    def _shares(self, what: str, points: tuple[Point, ...]) -> Array:
        """(K, 2) shares of the picture. Raises ValueError for points outside of it."""
        if self.picture is not None and min(self.picture) < 1:
            raise ValueError(f"picture must be [width, height] in pixels, got {list(self.picture)}")
        limits = self.picture or (1, 1)
        for x, y in points:
            if not (0 <= x <= limits[0] and 0 <= y <= limits[1]):
                raise ValueError(f"{what} ({x:g}, {y:g}) lies outside the picture; {self._remedy()}")
        return np.array(points, np.float64) / limits

    def _remedy(self) -> str:
        """What to do about a point outside."""
        if self.picture is None:
            return "write shares 0..1, or for pixels add picture: [width, height] that they were measured on"
        return f"picture is {list(self.picture)}, so x must be 0..{self.picture[0]} and y 0..{self.picture[1]}"


class ZoneSettings(PlaceSettings):
    """An area of the picture."""

    polygon: tuple[Point, ...] = Field(description="corners [x, y] in order around the zone, three or more")
    hold_s: float = Field(0.5, ge=0, description="a track is in, or is out again, after so long there, seconds")
    margin: float = Field(
        0.1, ge=0, le=10, description="it is out only so far beyond the border, in box sizes (root of the area)"
    )
    dwell_s: float | None = Field(None, gt=0, description="event when a track was in for so long, seconds; none: never")
    max_occupancy: int | None = Field(None, ge=0, description="event when more than so many are in; none: never")

    @model_validator(mode="after")
    def _check(self) -> ZoneSettings:
        """Refuse what is no area."""
        check_area(self.shares())
        return self

    def shares(self) -> Array:
        """Corners (K, 2) as shares of the picture; the first is not repeated."""
        points = self.polygon[:-1] if len(self.polygon) > 1 and self.polygon[0] == self.polygon[-1] else self.polygon
        if len(points) < 3:
            raise ValueError(f"polygon needs three corners or more, got {len(points)}")
        return self._shares("corner", points)


class LineSettings(PlaceSettings):
    """A segment that is crossed. In: from the left hand to the right hand of who looks from start to end.

    Drawn from left to right, what moves down comes in; to turn the directions round, swap start and end.
    """

    start: Point = Field(description="one end, [x, y]")
    end: Point = Field(description="the other end, [x, y]")
    names: tuple[str, str] = Field(("in", "out"), description="words for the two directions")
    hold_s: float = Field(0.2, ge=0, description="a track has crossed after so long on the other side, seconds")
    margin: float = Field(
        0.15, ge=0, le=10, description="and only so far from the line, in box sizes (root of the area)"
    )

    @model_validator(mode="after")
    def _check(self) -> LineSettings:
        """Refuse what is no segment."""
        start, end = self.shares()
        if np.hypot(*(end - start)) < 1e-6:
            raise ValueError(f"line needs two ends, got ({self.start[0]:g}, {self.start[1]:g}) twice")
        return self

    def shares(self) -> Array:
        """Ends (2, 2) as shares of the picture."""
        return self._shares("end", (self.start, self.end))
