"""OC-SORT (Cao et al. 2023, "Observation-Centric SORT") on true time and on arrays.

SORT that trusts what was seen over what was predicted. Momentum (section 4.2): a candidate that goes on in the
direction of the track's last observations is worth more. Recovery (4.3): what is left is matched once more, to the
last observations. Re-update (4.1): the filter of a track found again goes back to its last observation and runs once
more along the straight line to the new one, so that what it guessed meanwhile leaves no trace.

Against the paper: times in seconds instead of frames, classes never mix, the filter's state is (cx, cy, w, h) with
velocities of all four instead of (x, y, area, aspect), and the detection that ends a gap corrects the filter once (the
authors' code does so twice). Its process noise is less than that of `kalman`, whose figures are ByteTrack's. As in the
authors' code a track that was missed must be seen `min_hits` times in a row again until it counts; one that counts
since the first frames does so until it is missed. The boxes are the observations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import xyxy_to_cxcywh
from tracker.config import OcSortSettings
from tracker.structures import Detections, Frame, Ids, Tracks
from tracker.track import kalman
from tracker.track.associate import Pairs, choose, overlaps
from tracker.track.bytetrack import TINY
from tracker.track.table import SLACK_S, Clock, Table, usable

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

DRIFT, AGITATION = 0.1 * kalman.DRIFT, 0.3 * kalman.AGITATION  # one choice for 7 to 30 frames a second
RING = 8  # observations kept a track, enough for every frame of `delta_s` = 0.1 s at 80 frames a second
LATE = 1.05  # rounding of times: an observation this much older than `delta_s` still counts
STILL = 1e-6  # pixels; a step of none has no direction

COLUMNS = (
    ("box", np.float64, (4,)),  # the last observation, xyxy
    ("path", np.float64, (RING, 2)),  # centres observed at the times of the ring, NaN where there was none
    ("heading", np.float64, (2,)),  # unit vector from the observation `delta_s` before to the last one; 0, 0: unknown
    ("streak", np.int64),  # matched frames in a row, the first one not counted
    ("missed", np.int64),  # frames since the last match
    ("held_mean", np.float64, (8,)),  # the filter as predicted for the first missed frame
    ("held_covariance", np.float64, (4, 3)),
)


class OcSort:
    """The tracker of one stream."""

    def __init__(self, settings: OcSortSettings | None = None) -> None:
        """No tracks; ids start at 1."""
        self.settings = settings or OcSortSettings()
        self._table = Table(*COLUMNS)
        self._clock = Clock()
        self._frames = 0
        self._times: list[float] = []  # of the newest frames, as many as the longest gap needs
        self._ring: list[float] = [-np.inf] * RING  # times of the columns of `path`
        self._slot = 0  # the newest of them

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """Advance to `time_s` (seconds of the stream, never backwards) and return the tracks seen in this frame.

        The picture is not looked at.

        Raises:
            ValueError: `time_s` lies before the last update.
        """
        dt_s = self._clock.advance(time_s)
        if self._clock.torn(dt_s, self.settings.max_lost_s):
            self._table.clear()
        self._frames += 1
        self._times.append(time_s)
        settings, table = self.settings, self._table
        found = usable(detections, settings.low_score if settings.use_byte else settings.high_score)
        boxes, high = found.boxes.astype(np.float64), found.scores >= settings.high_score
        measured = xyxy_to_cxcywh(boxes)
        _predict(table["mean"], table["covariance"], dt_s)
        anchors = self._anchors()
        rows, columns = self._match(found, boxes, high, anchors)
        self._take(rows, boxes[columns], measured[columns], found.scores[columns], anchors)
        high[columns] = False
        self._create(found, boxes, measured, np.flatnonzero(high))
        table.keep(time_s - table["last_s"] <= settings.max_lost_s + SLACK_S)
        del self._times[: -1 - int(table["missed"].max(initial=0))]
        shown = np.flatnonzero(table["confirmed"] & table["seen"])
        return table.tracks(time_s, shown, table["box"][shown])

    def all(self) -> Tracks:
        """Every living track: tentative, confirmed and lost. Boxes of those unseen are the filter's."""
        table = self._table
        return table.tracks(self._clock.now_s, None, np.where(table["seen"][:, None], table["box"], table.boxes()))

    def _anchors(self) -> Array:
        """Centres (M, 2) of the observations `delta_s` ago, of the next later ones, of the last ones where none is."""
        table, now_s = self._table, self._clock.now_s
        box = table["box"]
        anchors: Array = (box[:, :2] + box[:, 2:]) / 2
        for age_s, slot in sorted((now_s - time_s, slot) for slot, time_s in enumerate(self._ring)):
            if age_s > self.settings.delta_s * LATE:
                break
            centres = table["path"][:, slot]
            np.copyto(anchors, centres, where=centres == centres)  # noqa: PLR0124 (NaN is not)
        return anchors

    def _match(self, found: Detections, boxes: Array, high: Mask, anchors: Array) -> tuple[Ids, Ids]:
        """Rows (K,) and columns (K,): overlap and momentum, then weak detections if asked for, then recovery."""
        table, settings = self._table, self.settings
        classes = table["class_id"]
        pairs = overlaps(table.boxes(), classes, boxes, found.class_ids).at_least(settings.min_iou)
        strong = pairs if high.all() else _some(pairs, high[pairs.columns])
        momentum = self._momentum(strong, boxes, found.scores, anchors)
        rows, columns = choose(Pairs(strong.rows, strong.columns, np.maximum(strong.gain + momentum, TINY)))
        free, free_columns = np.ones(len(table), bool), high.copy()
        free[rows], free_columns[columns] = False, False
        if settings.use_byte:
            weak_rows, weak_columns = choose(_some(pairs, free[pairs.rows] & ~high[pairs.columns]))
            rows, columns = np.concatenate((rows, weak_rows)), np.concatenate((columns, weak_columns))
            free[weak_rows] = False
        left, left_columns = np.flatnonzero(free), np.flatnonzero(free_columns)
        if not len(left) or not len(left_columns):
            return rows, columns
        again = overlaps(table["box"][left], classes[left], boxes[left_columns], found.class_ids[left_columns])
        again_rows, again_columns = choose(again.at_least(settings.min_iou))
        return (
            np.concatenate((rows, left[again_rows])),
            np.concatenate((columns, left_columns[again_columns])),
        )

    def _momentum(self, pairs: Pairs, boxes: Array, scores: NDArray[np.float32], anchors: Array) -> Array:
        """What each pair gains by its direction, (K,): half of `inertia` straight on, as much less straight back."""
        corners = boxes[pairs.columns]
        way = (corners[:, :2] + corners[:, 2:]) / 2 - anchors[pairs.rows]
        cosine = (self._table["heading"][pairs.rows] * way).sum(1) / (np.hypot(way[:, 0], way[:, 1]) + STILL)
        turn = np.arccos(np.clip(cosine, -1, 1)) / np.pi
        gain: Array = self.settings.inertia * scores[pairs.columns] * (0.5 - turn)
        return gain

    def _take(self, rows: Ids, boxes: Array, measured: Array, scores: NDArray[np.float32], anchors: Array) -> None:
        """Tracks `rows` (K,) take their detections in, the others note a miss."""
        table = self._table
        gone = table["missed"][rows] > 0
        if gone.any():
            self._replay(rows[gone], measured[gone])
        table["seen"][:] = False
        table.correct(rows, measured, scores, self._clock.now_s)
        table["streak"][rows] = np.where(gone, 1, table["streak"][rows] + 1)
        early = self._frames <= self.settings.min_hits
        steady = table["confirmed"][rows] & ~gone
        table["confirmed"][rows] = early | steady | (table["streak"][rows] >= self.settings.min_hits)
        table["missed"][:] += 1
        table["missed"][rows] = 0
        lost = np.flatnonzero(table["missed"] == 1)
        table["held_mean"][lost], table["held_covariance"][lost] = table["mean"][lost], table["covariance"][lost]
        way = measured[:, :2] - anchors[rows]
        table["heading"][rows] = way / (np.hypot(way[:, 0], way[:, 1]) + STILL)[:, None]
        table["box"][rows] = boxes
        self._note(rows, measured[:, :2])

    def _note(self, rows: Ids, centres: Array) -> None:
        """Write what tracks `rows` (K,) showed, (K, 2), into `path`; not every frame where they come very fast."""
        now_s, path = self._clock.now_s, self._table["path"]
        if now_s - self._ring[self._slot] >= self.settings.delta_s / RING:
            self._slot = (self._slot + 1) % RING
            self._ring[self._slot] = now_s
            path[:, self._slot] = np.nan
            path[rows, self._slot] = centres

    def _replay(self, rows: Ids, measured: Array) -> None:
        """Run the filters of tracks `rows` (K,) again through their gaps, up to this frame's prediction.

        One virtual observation a missed frame, on the straight line in time from the last observation to `measured`
        (K, 4) cx, cy, w, h. Longest gaps first: those under way in a step are then the first ones.
        """
        table = self._table
        order = np.argsort(-table["missed"][rows], kind="stable")
        rows = rows[order]
        missed, since_s = table["missed"][rows], table["last_s"][rows, None]
        start = xyxy_to_cxcywh(table["box"][rows])
        slope = (measured[order] - start) / np.maximum(self._clock.now_s - since_s, SLACK_S)
        mean, covariance = table["held_mean"][rows], table["held_covariance"][rows]
        for step in range(int(missed[0]), 0, -1):
            count = int(np.count_nonzero(missed >= step))
            now_s, next_s = self._times[-1 - step], self._times[-step]
            virtual = start[:count] + slope[:count] * (now_s - since_s[:count])
            kalman.update(mean[:count], covariance[:count], np.arange(count), virtual)
            _predict(mean[:count], covariance[:count], next_s - now_s)
        table["mean"][rows], table["covariance"][rows] = mean, covariance

    def _create(self, found: Detections, boxes: Array, measured: Array, new: Ids) -> None:
        """Every strong detection left over starts a tentative track."""
        if not len(new):
            return
        rows = self._table.add(measured[new], found.class_ids[new], found.scores[new], self._clock.now_s)
        rows["confirmed"] = self._frames <= self.settings.min_hits
        rows["box"] = boxes[new]
        rows["path"] = np.nan
        if self._ring[self._slot] == self._clock.now_s:
            rows["path"][:, self._slot] = measured[new, :2]


def _predict(mean: Array, covariance: Array, dt_s: float) -> None:
    """`kalman.predict` with the noise of this module."""
    kalman.predict(mean, covariance, dt_s, kalman.process_noise(dt_s, DRIFT, AGITATION))


def _some(pairs: Pairs, mask: Mask) -> Pairs:
    """The pairs of a mask (K,)."""
    return Pairs(pairs.rows[mask], pairs.columns[mask], pairs.gain[mask])
