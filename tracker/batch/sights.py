"""What was seen of each frame, and how it is kept: one row a frame, the detections of a row as lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.structures import Detections

Array = NDArray[Any]

DETECTED = ("index", "time_s", "duration_s", "ticks", "boxes", "scores", "class_ids")
"""Columns of what the detector found; the others hold what the pictures told besides."""


@dataclass(frozen=True)
class Sight:
    """What was seen of one frame.

    Attributes:
        index, time_s, duration_s: of the frame.
        found: its detections; None where the stride passed the frame over.
        motion: (2, 3) float64 from the frame before to this one, or None, see `tracker.track.motion`.
        looks: (N, D) int8, what the detections look like, or None; see `packed` and `unpacked`.
        ticks: PTS of the picture, None where it has none.
    """

    index: int
    time_s: float
    duration_s: float
    found: Detections | None
    motion: Array | None = None
    looks: Array | None = field(default=None, repr=False)
    ticks: int | None = None


def packed(vectors: Array | None) -> Array | None:
    """Vectors (N, D) as int8, each by its own largest number."""
    if vectors is None:
        return None
    largest = np.maximum(np.abs(vectors).max(1, keepdims=True, initial=0), 1e-9)
    small: Array = np.rint(vectors * (127 / largest)).astype(np.int8)
    return small


def unpacked(looks: Array | None) -> Array | None:
    """Vectors (N, D) float32 of length 1, or of zeros."""
    if looks is None:
        return None
    vectors = looks.astype(np.float32)
    scaled: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6))
    return scaled


def schema() -> Any:
    """Columns; the lists of a row have as many items as it has detections, boxes four times as many."""
    import pyarrow as pa

    return pa.schema(
        [
            ("index", pa.int64()),
            ("time_s", pa.float64()),
            ("duration_s", pa.float64()),
            ("ticks", pa.int64()),
            ("boxes", pa.list_(pa.float32())),
            ("scores", pa.list_(pa.float32())),
            ("class_ids", pa.list_(pa.int32())),
            ("motion", pa.list_(pa.float64())),
            ("looks", pa.binary()),
        ]
    )


def table_of(sights: Sequence[Sight]) -> Any:
    """Rows of a segment. A frame that was passed over has null detections."""
    import pyarrow as pa

    found = [sight.found for sight in sights]
    columns = {
        "index": [sight.index for sight in sights],
        "time_s": [sight.time_s for sight in sights],
        "duration_s": [sight.duration_s for sight in sights],
        "ticks": [sight.ticks for sight in sights],
        "boxes": [None if one is None else one.boxes.ravel() for one in found],
        "scores": [None if one is None else one.scores for one in found],
        "class_ids": [None if one is None else one.class_ids.astype(np.int32) for one in found],
        "motion": [None if sight.motion is None else sight.motion.ravel() for sight in sights],
        "looks": [None if sight.looks is None else sight.looks.tobytes() for sight in sights],
    }
    return pa.table(columns, schema())


def sights_of(table: Any) -> Iterator[Sight]:
    """The rows of a table, of all columns or of `DETECTED`."""
    index, time_s, duration_s = (table[name].to_numpy().tolist() for name in ("index", "time_s", "duration_s"))
    boxes, scores, class_ids = (lists(table[name]) for name in ("boxes", "scores", "class_ids"))
    ticks: list[Any] = table["ticks"].to_pylist()
    motion: list[Any] = [None] * len(index)
    looks = motion
    if "looks" in table.column_names:
        motion, looks = lists(table["motion"]), table["looks"].to_pylist()
    for k in range(len(index)):
        found = None
        if (box := boxes[k]) is not None:
            found = Detections(box.reshape(-1, 4), scores[k], class_ids[k].astype(np.int64))
        moved = None if motion[k] is None else motion[k].reshape(2, 3)
        seen = looks[k]
        look = None if seen is None or found is None else np.frombuffer(seen, np.int8).reshape(len(found), -1)
        yield Sight(index[k], time_s[k], duration_s[k], found, moved, look, ticks[k])


def lists(column: Any) -> list[Any]:
    """A list column as arrays, None where it is null."""
    lists = column.combine_chunks()
    values, offsets = lists.values.to_numpy(zero_copy_only=False), lists.offsets.to_numpy().tolist()
    there = lists.is_valid().to_numpy(zero_copy_only=False).tolist()
    return [values[offsets[k] : offsets[k + 1]] if there[k] else None for k in range(len(there))]
