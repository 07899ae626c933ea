"""What of an archive in work is in its store: kept beside the work, so that a run goes on where the last one ended."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tracker.batch.job import DONE
from tracker.batch.manifest import NAME, WAITING
from tracker.errors import OutputError
from tracker.exports import FORMATS

FOLDER = "store"
"""Of the working folder: here this is kept."""
MAYBE = ".pictures"


@dataclass(frozen=True)
class Unit:
    """A file of a finished video, or a folder that is its own.

    Attributes:
        place: below the archive's folder; a folder's ends in "/".
        files: what it holds, by their places.
        mark: another one when something in it was written anew.
    """

    place: str
    files: Mapping[str, Path]
    mark: str


def places_of(name: str, formats: Sequence[str], *, video: bool, crops: int) -> list[str]:
    """Where what was made of a video with these options lies."""
    places = [f"{form}/{name}{FORMATS[form].suffix or '/'}" for form in formats]
    places += [f"video/{name}.mp4"] * video + [f"crops/{name}/"] * (crops > 0)
    return [*places, *spool_places(name)]


def spool_places(name: str) -> list[str]:
    """Of the whole spool, and of the pictures beside it, which are not always there."""
    return [f"spool/{name}.parquet", f"spool/{name}{MAYBE}"]


def unit_at(folder: Path, place: str) -> Unit | None:
    """The unit as it is on the disk; None where it is not."""
    path = folder / place
    if not place.endswith("/"):
        with suppress(FileNotFoundError):
            return Unit(place, {place: path}, _mark(path))
        return None
    if not path.is_dir():
        return None
    files = {one.relative_to(folder).as_posix(): one for one in sorted(path.rglob("*")) if one.is_file()}
    text = "\n".join(f"{below} {_mark(one)}" for below, one in files.items())
    return Unit(place, files, hashlib.sha256(text.encode("utf-8")).hexdigest())


def _mark(path: Path) -> str:
    """Size and time of change of a file."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


class Record:
    """The record of one working folder; the file is opened for each access, from whatever thread."""

    def __init__(self, folder: Path, address: str) -> None:
        """Raises OutputError: the folder is that of another address, or the record cannot be used."""
        self.path = folder / FOLDER / "record.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as db:
                db.execute("CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
                db.execute("CREATE TABLE IF NOT EXISTS units (place TEXT PRIMARY KEY, mark TEXT NOT NULL)")
                db.execute("INSERT OR IGNORE INTO about VALUES ('address', ?)", (address,))
                other = db.execute("SELECT value FROM about WHERE key = 'address'").fetchone()[0]
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{self.path} cannot be used: {error}; choose another --work") from None
        if other != address:
            raise OutputError(f"{folder} holds the work for {other}; choose another --work")

    @property
    def claims(self) -> list[str]:
        """By which the store may know this folder: the last one, and one that may not have got there."""
        with self._open() as db:
            found = db.execute("SELECT value FROM about WHERE key IN ('claim', 'next claim')").fetchall()
        return [row[0] for row in found]

    def claiming(self, claim: str) -> None:
        """This one is about to be put there."""
        self._about("next claim", claim)

    def claimed(self, claim: str) -> None:
        """It is there."""
        self._about("claim", claim)

    def marks(self) -> dict[str, str]:
        """Of the units that are in the store."""
        with self._open() as db:
            return dict(db.execute("SELECT place, mark FROM units"))

    def keep(self, units: Iterable[Unit]) -> None:
        """These are in the store as they are."""
        with self._open() as db:
            db.executemany("INSERT OR REPLACE INTO units VALUES (?, ?)", [(unit.place, unit.mark) for unit in units])

    def keep_all(self, places: Iterable[str]) -> None:
        """Units at these places are there, and not here."""
        self.keep(Unit(place, {}, "") for place in places)

    def forget(self, places: Sequence[str] | None = None) -> None:
        """These are not, or none is."""
        with self._open() as db:
            if places is None:
                db.execute("DELETE FROM units")
            else:
                db.executemany("DELETE FROM units WHERE place = ?", [(place,) for place in places])

    def _about(self, key: str, value: str) -> None:
        with self._open() as db:
            db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with closing(sqlite3.connect(self.path, timeout=10)) as db, db:
            yield db


def snapshot(folder: Path, there: Iterable[str]) -> tuple[Path, list[str]]:
    """A copy of the manifest as it is at one moment, for the store, and the names of the videos that are done in it.

    Args:
        folder: the working folder.
        there: the units that are in the store: of a video that waits, no more than its whole spool is safe there.

    Raises:
        sqlite3.Error, OSError: it cannot be made.
    """
    copy, spools = folder / FOLDER / NAME, set(there)
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / NAME, timeout=10)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        with target:
            waiting = [row[0] for row in target.execute("SELECT name FROM videos WHERE state = ?", (WAITING,))]
            lost = [(name,) for name in waiting if spool_places(name)[0] not in spools]
            target.executemany("UPDATE videos SET frames = 0 WHERE name = ?", lost)
        done = [row[0] for row in target.execute("SELECT name FROM videos WHERE state = ? ORDER BY rowid", (DONE,))]
    return copy, done
