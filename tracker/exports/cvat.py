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
    Where a track pauses or ends before the video does, a last box says `outside`. Filled-in boxes are `occluded`.

    Raises:
        OutputError, WriteError: the file cannot be made.
    """
    from xml.sax.saxutils import quoteattr  # it comes with half of the standard library's network code

    record, left_out = prepared(annotation)
    with Sink(path, overwrite=overwrite) as sink:
        sink.text(_head(record))
        for track in paths(record):
            label = quoteattr(record.class_names[track.class_id])
            sink.text(f'  <track id="{track.id}" label={label} source="auto">\n')
            changes = np.diff(track.interpolated, prepend=track.interpolated[:1])  # CVAT takes flags of keyframes alone
            keys = keyframes.keyframes(track, tolerance_px, also=changes)
            _boxes(sink, track, keys, record.frame_count)
            sink.text("  </track>\n")
        sink.text("</annotations>\n")
    return left_out


def _boxes(sink: Sink, track: keyframes.Path, keys: Flags, frame_count: int) -> None:
    """The boxes of one track."""
    columns = (track.frames, *track.boxes.T, keys, track.interpolated, track.ends)
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
