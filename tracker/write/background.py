"""A sink in a thread of its own, behind a bounded queue."""

from __future__ import annotations

from collections import deque
from threading import Condition, Thread
from time import perf_counter

from tracker.errors import WriteError
from tracker.interfaces import Sink
from tracker.structures import Frame, Tracks

CHECK_S = 0.5  # a waiting writer looks this often whether the thread still lives


class Background:
    """Hands frames to another sink in order, in one thread; full means wait.

    Attributes:
        waited_s: seconds that `write` stood waiting for room, in all.
    """

    def __init__(self, sink: Sink, size: int = 8, *, name: str = "write", stop_s: float = 10.0) -> None:
        """Start the thread.

        Args:
            sink: used only in the thread until `close` or `abort` returns.
            size: frames that may wait.
            name: of the thread.
            stop_s: how long `abort` waits for the frame in work.

        Raises:
            ValueError: size below 1.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.waited_s = 0.0
        self._sink, self._size, self._stop_s = sink, size, stop_s
        self._queue: deque[tuple[Frame, Tracks]] = deque()
        self._changed = Condition()
        self._error: BaseException | None = None
        self._closing = self._dropping = self._ended = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Frames waiting now."""
        return len(self._queue)

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Queue one frame; waits while the queue is full.

        Raises:
            WriteError: closed already.
            Whatever the sink raised on an earlier frame.
        """
        began = perf_counter()
        with self._changed:
            while len(self._queue) >= self._size and self._runs():
                self._changed.wait(CHECK_S)
            self.waited_s += perf_counter() - began
            self._raise()
            if self._closing:
                raise WriteError("this output is closed; nothing can be written to it any more")
            self._queue.append((frame, tracks))
            self._changed.notify_all()

    def close(self) -> None:
        """Write what is queued, then close the sink. Does nothing the second time.

        Raises:
            Whatever the sink raised; the sink is then left to `abort`.
        """
        if self._ended:
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        while self._thread.is_alive():
            self._thread.join(CHECK_S)  # in steps, so that Ctrl-C gets through
        self._raise()
        self._ended = True
        self._sink.close()

    def abort(self) -> None:
        """Drop what is queued, then abort the sink. Does nothing after an end.

        Raises:
            WriteError: the sink is stuck in one frame; it is left to its thread.
        """
        if self._ended:
            return
        with self._changed:
            self._closing = self._dropping = True
            self._queue.clear()
            self._changed.notify_all()
        self._thread.join(self._stop_s)
        self._ended = True
        if self._thread.is_alive():
            raise WriteError(f"the output took longer than {self._stop_s:g} s for one frame and was given up")
        self._sink.abort()

    def _runs(self) -> bool:
        """Whether room may still come."""
        return self._error is None and not self._closing and self._thread.is_alive()

    def _raise(self) -> None:
        """Hand the thread's error to the caller, every time."""
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """In the thread: until closed and empty, or until the sink fails."""
        try:
            while True:
                with self._changed:
                    while not self._queue and not self._closing:
                        self._changed.wait()
                    if self._dropping or not self._queue:
                        return
                    frame, tracks = self._queue.popleft()
                    self._changed.notify_all()
                self._sink.write(frame, tracks)
        except BaseException as error:  # all of it belongs to the caller
            with self._changed:
                self._error = error
                self._queue.clear()
                self._changed.notify_all()
