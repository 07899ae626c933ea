"""Reading ahead in a thread: a bounded queue between any reader and the one who wants its frames."""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from fractions import Fraction
from time import monotonic, perf_counter
from types import TracebackType
from typing import Protocol

from tracker.capture.halt import SLICE_S, Halt
from tracker.capture.report import Report
from tracker.capture.taken import PictureTimes
from tracker.errors import Interrupted, TrackerError
from tracker.structures import Frame, StreamInfo

Frames = Generator[Frame, None, None]

Observe = Callable[[str, float], None]
JOIN_S = 1.0
"""How long `close()` waits for the reader; one stuck in a system call is left behind and ends by its own time-outs."""


class Reader(Protocol):
    """One kind of source. Opens, reads and closes within `frames`, in whatever single thread iterates it."""

    name: str
    report: Report
    info: StreamInfo | None

    @property
    def live(self) -> bool:
        """Frames that nobody takes are dropped, the oldest first. Settled at the first frame."""

    def frames(self, halt: Halt) -> Frames:
        """Frames; sets `info` before the first. Ends soon after `halt` is set."""

    def overdue(self) -> Exception | None:
        """What to raise when nothing has come for too long although the reader hangs; asked while waiting."""


class Channel:
    """A bounded queue of frames that ends once, with or without an error."""

    def __init__(self, report: Report, halt: Halt) -> None:
        """`report`: where dropped frames are counted."""
        self._report, self._halt = report, halt
        self._changed = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._ended = False
        self._error: BaseException | None = None

    def put(self, frame: Frame, depth: int, *, drop_oldest: bool) -> bool:
        """Add a frame when there are fewer than `depth`, or in place of the oldest. False: nobody wants it any more."""
        with self._changed:
            while len(self._frames) >= depth and not self._halt.is_set():
                if drop_oldest:
                    self._frames.popleft()
                    self._report.drop("late")
                else:
                    self._changed.wait(SLICE_S)
            if self._halt.is_set():
                return False
            self._frames.append(frame)
            self._changed.notify_all()
            return True

    def end(self, error: BaseException | None) -> None:
        """Nothing more will come."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def wake(self) -> None:
        """Have the waiting ones look at `halt`."""
        with self._changed:
            self._changed.notify_all()

    def ready(self, overdue: Callable[[], Exception | None], until_s: float = math.inf) -> bool:
        """Wait for a frame; False where there is none to come, or none by `until_s` (`monotonic`).

        Raises:
            What the reader raised, after all the frames before it; or what `overdue` gives.
        """
        with self._changed:
            while not self._halt.is_set():
                if self._frames:
                    return True
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return False
                late = overdue()
                if late is not None:
                    raise late
                left_s = until_s - monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(min(SLICE_S, left_s))
        return False

    def get(self, overdue: Callable[[], Exception | None]) -> Frame | None:
        """The next frame, None after the last; raises as `ready`."""
        if not self.ready(overdue):
            return None
        with self._changed:
            frame = self._frames.popleft()
            self._changed.notify_all()
            return frame


class Source:
    """Frames of a reader, read ahead in a thread of its own. Iterate it once, in one thread; close it from any.

    Attributes:
        report: what went wrong so far, counted.
    """

    def __init__(
        self, reader: Reader, halt: Halt, *, depth: int = 8, live_depth: int = 2, duration_s: float | None = None,
        interval_s: float | None = None, observe: Observe = lambda stage, seconds: None,
    ) -> None:  # fmt: skip
        """Start reading.

        Args:
            reader: where the frames come from.
            halt: ends everything when set.
            depth: frames read ahead.
            live_depth: the same for a live source: more of them would only be older.
            duration_s: frames from this time on are not delivered.
            interval_s: seconds between frames, in place of what the source says.
            observe: told the seconds of stage "grab" of each frame.
        """
        self.report = reader.report
        self._reader = reader
        self._halt = halt
        self._duration_s, self._interval_s = duration_s, interval_s
        self._held: deque[Frame] = deque()
        self._channel = Channel(reader.report, self._halt)
        self._thread = threading.Thread(
            target=_pump, name=f"read {reader.name}", daemon=True,
            args=(reader, self._channel, self._halt, (depth, live_depth), duration_s, interval_s, observe),
        )  # fmt: skip
        # A source that is forgotten ends its thread. What is handed over here must not refer to the source.
        self._finalizer = weakref.finalize(self, _end, self._halt, self._channel)
        self._thread.start()

    def wait_open(self) -> None:
        """Wait for the first frame.

        Raises:
            Interrupted: told to stop first.
            What the reader raises.
        """
        if not self._channel.ready(self._reader.overdue):
            raise Interrupted(f"stopped before the first frame of '{self._reader.name}' came")

    @property
    def info(self) -> StreamInfo:
        """Size, rate and name; the count takes `duration_s` into account."""
        if self._reader.info is None:
            self.wait_open()
        info = self._reader.info
        if info is None:
            raise RuntimeError("a reader must know its stream by the first frame")
        if self._interval_s is not None:
            info = replace(
                info, frame_rate=1 / max(Fraction(self._interval_s).limit_denominator(1000), Fraction(1, 1000))
            )
        if self._duration_s is not None and info.frame_rate and info.frame_count:
            return replace(info, frame_count=math.ceil(min(info.frame_count, self._duration_s * info.frame_rate)))
        return info

    @property
    def varied(self) -> bool:
        """Whether the pictures may be of many sizes, as those of a folder."""
        return bool(getattr(self._reader, "varied", False))

    @property
    def pictures(self) -> PictureTimes | None:
        """Of a folder: its pictures and when they were taken, as far as that is known."""
        found: PictureTimes | None = getattr(self._reader, "pictures", None)
        return found

    def peek(self, most: int, within_s: float) -> list[Frame]:
        """The next frames, at most `most` and those that come in `within_s` seconds.

        Iterating gives them again, and then raises what the reader raised meanwhile.
        """
        until_s = monotonic() + within_s
        with suppress(TrackerError):
            while len(self._held) < most and self._channel.ready(self._reader.overdue, until_s):
                frame = self._channel.get(self._reader.overdue)
                if frame is not None:
                    self._held.append(frame)
        return list(self._held)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were read and not delivered, by reason; they keep their index."""
        return dict(self.report.dropped)

    @property
    def warnings(self) -> list[str]:
        """What went wrong so far, one line each."""
        return self.report.warnings()

    @property
    def reconnects(self) -> int:
        """Connections made anew."""
        return self.report.reconnects

    @property
    def truncated(self) -> bool:
        """Whether it ended before its end, as far as can be told."""
        return bool(self.report.truncated)

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order, as `FrameSource` has it."""
        while self._held:
            yield self._held.popleft()
        while (frame := self._channel.get(self._reader.overdue)) is not None:
            yield frame

    def close(self) -> None:
        """End the reading and every iteration, within `JOIN_S` where the reader hangs. May be called twice."""
        self._finalizer()
        if self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def __enter__(self) -> Source:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """The masked name."""
        return f"Source('{self._reader.name}')"


def _end(halt: Halt, channel: Channel) -> None:
    """Have both sides stop."""
    halt.set()
    channel.wake()


def _at(frame: Frame, interval_s: float) -> Frame:
    """The frame at its place in a series of one frame every `interval_s` seconds."""
    return replace(frame, time_s=frame.index * interval_s, duration_s=interval_s)


def _pump(
    reader: Reader, channel: Channel, halt: Halt, depths: tuple[int, int], duration_s: float | None,
    interval_s: float | None, observe: Observe,
) -> None:  # fmt: skip
    """The reader's thread."""
    error: BaseException | None = None
    try:
        with closing(reader.frames(halt)) as frames:
            began = perf_counter()
            for read in frames:
                observe("grab", perf_counter() - began)
                frame = read if interval_s is None else _at(read, interval_s)
                if duration_s is not None and frame.time_s >= duration_s:
                    break
                if not channel.put(frame, depths[reader.live], drop_oldest=reader.live):
                    break
                began = perf_counter()
    except BaseException as caught:  # it belongs to whoever iterates
        error = caught
    finally:
        channel.end(error)
