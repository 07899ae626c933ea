"""What sparse tracks look like picture by picture."""

from __future__ import annotations

import numpy as np

from tracker.boxes import cxcywh_to_xyxy
from tracker.track.associate import overlaps
from tracker.track.tracklets import SHORTEST_S, Array, Mask, Path

FILL = 0.75  # least overlap of two sights for what lies between them to be known
TAKEN = 0.3  # from this overlap with another sight on, its place is taken


def filled(path: Path, times: Array, longest: int) -> tuple[Path, Array, Mask]:
    """The path with the pictures that missed what stands, at most `longest` in a row.

    What stood in one place before and after was there, unless something else of its class was. Returns besides, for
    each row, the seconds since the last sight and whether it is one.
    """
    count = len(path.ids)
    if not count:
        return path, np.zeros(0), np.zeros(0, np.bool_)
    after = np.minimum(np.arange(count) + 1, count - 1)
    missing = path.frames[after] - path.frames - 1
    good = (path.ids == path.ids[after]) & (missing <= longest) & (_overlap(path.boxes, path.boxes[after]) >= FILL)
    missing = np.where(good, np.maximum(missing, 0), 0)
    source = np.repeat(np.arange(count), missing + 1)
    step = np.arange(len(source)) - np.repeat(np.cumsum(missing + 1) - missing - 1, missing + 1)
    frames = path.frames[source] + step
    since = np.where(step > 0, times[frames] - path.times[source], 0.0)
    u = (since / np.maximum(path.times[after] - path.times, SHORTEST_S)[source])[:, None]
    boxes = (1 - u) * path.boxes[source] + u * path.boxes[after[source]]
    full, seen = path[source], step == 0
    full = Path(full.ids, frames, times[frames], boxes, full.scores, full.raw, full.class_ids)
    free = ~_taken(full, seen)
    return full[free], since[free], seen[free]


def _taken(full: Path, seen: Mask) -> Mask:
    """Rows (N,) that are no sight, and lie where something else of their class was seen in their picture."""
    taken = np.zeros(len(seen), np.bool_)
    order, corners = np.argsort(full.frames, kind="stable"), cxcywh_to_xyxy(full.boxes)
    edges = np.append(0, np.flatnonzero(np.diff(full.frames[order])) + 1)
    for rows in np.split(order, edges[1:]):
        mine, theirs = rows[~seen[rows]], rows[seen[rows]]
        if len(mine):
            pairs = overlaps(corners[mine], full.class_ids[mine], corners[theirs], full.class_ids[theirs])
            taken[mine[pairs.rows[pairs.gain >= TAKEN]]] = True
    return taken


def _overlap(a: Array, b: Array) -> Array:
    """IoU (N,) of boxes (N, 4) and (N, 4) cx, cy, w, h, row by row."""
    sides = np.minimum(a[:, 2:], b[:, 2:])
    sides = np.clip((a[:, 2:] + b[:, 2:]) / 2 - np.abs(a[:, :2] - b[:, :2]), 0, sides)
    shared = sides.prod(1)
    result: Array = shared / np.maximum(a[:, 2:].prod(1) + b[:, 2:].prod(1) - shared, 1e-12)
    return result
