"""Where frames and tracks go: annotated video, records, exports.

Every writer is a Sink (`write(frame, tracks)`, `close()`, `abort()`), writes `<stem>.partial<ext>` beside its target
and takes the final name in `close()`. Killed at any moment, it leaves a playable video and whole lines.

    Overlay(class_names, *, labels=True, trails=True, panel=True, trail_s=1.0)
        .draw(canvas, tracks, time_s, panel=("48.2 fps", ...), stamp="2024-01-31 23:59:59")
    canvas_of(picture, pixel_format, reuse=None) -> av.VideoFrame       pixel_format_for(width, height) -> str
    VideoSink(path, info, overlay=None, *, panel=lambda: (), options=VideoOptions(), stamps=False, overwrite=False,
              observe=...)
        .frames  .draw_s  .encode_s
    VideoOptions(encoder="libx264", preset="swift", crf=24, threads=1, keyframe_s=2.0, pixel_aspect=1,
                 output_rate=None)
    PictureSink(folder, info, overlay, *, panel=lambda: (), stamps=False, output_rate=None, overwrite=False,
                observe=...)                                            .frames
    Background(sink, size=8)                                            .waited_s
    MotWriter(path, *, overwrite=False)
    JsonLinesWriter(path, class_names, *, overwrite=False)
    StaysWriter(path, class_names, *, began=None, overwrite=False, save_s=10.0)
    JsonLinesDetections(path, class_names, *, overwrite=False)          .write_detections(frame, detections)
    CocoDetections(path, *, category_ids=None, overwrite=False)         .write_detections(frame, detections)
    stamp(began, time_s) -> str                                         "1 d 02:03:04" where began is None
    partial_path(target) -> Path                                        PartialFile(target, overwrite=False)

A name is imported when it is first asked for: records need no video encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.lazy import names_of

if TYPE_CHECKING:
    from tracker.write.background import Background
    from tracker.write.canvas import canvas_of, pixel_format_for
    from tracker.write.draw import Overlay
    from tracker.write.files import PartialFile, check_target, partial_path
    from tracker.write.pictures import PictureSink
    from tracker.write.records import CocoDetections, JsonLinesDetections, JsonLinesWriter, MotWriter
    from tracker.write.stamps import stamp
    from tracker.write.stays import StaysWriter
    from tracker.write.video import VideoOptions, VideoSink

MODULES = {
    "background": ("Background",),
    "canvas": ("canvas_of", "pixel_format_for"),
    "draw": ("Overlay",),
    "files": ("PartialFile", "check_target", "partial_path"),
    "pictures": ("PictureSink",),
    "records": ("CocoDetections", "JsonLinesDetections", "JsonLinesWriter", "MotWriter"),
    "stamps": ("stamp",),
    "stays": ("StaysWriter",),
    "video": ("VideoOptions", "VideoSink"),
}

__all__ = [
    "Background",
    "CocoDetections",
    "JsonLinesDetections",
    "JsonLinesWriter",
    "MotWriter",
    "Overlay",
    "PartialFile",
    "PictureSink",
    "StaysWriter",
    "VideoOptions",
    "VideoSink",
    "canvas_of",
    "check_target",
    "partial_path",
    "pixel_format_for",
    "stamp",
]

__getattr__ = names_of(__name__, MODULES)
