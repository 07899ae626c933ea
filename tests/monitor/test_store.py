"""The database: what is acknowledged is there, whatever happens."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.saving import NOON_S, Told, entry, event, fill, numbers, opened
from tracker.errors import OutputError
from tracker.monitor import schema
from tracker.monitor.stored import Entry
from tracker.monitor.walltime import DAY_S, SteadyClock, iso


def test_events_come_back_as_they_were(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        fill(store, 0, 3)
        store.add(Entry("yard", NOON_S, event(5.5), "moments/yard/x.jpg"))
        store.drain(20)
        assert [each.id for each in store.recent(10)] == [4, 3, 2, 1]
        assert [each.id for each in store.recent(2, "gate")] == [3, 2]
        assert [each.id for each in store.recent(10, "gate", before=3)] == [2, 1]
        assert numbers(store.after(1, 10))[:2] == [1, 2]
        found = store.event(4)
        assert found is not None
        assert found.entry == Entry("yard", NOON_S, event(5.5), "moments/yard/x.jpg")
        told = json.loads(json.dumps(found.as_dict()))
        assert told["time"] == iso(NOON_S) == "2025-10-09T08:53:20.000Z"
        assert (told["id"], told["camera"], told["store"]) == (4, "yard", store.identity)
        assert store.event(5) is None


def test_ids_go_on_after_a_restart_and_are_never_used_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        fill(store, 0, 5)
        identity = store.identity
    connection = sqlite3.connect(tmp_path / "events.sqlite")
    connection.execute("DELETE FROM events")
    connection.commit()
    connection.close()
    with opened(tmp_path) as store:
        assert store.newest == 5
        fill(store, 5, 1)
        assert (store.recent(1)[0].id, store.identity) == (6, identity)


def test_listeners_hear_of_what_another_connection_can_read(tmp_path: Path) -> None:
    """Acknowledged means committed."""
    seen: list[bool] = []
    other = threading.local()

    def listener(told: Any) -> None:
        connection = sqlite3.connect(tmp_path / "events.sqlite")
        other.rows = connection.execute("SELECT count(*) FROM events WHERE id = ?", (told[-1].id,)).fetchone()
        connection.close()
        seen.append(other.rows == (1,))

    with opened(tmp_path) as store:
        store.listen(listener)
        fill(store, 0, 50)
    assert seen
    assert all(seen)


def test_a_listener_that_raises_harms_nobody(tmp_path: Path) -> None:
    told, heard = Told(), []  # type: ignore[var-annotated]
    with opened(tmp_path, say=told) as store:
        store.listen(lambda events: heard[99])
        store.listen(lambda events: heard.extend(numbers(events)))
        fill(store, 0, 3)
        wait_for(lambda: heard == [0, 1, 2])
    assert "a listener failed: IndexError" in told


def test_states_are_restored_as_last_saved(tmp_path: Path) -> None:
    with opened(tmp_path, wall=lambda: NOON_S) as store:
        assert store.restore("gate") is None
        for total in range(5):
            store.save("gate", {"total": total, "zones": {"door": [1, 2.5, None]}})
        with pytest.raises(ValueError, match="JSON"):
            store.save("gate", {"bad": float("nan")})
    with opened(tmp_path) as store:
        saved = store.restore("gate")
    assert saved is not None
    assert (saved.state, saved.wall_s) == ({"total": 4, "zones": {"door": [1, 2.5, None]}}, NOON_S)


def test_a_state_is_written_with_the_event_that_it_counts(tmp_path: Path) -> None:
    with opened(tmp_path, save_every_s=600) as store:
        store.save("gate", {"entered": 1})
        fill(store, 0, 1)
        saved = store.restore("gate")
        assert saved is not None
        assert saved.state == {"entered": 1}


def test_without_events_states_are_written_by_and_by(tmp_path: Path) -> None:
    with opened(tmp_path, save_every_s=0.1) as store:
        store.save("gate", {"captured": 9})
        wait_for(lambda: store.restore("gate"))


def test_figures_become_points_of_a_minute(tmp_path: Path) -> None:
    now = [NOON_S]
    with opened(tmp_path, wall=lambda: now[0]) as store:
        for second in range(120):
            now[0] = NOON_S + second
            store.observe("gate", {"fps": float(second), "broken": float("nan")})
        fill(store, 0, 2)
    with opened(tmp_path, wall=lambda: now[0]) as store:
        points = store.series("gate", "fps", 3600)
        assert [(each.minute % 60, each.number) for each in points] == [(0, 40), (0, 60), (0, 20)]
        assert (points[1].least, points[1].most, points[1].mean) == (40, 99, 69.5)
        assert store.series("gate", "fps", 10) == []
        assert store.series("gate", "broken", 3600) == []
        assert sum(each.total for each in store.series("gate", "events", 3600)) == 2
        store.observe("gate", {"fps": 1000.0})
    with opened(tmp_path, wall=lambda: now[0]) as store:
        assert store.series("gate", "fps", 3600)[-1].number == 21, "one minute in two lives is one point"


def test_a_clip_is_attached_to_its_events(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        fill(store, 0, 3)
        store.attach_clip([1, 3], "moments/gate/1.mp4")
        wait_for(lambda: store.recent(1)[0].clip)
        assert [each.clip for each in store.after(0, 9)] == ["moments/gate/1.mp4", "", "moments/gate/1.mp4"]


def test_an_event_without_numbers_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(ValueError, match="finite"):
            store.add(Entry("gate", float("nan"), event()))
        fill(store, 0, 1)
        assert len(store.recent(9)) == 1


def test_a_row_that_sqlite_never_takes_does_not_hold_up_the_others(tmp_path: Path) -> None:
    told = Told()
    with opened(tmp_path, say=told) as store:
        store.add(Entry("gate", NOON_S, event(place=None)))  # type: ignore[arg-type]
        fill(store, 1, 2)
        assert numbers(store.after(0, 9)) == [1, 2]
        assert store.lost == 1
    assert "an event was lost: NOT NULL" in told


def test_what_cannot_be_written_waits_and_the_oldest_go_first(tmp_path: Path) -> None:
    """Another process holds the database, for longer than the queue has room."""
    told = Told()
    schema_wait, schema.BUSY_S = schema.BUSY_S, 0.05
    try:
        with opened(tmp_path, say=told, queue=10) as store:
            fill(store, 0, 1)
            other = sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            kept = [store.add(entry(number)) for number in range(1, 31)]
            assert time.monotonic() - began < 5, "whoever gives an event never waits for the disk"
            wait_for(lambda: store.trouble)
            assert numbers(store.recent(9)) == [0], "reading goes on"
            other.execute("ROLLBACK")
            other.close()
            assert store.drain(20)
            assert kept.count(False) > 0
            assert numbers(store.after(1, 99)) == list(range(21, 31))
            assert (store.lost, store.trouble) == (20, "")
    finally:
        schema.BUSY_S = schema_wait
    assert "the database takes nothing" in told
    assert "works again" in told


def test_old_events_go_from_the_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.monitor.store.TRIM_S", 0.0)
    with opened(tmp_path, most_events=100) as store:
        fill(store, 0, 150)
        wait_for(lambda: store.after(0, 1)[0].id == 51)
    with opened(tmp_path, most_events=100, keep_days=1, wall=lambda: NOON_S + 149 + DAY_S - 9.5) as store:
        wait_for(lambda: store.after(0, 1)[0].id == 141)


def test_a_clock_that_jumps_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.monitor.store.TRIM_S", 0.0)
    now = [NOON_S + 10]
    with opened(tmp_path, wall=lambda: now[0]) as store:
        fill(store, 0, 10)
        for jump_s in (4e9, -NOON_S, 1e12, -1e12):
            now[0] = NOON_S + jump_s
            store.observe("gate", {"fps": 1.0})
            store.add(entry(1, wall_s=now[0]))
            store.drain(20)
        assert len(store.after(0, 99)) == 14
        assert all(json.dumps(each.as_dict()) for each in store.after(0, 99))
    with opened(tmp_path, wall=lambda: NOON_S + 4e9) as store:
        fill(store, 1, 1)
        assert len(store.after(0, 99)) == 15, "nor does a clock that is wrong at start"


def test_the_steady_clock_believes_a_jump_after_an_hour() -> None:
    wall, steady = [NOON_S], [100.0]

    def pass_s(seconds: float, jump_s: float = 0.0) -> None:
        wall[0], steady[0] = wall[0] + seconds + jump_s, steady[0] + seconds

    clock = SteadyClock(None, lambda: wall[0], lambda: steady[0])
    pass_s(10)
    assert clock.now_s() == NOON_S + 10
    pass_s(0, 1e9)
    assert clock.now_s() == NOON_S + 10
    for _ in range(59):
        pass_s(60)
        assert clock.now_s() < NOON_S + 4000
    pass_s(61)
    assert clock.now_s() == wall[0]
    pass_s(10, -5)
    assert clock.now_s() == wall[0], "small corrections count at once"
    later = SteadyClock(NOON_S, lambda: wall[0], lambda: steady[0])
    assert later.now_s() == NOON_S, "far behind the newest stamp: perhaps the clock is wrong"
    for _ in range(61):
        pass_s(60)
        later.now_s()
    assert later.now_s() == wall[0]


def test_a_damaged_database_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(b"this is no database " * 1000)
    told = Told()
    with opened(tmp_path, say=told) as store:
        fill(store, 0, 1)
        assert numbers(store.recent(9)) == [0]
    assert "damaged" in told
    assert (tmp_path / "events.damaged-1.sqlite").read_bytes().startswith(b"this is no database")


def test_a_torn_page_is_noticed_at_start(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        fill(store, 0, 2000)
    path = tmp_path / "events.sqlite"
    content = bytearray(path.read_bytes())
    content[4096 * 6 : 4096 * 20] = b"\xff" * (4096 * 14)
    path.write_bytes(content)
    told = Told()
    with opened(tmp_path, say=told) as store:
        fill(store, 0, 1)
    assert "damaged" in told


def test_migrations_are_done_once_each_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as store:
        fill(store, 0, 3)
        identity = store.identity
    second = ("ALTER TABLE events ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",)
    broken = ("CREATE TABLE more (a)", "INSERT INTO nowhere VALUES (1)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, second, broken))
    with pytest.raises(OutputError, match="cannot be used: no such table"):
        schema.open_database(tmp_path / "events.sqlite")
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:-1])
    with opened(tmp_path) as store:
        fill(store, 3, 1)
        assert numbers(store.after(0, 9)) == [0, 1, 2, 3]
        assert store.identity == identity
    connection = sqlite3.connect(tmp_path / "events.sqlite")
    assert connection.execute("SELECT DISTINCT note FROM events").fetchall() == [("none",)]
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []
    assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    connection.close()
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:-1])
    with pytest.raises(OutputError, match="update tracker"):
        schema.open_database(tmp_path / "events.sqlite")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").mkdir()
    with pytest.raises(OutputError, match=r"events\.sqlite cannot be used"), opened(tmp_path):
        pass
