"""Our default online tracker: ByteTrack's cascade on probabilities, with similarity that follows the doubt.

What it takes from where, and what it adds:
- Two stages by score (Zhang et al. 2022, "ByteTrack"), but on scores calibrated to the detector at work
  (`tracker.track.calibrate`), so that one setting serves detectors of all kinds.
- A track counts once its scores add up to `confirm`, so one setting serves sure and unsure detections.
- Similarity is the IoU of boxes grown by the doubt about the track's place, with a share for the squared Mahalanobis
  distance. The filter's doubt grows with the time since the last sight: the same setting then means tight matches
  at 30 frames a second and wide ones at 1. (Grown boxes at fixed factors: Yang et al. 2023, "C-BIoU".)
- A box lies between the filter's and the detector's; a confirmed track missed for a moment is still shown.
- With pictures, tracks move along with the camera first (`tracker.track.motion`). If asked for, the similarity of a
  pair that overlaps is multiplied by twice the probability that the two look the same (`tracker.track.looks`), and a
  track lost for longer is known again by its looks, near enough for the time.

All constants were chosen once, for all footage and rates: on the sequences of `benchmarks/association.py` at every,
4th and 10th frame, and on the rendered sample clip with two detectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from tracker.config import SteadySettings
from tracker.structures import Detections, Frame, Ids, Tracks
from tracker.track import kalman
from tracker.track.associate import Pairs, choose, likeness
from tracker.track.calibrate import ScoreCalibration
from tracker.track.cues import Cues, Observer
from tracker.track.looks import Looks, Vectors, nearness
from tracker.track.table import SLACK_S, Clock, Table, as_tracks, usable

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

POSITION = np.array((0.05, 0.05, 0.032, 0.032))  # deviation of a measured centre and size, in box heights
DRIFT = np.array((0.125, 0.125, 0.0, 0.0))  # variance that centre and size gain a second, box heights^2
AGITATION = np.array((1.9, 1.9, 0.024, 0.024))  # variance that their velocities gain a second, box heights^2 / s^2
SPEED = np.array((13.0, 13.0, 0.29, 0.29))  # of a new track's velocities, box heights a second: where to is unknown
GROWTH, LARGEST_GROWTH = 0.84, 2.0  # how much wider boxes are compared, in doubts of the place
DISTANCE_SHARE, DISTANCE_SCALE = 0.2, 7.0  # of the Mahalanobis term exp(-d^2 / scale) in the similarity
SCORE_SHARE = 0.72  # how much of the similarity scales with the score
REACH, REACH_S = 0.5, 0.5  # box heights, and heights a second, within which a lost track may be known by its looks
SURE_LOOK = 0.8  # how probable that must be

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
        self.observer, self._looks = Observer(self.settings), Looks()
        self._least = _least(self.settings)
        self.assigned: tuple[Ids, Array] = (np.zeros(0, np.int64), np.zeros(0))
        """Of the newest frame's detections with an area: the track that each went to or began, or 0, and its score."""

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """Advance to `time_s` (seconds of the stream, never backwards) and return the tracks of this frame.

        They are the confirmed ones seen in it, and those missed for less than `coast_s`. With its picture, camera
        motion is taken out and, if the settings say so, looks are compared.

        Raises:
            ValueError: `time_s` lies before the last update.
        """
        found = usable(detections, 0.0)
        return self.advance(found, time_s, self.observer.read(frame, found))

    def advance(self, found: Detections, time_s: float, cues: Cues) -> Tracks:
        """The same for `usable` detections and the cues read from their picture before."""
        table, dt_s = self._table, self._clock.advance(time_s)
        if self._clock.torn(dt_s, self._longest_s):
            table.clear()
        measured = xyxy_to_cxcywh(found.boxes.astype(np.float64))
        scores = self._calibrated(found)
        if cues.motion is not None:
            kalman.warp(table["mean"], table["covariance"], cues.motion)
            table["observed"][:] = kalman.warped(table["observed"], cues.motion)
        noise = kalman.process_noise(dt_s, DRIFT, AGITATION)
        kalman.predict(table["mean"], table["covariance"], dt_s, noise)
        rows, columns = self._match(measured, scores, found.class_ids, cues.vectors)
        if cues.vectors is not None:
            rows, columns = self._find_again(rows, columns, measured, scores, found, cues.vectors)
        self._learn(rows, columns)
        self._take(rows, measured.take(columns, 0), scores.take(columns), found.scores.take(columns))
        ids = np.zeros(len(found), np.int64)
        ids[columns] = table["id"].take(rows)
        fresh = scores >= self.settings.high_score
        fresh[columns] = False
        if fresh.any():
            ids[fresh] = self._create(measured[fresh], scores[fresh], found[fresh])
        self.assigned = ids, scores
        if cues.vectors is not None:
            self._looks.take(ids, cues.vectors, scores, found.class_ids)
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

    def _match(self, measured: Array, scores: Array, class_ids: Ids, vectors: Vectors | None) -> tuple[Ids, Ids]:
        """Rows and columns of the two stages: what is sure, then what is weak or left to tentative tracks."""
        settings, table = self.settings, self._table
        pairs = self._similar(measured, class_ids, vectors)
        if not len(pairs.rows):
            return pairs.rows, pairs.columns
        confirmed, high = table["confirmed"], scores >= settings.high_score
        kind = confirmed * (6 - 3 * table["seen"].astype(np.int64))
        quality = np.where(high, 2, scores >= settings.low_score)
        least = self._least.take(kind.take(pairs.rows) + quality.take(pairs.columns))
        good = (pairs.gain >= least).nonzero()[0]
        rows, columns = pairs.rows.take(good), pairs.columns.take(good)
        gain = pairs.gain.take(good) * (1 - SCORE_SHARE + SCORE_SHARE * scores.take(columns))
        sure = confirmed.take(rows) & high.take(columns)
        if sure.all():
            return choose(Pairs(rows, columns, gain))
        first = choose(Pairs(rows[sure], columns[sure], gain[sure]))
        row_free, column_free = np.ones(len(table), np.bool_), np.ones(len(scores), np.bool_)
        row_free[first[0]] = column_free[first[1]] = False
        rest = ~sure & row_free.take(rows) & column_free.take(columns)
        second = choose(Pairs(rows[rest], columns[rest], gain[rest]))
        return np.concatenate((first[0], second[0])), np.concatenate((first[1], second[1]))

    def _similar(self, measured: Array, class_ids: Ids, vectors: Vectors | None) -> Pairs:
        """Pairs of one class whose grown boxes overlap, with their similarity: in 0..1, with looks in 0..2."""
        table = self._table
        rows, columns, overlap, distance = likeness(
            table["mean"], table["covariance"], table["class_id"], measured, class_ids, POSITION, GROWTH, LARGEST_GROWTH
        )
        gain = (1 - DISTANCE_SHARE) * overlap + DISTANCE_SHARE * np.exp(distance / -DISTANCE_SCALE)
        if vectors is not None:
            gain *= 2 * self._looks.alike(table["id"].take(rows), vectors.take(columns, 0))
            lost_s = self._clock.before_s - table["last_s"]
            gain[(lost_s > self.settings.max_lost_s + SLACK_S).take(rows)] = 0.0  # only looks can find these again
        return Pairs(rows, columns, gain)

    def _find_again(
        self, rows: Ids, columns: Ids, measured: Array, scores: Array, found: Detections, vectors: Vectors
    ) -> tuple[Ids, Ids]:
        """Rows and columns, with those of lost tracks that only looks can join to a sure detection left over."""
        table = self._table
        lost, left = table["confirmed"] & ~table["seen"], scores >= self.settings.high_score
        lost[rows] = left[columns] = False
        if not lost.any() or not left.any():
            return rows, columns
        mine, theirs = table.rows[lost], measured[left]
        alike = self._looks.every(mine["id"], vectors[left])
        alike[mine["class_id"][:, None] != found.class_ids[left]] = 0.0
        reach = REACH + REACH_S * (self._clock.now_s - mine["last_s"])
        gain = alike * nearness(mine["observed"], theirs, reach)
        again, which = ((alike >= SURE_LOOK) & (gain > 0)).nonzero()
        again, which = choose(Pairs(again, which, gain[again, which]))
        return np.concatenate((rows, lost.nonzero()[0][again])), np.concatenate((columns, left.nonzero()[0][which]))

    def _learn(self, rows: Ids, columns: Ids) -> None:
        """Tell the calibration what became of the tracks that it takes for real; then nothing counts as seen."""
        table = self._table
        if self.settings.learn_scores:
            self._scores.learn(table["class_id"], table["peak"], table["seen"], rows, columns)
        table["seen"][:] = False

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

    @property
    def _longest_s(self) -> float:
        """How long a confirmed track may stay unseen."""
        return max(self.settings.max_lost_s, self.settings.remember_s if self._looks else 0.0)

    def _remove(self) -> None:
        """Tracks unseen for too long go; a tentative one has less patience."""
        table = self._table
        patience = np.where(table["confirmed"], self._longest_s, self.settings.max_tentative_s)
        table.keep(self._clock.now_s - table["last_s"] <= patience + SLACK_S)
        self._looks.keep(table["id"])

    def _visible(self) -> Tracks:
        """Confirmed tracks that are seen or just missed; a seen one between its filtered and its detected box."""
        table, now_s = self._table, self._clock.now_s
        chosen = table["confirmed"] & (table["seen"] | (now_s - table["last_s"] < self.settings.coast_s))
        rows = table.rows if chosen.all() else table.rows[chosen]
        share = np.where(rows["seen"], self.settings.smoothing, 1.0)[:, None]
        boxes = share * rows["mean"][:, :4] + (1 - share) * rows["observed"]
        return as_tracks(rows, now_s, cxcywh_to_xyxy(boxes))


def _least(settings: SteadySettings) -> Array:
    """(3, 3): least similarity of a tentative, a seen and a lost track and a detection below, from low or from high."""
    low, high, never = settings.min_similarity_low, settings.min_similarity, np.inf
    return np.array(((never, never, high), (never, low, high), (never, low, settings.min_similarity_lost)))
