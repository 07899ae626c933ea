"""The second pass: tracks of the whole video from its spool. Needs neither the video nor the detector."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tracker.batch.sights import Sight, unpacked
from tracker.batch.spool import Moments, Spool
from tracker.config import SteadySettings, TrackerSettings
from tracker.structures import LOST, Detections, Tracks
from tracker.track import compiled, make_tracker
from tracker.track.cues import Cues
from tracker.track.whole import has_whole, link_whole

Moment = tuple[int, float, Tracks]
SAVED_S = 100e-6  # a frame, by compiled code, of some ten objects


def track_spool(spool: Spool, settings: TrackerSettings, size: tuple[int, int], moments: Moments) -> Iterator[Moment]:
    """Index, time (seconds) and tracks of every frame, with interpolated ones where the stride passed frames over.

    Offline, past and future, with `steady` and `sparse`; the other methods know no future.

    Args:
        size: width and height of the video, pixels. moments: of the spool.
    """
    expect_frames(len(moments.index))
    if isinstance(settings, SteadySettings):
        detected = _offline(spool, settings, size)
    elif has_whole(settings):
        seen = ((sight.found, sight.time_s) for sight in spool.sights(pictures=False) if sight.found is not None)
        detected = link_whole(settings, seen)
    else:
        detected = _online(spool, settings)
    yield from _with_passed(moments, detected)


def expect_frames(count: int) -> None:
    """So many frames are to be tracked here: where they are many, numba is worth its start from the first one on."""
    compiled.expect(count * SAVED_S)


def _offline(spool: Spool, settings: SteadySettings, size: tuple[int, int]) -> Iterator[Tracks]:
    """Of every frame that was detected; pictures are not looked at again, the spool holds what they told."""
    from tracker.track.link import Linker  # it comes with much of SciPy

    linker = Linker(settings.model_copy(update={"appearance": "off", "camera_motion": "off"}))
    for sight in spool:
        if sight.found is not None:
            moved = settings.camera_motion == "auto"
            cues = Cues(sight.motion if moved else None, _vectors(sight, settings))
            linker.advance(sight.found, sight.time_s, cues, size)
    yield from linker.tracks()


def _vectors(sight: Sight, settings: SteadySettings) -> np.ndarray | None:
    """What the detections look like, unless the settings do not want it."""
    return None if settings.appearance == "off" else unpacked(sight.looks)


def _online(spool: Spool, settings: TrackerSettings) -> Iterator[Tracks]:
    """Of every frame that was detected, known from the frames up to it."""
    tracker = make_tracker(settings)
    for sight in spool.sights(pictures=False):
        if sight.found is not None:
            yield tracker.update(sight.found, sight.time_s)


def _with_passed(moments: Moments, detected: Iterator[Tracks]) -> Iterator[Moment]:
    """All frames: those between two detected ones get the boxes in between."""
    indices, times = moments.index, moments.time_s.tolist()
    waiting: list[int] = []
    last: tuple[int, Tracks] | None = None
    for here, passed in enumerate(np.isnan(moments.found).tolist()):
        if passed:
            waiting.append(here)
            continue
        tracks = next(detected)
        if waiting and last is not None:
            before, first = last
            span = slice(before, here + 1)
            for one, share in zip(waiting, _shares(times[span], indices[span].tolist()), strict=True):
                yield int(indices[one]), times[one], between(first, tracks, share)
        waiting = []
        yield int(indices[here]), times[here], tracks
        last = here, tracks
    for one in waiting:
        yield int(indices[one]), times[one], Tracks.empty()


def _shares(times: list[float], indices: list[int]) -> Iterator[float]:
    """Where those between the first and the last lie, 0..1 in time, or in frames where no time passes."""
    places: list[float] | list[int] = times if times[-1] > times[0] else indices
    span = places[-1] - places[0]
    return ((place - places[0]) / span for place in places[1:-1])


def between(first: Tracks, last: Tracks, share: float) -> Tracks:
    """The tracks that are in both, `share` (0..1) of the way from one to the other; none of them is a sight."""
    common, mine, theirs = np.intersect1d(first.ids, last.ids, assume_unique=True, return_indices=True)
    boxes = (1 - share) * first.boxes[mine] + share * last.boxes[theirs]
    scores = np.minimum(first.scores[mine], last.scores[theirs])
    state = np.full(len(common), LOST, np.int64)
    found = Detections(boxes.astype(np.float32), scores, first.class_ids[mine])
    return Tracks(common, found.boxes, found.scores, found.class_ids, np.zeros(len(common), np.float32), state)
