"""What a score is worth where objects are seen seldom: how probably a detection is real, and a track.

What is linked is real together or false together. So belief spreads along links: detectors that give one object a
score of 0.4 here and 0.9 there make 0.4 worth more than those that never do. With `c(s, t)` the links between scores of
bins s and t, `n(s)` their sum over t, and `p0` what a score is worth at its word, the worth of all bins together solves

    (k + r n(s)) p0(s) + sum over t of c(s, t) p(t) = (k + r n(s) + n(s)) p(s)

which is a random walk along links that may stop anywhere and then takes the score at its word (label propagation with
restarts: Zhou et al. 2004). A score's own word is its relation to the best scores, to a power: detectors are seldom
right about what they are half sure of. One detector means much the same by its scores of all classes, so what links of
all classes say goes into the word for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.structures import Ids
from tracker.track.calibrate import BINS, CENTRES, EDGES

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Belief:
    """How scores are believed.

    Attributes:
        power: of the score relative to the best ones, for its own word.
        best: share of the detections below the best scores.
        restart: r, how often a walk stops, and steady: k, links that a score's own word counts for.
        shared: how much of the word is what the links of all classes say.
        alone: 0: the sights of a track count each for themselves, 1: together as one.
    """

    power: float = 6.1
    best: float = 0.95
    restart: float = 0.34
    steady: float = 7.5
    shared: float = 0.46
    alone: float = 0.68


BELIEF = Belief()


class LinkedScores:
    """Counts a class: detections by bin of their score, and links by the bins of their ends."""

    def __init__(self, belief: Belief = BELIEF) -> None:
        """Nothing seen."""
        self._belief = belief
        self._detected: Array = np.zeros(BINS)
        self._links: dict[int, Array] = {}  # (BINS, BINS), by class

    def count(self, scores: Array) -> None:
        """Detections (N,)."""
        np.add.at(self._detected, bins(scores), 1.0)

    def link(self, scores: Array, others: Array, class_ids: Ids) -> None:
        """Links (K,) between detections of these scores and those."""
        for label, rows in _by_class(class_ids):
            links = self._links.setdefault(label, np.zeros((BINS, BINS)))
            np.add.at(links, (bins(scores[rows]), bins(others[rows])), 1.0)

    def real(self, scores: Array, class_ids: Ids) -> Array:
        """How probably (N,) detections of these scores are real, above 0 and below 1."""
        belief, none = self._belief, np.zeros((BINS, BINS))
        share = self._detected.cumsum() / max(self._detected.sum(), 1.0)
        best = CENTRES[min(int(share.searchsorted(belief.best)), BINS - 1)]
        word = np.minimum(CENTRES / best, 1.0) ** belief.power
        all_links = np.sum(list(self._links.values()), 0) if self._links else none
        word = (1 - belief.shared) * word + belief.shared * self._worth(all_links, word)
        result = np.zeros(len(scores))
        for label, rows in _by_class(class_ids):
            result[rows] = self._worth(self._links.get(label, none), word)[bins(scores[rows])]
        return result

    def _worth(self, links: Array, word: Array) -> Array:
        """Of the bins (BINS,), never falling with the score."""
        both = links + links.T
        linked = both.sum(1)
        weight = self._belief.steady + self._belief.restart * linked
        worth = np.linalg.solve(np.diag(weight + linked) - both, weight * word)
        result: Array = np.maximum.accumulate(np.clip(worth, 1e-3, 1 - 1e-3))
        return result


def bins(scores: Array) -> Ids:
    """Bins (N,) of scores."""
    result: Ids = np.maximum(EDGES.searchsorted(scores, "right") - 1, 0)
    return result


def together(doubts: Array, sights: Array, belief: Belief = BELIEF) -> Array:
    """How probably tracks (T,) are real whose sights' log(1 - probability) add up to `doubts`; sights: how many."""
    result: Array = -np.expm1(doubts / np.maximum(sights, 1) ** belief.alone)
    return result


def _by_class(class_ids: Ids) -> list[tuple[int, Ids]]:
    """Each class and its rows."""
    return [(int(label), np.flatnonzero(class_ids == label)) for label in np.unique(class_ids)]
