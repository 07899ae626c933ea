"""What a likeness of looks means where no link is sure: learnt from all pairs that may be the same.

Two detections of one picture are two objects: their products tell how alike others look. The products of pairs that may
be one object are a mixture of those and of the same; how much of either, each pair's place says. So both are normal
densities fitted by expectation maximisation (Dempster, Laird & Rubin 1977), the weights from the places kept.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tracker.structures import Ids
from tracker.track.looks import Vectors
from tracker.track.tracklets import Array

FEWEST = 30  # products of a kind from which on they mean something
MOST = 50  # detections of a picture that are compared with one another
ROUNDS = 20
COMMON = 3.0  # pairs of two pictures that are probably the same, from which on their light can be told
NARROWEST = 0.01  # least deviation of products
TRUST, LIMIT = 0.7, 5.0  # of the logarithm of the odds: what looks alike may still be another; and the largest


def look_odds(products: Array, chance: Array, others: Array) -> Array:
    """Logarithms (K,) of the odds that pairs are one object by their looks alone; 0 where those are unknown.

    products: (K,) of the pairs, not a number where unknown. chance: (K,) that a pair is one object by its place.
    others: products of what surely are two objects.
    """
    known = np.isfinite(products)
    result = np.zeros(len(products))
    if min(known.sum(), len(others)) < FEWEST:
        return result
    x, weight = products[known], chance[known]
    apart, spread = others.mean(), max(others.std(), NARROWEST)
    share, odds = weight * (x >= np.quantile(x, 0.5)), np.zeros(len(x))
    for _ in range(ROUNDS):
        total = max(share.sum(), 1e-9)
        same = (share * x).sum() / total
        if same <= apart or total < 1:
            return result
        width = max(np.sqrt((share * (x - same) ** 2).sum() / total), NARROWEST)
        odds = (
            ((x - apart) / spread) ** 2 / 2 - ((np.minimum(x, same) - same) / width) ** 2 / 2 + np.log(spread / width)
        )
        share = weight / (weight + (1 - weight) * np.exp(-np.clip(odds, -30, 30)))
    result[known] = TRUST * np.clip(odds, -LIMIT, LIMIT)
    return result


def levelled(products: Array, chance: Array, frames: Ids, others: Ids) -> Array:
    """Products (K,) between pictures `frames` and `others` (K,), as if all pictures were taken in one light.

    A cloud or another exposure makes all objects of two pictures less alike at once: what those that are probably the
    same (`chance`, (K,)) have in common is taken out, where there are some.
    """
    known = np.isfinite(products)
    weight, value = np.where(known, chance, 0.0), np.where(known, products, 0.0)
    _, pair = np.unique(np.stack((frames, others)), axis=1, return_inverse=True)
    total = np.bincount(pair, weight)
    mean = np.bincount(pair, weight * value) / np.maximum(total, 1e-9)
    usual = (weight * value).sum() / max(weight.sum(), 1e-9)
    result: Array = np.minimum(products + np.where(total >= COMMON, usual - mean, 0.0)[pair], 1.0)
    return result


def chances(rows: Ids, gain: Array) -> Array:
    """How probably (K,) each of the pairs of a row is the one, by their gains, or none is."""
    worth = np.exp(np.clip(gain, -30, 30))
    result: Array = worth / (1 + np.bincount(rows, worth)[rows])
    return result


def products_of_others(vectors: Vectors, frames: Ids, class_ids: Ids) -> Array:
    """Products of detections of one class in one picture; vectors (N, D), frames and class_ids (N,), in order."""
    parts = [np.zeros(0)]
    edges = np.append(0, np.flatnonzero(np.diff(frames)) + 1)
    for first, last in pairwise([*edges.tolist(), len(frames)]):
        some = np.arange(first, last)[:MOST]
        some = some[vectors[some].any(1)]
        upper = np.triu(class_ids[some][:, None] == class_ids[some], 1)
        parts.append((vectors[some] @ vectors[some].T)[upper].astype(np.float64))
    return np.concatenate(parts)
