"""Reading ahead: nothing lost, nothing hangs, errors arrive."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.capture.clips import Clip
from tracker.capture import open_source
from tracker.capture.buffer import Source
from tracker.capture.halt import Halt
from tracker.capture.report import Report
from tracker.errors import Interrupted, SourceLost, UsageError
from tracker.structures import Frame, StreamInfo

BLACK = np.zeros((4, 4, 3), np.uint8)


class Fake:
    """A reader to order: `count` frames, then `error`; with `gate` each frame waits for a token."""

    def __init__(
        self, count: int = 5, *, live: bool = False, error: Exception | None = None, late: Exception | None = None
    ):
        self.name, self.report, self.live = "fake", Report(), live
        self.info: StreamInfo | None = None
        self.count, self.error, self.late = count, error, late
        self.made = 0
        self.done = threading.Event()
        self.hang = threading.Event()
        self.hang_at: int | None = None

    def frames(self, halt: Halt) -> Iterator[Frame]:
        try:
            self.info = StreamInfo("fake", 4, 4, None, None, self.live)
            for index in range(self.count):
                if index == self.hang_at:
                    self.hang.wait(10)
                self.made += 1
                yield Frame.from_bgr(index, index / 10, BLACK)
            if self.error is not None:
                raise self.error
        finally:
            self.done.set()

    def overdue(self) -> Exception | None:
        return self.late


def source_of(fake: Fake, **options) -> Source:
    return Source(fake, options.pop("halt", Halt()), **options)


def wait_for(condition) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_a_file_waits_for_its_consumer_and_loses_nothing() -> None:
    fake = Fake(30)
    with source_of(fake, depth=3) as source:
        wait_for(lambda: fake.made == 4)
        time.sleep(0.05)
        assert fake.made == 4
        assert [frame.index for frame in source] == list(range(30))
        assert source.dropped == {}
        assert list(source) == []


def test_a_live_source_drops_the_oldest_and_counts_them() -> None:
    fake = Fake(30, live=True)
    with source_of(fake, live_depth=2) as source:
        assert fake.done.wait(5)
        assert [frame.index for frame in source] == [28, 29]
        assert source.dropped == {"late": 28}


def test_an_error_comes_after_the_frames_before_it() -> None:
    fake = Fake(3, error=SourceLost("gone"))
    with source_of(fake) as source:
        frames = iter(source)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        with pytest.raises(SourceLost, match="gone"):
            next(frames)
        with pytest.raises(SourceLost):
            next(iter(source))


def test_closing_ends_a_reader_that_waits_for_room() -> None:
    fake = Fake(100)
    source = source_of(fake, depth=1)
    wait_for(lambda: fake.made == 2)
    began = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - began < 0.5
    assert fake.done.is_set()
    assert list(source) == []


def test_closing_ends_a_reader_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.capture.buffer.JOIN_S", 0.1)
    fake = Fake()
    fake.hang_at = 2
    source = source_of(fake)
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 1
    fake.hang.set()
    assert fake.done.wait(5)


@pytest.mark.parametrize("how", ["close", "stop"])
def test_a_waiting_consumer_is_let_go(how: str) -> None:
    fake, stop = Fake(), threading.Event()
    fake.hang_at = 2
    source = source_of(fake, halt=Halt(stop))
    threading.Timer(0.1, source.close if how == "close" else stop.set).start()
    began = time.monotonic()
    assert len(list(source)) == 2
    assert time.monotonic() - began < 1
    fake.hang.set()
    source.close()


def test_stop_ends_the_iteration_although_frames_are_waiting() -> None:
    stop = threading.Event()
    with source_of(Fake(100), depth=8, halt=Halt(stop)) as source:
        seen = []
        for frame in source:
            seen.append(frame.index)
            if frame.index == 4:
                stop.set()
        assert seen == [0, 1, 2, 3, 4]


def test_a_hanging_reader_is_overdue() -> None:
    fake = Fake(late=SourceLost("too long"))
    fake.hang_at = 0
    with source_of(fake) as source:
        with pytest.raises(SourceLost, match="too long"):
            source.wait_open()
        fake.hang.set()


def test_a_forgotten_source_ends_its_thread() -> None:
    fake = Fake(100)
    source = source_of(fake, depth=1)
    next(iter(source))
    del source
    gc.collect()
    assert fake.done.wait(5)


def test_duration() -> None:
    fake = Fake(100)
    with source_of(fake, duration_s=0.5) as source:
        assert [frame.index for frame in source] == [0, 1, 2, 3, 4]
    assert fake.done.wait(5)


def test_stopped_before_the_first_frame(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        open_source(str(Clip(count=3).write(tmp_path / "a.mp4")), stop=stop)


@pytest.mark.parametrize(
    "wrong", [{"read_ahead": 0}, {"duration_s": 0}, {"duration_s": float("nan")}, {"give_up_s": 0}, {"image_rate": 0}]
)
def test_impossible_arguments(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be more than 0"):
        open_source("x.mp4", **wrong)


def test_two_sources_share_nothing(tmp_path: Path) -> None:
    path = str(Clip(count=20).write(tmp_path / "a.mp4"))
    with open_source(path) as one, open_source(path) as other:
        pairs = list(zip(one, other, strict=True))
    assert [first.index for first, _ in pairs] == [second.index for _, second in pairs] == list(range(20))


def test_no_thread_stays_behind(tmp_path: Path) -> None:
    path = str(Clip(count=20).write(tmp_path / "a.mp4"))
    before = set(threading.enumerate())
    for _ in range(5):
        with open_source(path, read_ahead=2) as source:
            next(iter(source))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)  # a machine that has much to do ends them late
    assert set(threading.enumerate()) <= before


def test_what_was_peeked_at_is_delivered_all_the_same() -> None:
    with source_of(Fake(count=5)) as source:
        assert [frame.index for frame in source.peek(3, 5.0)] == [0, 1, 2]
        assert [frame.index for frame in source.peek(2, 5.0)] == [0, 1, 2]
        assert [frame.index for frame in source] == [0, 1, 2, 3, 4]
    with source_of(Fake(count=2)) as source:
        assert len(source.peek(3, 5.0)) == 2
        assert len(list(source)) == 2


def test_peeking_does_not_wait_for_ever() -> None:
    fake = Fake(count=3, live=True)
    fake.hang_at = 1
    with source_of(fake) as source:
        assert [frame.index for frame in source.peek(3, 0.1)] == [0]
        fake.hang.set()
        assert [frame.index for frame in source] == [0, 1, 2]


def test_a_source_that_is_lost_while_it_is_peeked_at_gives_its_frames_first() -> None:
    with source_of(Fake(count=2, error=SourceLost("gone"))) as source:
        assert len(source.peek(3, 5.0)) == 2
        frames = iter(source)
        assert [next(frames).index for _ in range(2)] == [0, 1]
        with pytest.raises(SourceLost):
            next(frames)
