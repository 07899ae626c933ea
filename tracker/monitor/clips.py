"""Cuts coded video: packets of some files into one, without decoding."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from tracker.errors import WriteError
from tracker.write import partial_path

TICKS = 90_000
Look = tuple[int, int, bytes | None]


@dataclass(frozen=True)
class Piece:
    """A file with a part of a recording.

    Attributes:
        path: final name; while it is written, its content is under the partial name, which plays as well.
        first_s: time of its first picture, seconds of the stream.
    """

    path: Path
    first_s: float


@dataclass(frozen=True)
class Coded:
    """One coded picture of a file that is open; `time_s` of the stream."""

    packet: av.Packet[VideoStream]
    time_s: float
    stream: VideoStream
    key: bool


def cut(pieces: Sequence[Piece], start_s: float, end_s: float, target: Path) -> float:
    """Write what lies between two moments, from the keyframe before the start on.

    Pieces coded differently, as after a change of the picture's size, cannot be one video: those like the last one
    that the span reaches are taken.

    Args:
        pieces: in the order of time.
        start_s, end_s: seconds of the stream.
        target: .mp4, made under its partial name first; replaced.

    Returns:
        Seconds written, 0.0 where there is nothing in the span; then no file is made.

    Raises:
        WriteError: it cannot be written.
    """
    partial = partial_path(target)
    try:
        with _Joined(partial) as joined:
            for coded in _wanted(pieces, start_s, end_s):
                joined.add(coded)
        if not joined.seconds:
            partial.unlink(missing_ok=True)
            return 0.0
        _settle(partial, target)
    except (av.FFmpegError, OSError) as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise WriteError(f"{target} cannot be written: {error}") from error
    return joined.seconds


class _Joined:
    """One file made of packets of several."""

    def __init__(self, path: Path) -> None:
        """Nothing is made before the first packet."""
        self.seconds = 0.0
        self._path = path
        self._container: Any = None
        self._stream: Any = None
        self._zero_s, self._last = 0.0, -1

    def __enter__(self) -> _Joined:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Finish the file. Raises FFmpegError."""
        if self._container is not None:
            self._container.close()

    def add(self, coded: Coded) -> None:
        """One more picture. Raises FFmpegError."""
        if self._container is None:
            self._container = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart"})
            self._stream = self._container.add_stream_from_template(coded.stream)
            self._zero_s = coded.time_s
        packet = coded.packet
        step = round((packet.duration or 0) * (coded.stream.time_base or 0) * TICKS)
        packet.time_base = Fraction(1, TICKS)
        packet.pts = packet.dts = self._last = max(round((coded.time_s - self._zero_s) * TICKS), self._last + 1)
        packet.duration, packet.stream = max(step, 1), self._stream
        self.seconds = (self._last + packet.duration) / TICKS
        self._container.mux(packet)


def _wanted(pieces: Sequence[Piece], start_s: float, end_s: float) -> Iterator[Coded]:
    """Packets of the span, from a keyframe on, all coded alike."""
    look = next(filter(None, map(_look_of, reversed(pieces))), None)
    begun = False
    for piece in pieces:
        before: list[Coded] = []  # from the newest keyframe before the start on; each piece begins with one
        for coded in _packets(piece, look):
            if coded.time_s > end_s:
                break
            if not begun and coded.time_s <= start_s:
                before = [coded] if coded.key else [*before, coded]
                continue
            begun = True
            yield from before
            before = []
            yield coded


def _packets(piece: Piece, look: Look | None) -> Iterator[Coded]:
    """What is in a file, if it is there and coded like this."""
    with _open(piece.path) as container:
        if container is None or look_of(container) != look:
            return
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.pts is not None and stream.time_base is not None:
                time_s = piece.first_s + float(packet.pts * stream.time_base)
                yield Coded(packet, time_s, stream, packet.is_keyframe)


def _look_of(piece: Piece) -> Look | None:
    """How a file is coded, None where there is none."""
    with _open(piece.path) as container:
        return None if container is None else look_of(container)


def look_of(container: InputContainer) -> Look:
    """Size and parameters of the coding."""
    codec = container.streams.video[0].codec_context
    return codec.width, codec.height, codec.extradata


@contextmanager
def _open(path: Path) -> Iterator[InputContainer | None]:
    """The file, finished or not; None where it is gone or has no picture yet."""
    for name in (partial_path(path), path, path):  # it may be finished in between
        with suppress(av.FFmpegError):
            container = av.open(str(name))
            break
    else:
        yield None
        return
    with container:
        yield container if container.streams.video else None


def _settle(partial: Path, target: Path) -> None:
    """On the disk first, then under the final name. Raises OSError."""
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, target)
