"""What annotation tools want of a record: boxes inside the frame, one class a track, names that any format holds."""

from __future__ import annotations

import dataclasses
import re
from pathlib import PurePath

import numpy as np

from tracker.exports.annotation import ROWS_AT_ONCE, Annotation, Integers, rounded
from tracker.structures import Boxes

UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]+")  # XML and lines of text hold none
UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')  # of a file name, on any system
LONGEST_STEM = 180  # bytes; file names may have 255


def prepared(annotation: Annotation) -> tuple[Annotation, int]:
    """The record as tools import it, and how many boxes were left out as they have no area inside the frame.

    Boxes are clipped to the frame and rounded to hundredths of a pixel; a track has the class that most of its boxes
    have; class names are printable, on one line, none twice.
    """
    boxes = _clipped(annotation)
    good = (boxes[:, 2:] > boxes[:, :2]).all(1)
    rows = slice(None) if good.all() else good  # a slice copies nothing
    record = dataclasses.replace(
        annotation,
        name=clean(annotation.name) or "video",
        class_names=tuple(clean_names(annotation.class_names)),
        files=tuple(clean(file) for file in annotation.files),
        model=clean(annotation.model),
        frames=annotation.frames[rows],
        ids=annotation.ids[rows],
        boxes=boxes[rows],
        scores=annotation.scores[rows],
        class_ids=track_classes(annotation)[rows],
        interpolated=annotation.interpolated[rows],
    )
    return record, int((~good).sum())


def _clipped(annotation: Annotation) -> Boxes:
    """The boxes inside the frame, rounded piece by piece: in whole, float64 would take twice their memory."""
    boxes = np.clip(annotation.boxes, 0, np.array([annotation.width, annotation.height] * 2, np.float32))
    for start in range(0, len(boxes), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        boxes[part] = rounded(boxes[part])
    return boxes


def track_classes(annotation: Annotation) -> Integers:
    """(N,) int32, of each row the class that most boxes of its track have; of two the lower."""
    order, bounds = annotation.by_track()
    most = np.zeros(len(bounds) - 1, np.int64)
    best = np.zeros(len(bounds) - 1, np.int32)
    sorted_ids = annotation.class_ids[order]
    for class_id in np.unique(annotation.class_ids).tolist():
        count = np.add.reduceat(sorted_ids == class_id, bounds[:-1], dtype=np.int64)
        best[count > most] = class_id
        most = np.maximum(most, count)
    result = np.empty(len(order), np.int32)
    result[order] = np.repeat(best, np.diff(bounds))
    return result


def clean(text: str) -> str:
    """Text on one line, without what XML, text files or terminals would stumble over."""
    return UNPRINTABLE.sub(" ", text.encode("utf-8", "replace").decode("utf-8")).strip()


def clean_names(names: tuple[str, ...]) -> list[str]:
    """Class names as `clean` leaves them; an empty one is `class_<id>`, a repeated one gets a number."""
    used: set[str] = set()
    result = []
    for class_id, name in enumerate(names):
        base = unique = clean(name) or f"class_{class_id}"
        number = 2
        while unique in used:
            unique, number = f"{base} ({number})", number + 1
        used.add(unique)
        result.append(unique)
    return result


def safe_stem(name: str) -> str:
    """The stem of a video's name as part of a file name on any system."""
    stem = UNSAFE.sub("_", clean(PurePath(name).stem)).strip(". ")
    return stem.encode("utf-8")[:LONGEST_STEM].decode("utf-8", "ignore") or "video"
