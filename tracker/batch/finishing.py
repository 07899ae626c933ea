"""The end of a job: the tracks of the whole video, in every format that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

from tracker.batch.job import Job
from tracker.batch.pictures import write_pictures
from tracker.batch.spool import Spool
from tracker.batch.tracking import track_spool
from tracker.capture import open_source
from tracker.errors import Interrupted, OutputError, SourceError
from tracker.exports import FORMATS, Annotation, Recorder
from tracker.report import shrunk, summarise, telling_frames


def finish_video(job: Job, spool: Spool, stop: Event) -> dict[str, Any]:
    """Track the whole spool and write the exports, replacing those of before; returns the figures of the video.

    Raises:
        WriteError, OutputError: an export cannot be written; those before it stay.
        Interrupted: `stop` was set while pictures were made.
    """
    annotation = recorded(job, spool)
    left_out = {name: write(annotation, job.plan.output, name, job.video.name) for name in job.plan.formats}
    write_pictures(job, annotation, stop)
    shown = pictures_of(job, spool, telling_frames(annotation), stop)
    summary = summarise(annotation, pictures=shown, reason="; ".join(spool.about().warnings))
    summary = replace(summary, name=job.video.name)  # two videos of different folders may be called the same
    return {
        "frames": annotation.frame_count,
        "left_out": {name: count for name, count in left_out.items() if count},
        "summary": summary.as_dict(),
    }


def pictures_of(job: Job, spool: Spool, numbers: Sequence[int], stop: Event) -> list[tuple[int, bytes]]:
    """Frames of the video for the report; none where it is not there any more. Raises Interrupted."""
    shown = []
    for number in numbers:
        try:
            with open_source(str(job.video.path), stop=stop, mark=spool.mark(number)) as source:
                frame = next((frame for frame in source if frame.index == number), None)
        except SourceError:
            return []
        if frame is not None:
            shown.append((number, shrunk(frame.bgr)))
        elif stop.is_set():
            raise Interrupted("stopped")
    return shown


def recorded(job: Job, spool: Spool) -> Annotation:
    """The tracks of the whole video."""
    about, recorder = spool.about(), Recorder()
    size = about.width, about.height
    for _, time_s, tracks in track_spool(spool, job.plan.settings.tracker, size):
        recorder.add(time_s, tracks)
    rate = Fraction(about.frame_rate) if about.frame_rate else None
    return recorder.annotation(
        job.video.path.name, *size, frame_rate=rate, class_names=about.class_names, model=job.plan.settings.detect.model
    )


def write(annotation: Annotation, output: Path, name: str, stem: str) -> int:
    """One export, `output/NAME/STEM.suffix`; returns how many boxes it has no place for."""
    form, folder = FORMATS[name], output / name
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    return form.write(annotation, folder / f"{stem}{form.suffix}", overwrite=True)
