"""Video files: every frame, in order, at its own time."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from tracker.capture import ffmpeg
from tracker.capture.clock import FileClock, in_order
from tracker.capture.mark import Mark, MissedError
from tracker.capture.report import Report
from tracker.capture.sniff import is_text, missing_bytes, unfinished_mp4
from tracker.capture.upright import Upright
from tracker.errors import SourceError
from tracker.structures import Frame, StreamInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from tracker.capture.halt import Halt

NOT_VIDEO = frozenset({"tty", "concat", "ffmetadata", "srt", "ass", "webvtt", "lrc", "subviewer", "microdvd"})
"""Formats that FFmpeg takes text for; the first of them even makes pictures of it."""

HEAD_BYTES = 4096

SHORTFALL_S, SHORTFALL_SHARE = 0.25, 0.1
"""Seconds, and share of the announced length, that may be missing at the end without a word."""

AVI_REORDER = 8
"""Frames by which the count of a picture in an AVI may be off its place."""


class FileReader:
    """One video file, opened, read and closed in the thread that iterates `frames`."""

    live = False

    def __init__(self, path: str, report: Report, mark: Mark | None = None) -> None:
        """`path`: as the user gave it, also the name in messages. `mark`: frames before it may be left out."""
        self.name, self.report, self._mark = path, report, mark
        self.info: StreamInfo | None = None

    def frames(self, halt: Halt) -> Generator[Frame, None, None]:
        """Frames of the file; from the mark on where it can be found, else all.

        Raises:
            SourceError: it cannot be read, holds no video, or not one of its frames can be decoded.
        """
        self._check()
        mark: Mark | None = self._mark
        while mark is not None:
            try:
                yield from self._frames(halt, mark)
                return
            except MissedError as missed:
                self.report.decoded = self.report.decode_errors = 0
                mark = missed.further
        yield from self._frames(halt, None)

    def _frames(self, halt: Halt, mark: Mark | None) -> Generator[Frame, None, None]:
        """The same for one way. Raises MissedError before the first frame."""
        with ffmpeg.LOG.listen() as lines:
            try:
                # "file:" keeps a colon in the name from being taken for a protocol.
                container = av.open(f"file:{self.name}", **ffmpeg.LENIENT)
            except av.FFmpegError as error:
                raise self._refusal(error, lines) from None
        with ffmpeg.released(container):
            yield from opened_frames(self, container, halt, mark=mark)

    def overdue(self) -> Exception | None:
        """Never: a file has all the time it needs."""
        return None

    def _check(self) -> None:
        """Whatever needs no decoder to be seen."""
        try:
            with open(self.name, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if not size:
                    raise SourceError(f"'{self.name}' is empty (0 bytes), a video was wanted; copy or record it again")
                # FFmpeg finds sound in a web page, given enough of it.
                if is_text(file.read(HEAD_BYTES)):
                    raise SourceError(f"'{self.name}' is text, a video was wanted")
                missing = missing_bytes(file, size) if file.seekable() else 0
        except FileNotFoundError:
            raise SourceError(f"no such file: '{self.name}'; check the path") from None
        except PermissionError:
            raise SourceError(f"'{self.name}' may not be read (permission denied); check its rights") from None
        except OSError as error:
            raise SourceError(f"'{self.name}' cannot be read: {error.strerror}") from None
        if missing:
            self.report.truncated = f"the file is {missing} bytes shorter than its header says"

    def _refusal(self, error: av.FFmpegError, lines: ffmpeg.Lines) -> SourceError:
        """Why FFmpeg did not take it."""
        with open(self.name, "rb") as file:
            if unfinished_mp4(file, os.fstat(file.fileno()).st_size):
                return SourceError(
                    f"'{self.name}' is an incomplete MP4: its index (moov) is missing, the recording was never "
                    "finalised or the copy was cut short; copy it again, or repair it with a tool such as untrunc"
                )
        # Said of anything that is merely named .mp4.
        told = [line for line in lines if "moov atom not found" not in line[2]]
        return SourceError(f"'{self.name}' is not a video that can be read: {ffmpeg.explain(error, told)}")


def opened_frames(
    reader: Any, container: InputContainer, halt: Halt, *, strict: bool = False, mark: Mark | None = None
) -> Generator[Frame, None, None]:
    """Frames of an open container that ends by itself; sets `reader.info` before the first one.

    Args:
        reader: whom it is for: has `name`, `report` and `info`.
        container: closed by the caller.
        halt: ends the frames.
        strict: a failure to read is raised; otherwise it ends the frames and is reported as truncation.
        mark: where to begin.

    Raises:
        SourceError: no video in it, or no frame of it can be decoded.
        MissedError: the mark cannot be found.
        av.FFmpegError: reading failed, only with `strict`.
    """
    stream = video_stream(container, reader.name)
    stream.thread_type = "AUTO"
    if mark is not None:
        mark.seek(container, stream)
    packets = ffmpeg.good_packets(container, stream, reader.report, halt, strict=strict)
    with closing(timed_frames(stream, packets, reader.report, mark)) as frames:
        with ffmpeg.LOG.listen() as lines:
            first = next(frames, None)
        if first is None:
            if halt.is_set():
                return
            raise undecodable(reader, stream, lines)
        reader.info = info_of(container, stream, first, reader.name)
        yield first
        end_s = first.time_s + first.duration_s
        for frame in frames:
            end_s = frame.time_s + frame.duration_s
            yield frame
    # An MP4 fails to read what it lacks, and counts what its edit list leaves out.
    if "mov" not in container.format.name and not halt.is_set():
        compare(container, stream, end_s, reader.report)


def compare(container: InputContainer, stream: VideoStream, end_s: float, report: Report) -> None:
    """Report what the container announced and did not hold. `end_s`: of the last frame."""
    came = report.decoded + report.decode_errors
    if came < stream.frames:
        report.note(f"{came} frames came, the container announced {stream.frames}")
    # Sound may go on for a little longer.
    length_s = (container.duration or 0) / av.time_base
    if length_s - end_s > max(SHORTFALL_S, SHORTFALL_SHARE * length_s):
        report.truncated = (
            report.truncated or f"the last frame ends at {end_s:.2f} s, the container announced {length_s:.2f} s"
        )


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The video to read.

    Raises:
        SourceError: there is none, or nothing here decodes it.
    """
    kind = container.format.name
    stream = ffmpeg.pick_video(container)
    if kind in NOT_VIDEO:
        raise SourceError(f"'{name}' is text, a video was wanted")
    if stream is None:
        held = sorted({str(s.type) for s in container.streams if s.type != "video"}) or ["nothing"]
        covers = " and a cover picture" if container.streams.video else ""
        raise SourceError(
            f"'{name}' holds no video, only {', '.join(held)}{covers} ({kind}); give a file with a video track"
        )
    if stream.codec_context is None:
        raise SourceError(f"'{name}' has video in a codec that this FFmpeg does not support; convert it to H.264 first")
    return stream


def undecodable(reader: Any, stream: VideoStream, lines: ffmpeg.Lines) -> SourceError:
    """No frame came out."""
    failed = reader.report.decode_errors
    codec = stream.codec_context.name
    if not failed:
        return SourceError(f"'{reader.name}' has a {codec} video track without a single frame")
    said = ffmpeg.last_message(lines)
    return SourceError(
        f"'{reader.name}': none of its {failed} frames could be decoded as {codec}{f' ({said})' if said else ''}; "
        "it is damaged, encrypted or not a video"
    )


def info_of(
    container: InputContainer, stream: VideoStream, first: Frame, name: str, *, live: bool = False
) -> StreamInfo:
    """What is known once the first frame is there. The count is the container's, else duration times rate."""
    rate = ffmpeg.nominal_rate(stream)
    count = stream.frames or None
    if count is None and rate and container.duration:
        count = round(container.duration * rate / av.time_base) or None
    codec = stream.codec_context.name
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if (first.width, first.height) == (stream.height, stream.width) and first.width != first.height:
        aspect = 1 / aspect  # turned upright, and its pixels with it
    return StreamInfo(name, first.width, first.height, rate, None if live else count, live, codec, aspect)


def timed_frames(
    stream: VideoStream, packets: Iterable[Any], report: Report, mark: Mark | None = None
) -> Generator[Frame, None, None]:
    """Upright frames with the time that each one stands: until the next one, the last one by its own duration."""
    rate = ffmpeg.nominal_rate(stream)
    clock = FileClock(stream.time_base or ffmpeg.DEFAULT_TIME_BASE, rate, report)
    stand_up = Upright(report)
    held: tuple[int, float, av.VideoFrame, float] | None = None
    stamped: Iterator[tuple[av.VideoFrame, int | None]]
    stamped = ((picture, picture.pts) for picture in ffmpeg.pictures(stream, packets, report))
    if mark is not None:
        mark.set_clock(clock)
        stamped = mark.reached(stamped, report)
    # AVI counts frames in the order of decoding, which B-frames change.
    window = AVI_REORDER if stream.container.format.name == "avi" else 0
    for index, (picture, ticks) in enumerate(in_order(stamped, window), mark.index if mark else 0):
        time_s = clock.time_s(ticks, picture.duration or 0)
        if held is not None:
            yield Frame(*held[:3], duration_s=time_s - held[1])
        held = index, time_s, stand_up(picture), clock.duration_s(picture.duration or 0)
    if held is not None:
        yield Frame(*held)
    if clock.missing():
        report.note(f"the timestamps have gaps, about {clock.missing()} frames are missing")
