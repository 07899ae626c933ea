"""A request to end that every wait of a source listens to."""

from __future__ import annotations

from threading import Event
from time import monotonic

SLICE_S = 0.1


class Halt:
    """Set by `close()` of the source, or from outside by the `stop` event that the caller handed in."""

    def __init__(self, stop: Event | None = None) -> None:
        """`stop`: belongs to the caller; never set from here."""
        self._stop = stop
        self._own = Event()

    def set(self) -> None:
        """End."""
        self._own.set()

    def is_set(self) -> bool:
        """Whether to end."""
        return self._own.is_set() or (self._stop is not None and self._stop.is_set())

    def wait(self, seconds: float) -> bool:
        """Wait this long, or until the request comes (noticed within 0.1 s); whether it has come."""
        until = monotonic() + seconds
        while not self.is_set() and (left := until - monotonic()) > 0:
            self._own.wait(min(left, SLICE_S))
        return self.is_set()
