"""What an output has yet to deliver: the events of the database behind its cursor.

Nothing is copied. An event waits for every output at once by being in the database, so it survives whatever the
database survives. The cursor is written after the delivery: what was delivered in the last moment before a kill is
delivered again, under the same id.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracker.monitor.say import Say
from tracker.monitor.store import Store
from tracker.monitor.stored import StoredEvent

UNKNOWN = -1
"""In place of an id: the output is not in use, and is to begin with the next event when it is again."""


def retire(store: Store, output: str) -> None:
    """An output is not in use: nothing waits for it. Raises sqlite3.Error."""
    known = store.cursor(output)
    if known is not None and known[0] != UNKNOWN:
        store.advance(output, UNKNOWN, known[1])


class Spool:
    """The queue of one output, used by its thread.

    Attributes:
        lost: events given up because too many waited, or because they were deleted before; earlier lives count too.
    """

    def __init__(self, store: Store, output: str, most: int, say: Say) -> None:
        """Go on where the output was; one that is new begins with the next event.

        Args:
            store: the database.
            output: its name there.
            most: events that may wait; beyond, the oldest are given up.
            say: the log.
        """
        self._store, self._output, self._most, self._say = store, output, most, say
        self._done, self.lost = store.cursor(output) or (UNKNOWN, 0)
        if not 0 <= self._done <= store.newest:  # a database begun anew has smaller ids
            self._done = store.newest
            store.advance(output, self._done, self.lost)

    @property
    def waiting(self) -> int:
        """Events to be delivered."""
        return max(0, self._store.newest - self._done)

    def next(self, most: int) -> Sequence[StoredEvent]:
        """The oldest events to be delivered. Raises sqlite3.Error."""
        self._give_up(self._store.newest - self._most)
        events = self._store.after(self._done, most)
        if events:
            self._give_up(events[0].id - 1)  # what is missing before it was deleted for its age
        return events

    def done(self, event_id: int) -> None:
        """Everything up to this event is delivered."""
        if event_id > self._done:
            self._done = event_id
            self._store.advance(self._output, event_id, self.lost)

    def skip(self, event_id: int) -> None:
        """This event, the oldest, will never be taken: go on behind it."""
        self.lost += 1
        self.done(event_id)

    def wait(self, timeout_s: float) -> bool:
        """Until there is something to deliver, or the time is over; returns whether there is."""
        return self._store.wait(self._done, timeout_s)

    def _give_up(self, event_id: int) -> None:
        """Events up to this one will not be delivered any more."""
        over = event_id - self._done
        if over > 0:
            self.lost += over
            said = f"{over} events were given up, {self.lost} in all: more than {self._most} waited, or for too long"
            self._say("lost", f"{self._output}: {said}", level="error")
            self.done(event_id)
