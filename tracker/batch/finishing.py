"""The end of a job: the tracks of the whole video, in every format that is wanted."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

from tracker.batch.job import Job
from tracker.batch.remote import name_of
from tracker.batch.samples import samples_of
from tracker.batch.spool import Moments, Spool
from tracker.batch.tracking import track_spool
from tracker.errors import OutputError
from tracker.exports import FORMATS, Annotation, Recorder
from tracker.report import summarise, telling_frames


def finish_video(job: Job, spool: Spool, stop: Event) -> dict[str, Any]:
    """Track the whole spool and write the exports, replacing those of before; returns the figures of the video.

    The report's pictures are of frames with many detections: the same ones whatever the tracker.

    Raises:
        WriteError, OutputError: an export cannot be written; those before it stay.
        Interrupted: `stop` was set while pictures were made.
    """
    moments = spool.moments()
    annotation = recorded(job, spool, moments)
    left_out = {name: write(annotation, job.plan.output, name, job.video.name) for name in job.plan.formats}
    if job.plan.video or job.plan.crops:
        from tracker.batch.pictures import write_pictures  # it comes with the encoder

        write_pictures(job, annotation, stop)
    shown = samples_of(job, spool, telling_frames(moments.found), stop)
    summary = summarise(annotation, pictures=shown, reason="; ".join(spool.about().warnings))
    summary = replace(summary, name=job.video.name)  # two videos of different folders may be called the same
    return {
        "frames": annotation.frame_count,
        "left_out": {name: count for name, count in left_out.items() if count},
        "summary": summary.as_dict(),
    }


def recorded(job: Job, spool: Spool, moments: Moments) -> Annotation:
    """The tracks of the whole video."""
    about, recorder = spool.about(), Recorder()
    size = about.width, about.height
    for _, time_s, tracks in track_spool(spool, job.plan.settings.tracker, size, moments):
        recorder.add(time_s, tracks)
    rate = Fraction(about.frame_rate) if about.frame_rate else None
    name, model = name_of(job.video.url) or job.video.path.name, job.plan.settings.detect.model
    return recorder.annotation(name, *size, frame_rate=rate, class_names=about.class_names, model=model)


def write(annotation: Annotation, output: Path, name: str, stem: str) -> int:
    """One export, `output/NAME/STEM.suffix`; returns how many boxes it has no place for."""
    form, folder = FORMATS[name], output / name
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    return form.write(annotation, folder / f"{stem}{form.suffix}", overwrite=True)
