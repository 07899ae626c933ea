"""The frames of one camera over all that can happen to its reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace

import pytest

from tests.monitor.fakes import QUICK, FakeReader, Log, adds_up, wait_for
from tracker.capture import LossError, Reason, Report
from tracker.errors import SourceError
from tracker.monitor import feed as module
from tracker.monitor.feed import Feed
from tracker.monitor.slot import Item, Ledger


@contextmanager
def feeding(*behaviours: str) -> Iterator[SimpleNamespace]:
    """A feed whose readers behave so, one after the other, the last one for ever."""
    free, items, readers, log, ledger = threading.Event(), [], [], Log(), Ledger()

    def open_reader(report: Report) -> FakeReader:
        readers.append(FakeReader(report, behaviours[min(len(readers), len(behaviours) - 1)], free))
        return readers[-1]

    def deliver(item: Item) -> None:
        items.append(item)
        ledger.processed(item)

    feed = Feed("cam", open_reader, ledger, deliver, log.journal, patience=QUICK)
    feed.start()
    try:
        yield SimpleNamespace(feed=feed, items=items, readers=readers, log=log, ledger=ledger, free=free)
    finally:
        free.set()
        feed.stop()
        assert feed.join(10.0)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits for tests."""
    monkeypatch.setattr(module, "STALL_S", 0.3)
    monkeypatch.setattr(module, "SILENT_S", 0.3)
    monkeypatch.setattr(module, "GRACE_S", 0.2)


def goes_on(items: list[Item]) -> None:
    assert [item.frame.index for item in items] == list(range(len(items)))
    assert all(after.frame.time_s >= before.frame.time_s for before, after in pairwise(items))


def checked(seen: SimpleNamespace) -> str:
    seen.feed.check()
    return str(seen.feed.state()[0])


def test_frames_come_and_the_state_says_so() -> None:
    with feeding("good") as seen:
        assert seen.feed.state()[0] in ("connecting", "up")
        wait_for(lambda: len(seen.items) > 10)
        assert checked(seen) == "up"
        assert seen.feed.reconnects == 0
        goes_on(list(seen.items))


@pytest.mark.parametrize("how", ["raise", "refuse"])
def test_a_reader_that_raises_is_opened_again_and_time_goes_on(how: str) -> None:
    with feeding("raise", how, how, "good") as seen:
        wait_for(lambda: len(seen.items) > 40)
        goes_on(list(seen.items))
        assert seen.feed.reconnects == (3 if how == "raise" else 1)
        assert any("the reader broke" in line["message"] for line in seen.log.lines("error", "cam"))
        last, before = seen.items[-1], seen.items[0]
        passed_s = last.captured_s - before.captured_s
        assert abs(last.frame.time_s - before.frame.time_s - passed_s) < 0.5, "time runs with the clock"


def test_a_camera_that_is_down_says_why() -> None:
    with feeding("refuse") as seen:
        wait_for(lambda: seen.feed.state()[0] == "down")
        assert seen.feed.state() == ("down", "other", "failed (no such thing)")
        assert seen.items == []


def test_the_end_of_a_file_is_the_end() -> None:
    with feeding("end") as seen:
        wait_for(lambda: checked(seen) == "ended")
        assert (len(seen.items), len(seen.readers)) == (5, 1)


def test_a_stall_is_told_once_and_recovery_too(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 60.0)
    with feeding("good") as seen:
        wait_for(lambda: len(seen.items) > 3)
        assert checked(seen) == "up"
        seen.readers[0].behaviour = "silent"
        wait_for(lambda: checked(seen) == "stalled")
        for _ in range(20):
            checked(seen)
        seen.readers[0].behaviour = "good"
        wait_for(lambda: checked(seen) == "up")
        states = [line["state"] for line in seen.log.lines("state")]
        assert states in (["up", "stalled", "up"], ["connecting", "up", "stalled", "up"])
        assert len(seen.readers) == 1


def test_a_hung_reader_is_replaced_and_what_it_brings_later_is_not_taken(short: None) -> None:
    with feeding("hang", "good") as seen:
        wait_for(lambda: len(seen.items) == 5)
        wait_for(lambda: checked(seen) == "up" and len(seen.readers) == 2 and len(seen.items) > 20)
        assert seen.feed.hangs == 1
        assert seen.log.lines("hang")
        hung = len(seen.readers[0].report.dropped)
        seen.free.set()
        wait_for(lambda: len(seen.items) > 60)
        goes_on(list(seen.items))
        assert hung == 0
        assert seen.feed.reconnects == 1
        assert adds_up(seen.ledger.figures())


def test_hung_readers_do_not_pile_up(short: None) -> None:
    with feeding("hang") as seen:
        wait_for(lambda: checked(seen) == "down", 30.0)
        assert seen.feed.state()[1] == "hung"
        for _ in range(10):
            checked(seen)
        assert len(seen.readers) == module.MOST_LEFT
        assert len(seen.items) == 5 * module.MOST_LEFT
        seen.free.set()
        wait_for(lambda: checked(seen) == "up" and len(seen.readers) > module.MOST_LEFT)


def test_a_reader_says_itself_how_long_it_may_take(short: None) -> None:
    """A back-off of half a minute is no hang."""
    with feeding("silent") as seen:
        wait_for(lambda: seen.readers)
        seen.readers[0].report.busy(60.0)
        seen.readers[0].report.loss = LossError(Reason.AUTH)
        wait_for(lambda: threading.Event().wait(1.0) or True)
        assert checked(seen) == "down"
        assert seen.feed.state()[1] == "auth"
        assert seen.feed.hangs == 0


def test_pausing_disconnects_and_resuming_goes_on() -> None:
    with feeding("good") as seen:
        wait_for(lambda: len(seen.items) > 5)
        seen.feed.stop()
        count = len(seen.items)
        assert checked(seen) == "paused"
        assert seen.feed.join(10.0)
        assert len(seen.items) == count
        seen.feed.start()
        wait_for(lambda: len(seen.items) > count + 5)
        goes_on(list(seen.items))
        assert seen.feed.reconnects == 0, "nothing was lost"


def test_lag_counts_into_the_age_and_undecoded_frames_into_the_books() -> None:
    with feeding("good") as seen:
        wait_for(lambda: seen.readers and len(seen.items) > 3)
        report = seen.readers[0].report
        report.lag_s = 50.0
        report.drop("behind")
        report.drop("behind")
        count = len(seen.items)
        wait_for(lambda: len(seen.items) > count + 2)
        assert seen.items[-1].captured_s < seen.items[0].captured_s
        assert seen.ledger.figures()["dropped"] == {"behind": 2}
        assert adds_up(seen.ledger.figures())


def test_what_cannot_be_opened_now_is_tried_again() -> None:
    class Absent(Exception):
        pass

    tries = []

    def open_reader(report: Report) -> FakeReader:
        tries.append(1)
        if len(tries) < 3:
            raise SourceError("no webcam 0: there is none") if len(tries) == 1 else Absent("gone")
        return FakeReader(report, "good", threading.Event())

    items: list[Item] = []
    feed = Feed("cam", open_reader, Ledger(), items.append, Log().journal, patience=QUICK)
    feed.start()
    wait_for(lambda: len(items) > 3)
    feed.stop()
    assert feed.join(10.0)
