"""A place in a video file to go on from: read from there, the frames are what they are when read from the beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from threading import Event
from typing import TYPE_CHECKING

import av

from tracker.capture import ffmpeg
from tracker.capture.clock import FileClock
from tracker.capture.report import Report

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

INDEXED = ("mov", "mp4", "matroska", "webm")
"""Formats that know where their key frames are, and keep their timestamps after a jump."""


FURTHER_S = (2.0, 10.0, 60.0)
"""Seconds before the mark to look for a key frame, where the nearest is of no use."""


class MissedError(Exception):
    """The file cannot be gone on with from a mark."""

    further: Mark | None = None
    """The mark with which it may be tried again; None: read from the beginning."""


@dataclass(frozen=True)
class Mark:
    """The first K frames of a file that was read without a fault; the last one of them comes first when going on.

    Attributes:
        ticks: (K,) PTS of each.
        times_s: (K,) seconds of each, as `Frame` has them; None: nobody has read them yet, see `ticks_of`.
        tries: how often a key frame was looked for in vain.
    """

    ticks: Sequence[int]
    times_s: Sequence[float] | None = None
    tries: int = 0

    @property
    def index(self) -> int:
        """Of the last frame."""
        return len(self.ticks) - 1

    def seek(self, container: InputContainer, stream: VideoStream) -> None:
        """Go to the last key frame before the mark. Raises MissedError."""
        if not set(container.format.name.split(",")) & set(INDEXED):
            raise MissedError(f"{container.format.name} has no index")
        back_s = FURTHER_S[self.tries - 1] if self.tries else 0.0
        try:
            container.seek(self.ticks[-1] - round(back_s / float(stream.time_base or 1)), stream=stream, backward=True)
        except av.FFmpegError as error:
            raise MissedError(str(error)) from None

    def set_clock(self, clock: FileClock) -> None:
        """Bring a fresh clock to the frame before the last. Raises MissedError where it shows other times."""
        shown = [clock.time_s(ticks) for ticks in self.ticks[:-1]]
        if self.times_s is not None and shown != list(self.times_s[:-1]):
            raise MissedError("frame times were repaired before")

    def reached(
        self, stamped: Iterator[tuple[av.VideoFrame, int | None]], report: Report
    ) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """Pictures from the marked one on; those between it and the key frame count only once. Raises MissedError.

        Some files are entered at a key frame that is shown after the mark. What a decoder makes of the pictures in
        front of it has not all that it needs.
        """
        whole = False
        for picture, ticks in stamped:
            whole = whole or picture.key_frame
            if whole and ticks == self.ticks[-1]:
                before = len(self.ticks) - report.decoded
                try:
                    yield picture, ticks
                    yield from stamped
                finally:
                    # Not earlier: pictures lost at the end are those sent to the decoder and not counted.
                    report.decoded += before
                return
            if ticks is None or ticks >= self.ticks[-1]:
                break
        missed = MissedError("the marked frame did not come")
        missed.further = replace(self, tries=self.tries + 1) if self.tries < len(FURTHER_S) else None
        raise missed


def announced(container: InputContainer, stream: VideoStream) -> int:
    """Frames as the container counts them, else duration times rate; 0 where it tells neither."""
    length_s = Fraction(container.duration or 0, av.time_base)
    return stream.frames or round(length_s * (ffmpeg.nominal_rate(stream) or 0))


def frames_announced(path: str) -> int:
    """The same of a file; 0 where it cannot be read."""
    try:
        with av.open(f"file:{path}", **ffmpeg.LENIENT) as container:
            stream = ffmpeg.pick_video(container)
            entered = set(container.format.name.split(",")) & set(INDEXED)
            return announced(container, stream) if entered and stream is not None else 0
    except (av.FFmpegError, OSError):
        return 0


def ticks_of(path: str, stop: Event) -> list[int] | None:
    """PTS of a video file's pictures in the order of showing, read from its packets; nothing is decoded.

    None where they do not surely tell which picture comes where, or when `stop` was set. Even so a decoder may leave a
    picture out: whoever goes by them compares them with what comes.
    """
    try:
        with av.open(f"file:{path}", **ffmpeg.LENIENT) as container:
            stream = ffmpeg.pick_video(container)
            if stream is None or not set(container.format.name.split(",")) & set(INDEXED):
                return None
            ticks = []
            for packet in container.demux(stream):
                if stop.is_set() or packet.is_corrupt:
                    return None
                if packet.size and not packet.is_discard:
                    ticks.append(packet.pts)
    except av.FFmpegError:
        return None
    if None in ticks or len(set(ticks)) < len(ticks):
        return None
    return sorted(ticks)
