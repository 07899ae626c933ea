"""Events reach every output, in order, once or more often; what one output does is nothing to another."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.saving import DeliveryError, Inboard, Rejected, Told, fill, opened
from tracker.errors import OutputError
from tracker.monitor.courier import Courier
from tracker.monitor.jsonl import JsonlOutput
from tracker.monitor.output_settings import JsonlSettings
from tracker.monitor.spool import Spool, retire
from tracker.monitor.store import Store


@contextmanager
def delivering(store: Store, output: Any, *, most: int = 1000, say: Any = None) -> Iterator[Courier]:
    """An output at work."""
    said = say or Told()
    courier = Courier(output, Spool(store, output.name, most, said), said, first_s=0.01, longest_s=0.05)
    try:
        yield courier
    finally:
        courier.drain(20)
        assert courier.close(20)


def test_a_new_output_begins_with_the_next_event(tmp_path: Path) -> None:
    output = Inboard()
    with opened(tmp_path) as store:
        fill(store, 0, 5)
        with delivering(store, output):
            fill(store, 5, 100)
        assert output.got == list(range(5, 105))
        assert output.closed


def test_events_wait_through_restarts(tmp_path: Path) -> None:
    output = Inboard()
    output.fails = lambda number: DeliveryError("away")
    told = Told()
    with opened(tmp_path) as store, delivering(store, output, say=told):
        fill(store, 0, 30)
    assert output.got == []
    assert "away" in told
    assert "30 events wait for the next start" in told
    with opened(tmp_path) as store:
        fill(store, 30, 30)
        output.fails = lambda number: None
        with delivering(store, output) as courier:
            wait_for(lambda: len(output.got) == 60)
            assert courier.figures() | {"trouble": ""} == {
                "state": "up", "sent": 60, "waiting": 0, "lost": 0, "failures": 0, "trouble": "",
            }  # fmt: skip
    assert output.got == list(range(60))


@pytest.mark.parametrize("seed", range(3))
def test_failures_change_neither_order_nor_number(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    output = Inboard()
    output.fails = lambda number: chance.choice(
        [None, None, DeliveryError("away"), RuntimeError("a fault"), OSError(5)]
    )
    with opened(tmp_path) as store, delivering(store, output) as courier:
        fill(store, 0, 30)
        wait_for(lambda: courier.spool.waiting == 0)
    assert output.got == list(range(30))


def test_one_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    from threading import Event

    free, hangs, works = Event(), Inboard("hangs"), Inboard("works")
    hangs.fails = lambda number: free.wait(60) and None  # type: ignore[func-returns-value]
    with opened(tmp_path) as store, delivering(store, hangs), delivering(store, works):
        fill(store, 0, 50)
        wait_for(lambda: works.got == list(range(50)))
        assert hangs.got == []
        free.set()
        wait_for(lambda: hangs.got == list(range(50)))


def test_what_is_too_much_is_given_up_oldest_first_and_counted(tmp_path: Path) -> None:
    output, told = Inboard(), Told()
    output.fails = lambda number: DeliveryError("away")
    with opened(tmp_path) as store:
        with delivering(store, output, most=20, say=told) as courier:
            fill(store, 0, 100)
            wait_for(lambda: courier.spool.lost == 80)
            assert courier.spool.waiting == 20
        output.fails = lambda number: None
        with delivering(store, output, most=20) as courier:
            wait_for(lambda: len(output.got) == 20)
            assert courier.spool.lost == 80
    assert output.got == list(range(80, 100))
    assert "were given up, 80 in all" in told


def test_events_deleted_before_they_were_delivered_count_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.monitor.store.TRIM_S", 0.0)
    output = Inboard()
    output.fails = lambda number: DeliveryError("away")
    with opened(tmp_path, most_events=100) as store:
        with delivering(store, output):
            fill(store, 0, 130)
            wait_for(lambda: store.after(0, 1)[0].id == 31)
        output.fails = lambda number: None
        with delivering(store, output) as courier:
            wait_for(lambda: courier.spool.waiting == 0)
            assert courier.spool.lost == 30
    assert output.got == list(range(30, 130))


def test_an_event_that_is_refused_is_left_out(tmp_path: Path) -> None:
    output, told = Inboard(), Told()
    output.fails = lambda number: Rejected("too long") if number in (3, 4) else None
    with opened(tmp_path) as store, delivering(store, output, say=told) as courier:
        fill(store, 0, 10)
        wait_for(lambda: courier.spool.waiting == 0)
        assert courier.spool.lost == 2
    assert output.got == [0, 1, 2, 5, 6, 7, 8, 9]
    assert "event 4 is refused and left out: too long" in told


def test_the_other_side_may_name_the_time(tmp_path: Path) -> None:
    output = Inboard()
    output.fails = lambda number: DeliveryError("busy", retry_s=3600) if len(output.got) == 2 else None
    with opened(tmp_path) as store, delivering(store, output) as courier:
        fill(store, 0, 5)
        wait_for(lambda: courier.failures)
        output.fails = lambda number: None
        courier.hurry()  # the connection is back
        wait_for(lambda: output.got == list(range(5)))


def test_an_output_taken_out_and_put_back_does_not_tell_old_news(tmp_path: Path) -> None:
    output = Inboard()
    with opened(tmp_path) as store:
        with delivering(store, output):
            fill(store, 0, 5)
        retire(store, output.name)
        fill(store, 5, 5)
    with opened(tmp_path) as store, delivering(store, output):
        fill(store, 10, 5)
    assert output.got == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def lines(path: Path) -> list[int]:
    """The events of a file of JSON lines, by their numbers."""
    return [int(json.loads(line)["value"]) for line in path.read_text().splitlines()]


def jsonl(folder: Path, **values: Any) -> JsonlOutput:
    return JsonlOutput(JsonlSettings(path="events.jsonl", **values), folder)


def test_json_lines_have_each_event_once_also_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with opened(tmp_path) as store:
        with delivering(store, jsonl(tmp_path)):
            fill(store, 0, 5)
        # Killed after the lines were written and before the database knew, in the middle of the next one.
        with delivering(store, Inboard("jsonl")):
            fill(store, 5, 3)
        whole = "".join(json.dumps(each.as_dict()) + "\n" for each in store.after(5, 2))
        with open(path, "a") as file:
            file.write(whole + '{"id": 8, "store": "')
        store.advance("jsonl", 5, 0)
        wait_for(lambda: store.cursor("jsonl") == (5, 0))
        with delivering(store, jsonl(tmp_path)):
            fill(store, 8, 2)
    assert lines(path) == list(range(10))


def test_json_lines_may_be_moved_away_and_are_kept_small(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with opened(tmp_path) as store, delivering(store, jsonl(tmp_path, max_mb=0.004, files=2)) as courier:
        for first in range(0, 80, 10):
            fill(store, first, 10)
            wait_for(lambda: courier.spool.waiting == 0)
        path.rename(tmp_path / "moved.jsonl")
        fill(store, 80, 3)
        wait_for(lambda: courier.spool.waiting == 0)
    assert lines(path) == [80, 81, 82]
    kept = [lines(tmp_path / name) for name in ("events.2.jsonl", "events.1.jsonl", "moved.jsonl")]
    assert [number for numbers in kept for number in numbers] == list(range(kept[0][0], 80))
    assert not (tmp_path / "events.3.jsonl").exists()


def test_a_file_of_somebody_else_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("notes without an end")
    with opened(tmp_path) as store, delivering(store, jsonl(tmp_path)):
        fill(store, 0, 1)
    first, second = path.read_text().splitlines()
    assert first == "notes without an end"
    assert json.loads(second)["id"] == 1


def test_a_file_that_cannot_be_written_is_said_at_start(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"jsonl\.path: .*no/events\.jsonl cannot be written"):
        JsonlOutput(JsonlSettings(path="no/events.jsonl"), tmp_path)
