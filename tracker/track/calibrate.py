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

from tracker.track import compiled

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

BINS, LOWEST, WIDTH = 16, -3.0, 0.75  # bins of the score's logit: detectors tell most apart near 0 and 1
EDGES = 1 / (1 + np.exp(-(LOWEST + WIDTH * np.arange(BINS))))  # lower ones, as scores
CENTRES = 1 / (1 + np.exp(-(LOWEST + WIDTH * (np.arange(BINS) + 0.5))))
MEMORY = 50_000.0  # detections of a class; beyond, all counts are halved, so that a camera's nights don't rule its days
PRIOR = 2.3  # detections that a score's own word counts for
BELIEF = 0.78  # weight of the learnt precision beside the score itself
BEST_SHARE, BEST_FLOOR = 0.705, 0.5
RETURN = (0.46, 0.8)  # best tracks that return less often than this are worth nothing, those above it all
RETURN_PRIOR = 5.0  # tracks that count for the higher of these before there are any
STALE = 0.005  # share of new detections from which on the precisions are computed anew
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
        self._tally: Floats = np.zeros((0, 2))  # detections, and those since the precisions were computed
        self._bins: Indices = np.zeros(0, np.int64)  # of the newest frame's scores

    def calibrated(self, scores: NDArray[np.float32], class_ids: Indices) -> Floats:
        """Probability-like scores (N,) in 0..1 of a frame's detections, from all frames before; counts them in."""
        if not len(scores):
            return np.zeros(0)
        places, raw = self._places(class_ids), scores.astype(np.float64)
        if (self._tally[:, 1] > STALE * self._tally[:, 0]).any():
            self._renew()
        fast = compiled.kernels(20e-6)
        way = calibrate_numpy if fast is None else fast.calibrate
        result, self._bins = way(places, _axis(raw), raw, BELIEF, self._precision, self._detected, self._tally)
        return result

    def learn(
        self, class_ids: Indices, peaks: NDArray[np.float32], seen: Mask, rows: Indices, columns: Indices
    ) -> None:
        """Count what became of the tracks (M,) that were among the best before the newest frame.

        They are given by class, best score so far and whether the frame before had them; each class was in some frame.
        Track rows[k] has the newest frame's detection columns[k].
        """
        if len(class_ids):
            places = self._classes.searchsorted(class_ids)
            real = peaks >= self._best.take(places)
            fast = compiled.kernels(15e-6)
            way = learn_numpy if fast is None else fast.learn
            way(places, real, seen, rows, self._bins.take(columns), self._matched, self._returns)

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
        self._tally = np.insert(self._tally, at, 0.0, 0)

    def _renew(self) -> None:
        """Precisions from the counts."""
        full = self._tally[:, 0] > MEMORY
        if full.any():
            for counts in (self._detected, self._matched, self._returns, self._tally):
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
        trust = np.minimum(np.maximum((back - low) / (high - low), 0), 1)
        real = np.minimum(expected, detected) * trust[:, None]
        self._precision = (real + PRIOR * CENTRES) / (detected + PRIOR)
        self._best = EDGES.take(best)
        self._tally[:, 1] = 0


def calibrate_numpy(places: Indices, at: Floats, scores: Floats, belief: float, precision: Floats, detected: Floats,
                    tally: Floats) -> tuple[Floats, Indices]:  # fmt: skip
    """Scores (N,) of the classes' rows `places`, calibrated between the `precision` of the bins' centres.

    at: (N,) of `_axis`. `detected` and `tally` are counted up in place. Returns the bins (N,) besides.
    """
    x = np.minimum(np.maximum(at - 0.5, 0.0), BINS - 1)
    bins = np.minimum(np.maximum(at, 0.0).astype(np.int64), BINS - 1)
    lower, rows = x.astype(np.int64), places * BINS
    left = precision.take(rows + lower)
    right = precision.take(rows + np.minimum(lower + 1, BINS - 1))
    result: Floats = (1 - belief) * scores + belief * (left + (x - lower) * (right - left))
    np.add.at(detected.reshape(-1), rows + bins, 1.0)
    tally += np.bincount(places, minlength=len(tally))[:, None]
    return result, bins


def learn_numpy(places: Indices, real: Mask, seen: Mask, rows: Indices, bins: Indices, matched: Floats,
                returns: Floats) -> None:  # fmt: skip
    """Counts of tracks (M,) that are `real`, and of those `seen` in the last frame; in place.

    places: (M,) their classes' rows. rows, bins: (K,) the tracks matched now and the bins of their scores.
    """
    weight = (real & seen).astype(np.float64)
    returns[:, 0] += np.bincount(places, weight, len(returns))
    home = places.take(rows)
    returns[:, 1] += np.bincount(home, weight.take(rows), len(returns))
    np.add.at(matched.reshape(-1), home * BINS + bins, real.take(rows).astype(np.float64))


def _axis(scores: Floats) -> Floats:
    """Places of scores (N,) on the axis of bins, with fractions."""
    safe = np.minimum(np.maximum(scores, 1e-6), 1 - 1e-6)
    result: Floats = (np.log(safe / (1 - safe)) - LOWEST) / WIDTH
    return result
