"""Tracklets as arrays: cut where no object can have gone on so, and smoothed as a whole.

The smoothed path is the posterior mean of a constant-velocity model with white-noise acceleration, which is what a
Kalman filter and a Rauch-Tung-Striebel smoother give (Bar-Shalom et al. 2001, ch. 8), here as one banded system of
equations for all tracklets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from tracker.boxes import cxcywh_to_xyxy
from tracker.structures import CONFIRMED, LOST, Ids, Tracks

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHORTEST_S = 1e-3  # two frames of one time are taken for this far apart where their distance divides
FIRST_SPEED = 2.0  # deviation of a tracklet's first velocity, box heights a second
CENTRE_NOISE, CENTRE_AGITATION = 0.064, 1.7  # deviation of a measurement (heights), variance of acceleration
SIZE_NOISE, SIZE_AGITATION = 0.018, 0.044
FARTHEST, FASTEST, SIZE_JUMP = 1.0, 4.0, 0.8  # box heights, heights a second, logarithm of heights: no object does more
ROWS_AT_ONCE, FRAMES_AT_ONCE = 8192, 1024  # worked on together, for the sake of memory


@dataclass(frozen=True)
class Path:
    """Detections of all tracklets, one after the other, each in order of time; row i is one detection.

    Attributes:
        ids: (N,) of the tracklet. frames: (N,) number of the frame. times: (N,) seconds.
        boxes: (N, 4) cx, cy, w, h as detected. scores, raw: (N,) calibrated and as detected. class_ids: (N,).
    """

    ids: Ids
    frames: Ids
    times: Array
    boxes: Array
    scores: Array
    raw: NDArray[np.float32]
    class_ids: Ids

    def __getitem__(self, rows: NDArray[np.int64] | Mask | slice) -> Path:
        """The rows of a mask, an index array or a slice; those of a slice are not copied."""
        return Path(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def starts(self) -> Ids:
        """(T,) the first row of each tracklet."""
        return np.flatnonzero(np.diff(self.ids, prepend=-1))

    def blocks(self) -> Iterator[slice]:
        """Rows of whole tracklets, some ROWS_AT_ONCE at a time."""
        bounds = np.append(self.starts, len(self.ids))
        edges = bounds[
            bounds.searchsorted(np.arange(0, len(self.ids) + ROWS_AT_ONCE, ROWS_AT_ONCE).clip(0, bounds[-1]))
        ]
        return (slice(begin, end) for begin, end in pairwise(np.unique(edges).tolist()))

    def named(self, ids: Ids) -> Path:
        """The same detections under other ids (N,), put in order."""
        path = Path(ids, *(getattr(self, name) for name in list(self.__dataclass_fields__)[1:]))
        return path[np.lexsort((path.frames, ids))]


def split(path: Path) -> Path:
    """Tracklets cut where no object can have gone on so: too far for the time, or of another size at once.

    All pieces of a tracklet that is cut get ids of their own.
    """
    inner = np.flatnonzero(path.ids[1:] == path.ids[:-1])
    step = path.boxes[inner + 1, :2] - path.boxes[inner, :2]
    height, later = np.maximum(path.boxes[inner, 3], 1.0), np.maximum(path.boxes[inner + 1, 3], 1.0)
    far = FARTHEST + FASTEST * (path.times[inner + 1] - path.times[inner])
    jump = np.hypot(step[:, 0], step[:, 1]) > far * (height + later) / 2
    cut = inner[jump | (np.abs(np.log(later / height)) > SIZE_JUMP)]
    if not len(cut):
        return path
    pieces = np.zeros(len(path.ids), np.int64)
    pieces[path.starts] = pieces[cut + 1] = 1
    torn = np.isin(path.ids, path.ids[cut])
    ids = np.where(torn, path.ids[-1] + pieces.cumsum(), path.ids)
    return path.named(ids)


def smoothed(path: Path) -> tuple[Array, Array]:
    """Smoothed boxes (N, 4) cx, cy, w, h and their velocities (N, 4) a second."""
    boxes, speeds = np.empty_like(path.boxes), np.empty_like(path.boxes)
    for rows in path.blocks():
        part = path[rows]
        for side, noise, agitation in (
            (slice(0, 2), CENTRE_NOISE, CENTRE_AGITATION),
            (slice(2, 4), SIZE_NOISE, SIZE_AGITATION),
        ):
            boxes[rows, side], speeds[rows, side] = posterior(part, part.boxes[:, side], noise, agitation)
    return boxes, speeds


def posterior(path: Path, measured: Array, noise: float, agitation: float) -> tuple[Array, Array]:
    """Posterior means of places and velocities, both (N, K), of `measured` (N, K).

    The unknowns are place and velocity of each row in turn. Both noises scale with the squared height of the box, so it
    cancels out, and the normal equations are the same for all columns: symmetric, with three bands beside the diagonal.
    """
    count = len(measured)
    bands, right = np.zeros((4, 2 * count)), np.zeros((2 * count, measured.shape[1]))
    bands[0, ::2] = noise**-2
    right[::2] = measured / noise**2
    bands[0, 1 + 2 * path.starts] += FIRST_SPEED**-2
    next_ = np.flatnonzero(path.ids[1:] == path.ids[:-1])
    dt = np.maximum(path.times[next_ + 1] - path.times[next_], SHORTEST_S)
    place, cross, speed = 12 / (agitation * dt**3), 6 / (agitation * dt**2), 4 / (agitation * dt)
    k = 2 * next_
    bands[0, k] += place
    bands[0, k + 1] += speed
    bands[0, k + 2] += place
    bands[0, k + 3] += speed
    bands[1, k] += cross  # place and velocity of one row
    bands[1, k + 1] -= cross  # velocity and next place
    bands[1, k + 2] -= cross  # next place and next velocity
    bands[2, k] -= place
    bands[2, k + 1] += speed / 2
    bands[3, k] += cross  # place and next velocity
    solved = solveh_banded(bands, right, lower=True, overwrite_ab=True, overwrite_b=True, check_finite=False)
    return solved[::2], solved[1::2]


def by_frame(full: Path, since: Array, seen: Mask, times: Array, shifts: Array) -> Iterator[Tracks]:
    """Tracks frame by frame, ids from 1 in the order of appearance.

    since: (N,) seconds since the last sight. seen: (N,) whether the row is one. times: (F,) of all frames, seconds.
    shifts: (F, 2) from a frame's places to those of the path.
    """
    order = np.lexsort((full.ids, full.frames))
    edges = full.frames[order].searchsorted(np.arange(len(times) + 1))
    numbers = _by_appearance(full.ids[order])
    for first in range(0, len(times), FRAMES_AT_ONCE):
        bounds = edges[first : first + FRAMES_AT_ONCE + 1]
        block = slice(int(bounds[0]), int(bounds[-1]))
        rows, ids = order[block], numbers[block]
        part, missed = full[rows], since[rows].astype(np.float32)
        state = np.where(seen[rows], CONFIRMED, LOST).astype(np.int64)
        part.boxes[:, :2] -= shifts[part.frames]
        xyxy = cxcywh_to_xyxy(part.boxes).astype(np.float32)
        for begin, end in pairwise((bounds - bounds[0]).tolist()):
            here = slice(begin, end)
            yield Tracks(ids[here], xyxy[here], part.raw[here], part.class_ids[here], missed[here], state[here])


def _by_appearance(ids: Ids) -> Ids:
    """Numbers (N,) from 1 in place of the ids, in the order in which they first come."""
    names, first, places = np.unique(ids, return_index=True, return_inverse=True)
    number = np.empty(len(names), np.int64)
    number[np.argsort(first, kind="stable")] = np.arange(1, len(names) + 1)
    return number[places]
