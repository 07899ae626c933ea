"""Streams over the network and webcams: one source, however often the connection is lost."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING, Any

import av

from tracker.capture import ffmpeg
from tracker.capture.access import Access
from tracker.capture.clock import LiveClock
from tracker.capture.ffmpeg import Reason
from tracker.capture.files import info_of, opened_frames
from tracker.capture.knock import ANSWER_S, DEAF, SILENT, wait_for_answer
from tracker.capture.lag import Lag
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
        self, url: str, report: Report, patience: Patience, *, name: str = "", format_name: str | None = None,
        access: Access | None = None,
    ) -> None:  # fmt: skip
        """Nothing is opened yet.

        Args:
            url: credentials may be in it.
            report: where to count.
            patience: how long to wait for what.
            name: for people; the masked URL by default.
            format_name: FFmpeg's name of the format, None to find out.
            access: credentials that are not in the URL, and the transport.
        """
        self._access = access or Access()
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
            self.report.loss = lost
            if not self._index and lost.reason in HOPELESS and not self._patience.after_refusal:
                raise SourceLost(f"'{self.name}': {lost}; {ADVICE[lost.reason]}")
            had_frames = self._index > before
            failures = 0 if had_frames and monotonic() - began >= STABLE_S else failures + 1
            first_loss = had_frames and failures <= 1
            if not first_loss:
                self._pause(min(self._patience.delay_s(failures), self._left_s()), lost.reason, halt)
            if self._left_s() <= 0:
                raise self._lost()

    def overdue(self) -> Exception | None:
        """For whoever waits: the loss, where the reader is so stuck that it cannot report it itself."""
        return self._lost() if self._left_s() < -(self._patience.open_s + self._read_s) else None

    def _left_s(self) -> float:
        """Seconds until the source counts as lost."""
        return self._seen_at + self._patience.give_up_s - monotonic()

    def _pause(self, seconds: float, reason: Reason, halt: Halt) -> None:
        """Wait before the next attempt; shorter where a network camera that was gone is back."""
        self.report.busy(seconds + ANSWER_S)
        if self._format is None and reason in DEAF:
            wait_for_answer(self._url, seconds, halt, heard=reason not in SILENT)
        else:
            halt.wait(seconds)

    def _lost(self) -> SourceLost:
        """Gone for too long."""
        last = self.report.loss or LossError(Reason.TIME_OUT)
        advice = ADVICE.get(last.reason, "check the camera and the network")
        return SourceLost(f"'{self.name}': no frame for {self._patience.give_up_s:g} s, last reason: {last}; {advice}")

    def _connection(self, halt: Halt) -> Generator[Frame, None, None]:
        """Frames of one connection."""
        with ffmpeg.LOG.listen() as lines:
            began, open_s = monotonic(), max(MIN_OPEN_S, min(self._patience.open_s, self._left_s()))
            try:
                container = self._open(open_s)
            except (av.FFmpegError, OSError) as error:
                if isinstance(error, av.error.InvalidDataError) and monotonic() - began >= open_s:
                    raise LossError(Reason.TIME_OUT) from None  # what RTSP makes of a server that says nothing
                raise loss(error, lines) from None
        with ffmpeg.released(container):
            try:
                if self.info is None:
                    self.live = not is_finite(container)
                yield from self._live_frames(container, halt) if self.live else self._file_frames(container, halt)
            except (av.FFmpegError, OSError) as error:
                raise loss(error, []) from None

    def _open(self, open_s: float) -> InputContainer:
        """Connect.

        Raises:
            av.FFmpegError: no connection.
        """
        options = {}
        if self._url.lower().startswith("rtsp"):
            # UDP loses packets without a word, and then the decoder smears.
            # By itself FFmpeg watches up to 20 pictures for their rate, which are old by then.
            options = {
                "rtsp_transport": self._access.transport, "allowed_media_types": "video", "fpsprobesize": "3",
            }  # fmt: skip
        elif self._url.lower().startswith("http"):
            options = {"reconnect": "1", "reconnect_delay_max": "2"}
        read_s = min(self._read_s, self._patience.give_up_s)
        self.report.busy(open_s + read_s)
        container: InputContainer = av.open(
            self._access.url(self._url),
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
        lag = Lag(step_s, timed=not by_arrival)
        stand_up = Upright(self.report)
        first, segmented = True, container.format.name == "hls"
        packets = self._packets(container, stream, None if segmented else lag, halt)
        with closing(ffmpeg.pictures(stream, packets, self.report)) as found:
            for picture in found:
                if picture.is_corrupt:  # what the decoder made up for what it did not get was never seen by a camera
                    self.report.drop("damaged")
                    continue
                self._picture_at = monotonic()
                if first and segmented and self._was_seen(picture, base):
                    continue
                self._seen_at = self._picture_at
                self._last_pts_s = None if picture.pts is None else float(picture.pts * base)
                time_s = self._clock.time_s(None if by_arrival else picture.pts, base, self._seen_at, step_s)
                duration_s = 0.0 if by_arrival else float((picture.duration or 0) * base) or step_s
                frame = Frame(self._index, time_s, stand_up(picture), duration_s)
                if first:
                    info = info_of(container, stream, frame, self.name, live=True)
                    self.info = replace(info, frame_rate=None) if by_arrival else info
                    self.report.reconnects += self._index > 0
                    self.report.loss, first = None, False
                self._index += 1
                ahead_s = self._clock.ahead_s(monotonic())
                if segmented:  # a segment comes at once and is shown over its length
                    halt.wait(ahead_s)
                else:
                    lag.picture(-ahead_s)
                self.report.lag_s = lag.seconds
                yield frame

    def _was_seen(self, picture: av.VideoFrame, base: Fraction) -> bool:
        """Whether a playlist hands out what it did before the loss; one that stands still does so for ever."""
        if picture.pts is None or self._last_pts_s is None:
            return False
        return self._last_pts_s - PLAYLIST_S <= float(picture.pts * base) <= self._last_pts_s

    def _packets(
        self, container: InputContainer, stream: VideoStream, lag: Lag | None, halt: Halt
    ) -> Iterator[Any]:  # fmt: skip
        """Packets of the video, without those that have waited for too long.

        Raises:
            LossError: data comes, but no picture comes of it for the read time-out.
            av.FFmpegError: nothing comes.
        """
        self._picture_at = asked_s = monotonic()
        for packet in container.demux(stream):
            if halt.is_set():
                return
            now_s = monotonic()
            self.report.busy(self._read_s)
            if lag and packet.size and lag.passes_over(now_s - asked_s, now_s, stands_alone=packet.is_keyframe):
                self._picture_at = now_s
                self.report.drop("behind")
            elif now_s - self._picture_at > self._read_s:
                raise LossError(Reason.TIME_OUT, f"no whole picture for {self._read_s:g} s although data comes")
            elif packet.size:
                yield packet
            asked_s = monotonic()

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
                self.report.loss = None
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
