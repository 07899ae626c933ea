"""Sights in chains: the best way to cut them, and chains that go on where something stood."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from tracker.boxes import cxcywh_to_xyxy
from tracker.structures import Ids
from tracker.track.associate import overlaps
from tracker.track.tracklets import Array, Mask, Path

STOOD = 0.15  # box heights: who moved less from one sight to the next stands
STANDING = 0.6  # least overlap of two sights of what stands


def best_chains(rows: Ids, columns: Ids, gain: Array) -> tuple[Ids, Ids]:
    """The one-to-one choice of the largest total among pairs (K,) of gains above 0, in memory of their number.

    First go the pairs worth more than the best others of their row and of their column together: they are in every
    best choice, and where most things stand nearly all are. Of the rest each row may also stay alone, for a gain of 0,
    so that a choice of all rows always exists.
    """
    parts = []
    while len(rows):
        sure = _sure(rows, columns, gain)
        if not sure.any():
            parts.append(_matched(rows, columns, gain))
            break
        parts.append((rows[sure], columns[sure]))
        rest = ~(np.isin(rows, rows[sure]) | np.isin(columns, columns[sure]))
        rows, columns, gain = rows[rest], columns[rest], gain[rest]
    if not parts:
        return rows, columns
    chosen, theirs = (np.concatenate(part) for part in zip(*parts, strict=True))
    return chosen, theirs


def _sure(rows: Ids, columns: Ids, gain: Array) -> Mask:
    """Pairs (K,) in every best choice: worth more than the best two that each could keep from being chosen."""
    best, second = [], []
    for names in (rows, columns):
        order = np.lexsort((gain, names))
        last = np.append(names[order][1:] != names[order][:-1], True)
        first = np.append(True, last[:-1])
        top, next_ = np.zeros(len(rows), np.bool_), np.zeros(len(rows))
        top[order[last]] = True
        next_[order[last]] = np.where(first, 0.0, np.append(0.0, gain[order][:-1]))[last]
        best.append(top)
        second.append(next_)
    sure: Mask = best[0] & best[1] & (gain > second[0] + second[1])
    return sure


def _matched(rows: Ids, columns: Ids, gain: Array) -> tuple[Ids, Ids]:
    """The same by SciPy's sparse matching (LAPJVsp)."""
    names, row = np.unique(rows, return_inverse=True)
    others, column = np.unique(columns, return_inverse=True)
    alone, most = np.arange(len(names)), 1 + gain.max()
    places = np.concatenate((row, alone)), np.concatenate((column, len(others) + alone))
    costs = csr_array((np.concatenate((most - gain, np.full(len(names), most))), places))
    chosen, theirs = min_weight_full_bipartite_matching(costs)
    linked = theirs < len(others)
    return names[chosen[linked]], others[theirs[linked]]


def heads(before: Ids) -> Ids:
    """Ids (N,) of chains, the place of their first sight; `before` (N,) leads back in time, -1: nowhere."""
    names = np.arange(len(before))
    for k in np.flatnonzero(before >= 0).tolist():
        names[k] = names[before[k]]
    return names


def standing(path: Path, remember: int) -> Ids:
    """Ids (N,) with tracks joined that end and begin in one place, of one size, at most `remember` pictures apart."""
    starts = path.starts
    ends = np.append(starts[1:], len(path.ids)) - 1
    step = path.boxes[ends, :2] - path.boxes[np.maximum(ends - 1, 0), :2]
    stood = (ends > starts) & (np.hypot(step[:, 0], step[:, 1]) < STOOD * path.boxes[ends, 3])
    last, first = ends[stood], starts
    boxes = cxcywh_to_xyxy(path.boxes)
    rows, columns, overlap = overlaps(boxes[last], path.class_ids[last], boxes[first], path.class_ids[first])
    gap = path.frames[first[columns]] - path.frames[last[rows]]
    good = (overlap >= STANDING) & (gap > 0) & (gap <= remember)
    chosen, theirs = best_chains(rows[good], columns[good], overlap[good] / gap[good])
    before = np.full(len(starts), -1)
    before[theirs] = np.flatnonzero(stood)[chosen]
    chains = np.arange(len(starts))
    for place in np.argsort(path.times[starts], kind="stable").tolist():  # a link leads forward in time
        if before[place] >= 0:
            chains[place] = chains[before[place]]
    return path.ids[starts][chains].repeat(ends - starts + 1)
