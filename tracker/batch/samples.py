"""Sample frames of a video for the report, kept beside its spool: to track again, the video is not read again."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from tracker.batch.job import Job
from tracker.batch.spool import Spool
from tracker.errors import Interrupted, SourceError, WriteError
from tracker.report import shrunk

Samples = list[tuple[int, bytes]]
"""Numbers of frames, and their JPEGs."""


def samples_of(job: Job, spool: Spool, numbers: Sequence[int], stop: Event) -> Samples:
    """These frames: those that are kept, else out of the video; none where it is not there any more.

    Raises:
        Interrupted: `stop` was set. WriteError: they cannot be kept.
    """
    kept = _kept(spool.pictures)
    if [number for number, _ in kept] == list(numbers):
        return kept
    shown = _read(job, spool, numbers, stop)
    if shown is not None:
        _keep(spool.pictures, shown)
    return shown or []


def _read(job: Job, spool: Spool, numbers: Sequence[int], stop: Event) -> Samples | None:
    """Out of the video; None where it is not there. Raises Interrupted."""
    from tracker.capture import open_source

    shown = []
    for number in numbers:
        try:
            with open_source(str(job.video.path), stop=stop, mark=spool.mark(number)) as source:
                frame = next((frame for frame in source if frame.index == number), None)
        except SourceError:
            return None
        if frame is not None:
            shown.append((number, shrunk(frame.bgr)))
        elif stop.is_set():
            raise Interrupted("stopped")
    return shown


def _kept(path: Path) -> Samples:
    """What is there; nothing where that is damaged."""
    with suppress(OSError, ValueError, TypeError):
        return [(int(number), base64.b64decode(text)) for number, text in json.loads(path.read_bytes())]
    return []


def _keep(path: Path, samples: Samples) -> None:
    """Write them. Raises WriteError."""
    partial = path.with_name(f"{path.name}.partial")
    text = json.dumps([(number, base64.b64encode(jpeg).decode("ascii")) for number, jpeg in samples])
    try:
        partial.write_text(text, encoding="ascii")
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise WriteError(f"{path} could not be written: {error.strerror or error}") from error
