"""Tracks as annotation tools keep them: spans without a pause, and keyframes with straight lines between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.exports.annotation import Annotation, Flags, Integers, rounded

LONGEST_SPAN = 250  # frames from one keyframe to the next; bounds the work, and how far an edit reaches
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """One track.

    Attributes:
        id, class_id: of the track.
        frames: (K,) int32, rising.
        boxes: (K, 4) float64, hundredths of pixels.
        scores: (K,) float32.
        interpolated: (K,) bool.
        ends: (K,) bool; the track pauses or is over after this frame.
    """

    id: int
    class_id: int
    frames: Integers
    boxes: Floats
    scores: NDArray[np.float32]
    interpolated: Flags
    ends: Flags


def paths(annotation: Annotation) -> Iterator[Path]:
    """The tracks, by id. The class is that of the first box."""
    order, starts = annotation.by_track()
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        rows = order[start:stop]
        frames = annotation.frames[rows]
        yield Path(
            int(annotation.ids[rows[0]]), int(annotation.class_ids[rows[0]]), frames, rounded(annotation.boxes[rows]),
            annotation.scores[rows], annotation.interpolated[rows], np.append(np.diff(frames) > 1, True),
        )  # fmt: skip


def keyframes(path: Path, tolerance_px: float, *, also: Flags | None = None) -> Flags:
    """(K,) bool: the frames that, with straight lines between them, give every edge back within `tolerance_px`.

    Ramer, Douglas and Peucker's simplification in time, within each span; 0 keeps all.
    Frames of `also`, (K,) bool, are kept in any case.
    """
    if tolerance_px <= 0:
        return np.ones(len(path.frames), np.bool_)
    keep: Flags = path.ends.copy()
    keep[0] = True
    keep[1:] |= path.ends[:-1]
    keep[::LONGEST_SPAN] = True
    if also is not None:
        keep |= also
    places = np.flatnonzero(keep)
    waiting = list(zip(places[:-1].tolist(), places[1:].tolist(), strict=True))
    while waiting:
        first, last = waiting.pop()
        if last - first < 2 or path.ends[first]:
            continue
        worst, error = _farthest(path, first, last)
        if error > tolerance_px:
            keep[worst] = True
            waiting += [(first, worst), (worst, last)]
    return keep


def _farthest(path: Path, first: int, last: int) -> tuple[int, float]:
    """The place between two keyframes that is farthest from the line between them, and by how many pixels."""
    inner = slice(first + 1, last)
    share = (path.frames[inner] - path.frames[first]) / (path.frames[last] - path.frames[first])
    line = path.boxes[first] + share[:, None] * (path.boxes[last] - path.boxes[first])
    errors = np.abs(path.boxes[inner] - line).max(1)
    place = int(errors.argmax())
    return first + 1 + place, float(errors[place])
