"""A video on standard input: a pipe, or a file that the shell has opened."""

from __future__ import annotations

import os
import select
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av

from tracker.capture import ffmpeg
from tracker.capture.files import opened_frames
from tracker.capture.report import Report
from tracker.capture.sniff import index_is_last
from tracker.errors import SourceError, UsageError
from tracker.structures import Frame, StreamInfo

if TYPE_CHECKING:
    from tracker.capture.halt import Halt

HEAD_BYTES = 1 << 16
POLL_S = 0.2


class _Pipe:
    """The pipe as FFmpeg wants it: only `read`. Ends when `halt` is set, also while nothing comes."""

    def __init__(self, file: BinaryIO, halt: Halt) -> None:
        """`file`: with a descriptor; its own buffer must not have been used yet."""
        self._descriptor = file.fileno()
        self._halt = halt
        self._head = b""

    def peek(self, size: int) -> bytes:
        """The first `size` bytes, or all there are; they will be read again."""
        while len(self._head) < size and (more := self._take(size - len(self._head))):
            self._head += more
        return self._head

    def read(self, size: int) -> bytes:
        """At most `size` bytes; b"" at the end."""
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        return self._take(size)

    def _take(self, size: int) -> bytes:
        """Bytes as soon as there are any."""
        while not self._halt.is_set():
            # Windows can select on sockets only; there the read blocks and the thread is left behind on closing.
            if sys.platform == "win32" or select.select([self._descriptor], [], [], POLL_S)[0]:
                return os.read(self._descriptor, size)
        return b""


class StdinReader:
    """The video on standard input. Nothing is dropped: who writes into the pipe waits."""

    live = False

    def __init__(self, report: Report) -> None:
        """Look at standard input, without reading.

        Raises:
            UsageError: it is a terminal, or there is none.
        """
        self.name, self.report = "standard input", report
        self.info: StreamInfo | None = None
        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            raise UsageError("source '-' reads a video from standard input, which is a terminal; pipe one in")
        self._file = cast(BinaryIO, sys.stdin.buffer)

    def frames(self, halt: Halt) -> Generator[Frame, None, None]:
        """Frames of the video.

        Raises:
            SourceError: nothing came, or no video.
        """
        with tempfile.TemporaryFile() as spool:
            file = self._readable(halt, spool)
            with ffmpeg.LOG.listen() as lines:
                try:
                    container = av.open(file, "r", **ffmpeg.LENIENT)
                except av.FFmpegError as error:
                    said = ffmpeg.explain(error, lines)
                    raise SourceError(f"standard input is not a video that can be read from a pipe: {said}") from None
            with ffmpeg.released(container):
                yield from opened_frames(self, container, halt)

    def overdue(self) -> Exception | None:
        """Never: whoever writes may take his time."""
        return None

    def _readable(self, halt: Halt, spool: Any) -> Any:
        """What FFmpeg is to read: the file itself, the pipe, or the pipe's content in `spool`."""
        status = os.fstat(self._file.fileno())
        if stat.S_ISREG(status.st_mode):
            if not status.st_size:
                raise SourceError("standard input is empty (0 bytes), a video was wanted")
            return self._file
        pipe = _Pipe(self._file, halt)
        head = pipe.peek(HEAD_BYTES)
        if not head:
            raise SourceError(
                "standard input is empty (0 bytes), a video was wanted; did the program before the pipe fail?"
            )
        if not index_is_last(head):
            return pipe
        self.report.note("standard input is an MP4 with its index at the end: copied to a temporary file first")
        shutil.copyfileobj(cast(Any, pipe), spool)
        spool.seek(0)
        return spool
