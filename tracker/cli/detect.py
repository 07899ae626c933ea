"""`tracker detect`: grab and detect alone, for measuring a detector and for tracking later."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import click

from tracker.cli.options import detector_options, setting_options, settings_from
from tracker.errors import Interrupted, OutputError


@click.command(
    "detect",
    epilog="""\b
Examples:
  tracker detect --source video.mp4 --jsonl detections.jsonl
  tracker detect --source val2017/ --model yolox_nano.onnx --coco results.json""",
)
@click.option(
    "--source",
    required=True,
    help="Video file, folder or glob of pictures, - (standard input), webcam number, rtsp:// or http(s)://",
)
@click.option("--jsonl", type=click.Path(path_type=Path), help="Detections as JSON lines, one object a frame.")
@click.option("--coco", type=click.Path(path_type=Path), help="Detections as a COCO results file.")
@detector_options
@click.option("--duration", type=click.FloatRange(0, min_open=True), help="End after this many seconds of the stream.")
@setting_options
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(**flags: Any) -> None:
    """Detections only, without identity."""
    from tracker.cli.signals import stop_on_signals

    names = {"detect.model": "model", "detect.runtime": "runtime", "detect.device": "device", "detect.precision": "precision",
             "detect.score": "score", "detect.iou": "iou", "detect.classes": "classes"}  # fmt: skip
    flags["score"] = 0.01 if flags["score"] is None else flags["score"]
    if not flags["jsonl"] and not flags["coco"]:
        raise OutputError("nothing to write: give --jsonl or --coco")
    stop = Event()
    with stop_on_signals(stop):
        _detect(settings_from(flags, names).detect, flags, stop)
    if stop.is_set():
        raise Interrupted("interrupted; what was detected is written")


def _detect(settings: Any, flags: dict[str, Any], stop: Event) -> None:
    """Run the source through the detector and write, in order."""
    from tracker.capture import open_source
    from tracker.cli.progress import Progress
    from tracker.cli.session import say
    from tracker.detect import open_detector, plan
    from tracker.structures import Detections, Frame
    from tracker.write.outputs import OutputPaths, check_paths
    from tracker.write.records import CocoDetections, JsonLinesDetections

    check_paths(
        OutputPaths(jsonl=flags["jsonl"], mot=flags["coco"]), overwrite=flags["overwrite"], source=flags["source"]
    )
    with ExitStack() as stack:
        source = stack.enter_context(open_source(flags["source"], duration_s=flags["duration"], stop=stop))
        size = None if source.varied else (source.info.width, source.info.height)
        detector, notices = open_detector(settings, size, live=source.info.live, require=flags["require"])
        stack.callback(detector.close)
        for notice in notices:
            say(f"notice: {notice}")
        writers: list[Any] = []
        if flags["jsonl"]:
            writers.append(JsonLinesDetections(flags["jsonl"], detector.class_names, overwrite=flags["overwrite"]))
        if flags["coco"]:
            writers.append(CocoDetections(flags["coco"], overwrite=flags["overwrite"]))
        workers = plan(settings, source.info.live).workers
        pool = stack.enter_context(ThreadPoolExecutor(workers, "detect"))
        progress = Progress(source.info.frame_count)
        window: deque[tuple[Frame, Future[list[Detections]]]] = deque()
        done = found = 0

        def finish() -> None:
            nonlocal done, found
            frame, pending = window.popleft()
            detections = pending.result()[0]
            for writer in writers:
                writer.write_detections(frame, detections)
            done, found = done + 1, found + len(detections)
            progress.update(done, 0.0, len(detections))

        try:
            for frame in source:
                window.append((frame, pool.submit(detector.detect, [frame])))
                if len(window) > workers:
                    finish()
                if stop.is_set():
                    break
            while window:
                finish()
        except BaseException:
            for writer in writers:
                writer.abort()
            raise
        finally:
            progress.close()
        for writer in writers:
            writer.close()
        for warning in source.warnings:
            say(f"warning: {warning}")
        engine = detector.engine
        say(
            f"done: {done} frames, {found} detections; {detector.identity.name} on {engine.runtime}, {engine.precision}, {engine.device}"
        )
