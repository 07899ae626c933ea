"""Which detection belongs to which track: candidate pairs first, then the best one-to-one choice among them.

Pairs are sparse: of 500 x 500 boxes only some thousand overlap, and all that follows (weights, gates, assignment) is
paid for these alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracker.track import compiled

Indices = NDArray[np.int64]
Boxes = NDArray[np.float64]

EVERY = 2500  # so many pairs of boxes are tried faster all at once than by windows


class Pairs(NamedTuple):
    """Candidate pairs, rows ascending and columns ascending within a row."""

    rows: Indices  # (K,) int64, of the tracks
    columns: Indices  # (K,) int64, of the detections
    gain: NDArray[np.float64]  # (K,) > 0, larger is better

    def at_least(self, least: float) -> Pairs:
        """Those of this gain or more."""
        good = (self.gain >= least).nonzero()[0]
        if len(good) == len(self.gain):
            return self
        return Pairs(self.rows.take(good), self.columns.take(good), self.gain.take(good))


def overlaps(a: Boxes, a_classes: Indices, b: Boxes, b_classes: Indices) -> Pairs:
    """Every pair of one class that overlaps, with its IoU: boxes (M, 4) and (N, 4) xyxy, finite, classes (M,), (N,)."""
    a, b, fast = _floats(a), _floats(b), compiled.kernels(15e-6 + 1e-9 * len(a) * len(b))
    if fast is None:
        return overlaps_numpy(a, a_classes, b, b_classes)
    return Pairs(*fast.overlaps(a, _integers(a_classes), b, _integers(b_classes)))


class Likeness(NamedTuple):
    """Candidate pairs, in the order of `Pairs`, and how alike they are."""

    rows: Indices  # (K,) int64, of the tracks
    columns: Indices  # (K,) int64, of the detections
    overlap: Boxes  # (K,) IoU of the grown boxes, > 0
    distance: Boxes  # (K,) squared Mahalanobis distance


def likeness(mean: Boxes, covariance: Boxes, classes: Indices, measured: Boxes, their_classes: Indices,
             position: Boxes, growth: float, most: float) -> Likeness:  # fmt: skip
    """Pairs of tracks and detections of one class whose boxes overlap when grown by the doubt about the track's place.

    mean (M, 8) and covariance (M, 4, 3) as in `kalman`; measured (N, 4) cx, cy, w, h of deviations `position` (4,)
    heights. Both boxes of a pair are widened about their centres by the same factor, 1 + `growth` times the place's
    deviation in box sides, but at most by 1 + `most`.
    """
    fast = compiled.kernels(60e-6 + 1e-6 * len(mean))
    way = likeness_numpy if fast is None else fast.likeness
    return Likeness(*way(mean, covariance, classes, measured, their_classes, position, growth, most))


def choose(pairs: Pairs) -> tuple[Indices, Indices]:
    """The one-to-one choice of the largest total gain: rows (K,) ascending and their columns (K,).

    First go the pairs worth more than the best others of their row and of their column together: they are in every
    best choice, and in a video nearly all. What is left falls into connected components, settled one by one; a pair
    without gain is never chosen. Where totals tie, the choice is that of SciPy's `linear_sum_assignment` on the matrix
    of a component, its rows and columns ascending: alike rows and columns are matched in order, and of equals that
    compete for one partner the first wins.
    """
    fast = compiled.kernels(0.6e-6 * len(pairs.rows))
    if fast is None:
        return choose_numpy(pairs)
    rows, columns = fast.choose(_integers(pairs.rows), _integers(pairs.columns), _floats(pairs.gain))
    return rows, columns


def _floats(array: NDArray[Any]) -> NDArray[np.float64]:
    """As the kernels want it; the same array where it is."""
    return np.asarray(array, np.float64)


def _integers(array: NDArray[Any]) -> Indices:
    """As the kernels want it; the same array where it is."""
    return np.asarray(array, np.int64)


def overlaps_numpy(a: Boxes, a_classes: Indices, b: Boxes, b_classes: Indices) -> Pairs:
    """`overlaps` in NumPy: of few boxes every pair is tried, of many those whose left edges are near enough."""
    rows, columns, shared = (_among_all if len(a) * len(b) <= EVERY else _among_near)(a, a_classes, b, b_classes)
    area, other = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1]), (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return Pairs(rows, columns, shared / (area.take(rows) + other.take(columns) - shared))


def likeness_numpy(mean: Boxes, covariance: Boxes, classes: Indices, measured: Boxes, their_classes: Indices,
                   position: Boxes, growth: float, most: float) -> Likeness:  # fmt: skip
    """`likeness` in NumPy."""
    if not len(mean) or not len(measured):
        none = np.zeros(0, np.int64)
        return Likeness(none, none, np.zeros(0), np.zeros(0))
    boxes, variance = mean[:, :4], covariance[..., 0]
    doubt = np.sqrt((variance[:, 0] + variance[:, 1]) / 2 / np.maximum(boxes[:, 2] * boxes[:, 3], 1.0))
    factor = 1 + np.minimum(growth * doubt, most)
    a, b = _grown(boxes, factor[:, None]), _grown(measured, factor.max())
    among = _among_all if len(a) * len(b) <= EVERY else _among_near
    rows, columns, _ = among(a, classes, b, their_classes)
    place, seen, factor = boxes.take(rows, 0), measured.take(columns, 0), factor.take(rows)
    offset = np.abs(place - seen)
    sides, others = place[:, 2:], seen[:, 2:]
    shared = np.minimum(sides, others) * factor[:, None]
    shared = np.minimum(shared, (sides + others) * (factor / 2)[:, None] - offset[:, :2])
    inter = np.maximum(shared[:, 0], 0) * np.maximum(shared[:, 1], 0)
    union = (sides[:, 0] * sides[:, 1] + others[:, 0] * others[:, 1]) * factor * factor - inter
    noise = position * np.maximum(place[:, 3:], 1.0)
    offset *= offset
    noise *= noise
    noise += variance.take(rows, 0)
    offset /= noise
    distance = offset[:, 0] + offset[:, 1] + offset[:, 2] + offset[:, 3]
    result, good = Likeness(rows, columns, inter / union, distance), inter > 0
    return result if good.all() else Likeness(*(part[good] for part in result))


def _grown(boxes: Boxes, factor: Boxes | float) -> Boxes:
    """Boxes (N, 4) cx, cy, w, h -> xyxy, `factor` times as wide and high about their centres."""
    half = boxes[:, 2:] * (0.5 * factor)
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), 1)


def _among_all(a: Boxes, a_classes: Indices, b: Boxes, b_classes: Indices) -> tuple[Indices, Indices, Boxes]:
    """Rows, columns and shared area of the pairs that overlap, by trying every one."""
    width = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0])
    height = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1])
    touch = (width > 0) & (height > 0) & (a_classes[:, None] == b_classes)
    rows, columns = touch.nonzero()
    return rows, columns, width[touch] * height[touch]


def _among_near(a: Boxes, a_classes: Indices, b: Boxes, b_classes: Indices) -> tuple[Indices, Indices, Boxes]:
    """The same, by windows in the order of the left edges."""
    left = b[:, 0]
    order = left.argsort()
    edges = left[order]
    widest = float((b[:, 2] - left).max())
    widest += 1e-12 * (abs(edges[0]) + abs(edges[-1]) + widest)  # differences are rounded: no touching pair is missed
    first = edges.searchsorted(a[:, 0] - widest)
    counts = np.maximum(edges.searchsorted(a[:, 2]) - first, 0)
    rows = np.arange(len(a)).repeat(counts)
    columns = order.take(np.arange(len(rows)) - (counts.cumsum() - counts - first).repeat(counts))
    touch = a[:, 1].take(rows) < b[:, 3].take(columns)
    touch &= a[:, 3].take(rows) > b[:, 1].take(columns)
    touch &= a[:, 0].take(rows) < b[:, 2].take(columns)
    rows, columns = np.divmod(np.sort(rows[touch] * len(b) + columns[touch]), len(b))
    width = np.minimum(a[:, 2].take(rows), b[:, 2].take(columns)) - np.maximum(a[:, 0].take(rows), left.take(columns))
    height = np.minimum(a[:, 3].take(rows), b[:, 3].take(columns)) - np.maximum(
        a[:, 1].take(rows), b[:, 1].take(columns)
    )
    good = (width > 0) & (height > 0) & (a_classes.take(rows) == b_classes.take(columns))
    shared = width * height
    return (rows, columns, shared) if good.all() else (rows[good], columns[good], shared[good])


def choose_numpy(pairs: Pairs) -> tuple[Indices, Indices]:
    """`choose` in NumPy and SciPy: sure pairs at once, the components of the others one by one."""
    rows, columns, gain = pairs
    if not len(rows):
        return rows, columns
    rivals = (np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)
    if not rivals.any() and gain.min() > 0:
        return rows, columns
    sure = _sure(rows, columns, gain)
    chosen = dict(zip(rows[sure].tolist(), columns[sure].tolist(), strict=True))
    row_free, column_free = np.ones(rows.max() + 1, np.bool_), np.ones(columns.max() + 1, np.bool_)
    row_free[rows[sure]] = column_free[columns[sure]] = False
    open_ = row_free[rows] & column_free[columns] & (gain > 0)
    names, others, worth = rows[open_].tolist(), columns[open_].tolist(), gain[open_].tolist()
    for members in _components(names, others):
        _settle([names[k] for k in members], [others[k] for k in members], [worth[k] for k in members], chosen)
    best = np.array(sorted(chosen.items()), np.int64).reshape(-1, 2)
    return best[:, 0], best[:, 1]


def _sure(rows: Indices, columns: Indices, gain: Boxes) -> NDArray[np.bool_]:
    """Pairs (K,) in every best choice: worth more than the best two that each could keep from being chosen."""
    best_of_row, best_of_column = np.zeros(rows.max() + 1), np.zeros(columns.max() + 1)
    np.maximum.at(best_of_row, rows, gain)
    np.maximum.at(best_of_column, columns, gain)
    top = (gain == best_of_row[rows]) & (gain == best_of_column[columns])
    only = (np.bincount(rows, top)[rows] == 1) & (np.bincount(columns, top)[columns] == 1)
    best_of_row[:] = best_of_column[:] = 0
    np.maximum.at(best_of_row, rows[~top], gain[~top])
    np.maximum.at(best_of_column, columns[~top], gain[~top])
    sure: NDArray[np.bool_] = top & only & (gain > best_of_row[rows] + best_of_column[columns])
    return sure


def _components(rows: list[int], columns: list[int]) -> list[list[int]]:
    """Connected components of the pairs (K,): the places of each one's, ascending."""
    of_row: dict[int, list[int]] = {}
    of_column: dict[int, list[int]] = {}
    for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
        home, other = of_row.get(row), of_column.get(column)
        if home is None or other is None or home is other:
            home = other if home is None else home
            home = [] if home is None else home
        else:
            home, other = (home, other) if len(home) >= len(other) else (other, home)
            home.extend(other)
            for place in other:
                of_row[rows[place]] = of_column[columns[place]] = home
        home.append(k)
        of_row[row] = of_column[column] = home
    return [sorted(members) for members in {id(members): members for members in of_row.values()}.values()]


def _settle(rows: list[int], columns: list[int], gain: list[float], chosen: dict[int, int]) -> None:
    """The best choice among the pairs (K,) of one component, added to `chosen`, column by row."""
    row_names, column_names = sorted(set(rows)), sorted(set(columns))
    if len(row_names) == 1 or len(column_names) == 1:
        best = gain.index(max(gain))
        chosen[rows[best]] = columns[best]
        return
    from scipy.optimize import linear_sum_assignment  # 0.3 s, and many a video never comes here

    row_places = {name: place for place, name in enumerate(row_names)}
    column_places = {name: place for place, name in enumerate(column_names)}
    matrix = np.zeros((len(row_names), len(column_names)))
    for row, column, value in zip(rows, columns, gain, strict=True):
        matrix[row_places[row], column_places[column]] = value
    for row, column in zip(*(places.tolist() for places in linear_sum_assignment(matrix, maximize=True)), strict=True):
        if matrix[row, column] > 0:
            chosen[row_names[row]] = column_names[column]
