"""A bounded queue that never makes the giver wait."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """From many threads to one. When it is full the oldest goes, and is counted.

    Attributes:
        lost: things that had to go.
    """

    def __init__(self, size: int) -> None:
        """Room for `size` things."""
        self.lost = 0
        self._size = size
        self._things: deque[T] = deque()
        self._changed = Condition()
        self._closed = False

    def __len__(self) -> int:
        """Things waiting."""
        return len(self._things)

    def put(self, thing: T) -> T | None:
        """Add; returns what had to go for it, if anything. After `close` that is the thing itself."""
        with self._changed:
            if self._closed:
                self.lost += 1
                return thing
            gone = self._things.popleft() if len(self._things) >= self._size else None
            self.lost += gone is not None
            self._things.append(thing)
            self._changed.notify()
        return gone

    def take(self, most: int, timeout_s: float) -> list[T]:
        """Up to `most` of the oldest; waits for the first one. Empty after the time, or when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._things or self._closed, timeout_s)
            return [self._things.popleft() for _ in range(min(most, len(self._things)))]

    def close(self) -> None:
        """Take no more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether it is closed and empty."""
        return self._closed and not self._things
