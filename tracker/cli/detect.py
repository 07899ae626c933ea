"""`tracker detect`: grab and detect alone, for measuring a detector and for tracking later."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import click

from tracker.cli.options import SECONDS, detector_options, setting_options, settings_from
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
@click.option("--duration", type=SECONDS, help="End after this many seconds of the stream.")
@setting_options
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(**flags: Any) -> None:
    """Detections only, without identity."""
    from tracker.cli.detection import DetectSession
    from tracker.cli.signals import stop_on_signals

    if not flags["jsonl"] and not flags["coco"]:
        raise OutputError("nothing to write: give --jsonl or --coco")
    stop = Event()
    with stop_on_signals(stop):
        DetectSession(settings_from(flags, {"detect.score": 0.01}).detect, flags, stop).run()
    if stop.is_set():
        raise Interrupted("interrupted; what was detected is written")
