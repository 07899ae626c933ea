"""Offline association across large gaps: all pictures at once.

1. Each sight may be followed by sights of the next few pictures, with the weights of `tracker.track.sparse_gain`. Of
   all ways to cut the sights into chains, the one of the largest total is found: one bipartite assignment of sights to
   their successors, since a sight has at most one and is at most one's (as min-cost flow without costs of its own:
   Zhang, Li & Nevatia 2008).
2. How objects move is guessed from the tracks of `tracker.track.steady` at first: who takes the nearest for the same
   finds no crowd that walks. The chains then tell it better, and with that it is done again. With pictures, looks
   count too (`tracker.track.sparse_looks`).
3. What stood where something stands again, of one size, is taken for the same over a longer time: a parked car behind
   a lorry.
4. Belief spreads along links (`tracker.track.sparse_scores`); tracks that are hardly real are dropped, sure single
   sights are kept. Where an object stood before and after it was missed, it is shown between.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tracker.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from tracker.config import SparseSettings, SteadySettings
from tracker.structures import Detections, Frame, Ids, Tracks
from tracker.track.cues import Cues
from tracker.track.looks import Vectors
from tracker.track.scene import perspective
from tracker.track.sparse import observer_of
from tracker.track.sparse_chains import best_chains, heads, standing
from tracker.track.sparse_fill import filled
from tracker.track.sparse_gain import SHORTEST_S, Array, Sights, candidates, gains, room
from tracker.track.sparse_looks import chances, levelled, look_odds, products_of_others
from tracker.track.sparse_scores import LinkedScores, together
from tracker.track.steady import Steady
from tracker.track.table import SLACK_S, usable
from tracker.track.tracklets import Mask, Path, by_frame

ROUNDS = 2  # of linking; the second with the speeds that the first found
AT_ONCE = 200_000  # pairs looked at together, for the sake of memory
HOPELESS = -10.0  # pairs of less gain, as far as the first guess goes, are forgotten
MOST_LAGS = 12  # pictures ahead in which a successor is looked for, at most


class SparseLinker:
    """All pictures of one source: picture by picture in, then the tracks of all of them out.

    With pictures, some hundred bytes a detection are kept of its looks. Where the camera moves, all work is done in
    places that stand still.
    """

    def __init__(self, settings: SparseSettings) -> None:
        """Nothing seen. Raises ConfigError or ModelError where the appearance asked for cannot be had."""
        self._settings, self._observer = settings, observer_of(settings)
        self._guess = Steady(SteadySettings(camera_motion="off", appearance="off"))
        self._times: list[float] = []
        self._size = (0, 0)  # of the pictures, where there are any
        self._shifts: list[Array] = []  # (2,) from a picture's places to those of the first
        self._found: list[Detections] = []
        self._vectors: list[Vectors | None] = []
        self._guessed: list[Ids] = []

    def add(self, detections: Detections, time_s: float, frame: Frame | None = None) -> None:
        """The next picture's detections, at `time_s` seconds, with the picture if there is one.

        Raises:
            ValueError: the time lies before the one before it.
        """
        if self._times and not time_s >= self._times[-1]:
            raise ValueError(f"time_s must not go backwards: {time_s} after {self._times[-1]}")
        found = usable(detections, 0.0)
        cues = self._observer.read(frame, found)
        shift = self._shifts[-1] if self._shifts else np.zeros(2)
        if cues.motion is not None and frame is not None:
            centre = np.array((frame.width, frame.height)) / 2
            shift = shift - (cues.motion @ (*centre, 1.0) - centre)
        if frame is not None:
            self._size = (frame.width, frame.height)
        self._times.append(time_s)
        self._shifts.append(shift)
        self._found.append(found)
        self._vectors.append(cues.vectors)
        self._guess.advance(found, time_s, Cues(cues.motion))
        self._guessed.append(self._guess.assigned[0])

    def tracks(self) -> Iterator[Tracks]:
        """Of every picture, in order. `missed_s` and the state LOST mark boxes between two sights."""
        if not self._times:
            return
        times, shifts = np.array(self._times), np.array(self._shifts)
        path = self._sights(times, shifts)
        if len(path.ids):
            before = self._chains(path)
            path = path.named(heads(before))
            path = path.named(standing(path, self._settings.remember))
            path = _real(path, self._settings)
        yield from by_frame(*filled(path, times, self._settings.remember), times, shifts)

    def _sights(self, times: Array, shifts: Array) -> Path:
        """All detections, each a track of its own, in order of time."""
        found = self._found
        frames = np.repeat(np.arange(len(found)), [len(one) for one in found])
        boxes = xyxy_to_cxcywh(np.concatenate([one.boxes for one in found]).astype(np.float64))
        boxes[:, :2] += shifts[frames]
        raw = np.concatenate([one.scores for one in found])
        class_ids = np.concatenate([one.class_ids for one in found])
        return Path(np.arange(len(frames)), frames, times[frames], boxes, raw.astype(np.float64), raw, class_ids)

    def _chains(self, path: Path) -> Ids:
        """Of every sight (N,) the one before it, or -1."""
        rivals, area = _rivals(path, len(self._times)), _area(path, self._size)
        speeds = self._first_speeds(path)
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        for rows, columns in _pairs(path, self._times, self._settings):
            good = _gains(path, rows, columns, speeds, rivals, area) > HOPELESS
            parts.append((rows[good], columns[good]))
        rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
        products = self._products(rows, columns)
        others = products_of_others(self._looks(), path.frames, path.class_ids) if products is not None else None
        before = np.full(len(path.ids), -1)
        for _ in range(ROUNDS):
            gain = np.zeros(len(rows))
            for some in _blocks(len(rows)):
                gain[some] = _gains(path, rows[some], columns[some], speeds, rivals, area)
            if products is not None and others is not None:
                chance = chances(rows, gain)
                alike = levelled(products, chance, path.frames[rows], path.frames[columns])
                gain += look_odds(alike, chance, others)
            good = gain > 0
            chosen = best_chains(rows[good], columns[good], gain[good])
            before = np.full(len(path.ids), -1)
            before[chosen[1]] = chosen[0]
            speeds = _speeds(path, *chosen)
        return before

    def _first_speeds(self, path: Path) -> tuple[Array, Array]:
        """As `_speeds`, by the tracks of the online tracker."""
        guessed = np.concatenate(self._guessed)
        order = np.lexsort((path.frames, guessed))
        inner = np.flatnonzero((guessed[order][1:] == guessed[order][:-1]) & (guessed[order][1:] > 0))
        return _speeds(path, order[inner], order[inner + 1])

    def _looks(self) -> Vectors:
        """Of every sight (N, D), zeros where it has none; D is 0 without pictures."""
        size = next((one.shape[1] for one in self._vectors if one is not None and len(one)), 0)
        return np.concatenate([
            np.zeros((len(found), size), np.float32) if one is None else one.reshape(len(found), size)
            for found, one in zip(self._found, self._vectors, strict=True)
        ])  # fmt: skip

    def _products(self, rows: Ids, columns: Ids) -> Array | None:
        """Of the looks of pairs (K,), not a number where one has none; None without pictures."""
        vectors = self._looks()
        if not vectors.size:
            return None
        seen: Mask = np.any(vectors != 0, axis=1)
        products = np.full(len(rows), np.nan)
        for some in _blocks(len(rows)):
            products[some] = np.einsum("kd,kd->k", vectors[rows[some]], vectors[columns[some]])
        products[~(seen[rows] & seen[columns])] = np.nan
        return products


def _pairs(path: Path, times: list[float], settings: SparseSettings) -> Iterator[tuple[Ids, Ids]]:
    """Sights (K,) and those of later pictures that may be the same, some `AT_ONCE` at a time."""
    sights, count = Sights(path.boxes, path.class_ids, path.scores), len(times)
    edges = path.frames.searchsorted(np.arange(count + 1))
    parts: list[tuple[Ids, Ids]] = []
    for k in np.unique(path.frames).tolist():
        for later in range(k + 1, min(k + 1 + MOST_LAGS, count)):
            if later - k > settings.max_missed + 1 and times[later] - times[k] > settings.max_lost_s + SLACK_S:
                break
            a, b = np.arange(edges[k], edges[k + 1]), np.arange(edges[later], edges[later + 1])
            if len(b):
                rows, columns = candidates(sights[a], sights[b])
                parts.append((a[rows], b[columns]))
        if sum(len(rows) for rows, _ in parts) >= AT_ONCE:
            yield np.concatenate([rows for rows, _ in parts]), np.concatenate([columns for _, columns in parts])
            parts = []
    if parts:
        yield np.concatenate([rows for rows, _ in parts]), np.concatenate([columns for _, columns in parts])


def _blocks(count: int) -> Iterator[slice]:
    """So many pairs, `AT_ONCE` at a time."""
    return (slice(first, first + AT_ONCE) for first in range(0, count, AT_ONCE))


def _gains(path: Path, rows: Ids, columns: Ids, speeds: tuple[Array, Array], rivals: Array, area: float) -> Array:
    """Gains (K,) of pairs of sights; `speeds` (N, 2) by which each was reached, and left; rivals (N,) of each."""
    sights = Sights(path.boxes, path.class_ids, path.scores)
    dt_s, missed = path.times[columns] - path.times[rows], path.frames[columns] - path.frames[rows] - 1
    reached, left = speeds[0][rows], speeds[1][columns]
    return gains(sights[rows], sights[columns], dt_s, missed, (reached, left), rivals[rows], area)


def _rivals(path: Path, count: int) -> Array:
    """For each sight (N,), how many of its class there are in a picture, on average."""
    _, places, sights = np.unique(path.class_ids, return_inverse=True, return_counts=True)
    return sights[places] / count


def _area(path: Path, size: tuple[int, int]) -> float:
    """Square pixels that pictures show: of this size (width, height) where known, else what all boxes cover."""
    corners = cxcywh_to_xyxy(path.boxes)
    extent = np.concatenate((corners[:, :2].min(0), corners[:, 2:].max(0)))
    return max(room(extent, path.boxes), float(np.prod(size)))


def _speeds(path: Path, rows: Ids, columns: Ids) -> tuple[Array, Array]:
    """Pixels a second (N, 2) by which each sight was reached and is left, by its links; not a number without one."""
    step = (path.boxes[columns, :2] - path.boxes[rows, :2]) / np.maximum(
        path.times[columns] - path.times[rows], SHORTEST_S
    )[:, None]
    reached, left = np.full((2, len(path.ids), 2), np.nan)
    reached[columns], left[rows] = step, step
    return reached, left


def _real(path: Path, settings: SparseSettings) -> Path:
    """Without the tracks that are hardly real."""
    chance = np.clip(path.scores, 1e-3, 1 - 1e-3)
    if settings.learn_scores:
        counts, inner = LinkedScores(), np.flatnonzero(path.ids[1:] == path.ids[:-1])
        counts.count(path.scores)
        counts.link(path.scores[inner], path.scores[inner + 1], path.class_ids[inner])
        chance = counts.real(path.scores, path.class_ids)
        odds = np.log(chance / (1 - chance)) + perspective(path.boxes, path.class_ids, chance)
        chance = np.clip(1 / (1 + np.exp(-odds)), 1e-3, 1 - 1e-3)
    lengths = np.diff(np.append(path.starts, len(path.ids)))
    real = together(np.add.reduceat(np.log1p(-chance), path.starts), lengths)
    least = np.where(lengths > 1, settings.min_probability, settings.min_probability_once)
    return path[np.repeat(real >= least, lengths)]
