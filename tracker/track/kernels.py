"""The kernels of the association, compiled by numba. Only `tracker.track.compiled` imports this file.

Each does what its NumPy twin in `kalman`, `associate` or `calibrate` does, with the same operations in the same order,
so that the results are the same to the last bit and nobody sees in the tracks which one ran. All release the GIL: the
cameras of a process track side by side.

Every kernel has one signature, of arrays with any strides, unaligned and read-only where it only reads: one compilation
serves contiguous arrays and the fields of a structured array alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, float64, int64, types
from numpy.typing import NDArray

from tracker.track.assignment import choose
from tracker.track.jit import Floats, Indices, inner, kernel


@kernel
def predict(mean: Floats, covariance: Floats, dt_s: float, noise: Floats) -> None:
    """`kalman.predict`: mean (M, 8), covariance (M, 4, 3) in place; noise (4, 3) of variances per squared height."""
    for m in range(mean.shape[0]):
        height = max(mean[m, 3], 1.0)
        height *= height
        for k in range(4):
            mean[m, k] += dt_s * mean[m, k + 4]
            if k >= 2 and mean[m, k] < 1.0:
                mean[m, k], mean[m, k + 4] = 1.0, 0.0
            cross = covariance[m, k, 1]
            moved = cross + dt_s * covariance[m, k, 2]
            covariance[m, k, 0] = covariance[m, k, 0] + (cross + moved) * dt_s + height * noise[k, 0]
            covariance[m, k, 1] = moved + height * noise[k, 1]
            covariance[m, k, 2] += height * noise[k, 2]


@kernel
def update(mean: Floats, covariance: Floats, rows: Indices, measured: Floats, position: Floats) -> None:
    """`kalman.update`: tracks `rows` (K,) take measurements (K, 4) of deviations `position` (4,) heights."""
    for k in range(rows.shape[0]):
        m = rows[k]
        height = max(mean[m, 3], 1.0)
        for c in range(4):
            noise = position[c] * height
            noise *= noise
            variance, cross = covariance[m, c, 0], covariance[m, c, 1]
            total = variance + noise
            gain, gain_v = variance / total, cross / total
            rest = measured[k, c] - mean[m, c]
            mean[m, c] += gain * rest
            mean[m, c + 4] += gain_v * rest
            covariance[m, c, 2] -= gain_v * cross
            covariance[m, c, 0], covariance[m, c, 1] = gain * noise, gain_v * noise


@inner
def bucket(x: float, low: float, scale: float, count: int) -> int:
    """Which of `count` buckets from `low` on holds x; never decreasing in x, and a bucket for every float there is."""
    place = (x - low) * scale
    if not place > 0:
        return 0
    return int(place) if place < count - 1 else count - 1


@inner
def shelve(boxes: Floats) -> tuple[Indices, Indices, float, float, float]:
    """Boxes (M, 4) by their left edges: starts (B + 1,), order (M,), lowest edge, buckets a pixel, largest width.

    Bucket k holds the boxes order[starts[k]:starts[k + 1]].
    """
    count = boxes.shape[0]
    low, high, widest = boxes[0, 0], boxes[0, 0], 0.0
    for i in range(count):
        low, high = min(low, boxes[i, 0]), max(high, boxes[i, 0])
        widest = max(widest, boxes[i, 2] - boxes[i, 0])
    widest += 1e-12 * (abs(low) + abs(high) + widest)  # differences are rounded: no touching pair may be missed
    scale = count / (high - low) if high > low else 0.0
    ends, order, names = np.zeros(count + 1, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    for i in range(count):
        names[i] = bucket(boxes[i, 0], low, scale, count)
        ends[names[i]] += 1
    for k in range(count):
        ends[k + 1] += ends[k]
    for i in range(count):
        ends[names[i]] -= 1
        order[ends[names[i]]] = i
    return ends, order, low, scale, widest


@inner
def sorted_by_row(rows: Indices, columns: Indices, gain: Floats, count: int) -> tuple[Indices, Indices, Floats]:
    """Pairs (K,) by rows below `count`, otherwise in the order they are in."""
    starts = np.zeros(count + 1, np.int64)
    for row in rows:
        starts[row + 1] += 1
    for i in range(count):
        starts[i + 1] += starts[i]
    by_row, their_columns, their_gain = np.empty_like(rows), np.empty_like(columns), np.empty_like(gain)
    for k in range(rows.shape[0]):
        place = starts[rows[k]]
        starts[rows[k]] += 1
        by_row[place], their_columns[place], their_gain[place] = rows[k], columns[k], gain[k]
    return by_row, their_columns, their_gain


@inner
def longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    """A copy with room for `size` numbers."""
    copy = np.empty(size, array.dtype)
    for k in range(array.shape[0]):  # a slice assignment takes numba two seconds to compile
        copy[k] = array[k]
    return copy


@inner
def touching(a: Floats, a_classes: Indices, b: Floats, b_classes: Indices) -> tuple[Indices, Indices, Floats]:
    """Pairs of one class that overlap, and their IoU.

    Boxes `a` stand in buckets by left edge; each of `b` looks into those it can reach.
    """
    size, found = 4 * (a.shape[0] + b.shape[0]), 0
    rows, columns, gain = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    if a.shape[0] == 0 or b.shape[0] == 0:
        return rows[:0], columns[:0], gain[:0]
    ends, order, low, scale, widest = shelve(a)
    hits, near = (
        np.empty_like(order),
        np.empty((order.shape[0], 4)),
    )  # one after the other in memory, as they are looked at
    for k in range(order.shape[0]):
        for side in range(4):
            near[k, side] = a[order[k], side]
    for j in range(b.shape[0]):
        left, top, right, bottom, kind = b[j, 0], b[j, 1], b[j, 2], b[j, 3], b_classes[j]
        own = (right - left) * (bottom - top)
        first = bucket(left - widest, low, scale, order.shape[0])
        last = bucket(right, low, scale, order.shape[0])
        count = 0
        for k in range(ends[first], ends[last + 1]):  # without a branch, whose outcome no processor could foresee
            hits[count] = k
            wide = (near[k, 2] > left) & (near[k, 0] < right)
            count += wide & (near[k, 3] > top) & (near[k, 1] < bottom)
        if found + count > size:
            size = 2 * (found + count)
            rows, columns, gain = longer(rows, size), longer(columns, size), longer(gain, size)
        for k in hits[:count]:
            width = min(right, near[k, 2]) - max(left, near[k, 0])
            height = min(bottom, near[k, 3]) - max(top, near[k, 1])
            shared = width * height
            rows[found], columns[found] = order[k], j
            gain[found] = shared / ((near[k, 2] - near[k, 0]) * (near[k, 3] - near[k, 1]) + own - shared)
            found += width > 0 and height > 0 and a_classes[order[k]] == kind
    rows, columns, gain = sorted_by_row(rows[:found], columns[:found], gain[:found], a.shape[0])
    return rows, columns, gain


@kernel
def overlaps(a: Floats, a_classes: Indices, b: Floats, b_classes: Indices) -> tuple[Indices, Indices, Floats]:
    """`associate.overlaps`."""
    rows, columns, gain = touching(a, a_classes, b, b_classes)
    return rows, columns, gain


@inner
def grown(boxes: Floats, factor: Floats, every: float) -> Floats:
    """Boxes (N, 4) cx, cy, w, h -> xyxy about their centres, by `factor` (N,), or by `every` where that is above 0."""
    result = np.empty((boxes.shape[0], 4))
    for i in range(boxes.shape[0]):
        half = 0.5 * (every if every > 0 else factor[i])
        for side in range(2):
            result[i, side] = boxes[i, side] - boxes[i, side + 2] * half
            result[i, side + 2] = boxes[i, side] + boxes[i, side + 2] * half
    return result


@kernel
def likeness(mean: Floats, covariance: Floats, classes: Indices, measured: Floats, their_classes: Indices,
             position: Floats, growth: float, most: float) -> tuple[Indices, Indices, Floats, Floats]:  # fmt: skip
    """`associate.likeness`."""
    factor, widest = np.empty(mean.shape[0]), 0.0
    for m in range(mean.shape[0]):
        spread = (covariance[m, 0, 0] + covariance[m, 1, 0]) / 2 / max(mean[m, 2] * mean[m, 3], 1.0)
        factor[m] = 1 + min(growth * np.sqrt(spread), most)
        widest = max(widest, factor[m])
    rows, columns, overlap = touching(grown(mean, factor, 0.0), classes, grown(measured, factor, widest), their_classes)
    distance, found = np.empty(rows.shape[0]), 0
    for k in range(rows.shape[0]):
        m, j = rows[k], columns[k]
        inter, size, far, height = 1.0, factor[m], 0.0, max(mean[m, 3], 1.0)
        for c in range(4):
            offset = abs(mean[m, c] - measured[j, c])
            if c < 2:
                shared = min(mean[m, c + 2], measured[j, c + 2]) * size
                inter *= max(min(shared, (mean[m, c + 2] + measured[j, c + 2]) * (size / 2) - offset), 0.0)
            noise = position[c] * height
            far += offset * offset / (noise * noise + covariance[m, c, 0])
        union = (mean[m, 2] * mean[m, 3] + measured[j, 2] * measured[j, 3]) * size * size - inter
        rows[found], columns[found], overlap[found], distance[found] = m, j, inter / union, far
        found += inter > 0
    return rows[:found], columns[:found], overlap[:found], distance[:found]


@kernel
def calibrate(places: Indices, at: Floats, scores: Floats, belief: float, precision: Floats, detected: Floats,
              tally: Floats) -> tuple[Floats, Indices]:  # fmt: skip
    """`calibrate.calibrate_numpy`: calibrated scores (N,) and bins (N,), counted in."""
    result, bins, last = np.empty(at.shape[0]), np.empty(at.shape[0], np.int64), precision.shape[1] - 1
    for k in range(at.shape[0]):
        place, x = places[k], min(max(at[k] - 0.5, 0.0), float(last))
        lower = int(x)
        left, right = precision[place, lower], precision[place, min(lower + 1, last)]
        result[k] = (1 - belief) * scores[k] + belief * (left + (x - lower) * (right - left))
    for k in range(at.shape[0]):
        bins[k] = min(int(max(at[k], 0.0)), last)
        detected[places[k], bins[k]] += 1
        tally[places[k], 0] += 1
        tally[places[k], 1] += 1
    return result, bins


@kernel
def learn(places: Indices, real: NDArray[Any], seen: NDArray[Any], rows: Indices, bins: Indices, matched: Floats,
          returns: Floats) -> None:  # fmt: skip
    """`calibrate.learn_numpy`: counts of tracks that are `real`, and of those `seen` in the last frame."""
    for m in range(places.shape[0]):
        returns[places[m], 0] += real[m] and seen[m]
    for k in range(rows.shape[0]):
        m = rows[k]
        returns[places[m], 1] += real[m] and seen[m]
        matched[places[m], bins[k]] += real[m]


def _seen(dtype: types.Type, dimensions: int) -> types.Array:
    """An array that is only read: any strides, alignment and flags."""
    return types.Array(dtype, dimensions, "A", readonly=True, aligned=False)


def _changed(dimensions: int) -> types.Array:
    """An array of float64 that is written: any strides and alignment."""
    return types.Array(float64, dimensions, "A", aligned=False)


def signatures() -> dict[Any, tuple[types.Type, ...]]:
    """What the callers use, in the order of `compiled.Kernels`, and the types that each is compiled for."""
    tracks = _seen(float64, 2), _seen(float64, 3)
    return {
        predict: (_changed(2), _changed(3), float64, _seen(float64, 2)),
        update: (_changed(2), _changed(3), _seen(int64, 1), _seen(float64, 2), _seen(float64, 1)),
        overlaps: (_seen(float64, 2), _seen(int64, 1), _seen(float64, 2), _seen(int64, 1)),
        choose: (_seen(int64, 1), _seen(int64, 1), _seen(float64, 1)),
        likeness: (*tracks, _seen(int64, 1), _seen(float64, 2), _seen(int64, 1), _seen(float64, 1), float64, float64),
        calibrate: (_seen(int64, 1), _seen(float64, 1), _seen(float64, 1), float64, *[_changed(2)] * 3),
        learn: (_seen(int64, 1), *[_seen(boolean, 1)] * 2, *[_seen(int64, 1)] * 2, *[_changed(2)] * 2),
    }
