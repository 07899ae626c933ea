"""What waits to be written into the database. Bounded, and what belongs together is written together."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from threading import Condition

from tracker.monitor.stored import Entry, Minute

BATCH = 256
MOST_MINUTES, MOST_CLIPS = 20_000, 1000
MINUTE_S = 60

MinuteKey = tuple[str, str, int]
"""Camera, name, begin in seconds since 1970."""


@dataclass
class Batch:
    """What one transaction writes.

    Attributes:
        events: new ones.
        states: camera -> (JSON, wall clock seconds).
        cursors: output -> (id of the last event that it has, events it lost).
        clips: ids of events, and their clip's path.
        minutes: figures to be added to those in the database.
    """

    events: list[Entry] = field(default_factory=list)
    states: dict[str, tuple[str, float]] = field(default_factory=dict)
    cursors: dict[str, tuple[int, int]] = field(default_factory=dict)
    clips: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    minutes: dict[MinuteKey, Minute] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.events or self.states or self.cursors or self.clips or self.minutes)


class Pending:
    """Filled from many threads, emptied by one.

    Attributes:
        lost: events that had to go because the disk did not take them in time; the oldest go first.
    """

    def __init__(self, size: int) -> None:
        """Room for `size` events."""
        self.lost = 0
        self._size = size
        self._events: deque[Entry] = deque()
        self._rest = Batch()
        self._closed = False
        self._changed = Condition()

    def __len__(self) -> int:
        """Events waiting."""
        return len(self._events)

    def add(self, entry: Entry) -> bool:
        """One more event; False where one was lost by it."""
        with self._changed:
            if self._closed:
                self.lost += 1
                return False
            self._events.append(entry)
            full = self._bound()
            self._changed.notify()
        return not full

    def save(self, camera: str, state: str, wall_s: float) -> None:
        """The state of a camera, in place of the one before."""
        with self._changed:
            self._rest.states[camera] = state, wall_s

    def advance(self, output: str, event_id: int, lost: int) -> None:
        """How far an output is, in place of what was before."""
        with self._changed:
            self._rest.cursors[output] = event_id, lost
            self._changed.notify()

    def clip(self, ids: tuple[int, ...], path: str) -> None:
        """The clip of some events."""
        with self._changed:
            if len(self._rest.clips) < MOST_CLIPS:
                self._rest.clips.append((ids, path))
            self._changed.notify()

    def observe(self, camera: str, figures: Mapping[str, float], wall_s: float) -> None:
        """Figures of now."""
        begin = int(wall_s // MINUTE_S) * MINUTE_S
        with self._changed:
            for name, value in figures.items():
                if isfinite(value):
                    self._add((camera, name, begin), Minute(value, 1, value, value))

    def wait(self, timeout_s: float) -> bool:
        """Until there is something that should not wait, or it is closed; returns whether it is closed."""
        with self._changed:
            rest = self._rest
            self._changed.wait_for(lambda: self._events or rest.cursors or rest.clips or self._closed, timeout_s)
            return self._closed

    def take(self, *, minutes: bool) -> Batch:
        """The next transaction; with the figures of the minutes where they are wanted."""
        with self._changed:
            rest, self._rest = self._rest, Batch()
            rest.events = list(islice(self._events, BATCH))
            for _ in rest.events:
                self._events.popleft()
            if not minutes:
                rest.minutes, self._rest.minutes = self._rest.minutes, rest.minutes
            return rest

    def give_back(self, batch: Batch) -> None:
        """A transaction that failed: its parts wait again, in front of what came since."""
        with self._changed:
            self._events.extendleft(reversed(batch.events))
            self._bound()
            self._rest.states = batch.states | self._rest.states
            self._rest.cursors = batch.cursors | self._rest.cursors
            self._rest.clips = (batch.clips + self._rest.clips)[-MOST_CLIPS:]
            for key, minute in batch.minutes.items():
                self._add(key, minute)

    def close(self) -> None:
        """Take no more events."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _bound(self) -> bool:
        """Give up the oldest events where there are too many; returns whether there were."""
        over = len(self._events) - self._size
        for _ in range(over):
            self._events.popleft()
        self.lost += max(over, 0)
        return over > 0

    def _add(self, key: MinuteKey, minute: Minute) -> None:
        """Add figures to those that wait."""
        if key in self._rest.minutes:
            self._rest.minutes[key].merge(minute)
        elif len(self._rest.minutes) < MOST_MINUTES:
            self._rest.minutes[key] = minute
