"""Our default online tracker: ByteTrack's cascade on probabilities, with similarity that follows the doubt.

What it takes from where, and what it adds:
- Two stages by score (Zhang et al. 2022, "ByteTrack"), but on scores calibrated to the detector at work
  (`tracker.track.calibrate`), so that one setting serves detectors of all kinds.
- A track counts once its scores add up to `confirm`, so one setting serves sure and unsure detections.
- Similarity is the IoU of boxes grown by the doubt about the track's place, with a share for the squared Mahalanobis
  distance. The filter's doubt grows with the time since the last sight: the same setting then means tight matches
  at 30 frames a second and wide ones at 1. (Grown boxes at fixed factors: Yang et al. 2023, "C-BIoU".)
- A box lies between the filter's and the detector's; a confirmed track missed for a moment is still shown.

All constants were chosen once, on the tuning sequences of `benchmarks/association.py`, for all of them and all rates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from tracker.config import SteadySettings
from tracker.structures import Detections, Ids, Tracks
from tracker.track import kalman
from tracker.track.associate import Pairs, choose, overlaps
from tracker.track.calibrate import ScoreCalibration
from tracker.track.table import SLACK_S, Clock, Table, usable

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

POSITION = np.array((0.05, 0.05, 0.032, 0.032))  # deviation of a measured centre and size, in box heights
DRIFT = np.array((0.11, 0.11, 0.0, 0.0))  # variance that centre and size gain a second, box heights^2
AGITATION = np.array((1.6, 1.6, 0.044, 0.044))  # variance that their velocities gain a second, box heights^2 / s^2
SPEED = np.array((13.0, 13.0, 0.22, 0.22))  # of a new track's velocities, box heights a second: where to is unknown
GROWTH, LARGEST_GROWTH = 1.0, 2.0  # how much wider boxes are compared, in doubts of the place
DISTANCE_SHARE, DISTANCE_SCALE = 0.2, 7.0  # of the Mahalanobis term exp(-d^2 / scale) in the similarity
SCORE_SHARE = 0.6  # how much of the similarity scales with the score

COLUMNS = (
    ("observed", np.float64, (4,)),  # the last detection, cx, cy, w, h
    ("evidence", np.float64),  # sum of calibrated scores
    ("peak", np.float32),  # best score so far
)


class Steady:
    """The tracker of one stream."""

    def __init__(self, settings: SteadySettings | None = None) -> None:
        """No tracks; ids start at 1."""
        self.settings = settings or SteadySettings()
        self._table = Table(*COLUMNS)
        self._clock = Clock()
        self._scores = ScoreCalibration()
        self.assigned: tuple[Ids, Array] = (np.zeros(0, np.int64), np.zeros(0))
        """Of the newest frame's detections with an area: the track that each went to or began, or 0, and its score."""

    def update(self, detections: Detections, time_s: float) -> Tracks:
        """Advance to `time_s` (seconds of the stream, never backwards) and return the tracks of this frame.

        They are the confirmed ones seen in it, and those missed for less than `coast_s`.

        Raises:
            ValueError: `time_s` lies before the last update.
        """
        dt_s = self._clock.advance(time_s)
        table, found = self._table, usable(detections, 0.0)
        measured = xyxy_to_cxcywh(found.boxes.astype(np.float64))
        scores = self._calibrated(found)
        noise = kalman.process_noise(dt_s, DRIFT, AGITATION)
        kalman.predict(table["mean"], table["covariance"], dt_s, noise)
        rows, columns = self._match(measured, scores, found.class_ids)
        self._learn(rows, found[columns])
        self._take(rows, measured[columns], scores[columns], found.scores[columns])
        ids = np.zeros(len(found), np.int64)
        ids[columns] = table["id"][rows]
        fresh = scores >= self.settings.high_score
        fresh[columns] = False
        ids[fresh] = self._create(measured[fresh], scores[fresh], found[fresh])
        self.assigned = ids, scores
        self._remove()
        return self._visible()

    def all(self) -> Tracks:
        """Every living track: tentative, confirmed and lost."""
        return self._table.tracks(self._clock.now_s)

    def _calibrated(self, found: Detections) -> Array:
        """Scores (N,) as probabilities."""
        if not self.settings.learn_scores:
            return found.scores.astype(np.float64)
        return self._scores.calibrated(found.scores, found.class_ids)

    def _match(self, measured: Array, scores: Array, class_ids: Ids) -> tuple[Ids, Ids]:
        """Rows and columns of the three stages: sure, weak, and what is left to tentative tracks."""
        settings, table = self.settings, self._table
        pairs = self._similar(measured, class_ids)
        if not len(pairs.rows):
            return pairs.rows, pairs.columns
        confirmed, high = table["confirmed"].take(pairs.rows), scores.take(pairs.columns) >= settings.high_score
        lost = ~table["seen"].take(pairs.rows)
        first = confirmed & high & (pairs.gain >= np.where(lost, settings.min_similarity_lost, settings.min_similarity))
        weak = confirmed & ~high & (scores.take(pairs.columns) >= settings.low_score)
        weak &= pairs.gain >= settings.min_similarity_low
        left = ~confirmed & high & (pairs.gain >= settings.min_similarity)
        gain = pairs.gain * (1 - SCORE_SHARE + SCORE_SHARE * scores.take(pairs.columns))
        row_free, column_free = np.ones(len(table), np.bool_), np.ones(len(scores), np.bool_)
        chosen = []
        for stage in (first, weak, left):
            open_ = stage & row_free.take(pairs.rows) & column_free.take(pairs.columns)
            rows, columns = choose(Pairs(pairs.rows[open_], pairs.columns[open_], gain[open_]))
            row_free[rows] = column_free[columns] = False
            chosen.append((rows, columns))
        return np.concatenate([rows for rows, _ in chosen]), np.concatenate([columns for _, columns in chosen])

    def _similar(self, measured: Array, class_ids: Ids) -> Pairs:
        """Pairs of one class whose grown boxes overlap, with their similarity in 0..1."""
        mean, variance = self._table["mean"], self._table["covariance"][..., 0]
        if not len(mean) or not len(measured):
            none = np.zeros(0, np.int64)
            return Pairs(none, none, np.zeros(0))
        doubt = np.sqrt((variance[:, 0] + variance[:, 1]) / 2 / np.maximum(mean[:, 2] * mean[:, 3], 1.0))
        growth = 1 + np.minimum(GROWTH * doubt, LARGEST_GROWTH)
        near = overlaps(
            _grown(mean[:, :4], growth[:, None]), self._table["class_id"], _grown(measured, growth.max()), class_ids
        )
        place, seen, factor = mean.take(near.rows, 0)[:, :4], measured.take(near.columns, 0), growth.take(near.rows)
        offset = np.abs(place - seen)
        shared = np.minimum(place[:, 2:], seen[:, 2:]) * factor[:, None]
        shared = np.minimum(shared, (place[:, 2:] + seen[:, 2:]) * (factor / 2)[:, None] - offset[:, :2])
        inter = np.maximum(shared[:, 0], 0) * np.maximum(shared[:, 1], 0)
        union = (place[:, 2] * place[:, 3] + seen[:, 2] * seen[:, 3]) * factor * factor - inter
        noise = (POSITION * np.maximum(place[:, 3:], 1.0)) ** 2
        distance = (offset * offset / (variance.take(near.rows, 0) + noise)).sum(1)
        gain = (1 - DISTANCE_SHARE) * inter / union + DISTANCE_SHARE * np.exp(distance / -DISTANCE_SCALE)
        return Pairs(near.rows, near.columns, np.where(inter > 0, gain, 0.0))

    def _learn(self, rows: Ids, matched: Detections) -> None:
        """Tell the calibration what became of the tracks that it takes for real; then nothing counts as seen."""
        table = self._table
        now = np.zeros(len(table), np.bool_)
        now[rows] = True
        if self.settings.learn_scores and len(table):
            real = table["peak"] >= self._scores.best(table["class_id"])
            good = real[rows]
            self._scores.learn(matched.class_ids[good], matched.scores[good])
            real &= table["seen"]
            self._scores.note_returns(table["class_id"][real], now[real])
        table["seen"][:] = now

    def _take(self, rows: Ids, measured: Array, scores: Array, raw: NDArray[np.float32]) -> None:
        """Matched tracks take their detections in; those with enough evidence count from now on."""
        table = self._table
        table.correct(rows, measured, raw, self._clock.now_s, POSITION)
        table["observed"][rows] = measured
        evidence = table["evidence"][rows] + scores
        table["evidence"][rows] = evidence
        table["peak"][rows] = np.maximum(table["peak"][rows], raw)
        table["confirmed"][rows] |= evidence >= self.settings.confirm

    def _create(self, measured: Array, scores: Array, found: Detections) -> Ids:
        """Every sure detection left over starts a tentative track, counting at once in the first moments; its ids."""
        new = self._table.add(measured, found.class_ids, found.scores, self._clock.now_s, POSITION * 2**0.5, SPEED)
        new["observed"], new["evidence"], new["peak"] = measured, scores, found.scores
        new["confirmed"] = self._clock.since_start_s < self.settings.warm_s
        ids: Ids = new["id"]
        return ids

    def _remove(self) -> None:
        """Tracks unseen for too long go; a tentative one has less patience."""
        table, settings = self._table, self.settings
        patience = np.where(table["confirmed"], settings.max_lost_s, settings.max_tentative_s)
        table.keep(self._clock.now_s - table["last_s"] <= patience + SLACK_S)

    def _visible(self) -> Tracks:
        """Confirmed tracks that are seen or just missed; a seen one between its filtered and its detected box."""
        table, now_s = self._table, self._clock.now_s
        chosen = table["confirmed"] & (table["seen"] | (now_s - table["last_s"] < self.settings.coast_s))
        rows = table.rows[chosen]
        share = np.where(rows["seen"], self.settings.smoothing, 1.0)[:, None]
        boxes = share * rows["mean"][:, :4] + (1 - share) * rows["observed"]
        return table.tracks(now_s, chosen, cxcywh_to_xyxy(boxes))


def _grown(boxes: Array, factor: Array | float) -> Array:
    """Boxes (N, 4) cx, cy, w, h -> xyxy, `factor` times as wide and high about their centres."""
    half = boxes[:, 2:] * (0.5 * factor)
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), 1)
