"""SORT (Bewley et al. 2016, "Simple Online and Realtime Tracking") on true time and on arrays.

Predict, associate by IoU, update, create, remove. Against the paper: times in seconds instead of frames, classes
never mix, and the filter's state is (cx, cy, w, h) with velocities of all four.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import xyxy_to_cxcywh
from tracker.config import SortSettings
from tracker.structures import Detections, Frame, Ids, Tracks
from tracker.track import kalman
from tracker.track.associate import choose, overlaps
from tracker.track.table import SLACK_S, Clock, Table, usable


class Sort:
    """The tracker of one stream."""

    def __init__(self, settings: SortSettings | None = None) -> None:
        """No tracks; ids start at 1."""
        self.settings = settings or SortSettings()
        self._table = Table()
        self._clock = Clock()

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """Advance to `time_s` (seconds of the stream, never backwards) and return the tracks seen in this frame.

        The picture is not looked at.

        Raises:
            ValueError: `time_s` lies before the last update.
        """
        dt_s = self._clock.advance(time_s)
        if self._clock.torn(dt_s, self.settings.max_lost_s):
            self._table.clear()
        found = usable(detections, self.settings.min_score)
        boxes, table = found.boxes.astype(np.float64), self._table
        kalman.predict(table["mean"], table["covariance"], dt_s)
        table["seen"][:] = False
        pairs = overlaps(table.boxes(), table["class_id"], boxes, found.class_ids)
        rows, columns = choose(pairs.at_least(self.settings.min_iou))
        table.correct(rows, xyxy_to_cxcywh(boxes[columns]), found.scores[columns], time_s)
        self._confirm(rows)
        new = found.scores >= self.settings.min_new_score
        new[columns] = False
        self._create(found, boxes, np.flatnonzero(new))
        self._remove()
        return table.tracks(time_s, table["confirmed"] & table["seen"])

    def all(self) -> Tracks:
        """Every living track: tentative, confirmed and lost."""
        return self._table.tracks(self._clock.now_s)

    def _confirm(self, rows: Ids) -> None:
        """Tracks matched often enough, or in the first moments, count from now on."""
        early = self._clock.since_start_s < self.settings.warm_s
        table = self._table
        table["confirmed"][rows] |= early | (table["hits"][rows] >= self.settings.min_hits)

    def _create(self, found: Detections, boxes: NDArray[np.float64], new: Ids) -> None:
        """Every detection left over starts a tentative track."""
        if not len(new):
            return
        sure = self.settings.min_hits <= 1 or self._clock.since_start_s < self.settings.warm_s
        rows = self._table.add(xyxy_to_cxcywh(boxes[new]), found.class_ids[new], found.scores[new], self._clock.now_s)
        rows["confirmed"] = sure

    def _remove(self) -> None:
        """Tracks unseen for too long go; a tentative one has less patience."""
        table = self._table
        patience = np.where(table["confirmed"], self.settings.max_lost_s, self.settings.max_tentative_s)
        table.keep(self._clock.now_s - table["last_s"] <= patience + SLACK_S)
