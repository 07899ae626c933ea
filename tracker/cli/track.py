"""`tracker track`: tracks from detections that a file holds already."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import click

from tracker.cli.options import setting_options, settings_from, tracker_option
from tracker.errors import OutputError
from tracker.sequences import parse_rate


def rate_of(ctx: click.Context, param: click.Parameter, text: str | None) -> Fraction | None:
    """The exact number of --frame-rate. Raises click.BadParameter."""
    try:
        return None if text is None else parse_rate(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command(
    "track",
    epilog="""\b
Examples:
  tracker track --detections det.txt --frame-rate 30 --mot out.txt
  tracker track --detections MOT17/train --mot results --tracker bytetrack --set tracker.max_lost_s=2""",
)
@click.option(
    "--detections",
    type=click.Path(path_type=Path),
    required=True,
    help="Lines frame,-1,left,top,width,height,score[,class], or a folder of sequences NAME/det/det.txt.",
)
@click.option(
    "--frame-rate",
    callback=rate_of,
    metavar="R",
    help="Frames a second: 30, 0.7, 30000/1001. A folder's sequences go by their seqinfo.ini first.",
)
@click.option("--mot", type=click.Path(path_type=Path), help="Tracks as MOTChallenge text; of a folder, a folder.")
@click.option("--jsonl", type=click.Path(path_type=Path), help="Tracks as JSON lines; of a folder, a folder.")
@click.option("--summary", type=click.Path(path_type=Path), help="Figures of the run as JSON.")
@tracker_option
@click.option("--offline", is_flag=True, help="Use the whole sequence, past and future, for each frame.")
@click.option("--classes", metavar="A,B", help="Keep only these: numbers as in the file, or COCO's names (person: 1).")
@click.option("--score", type=click.FloatRange(0, 1), help="Least score of a detection. [default: 0]")
@setting_options
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(**flags: Any) -> None:
    """Track detections that a file holds already, or a folder of them."""
    from tracker.cli.signals import stop_on_signals
    from tracker.cli.tracking import TrackSession

    if not flags["mot"] and not flags["jsonl"]:
        raise OutputError("nothing to write: give --mot or --jsonl")
    stop = Event()
    with stop_on_signals(stop):
        TrackSession(settings_from(flags, {"detect.score": 0.0}), flags, stop).run()
