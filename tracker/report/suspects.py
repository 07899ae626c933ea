"""Tracks that a person should look at: what is odd about them, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.exports.annotation import Annotation
from tracker.exports.prepare import clean_names, track_classes
from tracker.structures import Ids

SHORT_S = 0.5
JUMP = 0.6  # sizes of the box off the straight line, from one frame to the next
SIZE = 1.8  # times the area, from one frame to the next
LOW_SCORE = 0.4
FILLED = 0.5  # of the boxes
PAUSES = 3
OTHER_CLASS = 0.2  # of the boxes
GOES_ON_S, GOES_ON, GOES_ON_SIZE = 1.0, 0.8, 1.6  # of another track that may be the same object
BORDER_PX = 2.0
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Suspect:
    """A track to review.

    Attributes:
        id: of the track.
        class_name: of most of its boxes.
        first, last: its frames, from 0.
        at: the frame to look at.
        weight: how odd it is; the sum of its reasons.
        reasons: short phrases.
    """

    id: int
    class_name: str
    first: int
    last: int
    at: int
    weight: float
    reasons: tuple[str, ...]


Finding = tuple[int, str, int]
"""Place of a track, what is odd about it, and the frame to look at."""


def find_suspects(annotation: Annotation) -> list[Suspect]:
    """The odd tracks of a video, the oddest first. Memory: a hundred bytes a box."""
    if not len(annotation):
        return []
    view, names = _View(annotation), clean_names(annotation.class_names)
    checks = (
        (3.0, _jumps), (2.5, _goes_on), (2.0, _sizes), (2.0, _scores), (2.0, _classes), (1.0, _filled), (1.0, _pauses),
        (1.0, _short),
    )  # fmt: skip
    found: dict[int, list[tuple[float, str, int]]] = {}
    for weight, check in checks:
        for track, phrase, frame in check(view):
            found.setdefault(track, []).append((weight, phrase, frame))
    suspects = [
        Suspect(
            int(view.ids[track]), names[view.classes[track]], int(view.first[track]),
            int(view.last[track]), reasons[0][2], sum(weight for weight, _, _ in reasons),
            tuple(phrase for _, phrase, _ in reasons),
        )
        for track, reasons in found.items()
    ]  # fmt: skip
    return sorted(suspects, key=lambda one: (-one.weight, one.id))


class _View:
    """The rows of a record by track, and what all checks need of each track (T,)."""

    def __init__(self, annotation: Annotation) -> None:
        """Sort once."""
        order, bounds = annotation.by_track()
        self.annotation, self.times = annotation, annotation.times()
        self.starts: Ids = bounds[:-1]
        self.counts: Ids = np.diff(bounds)
        self.frames = annotation.frames[order]
        self.boxes = annotation.boxes[order]
        self.scores = annotation.scores[order]
        self.seen = ~annotation.interpolated[order]
        self.ids = annotation.ids[order][self.starts]
        settled = track_classes(annotation)[order]
        self.classes = settled[self.starts]
        self.other = settled != annotation.class_ids[order]
        self.first, self.last = self.frames[self.starts], self.frames[bounds[1:] - 1]
        self.track = np.repeat(np.arange(len(self.starts), dtype=np.int32), self.counts)
        self.centres = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        sides = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], np.float32(1))
        self.areas = sides[:, 0] * sides[:, 1]
        size = (annotation.width, annotation.height)
        edge = (self.boxes[:, :2] <= BORDER_PX) | (self.boxes[:, 2:] >= np.subtract(size, BORDER_PX))
        self.at_border: Flags = edge[:, 0] | edge[:, 1]

    def share(self, flags: Flags) -> Floats:
        """(T,) of each track's rows, how many of the flags (N,) are set, 0..1."""
        return np.add.reduceat(flags.astype(np.float64), self.starts) / self.counts

    def next_to(self, rows: int) -> Flags:
        """(N - rows,) whether the row and that `rows` later are of one track, with a box in every frame between."""
        later: Flags = (self.frames[rows:] - self.frames[:-rows] == rows) & (self.track[rows:] == self.track[:-rows])
        return later

    def worst(self, rows: Ids, values: Floats) -> list[tuple[int, int, float]]:
        """Of rows with their values, the largest of each track: track, row, value."""
        order = np.lexsort((rows, -values, self.track[rows]))
        tracks = self.track[rows][order]
        heads = order[np.append(True, tracks[1:] != tracks[:-1])] if len(order) else order
        return [(int(self.track[rows[k]]), int(rows[k]), float(values[k])) for k in heads]


def _jumps(view: _View) -> list[Finding]:
    """Off the line from the frame before to the frame after."""
    if len(view.frames) < 3:
        return []
    middle = np.flatnonzero(view.next_to(2)) + 1
    off = view.centres[middle - 1] - 2 * view.centres[middle] + view.centres[middle + 1]
    share = np.hypot(*off.T) / np.sqrt(view.areas[middle])
    odd = (share > JUMP) & ~view.at_border[middle]
    return [
        (track, f"jumps by {share:.1f} of its size at frame {view.frames[row]}", int(view.frames[row]))
        for track, row, share in view.worst(middle[odd], share[odd])
    ]


def _sizes(view: _View) -> list[Finding]:
    """Larger or smaller all at once; at the border boxes are cut."""
    if len(view.frames) < 2:
        return []
    later = np.flatnonzero(view.next_to(1)) + 1
    ratio = np.abs(np.log(view.areas[later] / view.areas[later - 1]))
    odd = (ratio > np.log(SIZE)) & ~view.at_border[later] & ~view.at_border[later - 1]
    return [
        (track, f"size changes {np.exp(ratio):.1f}x at frame {view.frames[row]}", int(view.frames[row]))
        for track, row, ratio in view.worst(later[odd], ratio[odd])
    ]


def _goes_on(view: _View) -> list[Finding]:
    """Ends inside the picture where, soon after, another of its class begins."""
    starts, ends = view.starts, view.starts + view.counts - 1
    begin_s, end_s = view.times[view.first], view.times[view.last]
    by_begin = np.argsort(begin_s, kind="stable")
    low = np.searchsorted(begin_s[by_begin], end_s, "right")
    high = np.searchsorted(begin_s[by_begin], end_s + GOES_ON_S, "right")
    found = []
    for track in np.flatnonzero((high > low) & ~view.at_border[ends]).tolist():
        others = by_begin[low[track] : high[track]]
        end, begin = ends[track], starts[others]
        step = np.hypot(*(view.centres[begin] - view.centres[end]).T) / np.sqrt(view.areas[end])
        alike = np.abs(np.log(view.areas[begin] / view.areas[end])) < np.log(GOES_ON_SIZE)
        step[~alike | (view.classes[others] != view.classes[track]) | view.at_border[begin]] = np.inf
        best = int(step.argmin())
        if step[best] < GOES_ON:
            where = f"may go on as track {view.ids[others[best]]} at frame {view.first[others[best]]}"
            found.append((track, where, int(view.last[track])))
    return found


def _scores(view: _View) -> list[Finding]:
    """Weak all along."""
    seen = np.add.reduceat(view.seen.astype(np.float64), view.starts)
    mean = np.add.reduceat(np.where(view.seen, view.scores, 0), view.starts) / np.maximum(seen, 1)
    odd = np.flatnonzero((mean < LOW_SCORE) & (seen > 0))
    return [(k, f"mean score {mean[k]:.2f}", int(view.first[k])) for k in odd.tolist()]


def _classes(view: _View) -> list[Finding]:
    """Of several classes."""
    share = view.share(view.other)
    odd = np.flatnonzero(share > OTHER_CLASS).tolist()
    return [(k, f"another class in {share[k]:.0%} of its boxes", int(view.first[k])) for k in odd]


def _filled(view: _View) -> list[Finding]:
    """Hardly seen."""
    share = view.share(~view.seen)
    odd = np.flatnonzero(share > FILLED).tolist()
    return [(k, f"{share[k]:.0%} of its boxes filled in", int(view.first[k])) for k in odd]


def _pauses(view: _View) -> list[Finding]:
    """In pieces."""
    gaps = np.diff(view.frames, prepend=view.frames[:1]) > 1
    gaps[view.starts] = False
    counts = np.add.reduceat(gaps.astype(np.int64), view.starts)
    odd = np.flatnonzero(counts >= PAUSES).tolist()
    return [(k, f"pauses {counts[k]} times", int(view.first[k])) for k in odd]


def _short(view: _View) -> list[Finding]:
    """Seen for a moment."""
    span = view.times[view.last] - view.times[view.first]
    inner = (view.first > 0) & (view.last < view.annotation.frame_count - 1)  # others are cut by the video's ends
    odd = np.flatnonzero((span < SHORT_S) & inner).tolist()
    counts = view.counts.tolist()
    return [(k, f"only {counts[k]} frame{'s' if counts[k] > 1 else ''}", int(view.first[k])) for k in odd]
