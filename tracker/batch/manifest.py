"""What an archive is made of and how far it is: `manifest.sqlite` in its folder.

One process writes it (the folder is locked). Each change is one transaction, so a process killed at any moment leaves
the state before or after it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracker.batch.inputs import Fingerprint, Video, fingerprint, untouched
from tracker.batch.job import DONE, FAILED, Outcome, differences
from tracker.errors import Interrupted, OutputError, SourceError, UsageError, WriteError

NAME, VERSION = "manifest.sqlite", 1
WAITING, COPY_S = "waiting", 600.0
PICTURES = "$.summary.pictures"  # in the figures
Change = tuple[str, Sequence[tuple[Any, ...]]]
"""A statement, and the rows that it is carried out with."""
TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE videos (
    name TEXT PRIMARY KEY, path TEXT NOT NULL, size INTEGER, modified_ns INTEGER, digest TEXT,
    state TEXT NOT NULL, reason TEXT NOT NULL, frames INTEGER NOT NULL, attempts INTEGER NOT NULL, wall_s REAL NOT NULL,
    warnings TEXT NOT NULL, figures TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Entry:
    """One video.

    Attributes:
        video: name and path.
        before: its fingerprint; None where it could not be read.
        state: WAITING, DONE or FAILED.
        reason: why it failed.
        frames: safe on the disk.
        attempts: how often it was begun.
        wall_s: spent on it, all attempts together.
        warnings, figures: of the outcome.
    """

    video: Video
    before: Fingerprint | None
    state: str = WAITING
    reason: str = ""
    frames: int = 0
    attempts: int = 0
    wall_s: float = 0.0
    warnings: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


class Manifest:
    """The manifest of one folder."""

    def __init__(self, folder: Path) -> None:
        """Open it, or make an empty one.

        Raises:
            OutputError: it cannot be made, or is of another version.
        """
        self.path = folder / NAME
        try:
            # Nobody else works in the folder; what may be waited for is a copy for the store being made.
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=COPY_S)
            self._db.execute("PRAGMA synchronous=FULL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN;{TABLES}PRAGMA user_version={VERSION};COMMIT;")
            elif version != VERSION:
                raise OutputError(
                    f"{self.path} is of another version of tracker (format {version}, this one has {VERSION}); "
                    "choose another output folder"
                )
        except sqlite3.Error as error:
            raise OutputError(f"{self.path} cannot be used: {error}; choose another output folder") from None

    @property
    def empty(self) -> bool:
        """Whether nothing was begun."""
        return not self.about()

    def about(self) -> dict[str, Any]:
        """What the archive was begun with: settings, formats, the detector (`identity`)."""
        return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM about")}

    def set_about(self, **values: Any) -> None:
        """Keep these."""
        self._write(_about_rows(values))

    def add(
        self, videos: Sequence[Video], *, whole: bool, stop: Callable[[], bool] = lambda: False, **about: Any
    ) -> None:  # fmt: skip
        """Videos that are new, with their fingerprints; one that cannot be read has failed.

        Args:
            videos: at most one of a name.
            whole: the fingerprint is of the whole file.
            stop: asked before each video; True: nothing is added.
            about: kept with them, all or nothing.

        Raises:
            Interrupted: `stop` said so. WriteError: it cannot be written.
        """
        rows = []
        for video in videos:
            if stop():
                raise Interrupted("interrupted while the inputs were looked at; nothing was begun")
            try:
                print_, state, reason = fingerprint(video, whole=whole), WAITING, ""
            except SourceError as error:
                print_, state, reason = None, FAILED, str(error)
            three = (None, None, None) if print_ is None else (print_.size, print_.modified_ns, print_.digest)
            rows.append((video.name, video.place, *three, state, reason, 0, 0, 0.0, "[]", "{}"))
        self._write((f"INSERT INTO videos VALUES ({', '.join('?' * 12)})", rows), _about_rows(about))

    def forget(self, videos: Sequence[Video]) -> None:
        """Take videos out."""
        self._write(("DELETE FROM videos WHERE name = ?", [(video.name,) for video in videos]))

    def entries(self) -> list[Entry]:
        """All videos, in the order they were added. Their figures come without the report's pictures."""
        return list(self._entries())

    def pictures(self, name: str) -> list[dict[str, Any]]:
        """The report's pictures of a video, as `VideoSummary` has them; they are most of what the manifest holds."""
        row = self._db.execute(f"SELECT json_extract(figures, '{PICTURES}') FROM videos WHERE name = ?", (name,))
        text = (row.fetchone() or (None,))[0]
        found: list[dict[str, Any]] = json.loads(text) if text else []
        return found

    def begin(self, name: str) -> None:
        """Count an attempt."""
        self._write(("UPDATE videos SET attempts = attempts + 1 WHERE name = ?", [(name,)]))

    def reached(self, name: str, frames: int) -> None:
        """So many frames are safe on the disk."""
        self._write(("UPDATE videos SET frames = ? WHERE name = ?", [(frames, name)]))

    def end(self, name: str, outcome: Outcome) -> None:
        """What came of an attempt."""
        state = outcome.state if outcome.state in (DONE, FAILED) else WAITING
        row = (
            state, outcome.reason, outcome.frames, outcome.wall_s, json.dumps(outcome.warnings),
            json.dumps(outcome.figures, sort_keys=True), name,
        )  # fmt: skip
        statement = (
            "UPDATE videos SET state = ?, reason = ?, frames = ?, wall_s = wall_s + ?, warnings = ?, figures = ? "
            "WHERE name = ?"
        )
        self._write((statement, [row]))

    def again(self, states: Sequence[str], **about: Any) -> None:
        """Videos in these states wait once more; `about` is kept with that, all or nothing."""
        rows = [(WAITING, state) for state in states]
        self._write(("UPDATE videos SET state = ?, reason = '' WHERE state = ?", rows), _about_rows(about))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _entries(self) -> Iterator[Entry]:
        columns = (
            "name, path, size, modified_ns, digest, state, reason, frames, attempts, wall_s, warnings, "
            f"json_remove(figures, '{PICTURES}')"
        )
        for row in self._db.execute(f"SELECT {columns} FROM videos ORDER BY rowid"):
            name, path, size, modified_ns, digest, state, reason, frames, attempts, wall_s, warnings, figures = row
            before = None if digest is None else Fingerprint(size, modified_ns, digest)
            yield Entry(
                Video.at(name, path), before, state, reason, frames, attempts, wall_s, tuple(json.loads(warnings)),
                json.loads(figures),
            )  # fmt: skip

    def _write(self, *changes: Change) -> None:
        """One transaction. Raises WriteError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for statement, rows in changes:
                self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise WriteError(f"{self.path} could not be written: {error}") from error


def _about_rows(values: Mapping[str, Any]) -> Change:
    """What `set_about` writes."""
    rows = [(key, json.dumps(value, sort_keys=True)) for key, value in values.items()]
    return "INSERT INTO about VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", rows


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise UsageError, naming each, where the settings are not those that the archive was begun with."""
    changed = differences(_flat(before), _flat(now))
    if changed:
        raise UsageError(
            f"the settings are not those that this archive was begun with: {'; '.join(changed)}; use the same ones, "
            "--retrack where only the tracker changed, or a new output folder"
        )


def check_unchanged(
    entries: Sequence[Entry], detected: Callable[[str], bool] = lambda name: False,
    stop: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    """Raise UsageError, naming each, where a video is not the file it was; one that is done may be gone.

    A file of the same size and time of change is not read, unless all its bytes count (--whole-hash).

    Args:
        entries: the videos.
        detected: whether the one of this name has a whole spool; it may be gone, too.
        stop: asked before each video.

    Raises:
        UsageError: see above. Interrupted: `stop` said so.
    """
    changed = []
    for entry in entries:
        if stop():
            raise Interrupted("interrupted while the inputs were compared; --resume goes on")
        before = entry.before
        needless = entry.state == DONE or detected(entry.video.name)
        gone = needless and (entry.video.url or not entry.video.path.exists())
        whole = before is not None and before.digest.startswith("all:")
        if before is None or entry.state == FAILED or gone or (not whole and untouched(entry.video, before)):
            continue
        try:
            now = fingerprint(entry.video, whole=whole)
        except SourceError as error:
            changed.append(str(error))
            continue
        if (now.size, now.digest) != (before.size, before.digest):
            changed.append(f"{entry.video.place} ({before.size} bytes before, {now.size} now)")
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UsageError(
            f"inputs changed since the archive was begun: {'; '.join(changed[:5])}{more}; put the old files back, or "
            "start a new output folder"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings -> dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat
