"""Offline association: the whole video at once, past and future.

1. The online tracker (`tracker.track.steady`) leaves tracklets: every detection that it took, those of tentative tracks
   included, so that tracks begin at their first sight.
2. Where no object can have gone on so, tracklets are cut (`tracker.track.tracklets`), and each is smoothed as a whole.
3. Tracklets that continue one another are linked: motion forward and back must meet, sizes must agree, and looks where
   they are known.
4. What has too little evidence is dropped, gaps are filled along the smooth path.

Memory is some hundred bytes a detection, time nearly linear in their number.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from tracker.boxes import xyxy_to_cxcywh
from tracker.config import SteadySettings
from tracker.structures import Detections, Frame, Ids, Tracks
from tracker.track.cues import Cues
from tracker.track.looks import Looks
from tracker.track.steady import Steady
from tracker.track.table import SLACK_S, usable
from tracker.track.tracklets import SHORTEST_S, Array, Mask, Path, by_frame, smoothed, split

LINK_GAP_S, LINK_DISTANCE, LINK_DISTANCE_S, LINK_SIZE = 3.0, 0.3, 0.17, 0.27
AT_ONCE = 256  # frames of a block
LINK_AT_ONCE = 20_000  # pairs looked at together, for the sake of memory
LEAST_LOOK = 0.2  # least probability that two tracklets look the same
GAP_COST = 0.3  # a link is worth exp(-GAP_COST * seconds) less


class Linker:
    """The whole video of one source: frame by frame in, then the tracks of all frames out.

    Of the looks, one vector a tracklet is kept. Where the camera moves, all work is done in places that stand still.
    """

    def __init__(self, settings: SteadySettings) -> None:
        """Nothing seen. Raises ConfigError or ModelError where the appearance asked for cannot be had."""
        if settings.appearance == "auto":
            settings = settings.model_copy(update={"appearance": "colour"})
        self._settings, self._tracker, self._looks = settings, Steady(settings), Looks()
        self._times = array("d")
        self._shift = np.zeros(2)  # from the newest frame's places to those of the first
        self._shifts = array("d")  # the same of all frames, x and y in turn
        self._parts: list[tuple[Any, ...]] = []  # what `_path` needs: blocks of many frames, then frames
        self._loose = 0  # frames among them

    def add(self, detections: Detections, time_s: float, frame: Frame | None = None) -> None:
        """The next frame, at `time_s` seconds, with its picture if there is one.

        Raises:
            ValueError: the time lies before the one before it.
        """
        found = usable(detections, 0.0)
        size = (0, 0) if frame is None else (frame.width, frame.height)
        self.advance(found, time_s, self._tracker.observer.read(frame, found), size)

    def advance(self, found: Detections, time_s: float, cues: Cues, size: tuple[int, int]) -> None:
        """The same for `usable` detections and the cues read from their picture, of `size` (width, height), before."""
        self._tracker.advance(found, time_s, cues)
        if cues.motion is not None:
            centre = np.array(size) / 2
            self._shift = self._shift - (cues.motion @ (*centre, 1.0) - centre)
        ids, scores = self._tracker.assigned
        taken = np.flatnonzero(ids)
        number = np.full(len(taken), len(self._times))
        part = (ids[taken], number, found.boxes[taken], scores[taken], found.scores[taken], found.class_ids[taken])
        self._parts.append(part)
        self._times.append(time_s)
        self._shifts.extend(self._shift.tolist())
        self._pack()
        if cues.vectors is not None:
            self._looks.take(ids, cues.vectors, scores, found.class_ids)

    def _pack(self) -> None:
        """Make one block of the last frames now and then: an array a frame and column takes more than what is in it."""
        self._loose += 1
        if self._loose == AT_ONCE:
            self._parts[-AT_ONCE:] = [tuple(map(np.concatenate, zip(*self._parts[-AT_ONCE:], strict=True)))]
            self._loose = 0

    def tracks(self) -> Iterator[Tracks]:
        """Of every frame, in order. `missed_s` and the state LOST mark boxes between two sights."""
        if not self._times:
            return
        times, shifts = np.array(self._times), np.array(self._shifts).reshape(-1, 2)
        path = self._path(times, shifts)
        if len(path.ids):
            path = split(path)
            path = _joined(path, _links(path, self._looks, self._settings))
            path = _worthy(self._settings, path)
        full = _filled(self._settings, path, times)
        del path  # it would be kept until the last frame
        yield from by_frame(*full, times, shifts)

    def _path(self, times: Array, shifts: Array) -> Path:
        """All that was taken. One column after the other is sorted: all at once would take twice the memory."""

        def column(place: int) -> Any:
            return np.concatenate([part[place] for part in self._parts])

        ids, frames = column(0), column(1)
        order = np.lexsort((frames, ids))
        ids, frames = ids[order], frames[order]
        boxes = xyxy_to_cxcywh(column(2)[order].astype(np.float64))
        boxes[:, :2] += shifts[frames]
        return Path(ids, frames, times[frames], boxes, *(column(place)[order] for place in (3, 4, 5)))


def _links(path: Path, looks: Looks, settings: SteadySettings) -> tuple[Ids, Ids]:
    """Tracklets (by their place in `starts`) and those that continue them."""
    longest = max(LINK_GAP_S, settings.remember_s) if looks else LINK_GAP_S
    smooth, starts = smoothed(path), path.starts
    ends = np.append(starts[1:], len(path.ids)) - 1
    fit = np.flatnonzero(ends > starts)
    begins = fit[np.argsort(path.times[starts[fit]], kind="stable")]
    begin_s, end_s = path.times[starts[begins]], path.times[ends[fit]]
    first = begin_s.searchsorted(end_s, "right")
    counts = np.maximum(begin_s.searchsorted(end_s + longest + SLACK_S, "right") - first, 0)
    parts = []
    for group in np.split(np.arange(len(fit)), np.flatnonzero(np.diff(counts.cumsum() // LINK_AT_ONCE)) + 1):
        rows = fit[group].repeat(counts[group])
        offsets = first[group] - counts[group].cumsum() + counts[group]
        columns = begins[np.arange(len(rows)) + offsets.repeat(counts[group])]
        gain = _continuity(path, smooth, ends[rows], starts[columns])
        good = gain > 0
        rows, columns, gain = rows[good], columns[good], gain[good]
        if looks:
            alike = looks.alike_tracks(path.ids[ends[rows]], path.ids[starts[columns]])
            good = alike >= LEAST_LOOK
            rows, columns, gain = rows[good], columns[good], (gain * 2 * alike)[good]
        parts.append((rows, columns, gain))
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
    return path.named(np.repeat(names[heads], lengths))


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
    if not len(path.ids):
        return path, np.zeros(0), np.zeros(0, np.bool_)
    parts = [_filled_block(settings, path[rows], times) for rows in path.blocks()]
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    *full, since, detected = columns
    return Path(*full), since, detected


def _filled_block(settings: SteadySettings, path: Path, times: Array) -> tuple[Any, ...]:
    """Of some whole tracks the columns of `Path`, then the time since a sight and which rows are one."""
    smooth, speeds = smoothed(path)
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
    return full.ids, frames, times[frames], boxes, full.scores, full.raw, full.class_ids, since, detected
