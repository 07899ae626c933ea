"""Offline association: the whole video at once, past and future.

1. The online tracker (`tracker.track.steady`) leaves tracklets: every detection that it took, those of tentative tracks
   included, so that tracks begin at their first sight.
2. Each tracklet is smoothed as a whole: the posterior mean of a constant-velocity model with white-noise acceleration,
   which is what a Kalman filter and a Rauch-Tung-Striebel smoother give (Bar-Shalom et al. 2001, ch. 8), here as one
   banded system of equations for all tracklets.
3. Tracklets that continue one another are linked: motion forward and back must meet, sizes must agree.
4. What has too little evidence is dropped, gaps are filled along the smooth path.

Memory is some hundred bytes a detection, time nearly linear in their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from tracker.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from tracker.config import SteadySettings
from tracker.structures import CONFIRMED, LOST, Detections, Ids, Tracks
from tracker.track.steady import Steady
from tracker.track.table import SLACK_S, usable

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHORTEST_S = 1e-3  # two frames of one time are taken for this far apart where their distance divides
FIRST_SPEED = 2.0  # deviation of a tracklet's first velocity, box heights a second
CENTRE_NOISE, CENTRE_AGITATION = 0.064, 1.7  # deviation of a measurement (heights), variance of acceleration
SIZE_NOISE, SIZE_AGITATION = 0.018, 0.044
LINK_GAP_S, LINK_DISTANCE, LINK_DISTANCE_S, LINK_SIZE = 3.0, 0.3, 0.17, 0.27
LINK_AT_ONCE = 100_000  # pairs looked at together, for the sake of memory
GAP_COST = 0.3  # a link is worth exp(-GAP_COST * seconds) less


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

    def __getitem__(self, rows: NDArray[np.int64] | Mask) -> Path:
        """The rows of a mask or an index array."""
        return Path(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def starts(self) -> Ids:
        """(T,) the first row of each tracklet."""
        return np.flatnonzero(np.diff(self.ids, prepend=-1))


def link(settings: SteadySettings, frames: Iterable[tuple[Detections, float]]) -> Iterator[Tracks]:
    """Tracks of every frame, from the detections and times (seconds, never decreasing) of all.

    `missed_s` and the state LOST mark boxes between two sights.

    Raises:
        ValueError: a time lies before the one before it.
    """
    held = [(usable(found, 0.0), time_s) for found, time_s in frames]
    times = np.array([time_s for _, time_s in held], np.float64)
    path = _tracklets(settings, held)
    if len(path.ids):
        path = _joined(path, _links(path))
        path = _worthy(settings, path)
    return _frames(settings, path, times)


def _tracklets(settings: SteadySettings, frames: list[tuple[Detections, float]]) -> Path:
    """What the online tracker joins."""
    tracker = Steady(settings)
    parts = []
    for number, (found, time_s) in enumerate([*frames, (Detections.empty(), frames[-1][1] if frames else 0.0)]):
        tracker.update(found, time_s)
        ids, scores = tracker.assigned
        taken = np.flatnonzero(ids)
        count = len(taken)
        parts.append((ids[taken], np.full(count, number), np.full(count, time_s), found.boxes[taken], scores[taken],
                      found.scores[taken], found.class_ids[taken]))  # fmt: skip
    ids, numbers, times, boxes, scores, raw, class_ids = (np.concatenate(column) for column in zip(*parts, strict=True))
    path = Path(ids, numbers, times, xyxy_to_cxcywh(boxes.astype(np.float64)), scores, raw, class_ids)
    return path[np.lexsort((path.frames, path.ids))]


def _smooth(path: Path) -> tuple[Array, Array]:
    """Smoothed boxes (N, 4) cx, cy, w, h and their velocities (N, 4) a second."""
    boxes, speeds = np.empty_like(path.boxes), np.empty_like(path.boxes)
    for side, noise, agitation in (
        (slice(0, 2), CENTRE_NOISE, CENTRE_AGITATION),
        (slice(2, 4), SIZE_NOISE, SIZE_AGITATION),
    ):
        boxes[:, side], speeds[:, side] = _posterior(path, path.boxes[:, side], noise, agitation)
    return boxes, speeds


def _posterior(path: Path, measured: Array, noise: float, agitation: float) -> tuple[Array, Array]:
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


def _links(path: Path) -> tuple[Ids, Ids]:
    """Tracklets (by their place in `starts`) and those that continue them."""
    smooth, starts = _smooth(path), path.starts
    ends = np.append(starts[1:], len(path.ids)) - 1
    fit = np.flatnonzero(ends > starts)
    begins = fit[np.argsort(path.times[starts[fit]], kind="stable")]
    begin_s, end_s = path.times[starts[begins]], path.times[ends[fit]]
    first = begin_s.searchsorted(end_s, "right")
    counts = np.maximum(begin_s.searchsorted(end_s + LINK_GAP_S + SLACK_S, "right") - first, 0)
    parts = []
    for group in np.split(np.arange(len(fit)), np.flatnonzero(np.diff(counts.cumsum() // LINK_AT_ONCE)) + 1):
        rows = fit[group].repeat(counts[group])
        offsets = first[group] - counts[group].cumsum() + counts[group]
        columns = begins[np.arange(len(rows)) + offsets.repeat(counts[group])]
        gain = _continuity(path, smooth, ends[rows], starts[columns])
        good = gain > 0
        parts.append((rows[good], columns[good], gain[good]))
    rows, columns, gain = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _choose(rows, columns, gain)


def _choose(rows: Ids, columns: Ids, gain: Array) -> tuple[Ids, Ids]:
    """The one-to-one choice of the largest total among pairs (K,), in memory of their number.

    What flickers in one place for hours is one chain of pairs, too long for `associate.choose`, which makes a matrix of
    it. Here each row may also stay alone, for a gain of 0, so that a choice of all rows always exists.
    """
    if not len(rows):
        return rows, columns
    names, row = np.unique(rows, return_inverse=True)
    others, column = np.unique(columns, return_inverse=True)
    alone = np.arange(len(names))
    places = np.concatenate((row, alone)), np.concatenate((column, len(others) + alone))
    costs = csr_array((np.concatenate((2 - gain, np.full(len(names), 2.0))), places))
    chosen, theirs = min_weight_full_bipartite_matching(costs)
    linked = theirs < len(others)
    return names[chosen[linked]], others[theirs[linked]]


def _continuity(path: Path, smooth: tuple[Array, Array], end: Ids, begin: Ids) -> Array:
    """How well rows `begin` (K,) of the path go on where rows `end` stopped: (K,), above 0 where they may."""
    gap = path.times[begin] - path.times[end]
    place, next_ = smooth[0][end], smooth[0][begin]
    step = next_[:, :2] - place[:, :2]
    forward = np.hypot(*(step - gap[:, None] * smooth[1][end, :2]).T)
    backward = np.hypot(*(step - gap[:, None] * smooth[1][begin, :2]).T)
    height = np.maximum((place[:, 3] + next_[:, 3]) / 2, 1.0)
    distance, allowed = (forward + backward) / 2 / height, LINK_DISTANCE + LINK_DISTANCE_S * gap
    sizes = np.abs(np.log(np.maximum(place[:, 3], 1.0) / np.maximum(next_[:, 3], 1.0)))
    good = (distance < allowed) & (sizes <= LINK_SIZE) & (path.class_ids[end] == path.class_ids[begin])
    return np.where(good, (1 - distance / allowed) * np.exp(-GAP_COST * gap), 0.0)


def _joined(path: Path, links: tuple[Ids, Ids]) -> Path:
    """The tracklets of a chain under the id of its first."""
    names = path.ids[path.starts]
    heads = np.arange(len(names))
    before = np.full(len(names), -1)
    before[links[1]] = links[0]
    for place in np.argsort(path.times[path.starts], kind="stable"):  # a link leads forward in time
        if before[place] >= 0:
            heads[place] = heads[before[place]]
    lengths = np.diff(np.append(path.starts, len(path.ids)))
    ids = np.repeat(names[heads], lengths)
    order = np.lexsort((path.frames, ids))
    return Path(ids, *(getattr(path, name) for name in list(path.__dataclass_fields__)[1:]))[order]


def _worthy(settings: SteadySettings, path: Path) -> Path:
    """Without the tracks whose scores, the best one or all together, are too low."""
    starts = path.starts
    lengths = np.diff(np.append(starts, len(path.ids)))
    evidence = np.add.reduceat(path.scores, starts)
    peak = np.maximum.reduceat(path.scores, starts)
    good = (evidence >= settings.offline_confirm) & (peak >= settings.offline_peak) & (lengths > 1)
    return path[np.repeat(good, lengths)]


def _filled(settings: SteadySettings, path: Path, times: Array) -> tuple[Path, Array, Mask]:
    """The path with its gaps of at most `offline_gap_s` filled; the time since a sight (N,) and which rows are one."""
    smooth, speeds = _smooth(path)
    missing = np.diff(path.frames, append=path.frames[-1:]) - 1
    gap_s = np.diff(path.times, append=path.times[-1:])
    inner = np.append(path.ids[1:] == path.ids[:-1], False)
    missing = np.where(inner & (gap_s <= settings.offline_gap_s + SLACK_S), np.maximum(missing, 0), 0)
    source = np.repeat(np.arange(len(path.ids)), missing + 1)
    step = np.arange(len(source)) - np.repeat(np.cumsum(missing + 1) - missing - 1, missing + 1)
    frames = path.frames[source] + step
    since, long = times[frames] - path.times[source], np.maximum(gap_s[source], SHORTEST_S)
    u = np.where(step > 0, since / long, 0.0)[:, None]
    after = np.minimum(source + 1, len(path.ids) - 1)
    boxes = (
        (2 * u**3 - 3 * u**2 + 1) * smooth[source]
        + (u**3 - 2 * u**2 + u) * long[:, None] * speeds[source]
        + (3 * u**2 - 2 * u**3) * smooth[after]
        + (u**3 - u**2) * long[:, None] * speeds[after]
    )
    detected = step == 0
    share = settings.offline_smoothing
    boxes[detected] = share * smooth + (1 - share) * path.boxes
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1.0)
    full = path[source]
    return Path(full.ids, frames, times[frames], boxes, full.scores, full.raw, full.class_ids), since, detected


def _frames(settings: SteadySettings, path: Path, times: Array) -> Iterator[Tracks]:
    """Tracks frame by frame, ids from 1 in the order of appearance."""
    if not len(path.ids):
        for _ in times:
            yield Tracks.empty()
        return
    full, since, detected = _filled(settings, path, times)
    order = np.lexsort((full.ids, full.frames))
    full, missed, state = full[order], since[order].astype(np.float32), np.where(detected[order], CONFIRMED, LOST)
    xyxy = cxcywh_to_xyxy(full.boxes).astype(np.float32)
    names, first, places = np.unique(full.ids, return_index=True, return_inverse=True)
    number = np.empty(len(names), np.int64)
    number[np.argsort(first, kind="stable")] = np.arange(1, len(names) + 1)
    ids, state = number[places], state.astype(np.int64)
    edges = full.frames.searchsorted(np.arange(len(times) + 1))
    for begin, end in pairwise(edges.tolist()):
        rows = slice(begin, end)
        yield Tracks(ids[rows], xyxy[rows], full.raw[rows], full.class_ids[rows], missed[rows], state[rows])
