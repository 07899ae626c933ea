"""What the tracks of one stream look like, and how much that tells.

A track's vector is the running mean of its detections' vectors (as in Wang et al. 2020, "JDE"), sure ones counting
more. What a product of two vectors means differs by embedder, camera and crowd, so it is learnt: products of a track
and its own next detection against those with the detections of its neighbours, which surely are others. Both are taken
for normal, with one variance, so the odds that two are the same grow evenly with their product (linear discriminant).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.structures import Ids

Array = NDArray[np.float64]
Vectors = NDArray[np.float32]

RATE = 0.1  # how much a detection of score 1 changes the vector of its track
FEWEST = 30.0  # products of a kind from which on they mean something
TRUST = 0.5  # of the odds: from one picture to the next an object changes less than while it was hidden
SIZES = 0.5  # largest difference of the logarithms of heights of what may be one object
MEMORY = 20_000.0  # products of a kind; beyond, counts are halved
NARROWEST = 0.01  # least deviation of the products of a kind


class Looks:
    """Vectors of the tracks by id, and what their products mean."""

    def __init__(self) -> None:
        """Nothing seen."""
        self._count = 0
        self._ids: Ids = np.zeros(0, np.int64)  # ascending, the first `_count`; room for more behind them
        self._vectors: Vectors = np.zeros((0, 0), np.float32)
        self._sums: Array = np.zeros((2, 3))  # of products with others and with the same: count, sum, sum of squares

    def __len__(self) -> int:
        """Number of tracks known."""
        return self._count

    def alike(self, ids: Ids, vectors: Vectors) -> Array:
        """How probably (K,), at even odds, tracks `ids` (K,) and what looks like `vectors` (K, D) are the same.

        0.5 where a track or a vector is not known, and for all until enough was seen.
        """
        known, places = self._places(ids)
        if not known.any():
            return np.full(len(ids), 0.5)
        products = np.einsum("kd,kd->k", self._vectors[places], vectors)
        return self.probability(np.where(known & vectors.any(1), products, np.nan))

    def alike_tracks(self, ids: Ids, others: Ids) -> Array:
        """The same (K,) of tracks `ids` (K,) and tracks `others` (K,)."""
        known, places = self._places(others)
        if not known.any():
            return np.full(len(ids), 0.5)
        return self.alike(ids, self._vectors[places] * known[:, None])

    def every(self, ids: Ids, vectors: Vectors) -> Array:
        """The same of every pair (K, N) of tracks `ids` (K,) and vectors (N, D)."""
        rows, columns = np.indices((len(ids), len(vectors))).reshape(2, -1)
        return self.alike(ids[rows], vectors[columns]).reshape(len(ids), len(vectors))

    def probability(self, products: Array) -> Array:
        """The same of products (...); those that are not a number are unknown."""
        count, total, squares = self._sums.T
        if count.min() < FEWEST:
            return np.full(products.shape, 0.5)
        mean = total / count
        variance = max((squares / count - mean**2).mean(), NARROWEST**2)
        odds = TRUST * (mean[1] - mean[0]) / variance * (products - mean.mean())
        return np.where(np.isfinite(products), 1 / (1 + np.exp(-np.clip(odds, -30, 30))), 0.5)

    def take(self, ids: Ids, vectors: Vectors, scores: Array, class_ids: Ids) -> None:
        """Detections (N,) went to tracks `ids` (N,), 0 for none: learn from those and let the tracks' vectors follow.

        A track that is new has a larger id than all before.
        """
        good = ((ids > 0) & vectors.any(1)).nonzero()[0]
        good = good[ids[good].argsort()]
        ids, vectors, scores, class_ids = ids[good], vectors[good], scores[good], class_ids[good]
        known, places = self._places(ids)
        places = places[known]
        if len(places):
            old = self._vectors[places]
            self._learn(old @ vectors[known].T, class_ids[known])
            rate = (RATE * np.clip(scores[known], 0, 1)).astype(np.float32)[:, None]
            mixed = (1 - rate) * old + rate * vectors[known]
            self._vectors[places] = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), np.float32(1e-6))
        self._append(ids[~known], vectors[~known])

    def keep(self, ids: Ids) -> None:
        """Forget all tracks but `ids`."""
        if self._count > len(ids):
            living = np.isin(self._ids[: self._count], ids).nonzero()[0]
            self._count = len(living)
            self._ids, self._vectors = self._ids[living], self._vectors[living]

    def _append(self, ids: Ids, vectors: Vectors) -> None:
        """New tracks behind the others."""
        if not len(ids):
            return
        end = self._count + len(ids)
        if end > len(self._ids):
            more = 2 * end - self._count  # twice the room each time: in all, each track is copied twice or so
            self._ids = np.concatenate((self._ids[: self._count], np.zeros(more, np.int64)))
            room = np.zeros((more, vectors.shape[1]), np.float32)
            self._vectors = np.concatenate((self._vectors[: self._count], room)) if self._count else room
        self._ids[self._count : end], self._vectors[self._count : end] = ids, vectors
        self._count = end

    def _places(self, ids: Ids) -> tuple[NDArray[np.bool_], Ids]:
        """Which tracks (K,) are known, and the rows of their vectors."""
        if not self._count:
            return np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.int64)
        mine = self._ids[: self._count]
        places = np.minimum(mine.searchsorted(ids), self._count - 1)
        return mine[places] == ids, places

    def _learn(self, products: Vectors, class_ids: Ids) -> None:
        """Products (K, K) of K tracks and the detections of the same tracks in one frame."""
        same = np.eye(len(products), dtype=np.bool_)
        for kind, mask in enumerate(((class_ids[:, None] == class_ids) & ~same, same)):
            values = products[mask].astype(np.float64)
            self._sums[kind] += (len(values), values.sum(), (values**2).sum())
            if self._sums[kind, 0] > MEMORY:
                self._sums[kind] /= 2


def nearness(places: Array, others: Array, reach: Array) -> Array:
    """From 1 (here) to 0 (out of reach), (K, N), for boxes (K, 4), (N, 4) cx, cy, w, h and a reach (K,) in heights.

    0 too where sizes differ too much to be one object's.
    """
    height = np.maximum(places[:, None, 3], 1.0)
    step = places[:, None, :2] - others[:, :2]
    near = 1 - np.hypot(step[..., 0], step[..., 1]) / (reach[:, None] * height)
    sizes = np.abs(np.log(height / np.maximum(others[:, 3], 1.0)))
    return np.where(sizes <= SIZES, np.maximum(near, 0), 0.0)
