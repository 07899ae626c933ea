"""SORT (Bewley et al. 2016, "Simple Online and Realtime Tracking") on true time and on arrays.

Predict, associate by IoU, update, create, remove. Against the paper: times in seconds instead of frames, classes
never mix, and the filter's state is (cx, cy, w, h) with velocities of all four.
"""

from __future__ import annotations

import numpy as np

from tracker.boxes import areas, cxcywh_to_xyxy, iou_matrix, xyxy_to_cxcywh
from tracker.config import SortSettings
from tracker.structures import CONFIRMED, LOST, TENTATIVE, Detections, Ids, Tracks
from tracker.track.associate import assign
from tracker.track.kalman import KalmanFilter


class Sort:
    """The tracker of one stream. Row i of every array is track i."""

    def __init__(self, settings: SortSettings | None = None) -> None:
        """No tracks; ids start at 1."""
        self.settings = settings or SortSettings()
        self._filter = KalmanFilter()
        self._ids: Ids = np.zeros(0, np.int64)
        self._class_ids: Ids = np.zeros(0, np.int64)
        self._hits: Ids = np.zeros(0, np.int64)
        self._scores = np.zeros(0, np.float32)
        self._last_s = np.zeros(0)  # time of the last matched detection
        self._confirmed = np.zeros(0, bool)
        self._seen = np.zeros(0, bool)  # matched or made in the newest update; two frames may have one time
        self._next_id = 1
        self._start_s: float | None = None
        self._now_s = 0.0

    def update(self, detections: Detections, time_s: float) -> Tracks:
        """Advance to `time_s` (seconds of the stream, never backwards) and return the tracks seen in this frame.

        Raises:
            ValueError: `time_s` lies before the last update.
        """
        if self._start_s is None:
            self._start_s = self._now_s = time_s
        if time_s < self._now_s:
            raise ValueError(f"time_s must not go backwards: {time_s} after {self._now_s}")
        found = detections[(detections.scores >= self.settings.min_score) & (areas(detections.boxes) > 0)]
        self._filter.predict(time_s - self._now_s)
        self._now_s = time_s
        self._seen[:] = False
        rows, columns = self._associate(found)
        self._correct(found, rows, columns)
        new = np.ones(len(found), bool)
        new[columns] = False
        self._create(found[new])
        self._remove()
        return self.all()[self._confirmed & self._seen]

    def all(self) -> Tracks:
        """Every living track: tentative, confirmed and lost."""
        missed = (self._now_s - self._last_s).astype(np.float32)
        state = np.where(self._confirmed, np.where(self._seen, CONFIRMED, LOST), TENTATIVE).astype(np.int64)
        boxes = cxcywh_to_xyxy(self._filter.mean[:, :4]).astype(np.float32)
        return Tracks(self._ids, boxes, self._scores, self._class_ids, missed, state)

    def _associate(self, found: Detections) -> tuple[Ids, Ids]:
        """Pairs of tracks and detections of one class, by IoU."""
        overlap = iou_matrix(cxcywh_to_xyxy(self._filter.mean[:, :4]), found.boxes.astype(np.float64))
        overlap[self._class_ids[:, None] != found.class_ids[None, :]] = 0.0
        return assign(overlap, self.settings.min_iou)

    def _correct(self, found: Detections, rows: Ids, columns: Ids) -> None:
        """Matched tracks take their detections in."""
        self._filter.update(rows, xyxy_to_cxcywh(found.boxes[columns].astype(np.float64)))
        self._scores[rows] = found.scores[columns]
        self._last_s[rows] = self._now_s
        self._seen[rows] = True
        self._hits[rows] += 1
        assert self._start_s is not None
        early = self._now_s - self._start_s < self.settings.warm_s
        self._confirmed |= (self._hits >= self.settings.min_hits) | (self._seen & early)

    def _create(self, found: Detections) -> None:
        """Every detection left over starts a tentative track."""
        found = found[found.scores >= self.settings.min_new_score]
        count = len(found)
        assert self._start_s is not None
        sure = self.settings.min_hits <= 1 or self._now_s - self._start_s < self.settings.warm_s
        self._filter.add(xyxy_to_cxcywh(found.boxes.astype(np.float64)))
        self._ids = np.concatenate((self._ids, np.arange(self._next_id, self._next_id + count)))
        self._next_id += count
        self._class_ids = np.concatenate((self._class_ids, found.class_ids))
        self._hits = np.concatenate((self._hits, np.ones(count, np.int64)))
        self._scores = np.concatenate((self._scores, found.scores))
        self._last_s = np.concatenate((self._last_s, np.full(count, self._now_s)))
        self._confirmed = np.concatenate((self._confirmed, np.full(count, sure)))
        self._seen = np.concatenate((self._seen, np.ones(count, bool)))

    def _remove(self) -> None:
        """Tracks unseen for too long go; a tentative one has less patience."""
        patience = np.where(self._confirmed, self.settings.max_lost_s, self.settings.max_tentative_s)
        stay = self._now_s - self._last_s <= patience
        if stay.all():
            return
        self._filter.keep(stay)
        self._ids, self._class_ids, self._hits = self._ids[stay], self._class_ids[stay], self._hits[stay]
        self._scores, self._last_s = self._scores[stay], self._last_s[stay]
        self._confirmed, self._seen = self._confirmed[stay], self._seen[stay]
