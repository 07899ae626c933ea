"""Points against polygons and segments: pure maths on arrays, xy pixels, no memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tracker.structures import Ids

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Crossings = dict[tuple[int, int], list[float]]

NUDGE = np.array((1.1e-6, 0.7e-6))
"""Pixels that points are moved by, in a direction that no edge has: on an edge or a corner they would be on both sides,
and a path through one would pass two borders or none."""


def cross(a: Array, b: Array) -> Array:
    """The third coordinate of the cross product of vectors (..., 2)."""
    product: Array = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product


class Polygons:
    """All polygons of a picture, edges side by side: Z polygons with E edges in all."""

    def __init__(self, corners: Sequence[Array]) -> None:
        """`corners`: of each polygon (K, 2), xy pixels."""
        counts = [len(polygon) for polygon in corners]
        self.zone: Ids = np.repeat(np.arange(len(corners)), counts)
        self._first = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
        self._start = np.concatenate(list(corners))
        self._along = np.concatenate([np.roll(polygon, -1, 0) for polygon in corners]) - self._start
        self._down = self._along[:, 1] > 0

    def _offsides(self, points: Array) -> Array:
        """Cross product of each edge and the way from its start to a point (M, Z, 2): (M, E), 0 on its line."""
        x, y = points[:, self.zone, 0] - self._start[:, 0], points[:, self.zone, 1] - self._start[:, 1]
        product: Array = self._along[:, 0] * y - self._along[:, 1] * x
        return product

    def inside(self, points: Array) -> Mask:
        """Whether polygon z holds points[:, z], (M, Z, 2) -> (M, Z), by the even-odd rule."""
        points = points + NUDGE
        return self._inside(points, self._offsides(points))

    def _inside(self, points: Array, offsides: Array) -> Mask:
        """`inside` with the cross products known: a ray to the right meets an odd number of edges."""
        y = points[:, self.zone, 1]
        above = self._start[:, 1] > y
        meets = (above != (self._start[:, 1] + self._along[:, 1] > y)) & ((offsides >= 0) == self._down)
        odd: Mask = np.logical_xor.reduceat(meets, self._first, 1)
        return odd

    def trace(self, before: Array, after: Array) -> tuple[Mask, Crossings]:
        """Where straight paths end and which borders they pass; `before`, `after` (M, Z, 2).

        Returns inside (M, Z) at the end, and for (path, zone) the shares 0..1 of the path at which it passes a border.
        """
        before, after = before + NUDGE, after + NUDGE
        start, end = self._offsides(before), self._offsides(after)
        paths, edges = ((start >= 0) != (end >= 0)).nonzero()
        crossings: Crossings = defaultdict(list)
        if len(paths):
            origin = before[paths, self.zone[edges]]
            way = after[paths, self.zone[edges]] - origin
            one = self._start[edges] - origin
            two = one + self._along[edges]
            meets = (cross(way, one) >= 0) != (cross(way, two) >= 0)
            shares = start[paths, edges] / (start[paths, edges] - end[paths, edges])
            for path, edge, share in zip(paths[meets], edges[meets], shares[meets], strict=True):
                crossings[int(path), int(self.zone[edge])].append(float(share))
        return self._inside(after, end), crossings

    def distances(self, points: Array, zones: Ids) -> Array:
        """Distance of point k (K, 2) from the border of polygon zones[k]: (K,) pixels."""
        away = points[:, None] - self._start
        share = (away * self._along).sum(-1) / np.maximum((self._along**2).sum(-1), 1e-12)
        away = away - np.clip(share, 0, 1)[..., None] * self._along
        lengths = np.hypot(away[..., 0], away[..., 1])
        nearest: Array = np.where(self.zone == zones[:, None], lengths, np.inf).min(1)
        return nearest


class Segments:
    """The L segments of a picture."""

    def __init__(self, ends: Array) -> None:
        """`ends` (L, 2, 2), xy pixels of start and end."""
        self._start = ends[:, 0]
        along = ends[:, 1] - ends[:, 0]
        self._length = np.hypot(along[:, 0], along[:, 1])
        self._unit = along / self._length[:, None]

    def locate(self, points: Array) -> tuple[Array, Array]:
        """Points (M, L, 2) as seen from line l: pixels to its right hand (M, L), and share of its length (M, L)."""
        x, y = points[..., 0] - self._start[:, 0], points[..., 1] - self._start[:, 1]
        right = self._unit[:, 0] * y - self._unit[:, 1] * x
        return right, (self._unit[:, 0] * x + self._unit[:, 1] * y) / self._length


def check_area(corners: Array) -> None:
    """Raise ValueError where the edges of a polygon (K, 2) cross or touch each other, or it has no area."""
    count = len(corners)
    ends = np.roll(corners, -1, 0)
    for one in range(count):
        for other in range(one + 1, count):
            neighbours = other - one in (1, count - 1)
            if not neighbours and _meet(corners[one], ends[one], corners[other], ends[other]):
                raise ValueError(
                    f"edges {one + 1} and {other + 1} of the polygon cross; give its corners in order around the zone"
                )
    if abs(cross(corners, ends).sum()) / 2 < 1e-8:
        raise ValueError("polygon has no area; give at least three corners that are not on one line")


def _meet(a: Array, b: Array, c: Array, d: Array) -> bool:
    """Whether the segments a-b and c-d share a point; all (2,)."""
    apart_ab = cross(b - a, c - a) * cross(b - a, d - a) > 0
    apart_cd = cross(d - c, a - c) * cross(d - c, b - c) > 0
    boxes = np.maximum(np.minimum(a, b), np.minimum(c, d)) <= np.minimum(np.maximum(a, b), np.maximum(c, d))
    return bool(not apart_ab and not apart_cd and boxes.all())
