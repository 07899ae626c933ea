"""A sample of the pictures of a file or folder for the cadence probe: a few places, at each some pictures in a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from tracker.capture import ffmpeg
from tracker.capture.cadence import PICTURES, RUN, Cadence, Probe
from tracker.capture.halt import Halt
from tracker.capture.mark import INDEXED
from tracker.capture.report import Report
from tracker.errors import SourceError
from tracker.structures import Frame, Image

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from tracker.interfaces import Detector

PLACES = PICTURES // RUN

SKIPPED_PIXELS = 6e6
"""Decoded and left out, to spread the sample over a file with few key frames."""

MOST_REPEATS = 4
"""How often each picture may be shown for a run to be filled up all the same."""


def probe_file(path: str, detector: Detector | None = None) -> Cadence:
    """Decide for a video file from up to 4 places of it, 8 different pictures in a row at each.

    Raises:
        SourceError: it cannot be opened, or holds no video.
    """
    probe = Probe(detector=detector)
    with ffmpeg.LOG.listen() as lines:
        try:
            with av.open(f"file:{path}", **ffmpeg.LENIENT) as container:
                stream = ffmpeg.pick_video(container)
                if stream is None or stream.codec_context is None:
                    raise SourceError(f"'{path}' holds no video that can be decoded")
                stream.thread_type = "AUTO"
                _take(container, stream, probe)
        except av.FFmpegError as error:
            raise SourceError(f"'{path}' is not a video that can be read: {ffmpeg.explain(error, lines)}") from None
    return probe.decision()


def probe_pictures(
    paths: Sequence[Path], times_s: Sequence[float] | None = None, detector: Detector | None = None
) -> Cadence:
    """Decide for pictures in the order of time.

    Args:
        paths: of the pictures; those that cannot be read are passed over.
        times_s: seconds of each as the world went, or None where they are not known.
        detector: asked about every picture of the sample.
    """
    probe = Probe(true_times=times_s is not None, detector=detector)
    step = max(RUN, len(paths) // PLACES)
    for start in range(0, min(len(paths), PLACES * step), step):
        for index in range(start, min(start + RUN, len(paths))):
            if probe.decided:
                return probe.decision()
            bgr = _small_bgr(paths[index])
            if bgr is not None:
                time_s = 0.0 if times_s is None else times_s[index] - times_s[0]
                probe.add(Frame.from_bgr(index, max(0.0, time_s), bgr))
        probe.jump()
    return probe.decision()


def _take(container: InputContainer, stream: VideoStream, probe: Probe) -> None:
    """Feed the probe from the places that can be reached."""
    places = _places(container, stream)
    skip = 0
    if len(places) < PLACES:
        pixels = max(1, stream.codec_context.width * stream.codec_context.height)
        skip = min(int(SKIPPED_PIXELS / pixels / PLACES), max(0, stream.frames - PICTURES) // PLACES)
    runs = -(-PLACES // len(places))
    for ticks in places:
        if ticks is not None:
            container.seek(ticks, stream=stream, backward=True)
        report = Report()
        with closing(
            ffmpeg.pictures(stream, ffmpeg.good_packets(container, stream, report, Halt()), report)
        ) as pictures:
            for _ in range(runs):
                _take_run(pictures, stream, probe)
                if probe.decided:
                    return
                if not probe.repeated:
                    next(islice(pictures, skip, skip), None)
                probe.jump()


def _take_run(pictures: Iterator[av.VideoFrame], stream: VideoStream, probe: Probe) -> None:
    """One run, or what is left of it."""
    start, base = stream.start_time or 0, stream.time_base or ffmpeg.DEFAULT_TIME_BASE
    for index, picture in enumerate(islice(pictures, RUN * MOST_REPEATS)):
        probe.add(Frame(index, max(0.0, float(((picture.pts or 0) - start) * base)), picture))
        if probe.decided or not probe.run_length:
            return


def _places(container: InputContainer, stream: VideoStream) -> list[int | None]:
    """PTS of the key frames before each quarter. [None]: no seeking, the container is where it was."""
    length = stream.duration or 0
    if not length or not set(container.format.name.split(",")) & set(INDEXED):
        return [None]
    found: list[int | None] = []
    try:
        for quarter in range(PLACES):
            container.seek((stream.start_time or 0) + quarter * length // PLACES, stream=stream, backward=True)
            first = next(container.demux(stream)).pts
            found += [] if first is None or first in found else [first]
    except (av.FFmpegError, StopIteration):
        found = found[:1]
    return found or [None]


def _small_bgr(path: Path) -> Image | None:
    """(H, W, 3) uint8 of a picture at half its size, where its format can be read so; None: unreadable."""
    try:
        data = np.fromfile(path, np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_2) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if bgr is None else np.asarray(bgr, np.uint8)
