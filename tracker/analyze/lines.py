"""Lines: who crossed, which way.

A track has a side of the line only where it is clear of it: `margin` box sizes away, and for `hold_s` where that is a
new side. It crosses when its side changes and its path led through the segment; round the ends it changes its side
without crossing. What trembles on the line stays on the side that it came from; what appears on the line has no side,
and gets its first one without crossing. The path between two sightings is straight: nothing is too fast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracker.analyze.events import Change, Direction
from tracker.analyze.geometry import Array, Mask, Segments
from tracker.analyze.memory import ANCHORS, SLACK_S, Memory, Step, anchors
from tracker.analyze.settings import LineSettings
from tracker.boxes import areas
from tracker.structures import Ids


class Lines:
    """The lines of one camera and their rules. What they know of tracks stands in `Memory`."""

    def __init__(self, settings: Sequence[LineSettings], wanted: Mask) -> None:
        """`wanted` (L, C): the classes that count at each."""
        self.settings = settings
        self._wanted = wanted.T
        self._anchor = np.array([ANCHORS.index(line.anchor) for line in settings], np.int64)
        self._hold_s = np.array([line.hold_s for line in settings]) - SLACK_S
        self._margin = np.array([line.margin for line in settings])
        self._lost_s = np.array([line.lost_s for line in settings]) + SLACK_S

    def resize(self, size: Array) -> None:
        """The picture has this size (2,), pixels."""
        self._segments = Segments(np.array([line.shares() * size for line in self.settings]).reshape(-1, 2, 2))

    def begin(self, memory: Memory, step: Step) -> None:
        """New tracks have a side at once where they are clear of the line: they came from nowhere else."""
        if self.settings:
            right, _ = self._segments.locate(step.after[:, self._anchor])
            clear = np.abs(right) >= self._margin * step.sizes[:, None]
            memory["side"][step.rows] = np.where(clear, _signs(right), 0)

    def step(self, memory: Memory, step: Step) -> list[Change]:
        """Take in the tracks seen in a frame."""
        if not self.settings:
            return []
        rows = step.rows
        right, along = self._segments.locate(step.after[:, self._anchor])
        before, along_before = self._segments.locate(step.before[:, self._anchor])
        turned = _signs(before) != _signs(right)
        share = np.divide(before, before - right, out=np.zeros_like(right), where=turned)
        met = along_before + share * (along - along_before)
        through = turned & (met >= 0) & (met <= 1)
        time_s = step.before_s[:, None] + share * (step.now_s - step.before_s)[:, None]
        memory["net"][rows] += np.where(through, _signs(right), 0)
        memory["turned_s"][rows] = np.where(turned, time_s, memory["turned_s"][rows])
        memory["crossed_s"][rows] = np.where(through, time_s, memory["crossed_s"][rows])
        held = step.now_s - memory["turned_s"][rows] >= self._hold_s
        sure = (np.abs(right) >= self._margin * step.sizes[:, None]) & (held | (memory["side"][rows] == 0))
        return self._settle(memory, rows, _signs(right), sure, step.classes)

    def lose(self, memory: Memory, rows: Ids) -> list[Change]:
        """Tracks not seen in a frame: one that vanished just beyond a line (a door) has crossed when its time is up."""
        if not self.settings or not len(rows):
            return []
        boxes = memory["box"][rows]
        right, _ = self._segments.locate(anchors(boxes)[:, self._anchor])
        clear = np.abs(right) >= self._margin * np.sqrt(areas(boxes))[:, None]
        sure = clear & (memory["unseen_s"][rows, None] > self._lost_s)
        return self._settle(memory, rows, _signs(right), sure, memory.classes(rows))

    def _settle(self, memory: Memory, rows: Ids, signs: Ids, sure: Mask, classes: Ids) -> list[Change]:
        """Tracks that are surely on a side now, all (M, L); which of them crossed to come there."""
        side, net = memory["side"][rows], memory["net"][rows]
        crossed = sure & self._wanted[classes] & (side == -signs) & (net * signs > 0)
        changes = []
        for path, line in zip(*crossed.nonzero(), strict=True):
            row, time_s = int(rows[path]), float(memory["crossed_s"][rows[path], line])
            direction: Direction = "in" if signs[path, line] > 0 else "out"
            label = self.settings[line].names[direction == "out"]
            changes.append(Change("cross", int(line), row, int(classes[path]), time_s, 0.0, direction, label))
        memory["side"][rows] = np.where(sure, signs, side)
        memory["net"][rows] = np.where(sure, 0, net)
        return changes


def _signs(right: Array) -> Ids:
    """1 on the right hand of the line and on it, -1 on the left hand."""
    return np.where(right >= 0, 1, -1)
