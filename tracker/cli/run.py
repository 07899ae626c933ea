"""`tracker run`: one video, stream or folder of pictures, end to end."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import click

from tracker.cli.options import RATE, SECONDS, detector_options, setting_options, tracker_option
from tracker.errors import ConfigError


@click.command(
    "run",
    epilog="""\b
Examples:
  tracker run --source video.mp4
  tracker run --source rtsp://10.0.0.5/stream1 --duration 60 --output gate.mp4 --jsonl gate.jsonl
  tracker run --source frames/ --classes person --set tracker.max_lost_s=2 --no-video --mot out.txt
  tracker run --source trail-camera/ --mode timelapse --pictures annotated/ --stays stays.csv""",
)
@click.option(
    "--source",
    required=True,
    help="Video file, folder or glob of pictures, - (standard input), webcam number, rtsp:// or http(s)://",
)
@click.option("--output", type=click.Path(path_type=Path), help="Annotated video. [default: NAME.tracked.mp4 here]")
@click.option("--mot", type=click.Path(path_type=Path), help="Tracks as MOTChallenge text.")
@click.option("--jsonl", type=click.Path(path_type=Path), help="Tracks as JSON lines, one object a frame.")
@click.option(
    "--stays",
    type=click.Path(path_type=Path),
    help="Arrivals, departures and stays, a row a track, as .csv or .json. [default: NAME.stays.csv with time-lapse]",
)
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder of annotated pictures.")
@click.option("--summary", type=click.Path(path_type=Path), help="Figures of the run as JSON.")
@detector_options
@click.option("--warm-start", is_flag=True, help="While the model is compiled, run on the next runtime of the ladder.")
@tracker_option
@click.option("--offline", is_flag=True, help="Use the whole video, past and future, for each frame; reads it twice.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "video", "timelapse"]),
    default="auto",
    show_default=True,
    help="timelapse: pictures seconds to hours apart, see the README; auto: looks at the source.",
)
@click.option("--interval", type=SECONDS, help="Seconds between pictures as the world went, where a file tells others.")
@click.option("--output-rate", type=RATE, help="Pictures a second of the annotated video. [time-lapse: 5]")
@click.option("--stride", type=click.IntRange(1), default=1, show_default=True, help="Detect on every N-th frame.")
@click.option("--duration", type=SECONDS, help="End after this many seconds of the stream.")
@click.option(
    "--give-up-s",
    type=SECONDS,
    default=30.0,
    show_default=True,
    help="A live source may be away this long.",
)
@setting_options
@click.option("--resume", is_flag=True, help="Go on with the detections of a run in two passes that was ended early.")
@click.option("--no-video", is_flag=True, help="Write no annotated video.")
@click.option("--show", is_flag=True, help="Show the annotated video in a window (extra 'show').")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(**flags: Any) -> None:
    """Track the objects of one video, stream or folder of pictures."""
    from tracker.cli.mode import plain_settings
    from tracker.cli.session import Session
    from tracker.cli.signals import stop_on_signals
    from tracker.cli.summary import Outcome

    settings = plain_settings(flags)
    if flags["no_video"] and flags["output"]:
        raise ConfigError("--no-video and --output contradict each other; leave one out")
    if flags["warm_start"] and flags["require"]:
        raise ConfigError("--warm-start begins on another runtime than --require names; leave one out")
    stop = Event()
    with stop_on_signals(stop):
        session = Session(settings, flags, stop)
        outcome = session.run()
    if outcome is not Outcome.DONE:
        raise SystemExit(outcome.exit_code)
