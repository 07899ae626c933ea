"""Records one camera: files of MP4 one after the other, in a thread of its own, behind a short queue."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from threading import Lock, Thread
from time import monotonic

from tracker.errors import TrackerError
from tracker.monitor.inbox import Inbox
from tracker.monitor.output_settings import RecordSettings
from tracker.monitor.say import Say
from tracker.monitor.shelf import Shelf
from tracker.structures import Frame, StreamInfo, Tracks
from tracker.write import Overlay, VideoOptions, VideoSink, partial_path

QUEUE = 8
GAP_S = 5.0  # a hole in the stream longer than this ends a file; so does a camera silent for as long
RETRY_S = 10.0  # after a failed write
KEYFRAME_S = 2.0  # a clip begins at one
ENCODER_FPS = 25  # what VideoSink takes where no rate is known; keyframes are counted by it
STEADY = 0.9


@dataclass
class Segment:
    """One file.

    Attributes:
        path: final name.
        first_s, last_s: of its pictures, seconds of the stream.
        ended: it has its final name.
    """

    path: Path
    first_s: float
    last_s: float
    ended: bool = False

    def size(self) -> int:
        """Bytes now, 0 where it is gone."""
        for path in (self.path, partial_path(self.path), self.path):
            with suppress(OSError):
                return os.stat(path).st_size
        return 0


class Recorder:
    """The files of one camera.

    Attributes:
        frames: written.
        paused: frames left out while recording is paused or the disk fails.
        newest_s: time of the newest frame given, seconds of the stream.
        heard_s: when that was, monotonic seconds.
        trouble: why nothing is written at present, "" usually.
    """

    def __init__(
        self, camera: str, settings: RecordSettings, shelf: Shelf, number: Callable[[], int],
        stopped: Callable[[], str], say: Say, class_names: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Start the thread.

        Args:
            camera: its name.
            settings: what to record.
            shelf: takes the files.
            number: the next number of a file.
            stopped: why nothing may be written at present, "" where it may.
            say: the log.
            class_names: for the labels.
        """
        self._camera, self._settings, self._shelf, self._number = camera, settings, shelf, number
        self._stopped, self._say = stopped, say
        self._overlay = Overlay(class_names, panel=False) if settings.annotate else None
        self._inbox: Inbox[tuple[Frame, Tracks, float]] = Inbox(QUEUE)
        self._lock = Lock()
        self._segments: deque[Segment] = deque()
        self._sink: VideoSink | None = None
        self._step_s = 1 / ENCODER_FPS
        self._resume_s = 0.0
        self._end_now = False
        self.frames = self.paused = 0
        self.newest_s, self.heard_s, self.trouble = 0.0, monotonic(), ""
        self._thread = Thread(target=self._work, name=f"record {camera}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Frames that the encoder had no time for."""
        return self._inbox.lost

    def write(self, frame: Frame, tracks: Tracks, wall_s: float) -> None:
        """Give one frame; returns at once."""
        self._inbox.put((frame, tracks, wall_s))
        self.newest_s, self.heard_s = frame.time_s, monotonic()

    def segments(self, start_s: float, end_s: float) -> list[Segment]:
        """The files with a part of this span of the stream, in order."""
        with self._lock:
            return [each for each in self._segments if each.first_s <= end_s and each.last_s >= start_s]

    def forget(self, before_s: float) -> list[Segment]:
        """Files that ended before this moment of the stream; they are not known here any more."""
        gone = []
        with self._lock:
            while self._segments and self._segments[0].ended and self._segments[0].last_s < before_s:
                gone.append(self._segments.popleft())
        return gone

    def growing(self) -> int:
        """Bytes of the file being written."""
        with self._lock:
            running = [each for each in self._segments if not each.ended]
        return sum(segment.size() for segment in running)

    def roll(self) -> None:
        """End the file being written at the next frame."""
        self._end_now = True

    def close(self) -> None:
        """Ask for an end: what waits is written, the file finished. Returns at once."""
        self._inbox.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for that; returns whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # In its thread.

    def _work(self) -> None:
        """Until closed."""
        while not self._inbox.ended:
            given = self._inbox.take(1, GAP_S)
            try:
                if given:
                    self._take(*given[0])
                else:
                    self._finish()
            except (TrackerError, OSError) as error:
                self._fail(str(error))
            except Exception as error:  # of one frame, or of one way to encode
                self._fail(f"{type(error).__name__}: {error}")
        self._finish()

    def _take(self, frame: Frame, tracks: Tracks, wall_s: float) -> None:
        """Write one frame. Raises WriteError, OutputError, OSError."""
        why = self._stopped()
        if why or monotonic() < self._resume_s:
            self.paused += 1
            self.trouble = why or self.trouble
            self._finish()
            return
        segment = self._segments[-1] if self._sink is not None else None
        if segment is not None and self._ends(segment, frame):
            self._finish()
        if self._sink is None:
            self._begin(frame, wall_s)
        elif segment is not None and frame.time_s > segment.last_s:
            self._step_s += (1 - STEADY) * (frame.time_s - segment.last_s - self._step_s)
        if self._sink is not None:
            self._sink.write(frame, tracks)
            self._segments[-1].last_s = frame.time_s
            self.frames, self.trouble = self.frames + 1, ""

    def _ends(self, segment: Segment, frame: Frame) -> bool:
        """Whether a frame belongs into the next file."""
        rolled, self._end_now = self._end_now, False
        long = frame.time_s - segment.first_s >= self._settings.segment_s
        return rolled or long or not 0 <= frame.time_s - segment.last_s <= GAP_S

    def _begin(self, frame: Frame, wall_s: float) -> None:
        """A new file. Raises OutputError, OSError."""
        path = self._shelf.path(self._camera, self._number(), wall_s, ".mp4")
        info = StreamInfo(self._camera, frame.width, frame.height, None, None, True)
        # The encoder is told no rate: it would stand in the head, and files with different heads cannot be joined into
        # a clip. Keyframes come by the true rate all the same.
        keyframe_s = KEYFRAME_S / ENCODER_FPS / max(self._step_s, 1e-3)
        options = VideoOptions(crf=self._settings.crf, keyframe_s=keyframe_s)
        self._sink = VideoSink(path, info, self._overlay, options=options)
        with self._lock:
            for older in self._segments:
                if older.last_s > frame.time_s:  # of a life before, whose time was another
                    older.first_s = older.last_s = -inf
            self._segments.append(Segment(path, frame.time_s, frame.time_s))

    def _finish(self) -> None:
        """End the file. What cannot be finished plays all the same, and gets its name."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close()
        except (TrackerError, OSError) as error:
            self._hold(str(error))
            self._salvage(sink)
        self._shelve()

    def _fail(self, said: str) -> None:
        """A frame could not be written: keep what was before it, and try again later."""
        sink, self._sink = self._sink, None
        self.paused += 1
        self._hold(said)
        if sink is not None:
            self._salvage(sink)
            self._shelve()

    def _hold(self, said: str) -> None:
        """Write nothing for a while."""
        self.trouble, self._resume_s = said, monotonic() + RETRY_S
        said = f"recording failed, tried again in {RETRY_S:g} s: {said}"
        self._say("record", said, camera=self._camera, level="error")

    def _salvage(self, sink: VideoSink) -> None:
        """Give the file its name as it is."""
        path = self._segments[-1].path
        with suppress(TrackerError, OSError):
            sink.abort()
        with suppress(OSError):
            partial_path(path).rename(path)

    def _shelve(self) -> None:
        """The file has its name, if there was anything to keep."""
        segment = self._segments[-1]
        with suppress(OSError):
            self._shelf.add(segment.path)
        segment.ended = True
