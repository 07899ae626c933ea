"""ByteTrack (Zhang et al. 2022, "Multi-Object Tracking by Associating Every Detection Box") on true time, on arrays.

Strong detections are matched first, weak ones then to what is left: an occluded object's score falls before its box is
gone (section 3, algorithm 1). With the details of the authors' code: overlaps weighted by the score, a track counts
from its second sighting, of two tracks on one object the longer-lived stays. Against the paper: times in seconds
instead of frames, classes never mix, and the filter's state is (cx, cy, w, h) as in BoT-SORT (Aharon et al. 2022)
instead of (cx, cy, aspect, h). So the size of a lost track is held by resting both its sides, not its height alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import xyxy_to_cxcywh
from tracker.config import ByteTrackSettings
from tracker.structures import Detections, Frame, Ids, Tracks
from tracker.track import kalman
from tracker.track.associate import Pairs, choose, overlaps
from tracker.track.table import SLACK_S, Clock, Table, usable

Mask = NDArray[np.bool_]

DUPLICATE = 0.85  # overlap above which a lost and a seen track are one object
TINY = 1e-9  # pairs just good enough gain more than none


class ByteTrack:
    """The tracker of one stream."""

    def __init__(self, settings: ByteTrackSettings | None = None) -> None:
        """No tracks; ids start at 1."""
        self.settings = settings or ByteTrackSettings()
        self._table = Table()
        self._clock = Clock()
        self._first = True

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """Advance to `time_s` (seconds of the stream, never backwards) and return the tracks seen in this frame.

        The picture is not looked at.

        Raises:
            ValueError: `time_s` lies before the last update.
        """
        dt_s = self._clock.advance(time_s)
        if self._clock.torn(dt_s, self.settings.max_lost_s):
            self._table.clear()
        found = usable(detections, self.settings.low_score)
        boxes, table = found.boxes.astype(np.float64), self._table
        tracked = table["seen"].copy()
        table["mean"][~tracked, 6:] = 0.0
        kalman.predict(table["mean"], table["covariance"], dt_s)
        pairs = overlaps(table.boxes(), table["class_id"], boxes, found.class_ids)
        high = found.scores >= self.settings.high_score
        rows, columns = self._match(pairs, found.scores, high, tracked)
        table["seen"][:] = False
        table.correct(rows, xyxy_to_cxcywh(boxes[columns]), found.scores[columns], time_s)
        table["confirmed"][rows] = True
        new = found.scores >= self.settings.high_score + self.settings.new_margin
        new[columns] = False
        self._create(found, boxes, np.flatnonzero(new))
        self._remove()
        return table.tracks(time_s, table["confirmed"] & table["seen"])

    def all(self) -> Tracks:
        """Every living track: tentative, confirmed and lost."""
        return self._table.tracks(self._clock.now_s)

    def _match(self, pairs: Pairs, scores: NDArray[np.float32], high: Mask, tracked: Mask) -> tuple[Ids, Ids]:
        """Rows (K,) and columns (K,) of all three stages; `tracked` (M,): seen in the last frame.

        First confirmed tracks and strong detections. Of what they leave, tracked ones and weak detections, tentative
        ones and strong detections: these two share no track and no detection, so one assignment serves both.
        """
        settings = self.settings
        rows, columns, iou = pairs
        fused = iou * scores[columns] if settings.fuse_score else iou
        strong, sure = high[columns], self._table["confirmed"][rows]
        one, its = _best(pairs, fused - settings.min_iou, strong & sure)
        free, free_columns = np.ones(len(tracked), bool), np.ones(len(high), bool)
        free[one], free_columns[its] = False, False
        left = np.where(strong, ~sure, sure & tracked[rows]) & free[rows] & free_columns[columns]
        if not left.any():
            return one, its
        excess = np.where(strong, fused - settings.min_iou_tentative, iou - settings.min_iou_low)
        other, their = _best(pairs, excess, left)
        return np.concatenate((one, other)), np.concatenate((its, their))

    def _create(self, found: Detections, boxes: NDArray[np.float64], new: Ids) -> None:
        """Strong detections left over start tentative tracks; those of the very first frame count at once."""
        if len(new):
            measured = xyxy_to_cxcywh(boxes[new])
            rows = self._table.add(measured, found.class_ids[new], found.scores[new], self._clock.now_s)
            rows["confirmed"] = self._first
        self._first = False

    def _remove(self) -> None:
        """Tracks lost for too long go, tentative ones at their first miss, and of two on one object the younger."""
        table = self._table
        seen, waited_s = table["seen"], self._clock.now_s - table["last_s"]
        keep = seen | (table["confirmed"] & (waited_s <= self.settings.max_lost_s + SLACK_S))
        lost = keep & ~seen
        if lost.any():
            keep[self._duplicates(np.flatnonzero(seen), np.flatnonzero(lost))] = False
        table.keep(keep)

    def _duplicates(self, seen: Ids, lost: Ids) -> Ids:
        """Those of the `seen` and the `lost` rows that lie on a track of the other kind which has lived longer."""
        boxes, classes = self._table.boxes(), self._table["class_id"]
        pairs = overlaps(boxes[seen], classes[seen], boxes[lost], classes[lost]).at_least(DUPLICATE)
        life_s = self._table["last_s"] - self._table["first_s"]
        one, other = seen[pairs.rows], lost[pairs.columns]
        return np.where(life_s[one] > life_s[other], other, one)


def _best(pairs: Pairs, excess: NDArray[np.float64], among: Mask) -> tuple[Ids, Ids]:
    """The choice of the largest total excess over the least overlap, (K,), among some pairs, (K,) bool.

    The authors' solver counts in the same way: an unmatched track costs as much as the worst match allowed.
    """
    good = among & (excess >= 0)
    return choose(Pairs(pairs.rows[good], pairs.columns[good], excess[good] + TINY))
