"""The database of the monitor: its tables, how an older one is brought up to date, and how a damaged one is survived.

SQLite in WAL mode with synchronous=FULL: what was committed is there after a kill and after a power cut.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from itertools import takewhile
from pathlib import Path

from tracker.errors import OutputError
from tracker.write.files import reason

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, wall_s REAL NOT NULL, time_s REAL NOT NULL,
            kind TEXT NOT NULL, place TEXT NOT NULL, track_id INTEGER, class_id INTEGER, class_name TEXT NOT NULL,
            box TEXT, direction TEXT NOT NULL, label TEXT NOT NULL, value REAL NOT NULL,
            snapshot TEXT NOT NULL, clip TEXT NOT NULL DEFAULT '')""",
        "CREATE INDEX events_of_camera ON events (camera, id)",
        "CREATE TABLE states (camera TEXT PRIMARY KEY, wall_s REAL NOT NULL, state TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE cursors (
            output TEXT PRIMARY KEY, event_id INTEGER NOT NULL, lost INTEGER NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE minutes (
            camera TEXT NOT NULL, name TEXT NOT NULL, minute INTEGER NOT NULL, total REAL NOT NULL,
            number INTEGER NOT NULL, least REAL NOT NULL, most REAL NOT NULL,
            PRIMARY KEY (camera, name, minute)) WITHOUT ROWID""",
        "CREATE INDEX minutes_by_time ON minutes (minute)",
        "CREATE TABLE identity (store TEXT NOT NULL)",
    ),
)
"""Statements that lead from each version of the schema to the next; those that were ever released do not change."""

BUSY_S = 10.0
TRIM_ROWS = 2000


def connect(path: Path) -> sqlite3.Connection:
    """A connection for any thread, one at a time; transactions are begun and ended by hand."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 16000000")
    except BaseException:
        connection.close()
        raise
    return connection


def open_database(path: Path) -> tuple[sqlite3.Connection, str]:
    """The database, made or brought up to date where need be.

    Returns:
        The connection, and where a damaged file was moved to ("" usually). One that cannot be read is put aside, for
        a camera that is watched without its past is better than one that is not watched.

    Raises:
        OutputError: it cannot be opened or written, or a newer version of tracker made it.
    """
    try:
        return _opened(path), ""
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # no rights, no room, locked: not the file's fault
            raise OutputError(f"database {path} cannot be used: {error}; check the folder and its disk") from error
    try:
        aside = _put_aside(path)
        return _opened(path), aside
    except (sqlite3.Error, OSError) as error:
        said = reason(error) if isinstance(error, OSError) else str(error)
        raise OutputError(f"database {path} is damaged and cannot be replaced: {said}; remove it") from error


def _opened(path: Path) -> sqlite3.Connection:
    """Open, check, migrate. Raises sqlite3.Error, OutputError."""
    connection = connect(path)
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        migrate(connection, path, MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]]) -> None:
    """Bring the schema up to date, each step as a whole or not at all.

    Raises:
        OutputError: a newer version made the database.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(migrations):
        raise OutputError(
            f"database {path} has schema {version}, this version of tracker knows {len(migrations)}; update tracker"
        )
    for number, statements in enumerate(migrations[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            if number == 1:
                connection.execute("INSERT INTO identity VALUES (?)", (uuid.uuid4().hex[:12],))
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def _put_aside(path: Path) -> str:
    """Rename a damaged database with what belongs to it; returns the new name."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    return aside.name


def identity_of(connection: sqlite3.Connection) -> str:
    """Twelve hexadecimal digits that no other database has: ids of events are unique together with it."""
    with closing(connection.execute("SELECT store FROM identity")) as found:
        return str(found.fetchone()[0])


def delete_old(connection: sqlite3.Connection, last: int, before_s: float, minutes_before_s: float) -> None:
    """Delete events up to an id and those of before a time, a few at once; and figures of before a time.

    Only from the front: ids have no gaps. Raises sqlite3.Error.
    """
    front = connection.execute("SELECT id, wall_s FROM events ORDER BY id LIMIT ?", (TRIM_ROWS,)).fetchall()
    old = takewhile(lambda row: row[0] <= last or row[1] < before_s, front)
    connection.execute("DELETE FROM events WHERE id <= ?", (max((number for number, _ in old), default=0),))
    connection.execute("DELETE FROM minutes WHERE minute < ?", (minutes_before_s,))
