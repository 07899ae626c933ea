"""JSON lines as `tracker run --jsonl` writes them: one object a frame, boxes as they were tracked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tracker.errors import UsageError
from tracker.exports.annotation import Annotation, Recorder
from tracker.structures import CONFIRMED, Tracks
from tracker.write.records import JsonLinesWriter


@dataclass(frozen=True)
class _Moment:
    """A frame whose picture nobody has."""

    index: int
    time_s: float
    file: str


def write_jsonl(annotation: Annotation, path: Path | str, *, overwrite: bool = False) -> int:
    """Write all frames; returns 0, as no box is left out.

    Raises:
        OutputError, WriteError: the file cannot be made.
    """
    writer = JsonLinesWriter(path, annotation.class_names, overwrite=overwrite)
    try:
        offsets = annotation.offsets().tolist()
        for index, time_s in enumerate(annotation.times().tolist()):
            file = annotation.files[index] if annotation.files else ""
            writer.write(_Moment(index, time_s, file), _tracks(annotation, slice(offsets[index], offsets[index + 1])))
        writer.close()
    except BaseException:
        writer.abort()
        raise
    return 0


def _tracks(annotation: Annotation, rows: slice) -> Tracks:
    """Rows of one frame as the pipeline has them."""
    ids = annotation.ids[rows]
    return Tracks(
        ids, annotation.boxes[rows], annotation.scores[rows], annotation.class_ids[rows].astype(np.int64),
        np.zeros(len(ids), np.float32), np.full(len(ids), CONFIRMED, np.int64),
    )  # fmt: skip


def read_jsonl(path: Path | str, name: str, width: int, height: int, frame_rate: Fraction | None = None) -> Annotation:
    """The record of a video from its lines, which know neither its name nor its size.

    Which boxes were filled in is lost.

    Raises:
        UsageError: a line is not such an object; it is named.
    """
    recorder, names = Recorder(), {}
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            try:
                found = json.loads(line)
                if found["index"] != number:
                    raise ValueError(f"wanted index {number}, got {found['index']}")
                names.update({one["class_id"]: one["class_name"] for one in found["tracks"]})
                recorder.add(float(found["time_s"]), _parsed(found["tracks"]), found.get("file", ""))
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{path}, line {number + 1} is no frame of tracks: {error!r}") from None
    most = max(names, default=-1) + 1
    class_names = tuple(names.get(class_id, f"class_{class_id}") for class_id in range(most))
    return recorder.annotation(name, width, height, frame_rate=frame_rate, class_names=class_names)


def _parsed(tracks: list[dict[str, Any]]) -> Tracks:
    """The objects of one line."""
    count = len(tracks)
    return Tracks(
        np.array([one["id"] for one in tracks], np.int64),
        np.array([one["box"] for one in tracks], np.float32).reshape(count, 4),
        np.array([one["score"] for one in tracks], np.float32),
        np.array([one["class_id"] for one in tracks], np.int64),
        np.zeros(count, np.float32),
        np.full(count, CONFIRMED, np.int64),
    )
