"""How the parts of the monitor tell something."""

from __future__ import annotations

from typing import Protocol

from tracker.monitor.journal import Level


class Say(Protocol):
    """`Journal.tell`, or anything like it. Callable from any thread, never raises."""

    def __call__(self, event: str, message: str, *, camera: str = "", level: Level = "info") -> None:
        """Write a line of kind `event`."""
