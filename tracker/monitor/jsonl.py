"""Events as lines of JSON in a file, with old files beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tracker.errors import OutputError
from tracker.monitor.courier import DeliveryError
from tracker.monitor.output_settings import JsonlSettings
from tracker.monitor.stored import StoredEvent
from tracker.write.files import reason

TAIL = 65_536  # bytes: longer than any line
HEAD = b'{"id": '


class JsonlOutput:
    """Opens the file for each batch, so that others may move it away at any time.

    Each event is in the file once, also after a kill: the last line tells how far it is.
    """

    name = "jsonl"

    def __init__(self, settings: JsonlSettings, folder: Path) -> None:
        """Nothing is written yet.

        Raises:
            OutputError: there is no folder for the file, or it cannot be written.
        """
        self._settings = settings
        self._path = folder / settings.path
        try:
            with open(self._path, "ab"):
                pass
        except OSError as error:
            raise OutputError(f"jsonl.path: {self._path} cannot be written: {reason(error)}; choose another") from error

    def send(self, events: Sequence[StoredEvent], done: Callable[[int], None]) -> None:
        """Append. Raises DeliveryError."""
        try:
            known = self._mend()
            self._rotate()
            last = known[1] if known is not None and known[0] == events[0].store else 0
            fresh = [event for event in events if event.id > last]
            self._append("".join(json.dumps(event.as_dict(), ensure_ascii=False) + "\n" for event in fresh).encode())
        except OSError as error:
            raise DeliveryError(f"{self._path} cannot be written: {reason(error)}") from error
        for event in events:
            done(event.id)

    def close(self, timeout_s: float) -> None:
        """Nothing is open."""

    def _mend(self) -> tuple[str, int] | None:
        """Cut off a line that a kill tore; (store, id) of the last line, None where there is none of ours."""
        with open(self._path, "a+b") as file:
            begin = file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            torn = tail[whole:]
            if torn and (torn.startswith(HEAD) or HEAD.startswith(torn)) and (whole or not begin):
                file.truncate(begin + whole)
            elif torn:
                file.write(b"\n")  # somebody else's line
        lines = tail[:whole].splitlines()
        return _identity(lines[-1]) if lines else None

    def _append(self, data: bytes) -> None:
        """All of it on the disk, or an OSError and none of it."""
        with open(self._path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def _rotate(self) -> None:
        """Begin a new file where this one is full: events.jsonl becomes events.1.jsonl, that becomes events.2.jsonl."""
        if not self._path.exists() or self._path.stat().st_size < self._settings.max_mb * 1e6:
            return
        for number in range(self._settings.files - 1, 0, -1):
            if self._old(number).exists():
                self._old(number).replace(self._old(number + 1))
        self._path.replace(self._old(1))

    def _old(self, number: int) -> Path:
        """Name of an old file."""
        return self._path.with_name(f"{self._path.stem}.{number}{self._path.suffix}")


def _identity(line: bytes) -> tuple[str, int] | None:
    """(store, id) of a line, None where it is not ours."""
    try:
        content: Any = json.loads(line)
        return str(content["store"]), int(content["id"])
    except (ValueError, KeyError, TypeError):
        return None
