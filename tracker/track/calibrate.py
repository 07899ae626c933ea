"""What a score is worth, learnt from the detector at work.

Detectors mean different things by their scores: one gives 0.95 to all that is real and 0.7 to shadows, another spreads
real objects from 0.3 to 1. No fixed threshold serves both. Here the stream itself tells. Tracks that once had a score
of the best kind are taken for real; the scores that such tracks get from then on say how real objects score. How
many real objects a bin of scores should then hold, against how many detections it does hold, is the bin's precision:

    p(bin) = h(bin) / h(best bins) * n(best bins) / n(bin)

with n the detections and h the matched detections of those tracks. "Best" are the bins of the upper `best_share` of all
detections, but none below `best_floor`. That they are real is checked too: what is real is there again in the next
frame, so `p` falls with the share of best tracks that are not. Until there is evidence, a score is taken at its word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS, LOWEST, WIDTH = 16, -3.0, 0.75  # bins of the score's logit: detectors tell most apart near 0 and 1
CENTRES = 1 / (1 + np.exp(-(LOWEST + WIDTH * (np.arange(BINS) + 0.5))))
MEMORY = 50_000.0  # detections of a class; beyond, all counts are halved, so that a camera's nights don't rule its days
PRIOR = 1.8  # detections that a score's own word counts for
BELIEF = 0.76  # weight of the learnt precision beside the score itself
BEST_SHARE, BEST_FLOOR = 0.72, 0.5
RETURN = (0.46, 0.8)  # best tracks that return less often than this are worth nothing, those above it all
RETURN_PRIOR = 5.0  # tracks that count for the higher of these before there are any
STALE = 0.02  # share of new detections from which on the precisions are computed anew
FLOOR_BIN = round((np.log(BEST_FLOOR / (1 - BEST_FLOOR)) - LOWEST) / WIDTH)


class ScoreCalibration:
    """Counts a class; row i of every array is the i-th class met."""

    def __init__(self) -> None:
        """Nothing seen."""
        self._classes: Indices = np.zeros(0, np.int64)  # ascending
        self._detected: Floats = np.zeros((0, BINS))
        self._matched: Floats = np.zeros((0, BINS))  # of tracks that were among the best before
        self._returns: Floats = np.zeros((0, 2))  # best tracks seen, and seen again in the next frame
        self._precision: Floats = np.zeros((0, BINS))
        self._best: Floats = np.zeros(0)  # the score from which on a detection is among the best
        self._fresh: Floats = np.zeros(0)  # detections since the precisions were computed

    def calibrated(self, scores: NDArray[np.float32], class_ids: Indices) -> Floats:
        """Probability-like scores (N,) in 0..1 of a frame's detections, from all frames before; counts them in."""
        if not len(scores):
            return np.zeros(0)
        places, raw = self._places(class_ids), scores.astype(np.float64)
        if (self._fresh > STALE * self._detected.sum(1)).any():
            self._renew()
        bins = _bins(raw)
        lower = np.floor(bins - 0.5)
        share = bins - 0.5 - lower
        lower = lower.astype(np.int64)
        left = self._precision[places, np.clip(lower, 0, BINS - 1)]
        right = self._precision[places, np.clip(lower + 1, 0, BINS - 1)]
        np.add.at(self._detected, (places, np.clip(bins.astype(np.int64), 0, BINS - 1)), 1.0)
        np.add.at(self._fresh, places, 1.0)
        result: Floats = (1 - BELIEF) * raw + BELIEF * (left + share * (right - left))
        return result

    def best(self, class_ids: Indices) -> Floats:
        """Scores (N,) from which on a detection of these classes is among the best, as of the newest frame."""
        return self._best[self._places(class_ids)]

    def learn(self, class_ids: Indices, scores: NDArray[np.float32]) -> None:
        """Count detections (K,) matched to tracks that had been among the best before."""
        if len(scores):
            bins = np.clip(_bins(scores.astype(np.float64)).astype(np.int64), 0, BINS - 1)
            np.add.at(self._matched, (self._places(class_ids), bins), 1.0)

    def note_returns(self, class_ids: Indices, seen: NDArray[np.bool_]) -> None:
        """Count tracks (K,) of the best kind that the last frame had, and which of them this frame has."""
        if len(seen):
            places = self._places(class_ids)
            np.add.at(self._returns[:, 0], places, 1.0)
            np.add.at(self._returns[:, 1], places, seen)

    def _places(self, class_ids: Indices) -> Indices:
        """Rows of these classes; new ones get theirs."""
        places = self._classes.searchsorted(class_ids)
        if not len(self._classes) or (self._classes.take(places, mode="clip") != class_ids).any():
            self._admit(np.setdiff1d(class_ids, self._classes))
            places = self._classes.searchsorted(class_ids)
        return places

    def _admit(self, new: Indices) -> None:
        """Rows for new classes, ascending, with no counts."""
        at = self._classes.searchsorted(new)
        self._classes = np.insert(self._classes, at, new)
        self._detected = np.insert(self._detected, at, 0.0, 0)
        self._matched = np.insert(self._matched, at, 0.0, 0)
        self._returns = np.insert(self._returns, at, 0.0, 0)
        self._precision = np.insert(self._precision, at, CENTRES, 0)
        self._best = np.insert(self._best, at, 1.0)
        self._fresh = np.insert(self._fresh, at, 0.0)

    def _renew(self) -> None:
        """Precisions from the counts."""
        full = self._detected.sum(1) > MEMORY
        for counts in (self._detected, self._matched, self._returns):
            counts[full] /= 2
        detected, matched = self._detected, self._matched
        above = detected[:, ::-1].cumsum(1)[:, ::-1]
        best = np.maximum((above >= BEST_SHARE * above[:, :1]).sum(1) - 1, FLOOR_BIN)
        rows = np.arange(len(best))
        many, of_these = above[rows, best], matched[:, ::-1].cumsum(1)[:, ::-1][rows, best]
        known = of_these > 0
        expected = np.where(
            known[:, None], matched * (many / np.where(known, of_these, 1.0))[:, None], detected * CENTRES
        )
        low, high = RETURN
        back = (self._returns[:, 1] + RETURN_PRIOR * high) / (self._returns[:, 0] + RETURN_PRIOR)
        real = np.minimum(expected, detected) * np.clip((back - low) / (high - low), 0, 1)[:, None]
        self._precision = (real + PRIOR * CENTRES) / (detected + PRIOR)
        self._best = 1 / (1 + np.exp(-(LOWEST + WIDTH * best)))
        self._fresh[:] = 0


def _bins(scores: Floats) -> Floats:
    """Places of scores (N,) on the axis of bins, with fractions."""
    safe = np.clip(scores, 1e-6, 1 - 1e-6)
    result: Floats = (np.log(safe / (1 - safe)) - LOWEST) / WIDTH
    return result
