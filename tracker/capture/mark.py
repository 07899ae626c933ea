"""A place in a video file to go on from: read from there, the frames are what they are when read from the beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from tracker.capture.clock import FileClock
from tracker.capture.report import Report

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

INDEXED = ("mov", "mp4", "matroska", "webm")
"""Formats that know where their key frames are, and keep their timestamps after a jump."""


class MissedError(Exception):
    """The file cannot be gone on with from a mark; it must be read from its beginning."""


@dataclass(frozen=True)
class Mark:
    """The first K frames of a file that was read without a fault; the last one of them comes first when going on.

    Attributes:
        ticks: (K,) PTS of each. times_s: (K,) seconds of each, as `Frame` has them.
    """

    ticks: Sequence[int]
    times_s: Sequence[float]

    @property
    def index(self) -> int:
        """Of the last frame."""
        return len(self.ticks) - 1

    def seek(self, container: InputContainer, stream: VideoStream) -> None:
        """Go to the last key frame before the mark. Raises MissedError."""
        if not set(container.format.name.split(",")) & set(INDEXED):
            raise MissedError(f"{container.format.name} has no index")
        try:
            container.seek(self.ticks[-1], stream=stream, backward=True)
        except av.FFmpegError as error:
            raise MissedError(str(error)) from None

    def set_clock(self, clock: FileClock) -> None:
        """Bring a fresh clock to the frame before the last. Raises MissedError where it shows other times."""
        for ticks, time_s in zip(self.ticks[:-1], self.times_s[:-1], strict=True):
            if clock.time_s(ticks) != time_s:
                raise MissedError(f"frame times were repaired before {time_s:.3f} s")

    def reached(
        self, stamped: Iterator[tuple[av.VideoFrame, int | None]], report: Report
    ) -> Iterator[tuple[av.VideoFrame, int | None]]:
        """Pictures from the marked one on; those between it and the key frame count only once. Raises MissedError."""
        for picture, ticks in stamped:
            if ticks == self.ticks[-1]:
                before = len(self.ticks) - report.decoded
                try:
                    yield picture, ticks
                    yield from stamped
                finally:
                    # Not earlier: pictures lost at the end are those sent to the decoder and not counted.
                    report.decoded += before
                return
            if ticks is None or ticks > self.ticks[-1]:
                break
        raise MissedError("the marked frame did not come")
