"""CVAT for video 1.1: one XML file, a `track` with a `box` for every frame. Frames from 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tracker.exports import keyframes
from tracker.exports.annotation import Annotation, Flags
from tracker.exports.keyframes import paths
from tracker.exports.prepare import prepared
from tracker.exports.sink import Sink

TOLERANCE_PX = 0.5


def write_cvat(
    annotation: Annotation, path: Path | str, *, tolerance_px: float = TOLERANCE_PX, overwrite: bool = False
) -> int:
    """Write every box, as CVAT itself does; returns the boxes left out (`prepared`).

    Those that straight lines between others give back within `tolerance_px` are no keyframes: CVAT draws them itself,
    so that a correction reaches further than one frame. With 0, every box is a keyframe.
    Where a track pauses or ends before the video does, a last box says `outside`. Boxes that were filled in over a gap
    longer than the commonest step from one detection to the next (the stride) are `occluded`.

    Raises:
        OutputError, WriteError: the file cannot be made.
    """
    from xml.sax.saxutils import quoteattr  # it comes with half of the standard library's network code

    record, left_out = prepared(annotation)
    step = _step(record)
    with Sink(path, overwrite=overwrite) as sink:
        sink.text(_head(record))
        for track in paths(record):
            label = quoteattr(record.class_names[track.class_id])
            sink.text(f'  <track id="{track.id}" label={label} source="auto">\n')
            hidden = _hidden(track, step)
            changes = np.diff(hidden, prepend=hidden[:1])  # CVAT takes flags of keyframes alone
            keys = keyframes.keyframes(track, tolerance_px, also=changes)
            _boxes(sink, track, keys, hidden, record.frame_count)
            sink.text("  </track>\n")
        sink.text("</annotations>\n")
    return left_out


def _step(record: Annotation) -> int:
    """The commonest number of frames from one detection of a track to its next."""
    order, _ = record.by_track()
    seen = order[~record.interpolated[order]]
    steps = np.diff(record.frames[seen])[np.diff(record.ids[seen]) == 0]
    return int(np.bincount(steps).argmax()) if len(steps) else 1


def _hidden(track: keyframes.Path, step: int) -> Flags:
    """(K,) bool: boxes between two detections more than `step` frames apart, before the first or after the last."""
    frames, far = track.frames.astype(np.int64), np.int64(1) << 40
    before = np.maximum.accumulate(np.where(track.interpolated, -far, frames))
    after = np.minimum.accumulate(np.where(track.interpolated, far, frames)[::-1])[::-1]
    hidden: Flags = track.interpolated & (after - before > step)
    return hidden


def _boxes(sink: Sink, track: keyframes.Path, keys: Flags, hidden: Flags, frame_count: int) -> None:
    """The boxes of one track."""
    columns = (track.frames, *track.boxes.T, keys, hidden, track.ends)
    for frame, left, top, right, bottom, key, filled, end in zip(*(part.tolist() for part in columns), strict=True):
        edges = f'xtl="{left:.2f}" ytl="{top:.2f}" xbr="{right:.2f}" ybr="{bottom:.2f}" z_order="0"/>\n'
        occluded = int(filled)
        sink.text(f'    <box frame="{frame}" keyframe="{int(key)}" outside="0" occluded="{occluded}" {edges}')
        if end and frame + 1 < frame_count:
            sink.text(f'    <box frame="{frame + 1}" keyframe="1" outside="1" occluded="{occluded}" {edges}')


def _head(record: Annotation) -> str:
    """All before the tracks."""
    from xml.sax.saxutils import escape

    labels = "".join(
        f"        <label>\n          <name>{escape(name)}</name>\n          <attributes></attributes>\n"
        "        </label>\n"
        for name in record.class_names
    )
    name = escape(record.name)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <id>1</id>\n      <name>{name}</name>\n      <size>{record.frame_count}</size>\n"
        "      <mode>interpolation</mode>\n      <overlap>0</overlap>\n      <start_frame>0</start_frame>\n"
        f"      <stop_frame>{max(record.frame_count - 1, 0)}</stop_frame>\n      <frame_filter></frame_filter>\n"
        f"      <labels>\n{labels}      </labels>\n"
        f"      <original_size>\n        <width>{record.width}</width>\n        <height>{record.height}</height>\n"
        f"      </original_size>\n      <source>{name}</source>\n    </task>\n  </meta>\n"
    )
