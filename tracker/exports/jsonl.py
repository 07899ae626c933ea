"""JSON lines as `tracker run --jsonl` writes them: one object a frame, boxes as they were tracked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tracker.errors import UsageError
from tracker.exports.annotation import ROWS_AT_ONCE, Annotation, Recorder
from tracker.exports.sink import Sink
from tracker.structures import CONFIRMED, Tracks


def write_jsonl(annotation: Annotation, path: Path | str, *, overwrite: bool = False) -> int:
    """Write all frames; returns 0, as no box is left out.

    Raises:
        OutputError, WriteError: the file cannot be made.
    """
    offsets, objects = annotation.offsets().tolist(), _objects(annotation)
    with Sink(path, overwrite=overwrite) as sink:
        for index, time_s in enumerate(annotation.times().tolist()):
            file = f', "file": {_quoted(annotation.files[index])}' if annotation.files else ""
            tracks = ", ".join(islice(objects, offsets[index + 1] - offsets[index]))
            sink.text(f'{{"index": {index}, "time_s": {round(time_s, 6)}{file}, "tracks": [{tracks}]}}\n')
    return 0


def _objects(annotation: Annotation) -> Iterator[str]:
    """The text of every box, rounded as the pipeline's writer does: of float32, NumPy's rounding is exact too."""
    names = [_quoted(name) for name in annotation.class_names]
    for start in range(0, len(annotation), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        scores = np.round(annotation.scores[part].astype(np.float64), 4).tolist()
        boxes = np.round(annotation.boxes[part].astype(np.float64), 2).tolist()
        rows = zip(annotation.ids[part].tolist(), annotation.class_ids[part].tolist(), scores, boxes, strict=True)
        for number, class_id, score, box in rows:
            yield (
                f'{{"id": {number}, "class_name": {names[class_id]}, "class_id": {class_id}, "score": {score}, '
                f'"box": {box}}}'
            )


def _quoted(text: str) -> str:
    """As JSON, also of a file name that is no text."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")


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
