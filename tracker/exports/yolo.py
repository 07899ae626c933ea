"""YOLO's text files, as `save_txt` of ultralytics names them: `labels/<stem>_<frame>.txt`, frame from 1.

A line is `class cx cy width height`, parts of the frame's size. Those of `tracks/` have the track's id as sixth column;
training takes five.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePath

from tracker.exports.annotation import Annotation, Row
from tracker.exports.prepare import prepared, safe_stem
from tracker.exports.sink import Folder

FINEST = 2e-6  # of a side; sides are written in millionths


def write_yolo(annotation: Annotation, path: Path | str, *, tracks: bool = True, overwrite: bool = False) -> int:
    """Write a folder: data.yaml, labels/ and, with `tracks`, tracks/; returns the boxes left out (`prepared`).

    A frame without boxes has no file, which trainers take for background. Pictures are none of it: data.yaml tells
    how to make them.

    Raises:
        OutputError, WriteError: the folder cannot be made.
    """
    record, left_out = prepared(annotation)
    with Folder(path, overwrite=overwrite) as folder:
        for frame, rows in groupby(record.rows(), lambda row: row[0]):
            name = _stem(record, frame)
            lines = list(_lines(record, rows))
            folder.write(f"labels/{name}.txt", "".join(f"{line}\n" for line, _ in lines))
            if tracks:
                folder.write(f"tracks/{name}.txt", "".join(f"{line} {number}\n" for line, number in lines))
        folder.write("data.yaml", _data(record))
    return left_out


def _lines(record: Annotation, rows: Iterator[Row]) -> Iterator[tuple[str, int]]:
    """The line of each box, and its id."""
    for _, number, left, top, right, bottom, _, class_id, _ in rows:
        x, y = (left + right) / 2 / record.width, (top + bottom) / 2 / record.height
        wide = max((right - left) / record.width, FINEST)
        high = max((bottom - top) / record.height, FINEST)
        yield f"{class_id} {x:.6f} {y:.6f} {wide:.6f} {high:.6f}", number


def _stem(record: Annotation, frame: int) -> str:
    """Name of a frame's file, without suffix."""
    if record.files:
        return safe_stem(PurePath(record.files[frame]).name)
    return f"{safe_stem(record.name)}_{frame + 1}"


def _data(record: Annotation) -> str:
    """The dataset of this video alone. JSON strings are YAML too."""
    names = "".join(f"  {class_id}: {json.dumps(name)}\n" for class_id, name in enumerate(record.class_names))
    pattern = shlex.quote(f"images/{safe_stem(record.name).replace('%', '%%')}_%d.jpg")
    how = (
        "# The pictures of the video, made in this folder: mkdir images; "
        f"ffmpeg -i VIDEO -fps_mode passthrough -q:v 2 {pattern}\n"
        if not record.files
        else "# The pictures belong into images/, under their own names.\n"
    )
    return f"{how}train: images\nval: images\nnames:{' {}' if not names else ''}\n{names}"
