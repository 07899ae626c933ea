"""Streams over the network and webcams: one source, however often the connection is lost."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING, Any

import av

from tracker.capture import ffmpeg
from tracker.capture.clock import LiveClock
from tracker.capture.ffmpeg import Reason
from tracker.capture.files import info_of, opened_frames
from tracker.capture.loss import ADVICE, HOPELESS, LossError, Patience, loss
from tracker.capture.masking import mask_credentials
from tracker.capture.report import Report
from tracker.capture.upright import Upright
from tracker.errors import SourceLost
from tracker.structures import Frame, StreamInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from tracker.capture.halt import Halt

MIN_OPEN_S = 0.1

SEGMENT_S, PLAYLIST_S = 20.0, 60.0
"""HLS: the longest segment, and the longest stretch of the past that a playlist holds."""

STABLE_S = 2.0
"""A connection that lasted this long was a good one: the next loss is tried again at once."""

WITHOUT_TIMES = frozenset({"mpjpeg", "mjpeg", "jpeg_pipe", "image2pipe"})
"""Formats whose timestamps are an assumed rate."""

ENDLESS = frozenset({"rtsp", "sdp", "mpjpeg", "v4l2", "video4linux2,v4l2", "avfoundation", "dshow"})


class LiveReader:
    """A stream that is opened again whenever it ends, fails or falls silent, until it stays away for `give_up_s`.

    An HTTP address that turns out to be a finite file is read like one: all of it, and once.
    """

    def __init__(
        self, url: str, report: Report, patience: Patience, *, name: str = "", format_name: str | None = None
    ) -> None:
        """Nothing is opened yet.

        Args:
            url: with credentials.
            report: where to count.
            patience: how long to wait for what.
            name: for people; the masked URL by default.
            format_name: FFmpeg's name of the format, None to find out.
        """
        self._url, self.report, self._patience, self._format = url, report, patience, format_name
        self.name = mask_credentials(name or url)
        self.info: StreamInfo | None = None
        self.live = True
        # A playlist brings nothing for the length of a segment.
        self._read_s = max(patience.read_s, SEGMENT_S) if ".m3u8" in url.lower() else patience.read_s
        self._clock = LiveClock(report)
        self._last_pts_s: float | None = None
        self._index = 0
        self._seen_at = monotonic()
        self._last: LossError | None = None

    def frames(self, halt: Halt) -> Generator[Frame, None, None]:
        """Frames over all connections.

        Raises:
            SourceLost: none came for `give_up_s`, or the very first answer was a refusal for good.
            SourceError: what came is a file without video.
        """
        self._seen_at = monotonic()
        failures = 0
        while not halt.is_set():
            began, before = monotonic(), self._index
            try:
                yield from self._connection(halt)
                if not self.live:
                    return
                lost = LossError(Reason.ENDED)
            except LossError as error:
                lost = error
            if halt.is_set():
                return
            self._last = lost
            if not self._index and lost.reason in HOPELESS:
                raise SourceLost(f"'{self.name}': {lost}; {ADVICE[lost.reason]}")
            had_frames = self._index > before
            failures = 0 if had_frames and monotonic() - began >= STABLE_S else failures + 1
            first_loss = had_frames and failures <= 1
            halt.wait(min(0.0 if first_loss else self._delay_s(failures), self._left_s()))
            if self._left_s() <= 0:
                raise self._lost()

    def overdue(self) -> Exception | None:
        """For whoever waits: the loss, where the reader is so stuck that it cannot report it itself."""
        return self._lost() if self._left_s() < -(self._patience.open_s + self._read_s) else None

    def _left_s(self) -> float:
        """Seconds until the source counts as lost."""
        return self._seen_at + self._patience.give_up_s - monotonic()

    def _delay_s(self, failures: int) -> float:
        """Exponential back-off with full jitter: cameras behind one switch must not all knock at the same moment."""
        bound_s = self._patience.first_delay_s * 2.0 ** min(failures - 1, 16)
        return random.uniform(0.0, min(self._patience.longest_delay_s, bound_s))

    def _lost(self) -> SourceLost:
        """Gone for too long."""
        last = self._last or LossError(Reason.TIME_OUT)
        advice = ADVICE.get(last.reason, "check the camera and the network")
        return SourceLost(f"'{self.name}': no frame for {self._patience.give_up_s:g} s, last reason: {last}; {advice}")

    def _connection(self, halt: Halt) -> Generator[Frame, None, None]:
        """Frames of one connection."""
        with ffmpeg.LOG.listen() as lines:
            try:
                container = self._open()
            except (av.FFmpegError, OSError) as error:
                raise loss(error, lines) from None
        with ffmpeg.released(container):
            try:
                if self.info is None:
                    self.live = not is_finite(container)
                yield from self._live_frames(container, halt) if self.live else self._file_frames(container, halt)
            except (av.FFmpegError, OSError) as error:
                raise loss(error, []) from None

    def _open(self) -> InputContainer:
        """Connect.

        Raises:
            av.FFmpegError: no connection.
        """
        options = {}
        if self._url.lower().startswith("rtsp"):
            # UDP loses packets without a word, and then the decoder smears.
            options = {"rtsp_transport": "tcp", "allowed_media_types": "video"}
        elif self._url.lower().startswith("http"):
            options = {"reconnect": "1", "reconnect_delay_max": "2"}
        open_s = max(MIN_OPEN_S, min(self._patience.open_s, self._left_s()))
        read_s = min(self._read_s, self._patience.give_up_s)
        container: InputContainer = av.open(
            self._url,
            "r",
            format=self._format,
            options=options,
            **ffmpeg.LENIENT,
            timeout=(open_s, read_s),
        )
        return container

    def _live_frames(self, container: InputContainer, halt: Halt) -> Generator[Frame, None, None]:
        """Frames of a connection that has no end of its own."""
        stream = ffmpeg.pick_video(container)
        if stream is None:
            raise LossError(Reason.NO_VIDEO, f"only {', '.join(s.type for s in container.streams) or 'nothing'}")
        if stream.codec_context is None:
            raise LossError(Reason.CODEC)
        # Threads by frame would hold back a frame each.
        stream.thread_type = "SLICE"
        rate = ffmpeg.nominal_rate(stream)
        step_s = float(1 / rate) if rate else 0.0
        by_arrival = container.format.name in WITHOUT_TIMES
        base = stream.time_base or ffmpeg.DEFAULT_TIME_BASE
        self._clock.reconnected()
        stand_up = Upright(self.report)
        first = True
        with closing(ffmpeg.pictures(stream, self._packets(container, stream, halt), self.report)) as found:
            for picture in found:
                self._picture_at = monotonic()
                if first and container.format.name == "hls" and self._was_seen(picture, base):
                    continue
                self._seen_at = self._picture_at
                self._last_pts_s = None if picture.pts is None else float(picture.pts * base)
                if first and self._index:
                    self.report.reconnects += 1
                first = False
                time_s = self._clock.time_s(None if by_arrival else picture.pts, base, self._seen_at, step_s)
                duration_s = 0.0 if by_arrival else float((picture.duration or 0) * base) or step_s
                frame = Frame(self._index, time_s, stand_up(picture), duration_s)
                self._index += 1
                if self.info is None:
                    info = info_of(container, stream, frame, self.name, live=True)
                    self.info = replace(info, frame_rate=None) if by_arrival else info
                yield frame

    def _was_seen(self, picture: av.VideoFrame, base: Fraction) -> bool:
        """Whether a playlist hands out what it did before the loss; one that stands still does so for ever."""
        if picture.pts is None or self._last_pts_s is None:
            return False
        return self._last_pts_s - PLAYLIST_S <= float(picture.pts * base) <= self._last_pts_s

    def _packets(self, container: InputContainer, stream: VideoStream, halt: Halt) -> Iterator[Any]:
        """Packets of the video.

        Raises:
            LossError: data comes, but no picture comes of it for the read time-out.
            av.FFmpegError: nothing comes.
        """
        self._picture_at = monotonic()
        for packet in container.demux(stream):
            if halt.is_set():
                return
            if monotonic() - self._picture_at > self._read_s:
                raise LossError(Reason.TIME_OUT, f"no picture for {self._read_s:g} s although data comes")
            if packet.size:
                yield packet

    def _file_frames(self, container: InputContainer, halt: Halt) -> Generator[Frame, None, None]:
        """Frames of a file on a web server.

        Raises:
            SourceLost: the server broke off.
            SourceError: no video in it.
        """
        try:
            for frame in opened_frames(self, container, halt, strict=True):
                self._index += 1
                self._seen_at = monotonic()
                yield frame
        except av.FFmpegError as error:
            said = ffmpeg.explain(error, [])
            raise SourceLost(f"'{self.name}': broke off after {self._index} frames: {said}; run it again") from None


def is_finite(container: InputContainer) -> bool:
    """Whether what was opened ends by itself: a file of known length, or a playlist that is complete."""
    name = container.format.name
    if name in ENDLESS:
        return False
    if name == "hls":
        return bool(container.duration)
    return container.size > 0
