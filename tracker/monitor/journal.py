"""The log of a service that runs for months: structured, rate-limited, without a password in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from threading import Lock
from time import monotonic
from typing import Any, Literal, TextIO

from tracker.capture import mask_credentials

Level = Literal["info", "warning", "error"]
WINDOW_S, MOST = 60.0, 5
"""Lines of one kind of one camera in a minute; the rest is counted."""

SHORTEST_SECRET = 3


class Journal:
    """Lines for people, or JSON lines for machines. Safe to use from several threads; never raises."""

    def __init__(
        self, *, as_json: bool = False, stream: TextIO | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        """`stream`: standard error by default; standard output belongs to results. `clock`: monotonic seconds."""
        self._as_json, self._stream, self._clock = as_json, stream, clock
        self._lock = Lock()
        self._recent: dict[tuple[str, str], list[float]] = {}
        self._held: dict[tuple[str, str], int] = {}
        self._secrets: set[str] = set()

    def hide(self, *secrets: str) -> None:
        """Have these never appear, wherever they come from."""
        with self._lock:
            self._secrets |= {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}

    def masked(self, text: str) -> str:
        """`text` without passwords."""
        text = mask_credentials(text)
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _masked_values(self, value: Any) -> Any:
        """The same with all text in it masked; names of fields stay."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, dict):
            return {key: self._masked_values(each) for key, each in value.items()}
        return [self._masked_values(each) for each in value] if isinstance(value, list | tuple) else value

    def tell(self, event: str, message: str, *, camera: str = "", level: Level = "info", **fields: Any) -> None:
        """Write one line, unless there were many like it in the last minute.

        Args:
            event: what kind of thing happened, one word: "state", "error".
            message: for people, one line.
            camera: of which camera, "" where it concerns all.
            level: how much it matters.
            fields: further values for machines, JSON-ready.
        """
        with self._lock:
            held = self._admit((camera, event))
            if held is None:
                return
            self._write(event, message, camera, level, fields | ({"held_back": held} if held else {}))

    def report(self, message: str, **fields: Any) -> None:
        """Write a line of event "status", which is regular and not limited."""
        with self._lock:
            self._write("status", message, "", "info", fields)

    def _admit(self, kind: tuple[str, str]) -> int | None:
        """How many lines of this kind were held back since the last one written; None: this one is held back too."""
        now = self._clock()
        times = [time for time in self._recent.get(kind, ()) if now - time < WINDOW_S]
        self._recent[kind] = times
        if len(times) >= MOST:
            self._held[kind] = self._held.get(kind, 0) + 1
            return None
        times.append(now)
        return self._held.pop(kind, 0)

    def _write(self, event: str, message: str, camera: str, level: Level, fields: dict[str, Any]) -> None:
        """One line."""
        now = datetime.now(timezone.utc)
        message = self.masked(" ".join(message.split()))
        if self._as_json:
            values = {"time": now.isoformat(timespec="milliseconds"), "level": level, "event": event}
            values |= ({"camera": camera} if camera else {}) | {"message": message} | self._masked_values(fields)
            line = json.dumps(values, ensure_ascii=False, default=str)
        else:
            held = f" ({fields['held_back']} more like it were held back)" if "held_back" in fields else ""
            mark = "" if level == "info" else f"{level}: "
            line = f"{now:%Y-%m-%d %H:%M:%S}Z {f'{camera}: ' if camera else ''}{mark}{message}{held}"
        with suppress(OSError, ValueError):  # a closed terminal or pipe is no reason to stop watching
            print(line, file=self._stream or sys.stderr, flush=True)
