"""Events, totals and figures in SQLite. One thread writes; whoever gives it something never waits.

An event is acknowledged by its id, which it gets when it is committed. Totals are written with the events that they
count, in one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from time import monotonic, time
from typing import Any

from tracker.monitor.output_settings import StoreSettings
from tracker.monitor.pending import Batch, Pending
from tracker.monitor.say import Say
from tracker.monitor.schema import delete_old, identity_of, open_database
from tracker.monitor.stored import COLUMNS, Entry, Point, SavedState, StoredEvent
from tracker.monitor.walltime import DAY_S, SteadyClock

Listener = Callable[[Sequence[StoredEvent]], None]
MINUTES_S, TRIM_S = 60.0, 60.0
RETRY_S = (1.0, 2.0, 5.0, 10.0)
INSERT = f"INSERT INTO events ({COLUMNS.removeprefix('id, ').removesuffix(', clip')}) VALUES ({', '.join('?' * 13)})"
ADD_MINUTE = """INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET total = total +
    excluded.total, number = number + excluded.number, least = min(least, excluded.least),
    most = max(most, excluded.most)"""
UNSOUND = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError)
"""What SQLite says of a row that it will never take."""


class Store:
    """The database. Every method may be called from any thread.

    Attributes:
        identity: of the database file.
        newest: id of the newest event, 0 before the first.
        lost: events that were never committed.
        trouble: why nothing can be written at present, "" usually.
    """

    def __init__(
        self, path: Path, settings: StoreSettings | None = None, say: Say = lambda *args, **kwargs: None, *,
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """Open or make it.

        Args:
            path: of the file; beside it lie its -wal and -shm.
            settings: how long what is kept.
            say: the log.
            wall: seconds since 1970.

        Raises:
            OutputError: the file can't be opened or written, or a newer version of tracker made it.
        """
        self._settings, self._say, self._wall = settings or StoreSettings(), say, wall
        self._writer, aside = open_database(path)
        if aside:
            say("store", f"database {path} was damaged: it is now {aside}, a new one was begun", level="error")
        self._reader, self._reading = sqlite3.connect(path, isolation_level=None, check_same_thread=False), Lock()
        self._reader.execute("PRAGMA query_only = 1")
        self.identity = identity_of(self._reader)
        newest, newest_s = self._reader.execute("SELECT max(id), max(wall_s) FROM events").fetchone()
        seq = self._reader.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        self.newest = max(newest or 0, seq[0] if seq else 0)
        self._clock = SteadyClock(newest_s, wall)
        self._pending = Pending(self._settings.queue)
        self._listeners: tuple[Listener, ...] = ()
        self._news = Condition()
        self._unsound, self.trouble, self._busy = 0, "", False
        self._saved_s = self._trimmed_s = monotonic()
        self._given_up = Event()
        self._thread = Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    # Giving.

    def add(self, entry: Entry) -> bool:
        """One event; False where the queue was full and its oldest had to go.

        Raises:
            ValueError: a number that is none.
        """
        numbers = (entry.wall_s, entry.event.time_s, entry.event.value, *(entry.event.box or ()))
        if not all(map(isfinite, numbers)):
            raise ValueError(f"an event needs finite numbers, got {entry}")
        kept = self._pending.add(entry)
        if not kept:
            self._say("lost", f"an event was lost, {self.lost} in all: the database takes none", level="error")
        return kept

    def save(self, camera: str, state: Mapping[str, Any]) -> None:
        """What `restore` is to return. It is written with the next event, or within `save_every_s`.

        Raises:
            TypeError, ValueError: it is not JSON-ready.
        """
        self._pending.save(camera, json.dumps(state, allow_nan=False, separators=(",", ":")), self._wall())

    def observe(self, camera: str, figures: Mapping[str, float]) -> None:
        """Figures of now for `series`; those of one minute become one point."""
        self._pending.observe(camera, figures, self._wall())

    def attach_clip(self, ids: Sequence[int], path: str) -> None:
        """Events have a clip now, at a path below the folder of the data."""
        self._pending.clip(tuple(ids), path)

    def advance(self, output: str, event_id: int, lost: int) -> None:
        """An output has everything up to this event, save what it lost (in all)."""
        self._pending.advance(output, event_id, lost)

    def listen(self, listener: Listener) -> None:
        """Have events told when they are committed, in order, in the writing thread: it must be quick."""
        self._listeners = (*self._listeners, listener)

    # Asking. All of these raise sqlite3.Error where the disk fails.

    @property
    def lost(self) -> int:
        """See the class."""
        return self._pending.lost + self._unsound

    @property
    def queued(self) -> int:
        """Events that wait to be written."""
        return len(self._pending)

    def restore(self, camera: str) -> SavedState | None:
        """The newest state of a camera that was written, None where there is none."""
        rows = self._ask("SELECT state, wall_s FROM states WHERE camera = ?", (camera,))
        return SavedState(json.loads(rows[0][0]), rows[0][1]) if rows else None

    def cursor(self, output: str) -> tuple[int, int] | None:
        """(id of the last event that an output has, how many it lost), None where it is unknown."""
        rows = self._ask("SELECT event_id, lost FROM cursors WHERE output = ?", (output,))
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def after(self, event_id: int, most: int) -> list[StoredEvent]:
        """The next events behind this one, oldest first."""
        return self._events("WHERE id > ? ORDER BY id LIMIT ?", (event_id, most))

    def recent(self, most: int, camera: str | None = None, before: int | None = None) -> list[StoredEvent]:
        """The newest events, newest first; of one camera; older than an id."""
        limit = self.newest + 1 if before is None else before
        if camera is None:
            return self._events("WHERE id < ? ORDER BY id DESC LIMIT ?", (limit, most))
        return self._events("WHERE camera = ? AND id < ? ORDER BY id DESC LIMIT ?", (camera, limit, most))

    def event(self, event_id: int) -> StoredEvent | None:
        """One event, None where there is none (any more)."""
        found = self._events("WHERE id = ?", (event_id,))
        return found[0] if found else None

    def series(self, camera: str, name: str, last_s: float) -> list[Point]:
        """A figure minute by minute over the last seconds, oldest first; minutes without it have no point.

        `events` counts the events; other names are those of `observe`. The newest point is up to a minute old.
        """
        rows = self._ask(
            "SELECT minute, total, number, least, most FROM minutes WHERE camera = ? AND name = ? AND minute >= ? "
            "ORDER BY minute", (camera, name, int(self._wall() - last_s)),
        )  # fmt: skip
        return [Point(minute, total, number, least, most) for minute, total, number, least, most in rows]

    def wait(self, event_id: int, timeout_s: float) -> bool:
        """Until there is an event behind this one, or the time is over; returns whether there is."""
        with self._news:
            return self._news.wait_for(lambda: self.newest > event_id, timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Until every event given before is committed, or the time is over; returns whether it is."""
        with self._news:
            return self._news.wait_for(lambda: not self._busy and not self._pending, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits and end. Returns whether everything was written; events that were not are told."""
        self._pending.close()
        self._thread.join(timeout_s)
        self._given_up.set()
        self._thread.join(1.0)
        left = len(self._pending)
        if left:
            self._say("lost", f"{left} events were lost: {self.trouble or 'no time was left'}", level="error")
        if self._thread.is_alive():
            return False
        with self._reading:
            self._reader.close()
        self._writer.close()
        return not left

    def _ask(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows, all at once: a reader that dawdles would keep the log of the database from being folded in."""
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    def _events(self, condition: str, values: Sequence[Any]) -> list[StoredEvent]:
        """Events of a condition."""
        rows = self._ask(f"SELECT {COLUMNS} FROM events {condition}", values)
        return [StoredEvent.of_row(row, self.identity) for row in rows]

    # The writing thread.

    def _work(self) -> None:
        """Until closed and empty, or given up."""
        failures = 0
        while not self._given_up.is_set():
            closed = self._pending.wait(self._settings.save_every_s)
            self._busy = True
            batch = self._pending.take(minutes=closed or monotonic() - self._saved_s >= MINUTES_S)
            try:
                told = self._write(batch)
            except Exception as error:  # whatever it is, the next try may do
                self._pending.give_back(batch)
                self._fail(error)
                self._given_up.wait(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            self._tell(told)
            if closed and not batch:
                return
            self._trim()

    def _fail(self, error: Exception) -> None:
        """Nothing could be written."""
        waiting = len(self._pending)
        self.trouble = str(error)
        said = f"the database takes nothing: {error}; {waiting} events wait in memory, tried again"
        self._say("store", said, level="error")

    def _write(self, batch: Batch) -> list[StoredEvent]:
        """One transaction; returns its events, committed. Raises sqlite3.Error, and nothing was written."""
        if not batch:
            return []
        run, told = self._writer, []
        run.execute("BEGIN IMMEDIATE")
        try:
            for entry in batch.events:
                number = self._insert(entry)
                if number:
                    told.append(StoredEvent(number, self.identity, entry))
            states = ((camera, wall_s, state) for camera, (state, wall_s) in batch.states.items())
            run.executemany("REPLACE INTO states VALUES (?, ?, ?)", states)
            cursors = ((output, *where) for output, where in batch.cursors.items())
            run.executemany("REPLACE INTO cursors VALUES (?, ?, ?)", cursors)
            clips = ((path, number) for ids, path in batch.clips for number in ids)
            run.executemany("UPDATE events SET clip = ? WHERE id = ?", clips)
            minutes = ((camera, name, begin, each.total, each.number, each.least, each.most)
                       for (camera, name, begin), each in batch.minutes.items())  # fmt: skip
            run.executemany(ADD_MINUTE, minutes)
            run.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                run.execute("ROLLBACK")
            raise
        if batch.minutes:
            self._saved_s = monotonic()
        if self.trouble:
            self.trouble = ""
            self._say("store", f"the database works again; {len(self._pending)} events wait")
        return told

    def _insert(self, entry: Entry) -> int:
        """The event's id; 0 where SQLite will never take it, which must not keep the others waiting."""
        try:
            return int(self._writer.execute(INSERT, entry.row()).lastrowid or 0)
        except UNSOUND as error:
            self._unsound += 1
            self._say("lost", f"an event was lost: {error}: {entry}", camera=entry.camera, level="error")
            return 0

    def _tell(self, told: Sequence[StoredEvent]) -> None:
        """What is committed."""
        for event in told:
            self._pending.observe(event.entry.camera, {"events": 1.0}, event.entry.wall_s)
        for listener in self._listeners if told else ():
            try:
                listener(told)
            except Exception as error:
                self._say("store", f"a listener failed: {type(error).__name__}: {error}", level="error")
        with self._news:
            self.newest = told[-1].id if told else self.newest
            self._busy = False
            self._news.notify_all()

    def _trim(self) -> None:
        """Delete what is old or too much, now and then."""
        if monotonic() - self._trimmed_s < TRIM_S:
            return
        self._trimmed_s, now_s, settings = monotonic(), self._clock.now_s(), self._settings
        old_s, plot_s = now_s - settings.keep_days * DAY_S, now_s - settings.series_days * DAY_S
        try:
            delete_old(self._writer, self.newest - settings.most_events, old_s, plot_s)
        except sqlite3.Error as error:
            self._say("store", f"old events cannot be deleted: {error}", level="error")
