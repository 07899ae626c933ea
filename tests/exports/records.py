"""Records to export: small ones with every difficulty, and large ones."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from tracker.exports import Annotation

HOSTILE = ("\"per<son> & 'co'", "traffic  light\n", "машина 車 é", "car", "car", " ", "a,b;c=d: {e}", "</track>\x00]]>")
"""Class names that some format stumbles over."""


def record(rows: list[tuple[float, ...]], **changes: Any) -> Annotation:
    """Of rows frame, id, x1, y1, x2, y2[, score[, class_id[, interpolated]]], in any order."""
    table = np.array([(*row, *(0.9, 0, 0)[len(row) - 6 :]) for row in rows], np.float64).reshape(-1, 9)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    columns = {
        "frames": table[:, 0].astype(np.int32), "ids": table[:, 1].astype(np.int64),
        "boxes": table[:, 2:6].astype(np.float32), "scores": table[:, 6].astype(np.float32),
        "class_ids": table[:, 7].astype(np.int32), "interpolated": table[:, 8].astype(np.bool_),
    }  # fmt: skip
    video: dict[str, Any] = {
        "name": "street.mp4", "width": 640, "height": 360, "frame_count": 40, "frame_rate": Fraction(30000, 1001),
        "times_s": None, "class_names": ("person", "bicycle", "car"), "model": "m 1",
    }  # fmt: skip
    return Annotation(**video | columns | changes)


def street(**changes: Any) -> Annotation:
    """Three tracks of 40 frames: one whole, one with a pause, one of an id that no int32 holds."""
    rows: list[tuple[float, ...]] = [(k, 1, 10 + 3.1 * k, 20.25, 50 + 3.1 * k, 120.5, 0.9, 0) for k in range(40)]
    rows += [(k, 7, 300 - k, 50 + k * k / 9, 360 - k, 110 + k * k / 9, 0.5, 2, k % 5 == 3) for k in range(5, 14)]
    rows += [(k, 7, 290 - k, 80, 350 - k, 140, 0.6, 2) for k in range(20, 33)]
    rows += [(39, 9_000_000_000, 1, 2, 30, 40, 0.31, 1)]
    return record(rows, **changes)


def crowd(frames: int, tracks: int) -> Annotation:
    """`tracks` objects that wander through every one of `frames` frames."""
    k, number = np.repeat(np.arange(frames), tracks), np.tile(np.arange(tracks), frames)
    phase = number * 2.4 + k * 0.01
    corners = np.stack((900 + 800 * np.sin(phase), 500 + 400 * np.cos(phase * 1.3)), 1)
    return Annotation(
        "crowd.mp4", 1920, 1080, frames, Fraction(25), None, ("person", "car"), k.astype(np.int32),
        (number + 1).astype(np.int64), np.hstack((corners, np.add(corners, (40, 90)))).astype(np.float32),
        np.full(len(k), 0.8, np.float32), (number % 2).astype(np.int32), np.zeros(len(k), np.bool_),
    )  # fmt: skip


def sights(annotation: Annotation) -> set[tuple[int, int]]:
    """Frame (from 0) and id of every box."""
    return set(zip(annotation.frames.tolist(), annotation.ids.tolist(), strict=True))
