"""The second pass: tracks of the whole video from its spool. Needs neither the video nor the detector."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tracker.batch.spool import Sight, Spool, unpacked
from tracker.config import SteadySettings, TrackerSettings
from tracker.structures import LOST, Detections, Tracks
from tracker.track import make_tracker
from tracker.track.cues import Cues
from tracker.track.link import Linker
from tracker.track.whole import has_whole, link_whole


def track_spool(spool: Spool, settings: TrackerSettings, size: tuple[int, int]) -> Iterator[tuple[int, float, Tracks]]:
    """Index, time (seconds) and tracks of every frame, with interpolated ones where the stride passed frames over.

    Offline, past and future, with `steady` and `sparse`; the other methods know no future.

    Args:
        size: width and height of the video, pixels.
    """
    if isinstance(settings, SteadySettings):
        detected = _offline(spool, settings, size)
    elif has_whole(settings):
        seen = ((sight.found, sight.time_s) for sight in spool if sight.found is not None)
        detected = link_whole(settings, seen)
    else:
        detected = _online(spool, settings)
    yield from _with_passed(spool, detected)


def _offline(spool: Spool, settings: SteadySettings, size: tuple[int, int]) -> Iterator[Tracks]:
    """Of every frame that was detected; pictures are not looked at again, the spool holds what they told."""
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
    for sight in spool:
        if sight.found is not None:
            yield tracker.update(sight.found, sight.time_s)


def _with_passed(spool: Spool, detected: Iterator[Tracks]) -> Iterator[tuple[int, float, Tracks]]:
    """All frames: those between two detected ones get the boxes in between."""
    waiting: list[Sight] = []
    last: tuple[Sight, Tracks] | None = None
    for sight in spool:
        if sight.found is None:
            waiting.append(sight)
            continue
        tracks = next(detected)
        if last is not None:
            for one in waiting:
                yield one.index, one.time_s, between(last[1], tracks, _share(last[0], one, sight))
        waiting = []
        yield sight.index, sight.time_s, tracks
        last = sight, tracks
    for one in waiting:
        yield one.index, one.time_s, Tracks.empty()


def _share(first: Sight, middle: Sight, last: Sight) -> float:
    """Where the middle one lies, 0..1 in time, or in frames where no time passes."""
    span = last.time_s - first.time_s
    if span > 0:
        return (middle.time_s - first.time_s) / span
    return (middle.index - first.index) / (last.index - first.index)


def between(first: Tracks, last: Tracks, share: float) -> Tracks:
    """The tracks that are in both, `share` (0..1) of the way from one to the other; none of them is a sight."""
    common, mine, theirs = np.intersect1d(first.ids, last.ids, assume_unique=True, return_indices=True)
    boxes = (1 - share) * first.boxes[mine] + share * last.boxes[theirs]
    scores = np.minimum(first.scores[mine], last.scores[theirs])
    state = np.full(len(common), LOST, np.int64)
    found = Detections(boxes.astype(np.float32), scores, first.class_ids[mine])
    return Tracks(common, found.boxes, found.scores, found.class_ids, np.zeros(len(common), np.float32), state)
