"""How probably two sights, seconds to hours apart, are one object: the weights of the association across large gaps.

Beyond a second or so a motion model says little. What an object may have done is a mixture:
- it stayed where it was (parked, standing), give or take what a detector errs;
- it went on as it moved before, where that is known, with a doubt that grows with the time;
- it went anywhere near: a heavy-tailed spread about its place, wider across than up and down since things move on the
  ground, that grows with the time up to a limit, and a wider one for all that moves with the camera; and the longer
  the time, the likelier it has left.
Against these stands that the second sight is another object, which may be anywhere in the picture: the more of its
class there are, and the smaller the picture is in its boxes, the likelier. The logarithm of the odds is the gain of the
pair, so nothing is matched that is more likely another. Distances are in sizes of the boxes and times in seconds; only
what a detector misses goes by the picture. (Log-likelihood ratios as weights of an assignment: Blackman & Popoli 1999,
ch. 6.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tracker.structures import Ids

Array = NDArray[np.float64]

NEIGHBOURS = 24  # sights tried for a sight
REACH, SIZES = 12.0, 1.0  # heights away, and logarithm of heights apart, at most
SHORTEST_S = 0.03  # of the time between two pictures, also where they claim one time
ROOM = 16.0  # a picture shows at least so many times the area of a box
SCORES = 2.0  # scores differ by so much at most: one object in another light
LEAST_SCORE = 2e-3  # scores are compared as logits, from here to as far below 1


@dataclass(frozen=True)
class Habits:
    """What objects do between two sights. "Sizes" are the boxes' heights, to the power `upright`, by their widths.

    Attributes:
        upright: 1: distances count in heights, 0: in widths.
        stay, stay_place: share of those that stayed, and the deviation of their places.
        near_x, near_y, near_power, near_s: scales of the spread at 1 s, the power of the time by which they grow, and
            the seconds up to which they do.
        tail: degrees of freedom of the spreads, small ones for heavy tails.
        far, far_place, far_power, far_y, far_most: share of the wider spread, its scale at 1 s, the power of the time
            by which it grows, up and down a share, and the largest scale.
        leave_s: after so long half of those that did not stay have left.
        miss_stay, miss, miss_s: how fast the odds of staying objects fall with each picture that missed them, those of
            moving ones, and these with each second of it.
        go, go_s: share of those that went on as they moved before, and the seconds in which it falls to 1/e.
        go_place, go_speed, go_y: doubt about where they are then, and what it gains a second; up and down, a share.
        height, height_s, width, score: scale of the differences of logarithms of heights, what it gains a second where
            an object moved, and the scales of widths and of the scores' logits.
        others, others_power: how many others there are: so often the sights of the class in a picture, to the power.
    """

    upright: float = 0.68
    stay: float = 0.071
    stay_place: float = 0.3
    near_x: float = 0.95
    near_y: float = 0.12
    near_power: float = 0.88
    near_s: float = 20.0
    tail: float = 2.7
    far: float = 0.6
    far_place: float = 5.8
    far_power: float = 0.28
    far_y: float = 0.3
    far_most: float = 12.0
    leave_s: float = 5.7
    miss_stay: float = 0.83
    miss: float = 1.0
    miss_s: float = 0.2
    go: float = 0.84
    go_s: float = 18.0
    go_place: float = 0.19
    go_speed: float = 0.092
    go_y: float = 0.25
    height: float = 0.22
    height_s: float = 0.054
    width: float = 0.38
    score: float = 2.5
    others: float = 1.7
    others_power: float = 0.66


HABITS = Habits()


@dataclass(frozen=True)
class Sights:
    """Sights, one a row. Attributes: boxes (N, 4) cx, cy, w, h; class_ids (N,); scores (N,) as detected."""

    boxes: Array
    class_ids: Ids
    scores: Array

    def __getitem__(self, rows: Ids) -> Sights:
        """The rows of an index array."""
        return Sights(self.boxes[rows], self.class_ids[rows], self.scores[rows])


def candidates(a: Sights, b: Sights) -> tuple[Ids, Ids]:
    """Rows (K,) of `a`, ascending, and of `b` that may be one object by class, distance and size.

    Of crowds each of `a` gets its `NEIGHBOURS` nearest, so that the work grows with their number and not its square.
    """
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for label in np.intersect1d(a.class_ids, b.class_ids):
        mine, theirs = np.flatnonzero(a.class_ids == label), np.flatnonzero(b.class_ids == label)
        if len(theirs) <= NEIGHBOURS:
            parts.append((mine.repeat(len(theirs)), np.tile(theirs, len(mine))))
            continue
        _, found = cKDTree(b.boxes[theirs, :2]).query(a.boxes[mine, :2], NEIGHBOURS)
        parts.append((mine.repeat(NEIGHBOURS), theirs[np.sort(found, 1).reshape(-1)]))
    rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    one, other = a.boxes[rows], b.boxes[columns]
    step, tall, high = other[:, :2] - one[:, :2], np.maximum(one[:, 3], 1.0), np.maximum(other[:, 3], 1.0)
    good = np.hypot(step[:, 0], step[:, 1]) < REACH * np.sqrt(tall * high)
    good &= np.abs(np.log(tall / high)) < SIZES
    rows, columns = rows[good], columns[good]
    order = np.lexsort((columns, rows))
    return rows[order], columns[order]


def gains(a: Sights, b: Sights, dt_s: Array, missed: Ids, speeds: tuple[Array, ...], rivals: Array, area: float,
          habits: Habits = HABITS) -> Array:  # fmt: skip
    """Logarithms (K,) of the odds that sights `a` and later ones `b`, K each, are one object.

    Args:
        a: the earlier ones.
        b: the later ones.
        dt_s: (K,) seconds between them.
        missed: (K,) pictures between them.
        speeds: each (K, 2) pixels a second that the object is thought to move by, from what is known of either side;
            not a number where nothing is.
        rivals: (K,) sights of the class in a picture, on average.
        area: square pixels of what pictures show.
        habits: see `Habits`.
    """
    dt_s, tall, wide = np.maximum(dt_s, SHORTEST_S), np.maximum(a.boxes, 1.0), np.maximum(b.boxes, 1.0)
    size = np.sqrt(tall[:, 3] * wide[:, 3]) ** habits.upright * np.sqrt(tall[:, 2] * wide[:, 2]) ** (1 - habits.upright)
    step = (b.boxes[:, :2] - a.boxes[:, :2]) / size[:, None]
    sides = np.abs(np.log(tall[:, 2:] / wide[:, 2:]))
    same, other = (_sized(sides[:, 1], scale) for scale in _heights(dt_s, habits))
    missed_s = dt_s * missed / (missed + 1)
    lost = other * np.exp(-habits.miss * missed - habits.miss_s * missed_s) / (1 + dt_s / habits.leave_s)
    like = habits.stay * same * np.exp(-habits.miss_stay * missed) * _stayed(step, habits)
    like += (1 - habits.stay) * lost * _wandered(step, dt_s, habits)
    share, doubt = habits.go * np.exp(-dt_s / habits.go_s), habits.go_place + habits.go_speed * dt_s
    for speed in speeds:
        known = np.isfinite(speed[:, 0])
        ahead = step - np.where(known[:, None], speed, 0.0) * (dt_s / size)[:, None]
        went = lost * _tailed(ahead, doubt, habits.go_y * doubt, habits.tail)
        like = np.where(known, (1 - share) * like + share * went, like)
    logits = np.minimum(np.abs(_logit(a.scores) - _logit(b.scores)) / habits.score, SCORES)
    like *= _sized(sides[:, 0], habits.width) * np.exp(-logits) / habits.score
    others = habits.others * rivals**habits.others_power * size**2 / area
    with np.errstate(divide="ignore"):
        result: Array = np.log(like) - np.log(others)
    return result


def room(extent: Array, boxes: Array) -> float:
    """Square pixels that pictures show, at least, by what their boxes (N, 4) cx, cy, w, h cover, `extent` (4,) xyxy.

    Boxes alone don't tell how large a picture is; one object that never moves covers but its own place.
    """
    covered = float((extent[2] - extent[0]) * (extent[3] - extent[1]))
    return max(covered, ROOM * float((boxes[:, 2] * boxes[:, 3]).mean()), 1.0)


def _stayed(step: Array, habits: Habits) -> Array:
    """Density (K,) of steps (K, 2) of what stayed."""
    variance = habits.stay_place**2
    result: Array = np.exp((step**2).sum(1) / (-2 * variance)) / (2 * np.pi * variance)
    return result


def _wandered(step: Array, dt_s: Array, habits: Habits) -> Array:
    """Density (K,) of steps (K, 2) of what went anywhere in so many seconds (K,)."""
    near = np.minimum(dt_s, habits.near_s) ** habits.near_power
    far = np.minimum(habits.far_place * dt_s**habits.far_power, habits.far_most)
    distance = (step[:, 0] / far) ** 2 + (step[:, 1] / (habits.far_y * far)) ** 2
    wide = np.exp(-distance / 2) / (2 * np.pi * habits.far_y * far**2)
    result: Array = (1 - habits.far) * _tailed(step, habits.near_x * near, habits.near_y * near, habits.tail)
    return result + habits.far * wide


def _heights(dt_s: Array, habits: Habits) -> tuple[Array, Array]:
    """Scales (K,) of the differences of logarithms of heights: of what stayed, and of what moved."""
    still = np.full(len(dt_s), habits.height)
    return still, still + habits.height_s * np.minimum(dt_s, habits.near_s)


def _sized(difference: Array, scale: Array | float) -> Array:
    """Density (K,) of differences of logarithms of sizes, but for a constant."""
    result: Array = np.exp(-difference / scale) / scale
    return result


def _tailed(step: Array, x: Array, y: Array, freedom: float) -> Array:
    """Density (K,) of steps (K, 2) under Student's t of scales `x` and `y` (K,)."""
    distance = (step[:, 0] / x) ** 2 + (step[:, 1] / y) ** 2
    result: Array = (1 + distance / freedom) ** (-1 - freedom / 2) / (2 * np.pi * x * y)
    return result


def _logit(scores: Array) -> Array:
    """Logarithms of the odds (N,) that scores stand for."""
    safe = np.clip(scores, LEAST_SCORE, 1 - LEAST_SCORE)
    result: Array = np.log(safe / (1 - safe))
    return result
