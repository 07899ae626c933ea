"""Zones: who is in, since when, for how long.

A track's path is the straight line between the places where it was seen, in continuous time: what counts is when it
passed the border, not which frames happened to come, so that 30 and 3 frames a second mean the same.

In and out have different rules, so that a box which trembles on the border changes nothing (a Schmitt trigger):
- in: within the polygon for `hold_s`. A track that appears inside is in like any other.
- out: outside for `hold_s` and by now farther than `margin` box sizes from the border, or unseen for `lost_s`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tracker.analyze.events import Change
from tracker.analyze.geometry import Array, Mask, Polygons
from tracker.analyze.memory import ANCHORS, SLACK_S, Memory, Step
from tracker.analyze.settings import ZoneSettings
from tracker.structures import Ids

BORDER = 1e-3  # pixels: a foot below the picture stands on its border, just within a zone that reaches to it


class Zones:
    """The zones of one camera and their rules. What they know of tracks stands in `Memory`."""

    def __init__(self, settings: Sequence[ZoneSettings], wanted: Mask) -> None:
        """`wanted` (Z, C): the classes that count in each."""
        self.settings = settings
        self._wanted = wanted.T
        self._anchor = np.array([ANCHORS.index(zone.anchor) for zone in settings], np.int64)
        self._hold_s = np.array([zone.hold_s for zone in settings]) - SLACK_S
        self._margin = np.array([zone.margin for zone in settings])
        self._lost_s = np.array([zone.lost_s for zone in settings]) + SLACK_S
        self._dwell_s = np.array([np.inf if zone.dwell_s is None else zone.dwell_s for zone in settings])

    def resize(self, size: Array) -> None:
        """The picture has this size (2,), pixels."""
        self._size = size
        if self.settings:
            self._polygons = Polygons([zone.shares() * size for zone in self.settings])

    def _points(self, points: Array) -> Array:
        """The anchor that each zone looks at, within the picture: (M, 2, 2) -> (M, Z, 2)."""
        return np.clip(points[:, self._anchor], BORDER, self._size - BORDER)

    def step(self, memory: Memory, step: Step) -> list[Change]:
        """Take in the tracks seen in a frame."""
        if not self.settings:
            return []
        rows, now_s = step.rows, step.now_s
        points, eligible = self._points(step.after), self._wanted[step.classes]
        inside, crossings = self._polygons.trace(self._points(step.before), points)
        inside &= eligible
        turned = inside != memory["inside"][rows]
        changes = []
        for (path, zone), shares in crossings.items():
            if eligible[path, zone]:
                turned[path, zone] = False
                times = step.before_s[path] + np.sort(shares) * (now_s - step.before_s[path])
                changes += self._pass(memory, int(rows[path]), zone, times)
        memory["since_s"][rows] = np.where(turned, now_s, memory["since_s"][rows])
        memory["inside"][rows] = inside
        held = now_s - memory["since_s"][rows] >= self._hold_s
        member = memory["member"][rows]
        for path, zone in zip(*(inside & ~member & held).nonzero(), strict=True):
            changes.append(self._enter(memory, int(rows[path]), int(zone)))
        out = ~inside & member & held
        if out.any():
            far = self._far(points, step.sizes, out) | ~eligible
            for path, zone in zip(*(out & far).nonzero(), strict=True):
                left_s = float(memory["since_s"][rows[path], zone])
                changes += self._exit(memory, int(rows[path]), int(zone), left_s, "left")
        return changes + self._dwell(memory, rows, now_s)

    def lose(self, memory: Memory, rows: Ids) -> list[Change]:
        """Tracks not seen in a frame leave when their time is up: they left when last seen."""
        if not self.settings or not len(rows):
            return []
        gone = memory["member"][rows] & (memory["unseen_s"][rows, None] > self._lost_s)
        changes = []
        for path, zone in zip(*gone.nonzero(), strict=True):
            row = int(rows[path])
            last_s = memory["seen_s"][row] if memory["inside"][row, zone] else memory["since_s"][row, zone]
            changes += self._exit(memory, row, int(zone), float(last_s), "lost")
            memory["inside"][row, zone] = False
        return changes

    def _pass(self, memory: Memory, row: int, zone: int, times: NDArray[np.float64]) -> list[Change]:
        """Follow a path over the border; a passage that lasted long enough by itself is one, even unseen."""
        changes = []
        inside = bool(memory["inside"][row, zone])
        for time_s in times:
            stayed = time_s - memory["since_s"][row, zone] >= self._hold_s[zone]
            if inside and stayed and not memory["member"][row, zone]:
                changes.append(self._enter(memory, row, zone))
            inside = not inside
            memory["since_s"][row, zone] = time_s
        return changes

    def _far(self, points: Array, sizes: Array, chosen: Mask) -> Mask:
        """Which of the chosen pairs (M, Z) lie farther from the border than the margin."""
        paths, zones = chosen.nonzero()
        far = np.zeros_like(chosen)
        distance = self._polygons.distances(points[paths, zones], zones)
        far[paths, zones] = distance >= self._margin[zones] * sizes[paths]
        return far

    def _enter(self, memory: Memory, row: int, zone: int) -> Change:
        """The track is in since it passed the border."""
        since_s, class_id = float(memory["since_s"][row, zone]), int(memory.classes(np.array([row]))[0])
        memory["member"][row, zone], memory["dwelt"][row, zone] = True, False
        memory["entered_s"][row, zone], memory["entered_as"][row, zone] = since_s, class_id
        return Change("enter", zone, row, class_id, since_s)

    def _exit(self, memory: Memory, row: int, zone: int, left_s: float, label: str) -> list[Change]:
        """The track is out; a dwell that no frame has shown is told before."""
        memory["member"][row, zone] = False
        stayed_s = max(left_s - float(memory["entered_s"][row, zone]), 0.0)
        dwelt = stayed_s >= self._dwell_s[zone] - SLACK_S and not memory["dwelt"][row, zone]
        changes = [self._dwelt(memory, row, zone)] if dwelt else []
        class_id = int(memory["entered_as"][row, zone])
        return [*changes, Change("exit", zone, row, class_id, left_s, stayed_s, label=label)]

    def _dwell(self, memory: Memory, rows: Ids, now_s: float) -> list[Change]:
        """Tracks that have been in for `dwell_s` and are there now, once a stay."""
        due = memory["member"][rows] & memory["inside"][rows] & ~memory["dwelt"][rows]
        due &= now_s - memory["entered_s"][rows] >= self._dwell_s - SLACK_S
        return [self._dwelt(memory, int(rows[path]), int(zone)) for path, zone in zip(*due.nonzero(), strict=True)]

    def _dwelt(self, memory: Memory, row: int, zone: int) -> Change:
        """The stay reached `dwell_s`."""
        memory["dwelt"][row, zone] = True
        dwell_s, entered_s = float(self._dwell_s[zone]), float(memory["entered_s"][row, zone])
        return Change("dwell", zone, row, int(memory["entered_as"][row, zone]), entered_s + dwell_s, dwell_s)
