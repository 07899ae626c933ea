"""The sink in a thread: order, errors, and no way to hang."""

from __future__ import annotations

from threading import Event, Timer, get_ident
from time import perf_counter, sleep

import pytest

from tests.write.scenes import gray_frame
from tracker.errors import WriteError
from tracker.structures import Frame, Tracks
from tracker.write import Background

NONE = Tracks.empty()


class Recorder:
    """Remembers; may be slow, may fail, may be held."""

    def __init__(self, delay_s: float = 0.0, fail_at: int | None = None) -> None:
        self.seen: list[int] = []
        self.ends: list[str] = []
        self.threads: set[int] = set()
        self.begun, self.gate = Event(), Event()
        self.gate.set()
        self._delay_s, self._fail_at = delay_s, fail_at

    def write(self, frame: Frame, tracks: Tracks) -> None:
        self.begun.set()
        self.gate.wait(20)
        sleep(self._delay_s)
        self.threads.add(get_ident())
        if frame.index == self._fail_at:
            raise WriteError("disk full")
        self.seen.append(frame.index)

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


def test_order_and_end() -> None:
    """Everything written comes out once, in order, from one other thread, before close returns."""
    inner = Recorder(delay_s=0.001)
    sink = Background(inner, size=3)
    for index in range(50):
        sink.write(gray_frame(index, index / 30), NONE)
    sink.close()
    sink.close()
    assert inner.seen == list(range(50))
    assert inner.ends == ["close"]
    assert len(inner.threads) == 1
    assert get_ident() not in inner.threads
    with pytest.raises(WriteError, match="closed"):
        sink.write(gray_frame(50, 2.0), NONE)


def test_full_means_wait() -> None:
    """Memory is bounded by the queue, and the waiting is counted."""
    inner = Recorder(delay_s=0.02)
    sink = Background(inner, size=2)
    longest = 0
    for index in range(10):
        sink.write(gray_frame(index, index / 30), NONE)
        longest = max(longest, len(sink))
    assert longest <= 2
    assert 0.05 < sink.waited_s < 5
    sink.close()


def test_error_reaches_the_next_write() -> None:
    """A full disk must stop the run, not fill a queue that nobody empties."""
    inner = Recorder(fail_at=3)
    sink = Background(inner, size=2)
    with pytest.raises(WriteError, match="disk full"):
        for index in range(1000):
            sink.write(gray_frame(index, index / 30), NONE)
    with pytest.raises(WriteError, match="disk full"):
        sink.close()
    sink.abort()
    assert inner.seen == [0, 1, 2]
    assert inner.ends == ["abort"]


def test_error_reaches_close() -> None:
    """An error on the very last frame is not lost."""
    sink = Background(Recorder(fail_at=0))
    sink.write(gray_frame(0, 0.0), NONE)
    with pytest.raises(WriteError, match="disk full"):
        sink.close()
    sink.abort()


def test_error_frees_a_waiting_writer() -> None:
    """The writer waits for room while the thread fails: the room never comes, the error must."""
    inner = Recorder(fail_at=0)
    inner.gate.clear()
    sink = Background(inner, size=1)
    sink.write(gray_frame(0, 0.0), NONE)
    Timer(0.1, inner.gate.set).start()
    began = perf_counter()
    with pytest.raises(WriteError, match="disk full"):
        for index in range(1, 10):
            sink.write(gray_frame(index, 0.1), NONE)
    assert perf_counter() - began < 5
    sink.abort()


def test_abort_drops_the_queue() -> None:
    """Ctrl-C does not wait for eight slow frames."""
    inner = Recorder(delay_s=0.1)
    sink = Background(inner, size=50)
    for index in range(50):
        sink.write(gray_frame(index, index / 30), NONE)
    began = perf_counter()
    sink.abort()
    sink.abort()
    assert perf_counter() - began < 2
    assert len(inner.seen) <= 3
    assert inner.ends == ["abort"]


def test_a_stuck_sink_does_not_hang_abort() -> None:
    """A dead network share: the process must still be able to end."""
    inner = Recorder()
    inner.gate.clear()
    sink = Background(inner, stop_s=0.1)
    sink.write(gray_frame(0, 0.0), NONE)
    assert inner.begun.wait(20)
    with pytest.raises(WriteError, match="given up"):
        sink.abort()
    inner.gate.set()


def test_size_is_checked() -> None:
    """A queue of nothing would wait for ever."""
    with pytest.raises(ValueError, match="size"):
        Background(Recorder(), size=0)
