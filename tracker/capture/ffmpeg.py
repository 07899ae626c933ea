"""What every source read by FFmpeg has in common: opening quietly, naming errors, decoding past damage."""

from __future__ import annotations

import errno
import gc
import logging
import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from fractions import Fraction
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any

import av
import av.logging

from tracker.capture.masking import mask_credentials
from tracker.capture.report import Report

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from tracker.capture.halt import Halt

HIGHEST_RATE = 1000
"""Frames a second; more than this is a time base that was taken for a rate."""

DEFAULT_TIME_BASE = Fraction(1, 90000)
MOST_FAILED_READS = 1000
"""Failed reads in a row that mean the end; each cut-off picture of an MP4 is one."""

QUIET = -8
"""FFmpeg's level without any message."""

LONGEST_DELAY = 64
"""Pictures that a decoder keeps back at most, for their order and for its threads."""

Lines = list[tuple[int, str, str]]

# Without a handler, Python's logging prints FFmpeg's messages of a file's damage on the terminal.
logging.getLogger("libav").addHandler(logging.NullHandler())

# Tags in a broken encoding must not keep a video from opening. From 19 on PyAV is lenient by itself.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@contextmanager
def released(container: InputContainer) -> Iterator[None]:
    """Close the container in the end, and have its memory back at once.

    A picture whose side data was looked at (the first, for its rotation) is tied into a reference cycle by PyAV and
    holds the decoder's whole pool; left to itself the collector comes hundreds of megabytes of reopened files later.
    """
    try:
        with container:
            yield
    finally:
        gc.collect()


class Reason(Enum):
    """Why a source could not be had. The value is for people."""

    AUTH = "authentication failed"
    NOT_FOUND = "not found"
    REFUSED = "connection refused"
    TIME_OUT = "time-out"
    CODEC = "codec not supported"
    TLS = "TLS failed"
    HOST = "unknown host"
    UNREACHABLE = "network unreachable"
    SERVER = "error of the server"
    ENDED = "the stream ended"
    NO_VIDEO = "no video in what came"
    OTHER = "failed"


class _Log:
    """FFmpeg's messages while something is opened.

    FFmpeg has one log for the whole process, so those who listen are counted. It is off otherwise: PyAV takes the
    interpreter's lock for each message, also in FFmpeg's own threads.
    """

    def __init__(self) -> None:
        """Nobody listens."""
        self._lock = Lock()
        self._listeners = 0
        self._ours = False
        self._skip_repeated = True

    @contextmanager
    def listen(self) -> Iterator[Lines]:
        """Messages of this thread, filled in as they come."""
        with self._lock:
            if not self._listeners:
                self._begin()
            self._listeners += 1
        try:
            with av.logging.Capture(local=True) as lines:
                yield lines
        finally:
            with self._lock:
                self._listeners -= 1
                if not self._listeners:
                    self._end()

    def _begin(self) -> None:
        """Have FFmpeg's messages come to Python. A program that has set a level of its own keeps it."""
        self._ours = self._ours or av.logging.get_level() is None
        self._skip_repeated = av.logging.get_skip_repeated()
        av.logging.set_skip_repeated(False)
        if self._ours:
            av.logging.set_level(av.logging.ERROR)

    def _end(self) -> None:
        """Off again.

        Not by `set_level(None)`: a thread of FFmpeg that is just about to log would then compare its level with None,
        and PyAV prints that on the terminal. FFmpeg's own log, at a level that nothing reaches, is as quiet.
        """
        av.logging.set_skip_repeated(self._skip_repeated)
        if self._ours:
            av.logging.set_libav_level(QUIET)
            av.logging.restore_default_callback()


LOG = _Log()

_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (av.error.HTTPUnauthorizedError, Reason.AUTH),
    (av.error.HTTPForbiddenError, Reason.AUTH),
    (av.error.HTTPNotFoundError, Reason.NOT_FOUND),
    (av.error.HTTPError, Reason.SERVER),
    (av.error.DecoderNotFoundError, Reason.CODEC),
    (av.error.ExitError, Reason.TIME_OUT),
    (TimeoutError, Reason.TIME_OUT),
    (ConnectionRefusedError, Reason.REFUSED),
    (av.error.DemuxerNotFoundError, Reason.NO_VIDEO),
    (av.error.InvalidDataError, Reason.NO_VIDEO),
    (av.error.EOFError, Reason.ENDED),
)
_WORDS = (
    ("resolve hostname", Reason.HOST),
    ("tls", Reason.TLS),
    ("ssl", Reason.TLS),
    ("certificate", Reason.TLS),
    ("handshake", Reason.TLS),
)


def reason_of(error: Exception, lines: Lines) -> Reason:
    """What kind of failure this is, from the error and from what FFmpeg said."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    said = last_message(lines).lower()
    for word, reason in _WORDS:
        if word in said:
            return reason
    if getattr(error, "errno", None) in {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN}:
        return Reason.UNREACHABLE
    return Reason.OTHER


def last_message(lines: Lines) -> str:
    """The last thing FFmpeg said, one line, masked; "" where it said nothing."""
    said = [" ".join(text.split()) for _, _, text in lines if text.strip()]
    return mask_credentials(said[-1]) if said else ""


def explain(error: Exception, lines: Lines) -> str:
    """The failure in a few words: "Invalid data found when processing input (moov atom not found)"."""
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    said = last_message(lines)
    return mask_credentials(f"{text} ({said})" if said else text)


def pick_video(container: InputContainer) -> VideoStream | None:
    """The stream to read: never the cover picture of a sound file. None where there is none."""
    found = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    known = [s for s in found if s.codec_context is not None]
    preferred = [s for s in known if s.disposition & av.stream.Disposition.default]
    return next(iter(preferred or known or found), None)


def nominal_rate(stream: VideoStream) -> Fraction | None:
    """Frames a second as the container has it, or None where it has none to be believed."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= HIGHEST_RATE:
            return Fraction(rate)
    return None


def good_packets(
    container: InputContainer, stream: VideoStream, report: Report, halt: Halt, *, strict: bool = False
) -> Iterator[Any]:
    """Packets of a finite stream up to its end, over damaged places.

    Raises:
        av.FFmpegError: reading failed for another reason than damage; only with `strict`, otherwise it is the end.
    """
    # In a file the mark means that the packet was cut off; in a transport stream it is a doubt, and decoders cope.
    skip_cut = "mpegts" not in container.format.name
    failures = 0
    while failures < MOST_FAILED_READS:
        try:
            for packet in container.demux(stream):
                if halt.is_set():
                    return
                if not packet.size:
                    continue
                failures = 0
                if packet.is_corrupt and skip_cut:
                    report.decode_errors += 1
                    continue
                yield packet
            break
        except av.error.InvalidDataError:
            failures += 1
        except av.FFmpegError as error:
            if strict:
                raise
            report.truncated = f"reading failed: {explain(error, [])}"
            return
    if failures and not report.truncated:
        report.truncated = "the data at its end is missing or damaged"


def pictures(stream: VideoStream, packets: Iterable[Any], report: Report) -> Generator[av.VideoFrame, None, None]:
    """Pictures of `packets` in the order of showing. What cannot be decoded is counted and passed over."""
    context = stream.codec_context
    sent, before, newest = 0, report.decoded + report.decode_errors, -math.inf
    last: deque[int] = deque(maxlen=LONGEST_DELAY)  # PTS of packets
    try:
        for packet in chain(packets, (None,)):
            if packet is not None and not packet.is_discard:
                sent += 1
                last.extend(() if packet.pts is None else (packet.pts,))
            for picture in _decode(stream, packet, report):
                newest = max(newest, math.inf if picture.pts is None else picture.pts)
                yield picture
        lost = sent - (report.decoded + report.decode_errors - before)
        unseen = sum(pts > newest for pts in last)
        if report.decode_errors:
            # PyAV gives up draining at the first picture that fails; those behind it are lost without a word.
            report.decode_errors += max(0, min(lost, context.thread_count))
        elif report.decoded and unseen <= lost <= unseen + LONGEST_DELAY:
            # Of a damaged end decoders say nothing: its pictures just do not come. Where many more are missing, a
            # packet is no picture: one field of it, or one that is never shown.
            report.decode_errors += unseen
    finally:
        # FFmpeg's threads must be idle when the decoder goes: PyAV frees it holding the interpreter's lock, and a
        # thread that has a message to log would wait for that lock for ever.
        try:
            while context.is_open and context.decode(None):
                pass
        except (av.FFmpegError, ValueError):
            pass


def _decode(stream: VideoStream, packet: Any | None, report: Report) -> Iterator[av.VideoFrame]:
    """Pictures that one packet sets free; None: all that are left."""
    try:
        found = stream.codec_context.decode(packet)
    except av.error.MemoryError:
        raise
    except av.FFmpegError:
        report.decode_errors += 1
        return
    for picture in found:
        picture.time_base = stream.time_base or DEFAULT_TIME_BASE
        report.decoded += 1
        yield picture
