"""Label Studio: a task with one prediction, a VideoRectangle a track. Frames from 1, coordinates in per cent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from tracker.exports import keyframes
from tracker.exports.annotation import Annotation, Integers
from tracker.exports.cvat import TOLERANCE_PX
from tracker.exports.keyframes import paths
from tracker.exports.prepare import clean_names, prepared
from tracker.exports.sink import Sink
from tracker.write.palette import VIVID, colour_numbers

LOCAL_FILES = "/data/local-files/?d=videos/"  # the folder "videos" of its document root
BOX, LABELS, VIDEO = "box", "labels", "video"  # names of the tags in `labelling_config`

FASTEST, MOST_PLACES = 240.0, 1e9  # frames a second of a timeline, and frames of it


def write_labelstudio(
    annotation: Annotation, path: Path | str, *, url: str = "", tolerance_px: float = TOLERANCE_PX,
    overwrite: bool = False,
) -> int:  # fmt: skip
    """Write a list of one task; returns the boxes left out (`prepared`).

    Args:
        annotation: the record.
        path: final name.
        url: where Label Studio finds the video; in `videos/` of its local files where it is not said.
        tolerance_px: keyframes are as many as straight lines need to give every edge back so closely; 0 keeps all.
        overwrite: replace what exists.

    A region's id is `track_<id>`, and a keyframe that is not `enabled` ends a span. Label Studio knows one frame rate
    a video, and finds a frame by its time: where frames come at their own times, its timeline has the rate of the two
    nearest ones, and `frame` is the place there (`_timeline`).

    Raises:
        OutputError, WriteError: the file cannot be made.
    """
    record, left_out = prepared(annotation)
    rate, places = _timeline(record)
    data = {VIDEO: url or LOCAL_FILES + quote(annotation.name.encode("utf-8", "surrogateescape")), "fps": rate}
    score = round(float(record.scores.mean()), 4) if len(record) else 0.0
    with Sink(path, overwrite=overwrite) as sink:
        sink.text(f'[{{"data": {json.dumps(data)},\n"predictions": [{{"model_version": ')
        sink.text(f'{json.dumps(record.model or "tracker")}, "score": {score}, "result": [')
        glue = "\n"
        for track in paths(record):
            sink.text(glue + json.dumps(_region(record, track, tolerance_px, rate, places)))
            glue = ",\n"
        sink.text("\n]}]}]\n")
    return left_out


def _timeline(record: Annotation) -> tuple[float, Integers]:
    """Its frames a second, and (F,) int32 the place of each frame there, from 1: the first where that frame is seen.

    One in a hundred frames may be nearer to the one before; such two share a place.
    """
    if record.times_s is None or record.frame_count < 2 or not np.ptp(record.times_s):
        return round(float(record.rate), 6), np.arange(1, record.frame_count + 1, dtype=np.int32)
    steps = np.diff(record.times_s)
    nearest_s, length_s = float(np.quantile(steps[steps > 0], 0.01)), float(np.ptp(record.times_s))
    rate = round(min(1 / nearest_s, FASTEST, MOST_PLACES / length_s), 6)
    return rate, (np.ceil((record.times_s - record.times_s[0]) * rate - 0.01) + 1).astype(np.int32)


def _region(
    record: Annotation, track: keyframes.Path, tolerance_px: float, rate: float, places: Integers
) -> dict[str, Any]:
    """One track."""
    keys = np.flatnonzero(keyframes.keyframes(track, tolerance_px))
    there = places[track.frames[keys]]
    keys, there = keys[np.append(np.diff(there) > 0, True)], np.unique(there)
    share = np.round(track.boxes[keys] / ([record.width, record.height] * 2) * 100, 4)
    corners, sides = share[:, :2], np.round(share[:, 2:] - share[:, :2], 4)
    columns = (there, *corners.T, *sides.T, track.ends[keys])
    sequence = [
        {
            "frame": frame, "time": round(frame / rate, 6), "enabled": not end, "rotation": 0,
            "x": x, "y": y, "width": width, "height": height,
        }
        for frame, x, y, width, height, end in zip(*(column.tolist() for column in columns), strict=True)
    ]  # fmt: skip
    value = {
        "framesCount": int(places[-1]), "duration": round(int(places[-1]) / rate, 6), "sequence": sequence,
        "labels": [record.class_names[track.class_id]],
    }  # fmt: skip
    return {
        "id": f"track_{track.id}", "type": "videorectangle", "from_name": BOX, "to_name": VIDEO, "origin": "prediction",
        "score": round(float(track.scores.mean()), 4), "value": value,
    }  # fmt: skip


def labelling_config(class_names: tuple[str, ...]) -> str:
    """The labelling interface that fits the tasks; the frame rate comes with each task."""
    from xml.sax.saxutils import quoteattr  # see `write_cvat`

    colours = VIVID[colour_numbers(np.arange(1, len(class_names) + 1))].tolist()
    labels = "".join(
        f'    <Label value={quoteattr(name)} background="#{red:02x}{green:02x}{blue:02x}"/>\n'
        for name, (red, green, blue) in zip(clean_names(class_names), colours, strict=True)
    )
    return (
        f'<View>\n  <Labels name="{LABELS}" toName="{VIDEO}" allowEmpty="true">\n{labels}  </Labels>\n'
        f'  <Video name="{VIDEO}" value="${VIDEO}" framerate="$fps"/>\n'
        f'  <VideoRectangle name="{BOX}" toName="{VIDEO}"/>\n</View>\n'
    )
