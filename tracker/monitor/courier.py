"""Brings events to one output, in order, in a thread of its own: what happens to it happens to no other."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Any, Protocol

from tracker.monitor.say import Say
from tracker.monitor.spool import Spool
from tracker.monitor.stored import StoredEvent

BATCH = 20
FIRST_S, LONGEST_S = 1.0, 60.0
STEP_S = 0.5


class DeliveryError(Exception):
    """An event was not taken; it is tried again.

    Attributes:
        retry_s: the earliest time for that, in seconds, where the other side named one.
    """

    def __init__(self, message: str, retry_s: float = 0.0) -> None:
        """`message`: one line, without secrets."""
        super().__init__(message)
        self.retry_s = retry_s


class Rejected(Exception):
    """This event will never be taken, others may be. The message is one line, without secrets."""


class Output(Protocol):
    """Where events go."""

    name: str

    def send(self, events: Sequence[StoredEvent], done: Callable[[int], None]) -> None:
        """Deliver in order; `done(id)` after each that has arrived.

        Raises:
            DeliveryError: the next one was not taken.
            Rejected: the next one never will be.
        """

    def close(self, timeout_s: float) -> None:
        """Let go of the connection."""


class Courier:
    """The thread of an output.

    Attributes:
        sent: events delivered in this life.
        failures: deliveries that failed, in a row.
        trouble: why the last one failed, "" while all is well.
    """

    def __init__(
        self, output: Output, spool: Spool, say: Say, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S
    ) -> None:
        """Start. `first_s`, `longest_s`: the first and the longest delay before a failed delivery is tried again."""
        self.output, self.spool, self._say = output, spool, say
        self._first_s, self._longest_s = first_s, longest_s
        self.sent = self.failures = 0
        self.trouble = ""
        self._draining, self._hurry = Event(), Event()
        self._until_s = float("inf")
        self._thread = Thread(target=self._work, name=output.name, daemon=True)
        self._thread.start()

    def figures(self) -> dict[str, Any]:
        """JSON-ready: state, sent, waiting, lost, failures, trouble."""
        return {
            "state": "failing" if self.trouble else "up",
            "sent": self.sent,
            "waiting": self.spool.waiting,
            "lost": self.spool.lost,
            "failures": self.failures,
            "trouble": self.trouble,
        }

    def hurry(self) -> None:
        """Try again at once: the other side is back."""
        self._hurry.set()

    def drain(self, timeout_s: float) -> None:
        """Ask for an end: deliver what waits, but for no longer than this. Returns at once; see `close`."""
        self._until_s = monotonic() + timeout_s
        self._draining.set()
        self._hurry.set()

    def close(self, timeout_s: float) -> bool:
        """Wait for the end that `drain` asked for; what was not delivered is kept for the next life."""
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        left = self.spool.waiting
        if left:
            self._say("output", f"{self.output.name}: {left} events wait for the next start", level="warning")
        self.output.close(max(0.1, min(timeout_s, 2.0)))
        return ended

    def _work(self) -> None:
        """Until drained, or out of time."""
        while monotonic() < self._until_s:
            self._hurry.clear()
            ending = self._draining.is_set()
            try:
                busy = self._step()
            except Exception as error:  # a fault of one output is no end of it either
                self._failed(error)
                if ending:
                    return
            else:
                if not busy and ending:
                    return
                if not busy:
                    self.spool.wait(STEP_S)

    def _step(self) -> bool:
        """Deliver some events; returns whether there were any."""
        events = self.spool.next(BATCH)
        if not events:
            return False
        try:
            self.output.send(events, self._done)
        except Rejected as error:
            self._reject(error)
        else:
            self._recovered()
        return True

    def _done(self, event_id: int) -> None:
        """An event has arrived."""
        self.sent += 1
        self.spool.done(event_id)

    def _reject(self, error: Exception) -> None:
        """Leave out the event that is refused."""
        refused = self.spool.next(1)
        if refused:
            self.spool.skip(refused[0].id)
            said = f"{self.output.name}: event {refused[0].id} is refused and left out: {error}"
            self._say("lost", said, level="error")

    def _recovered(self) -> None:
        """A delivery went well."""
        if self.failures:
            self._say("output", f"{self.output.name}: works again, {self.spool.waiting} events wait")
        self.failures, self.trouble = 0, ""

    def _failed(self, error: Exception) -> None:
        """A delivery failed: wait, longer each time, by chance (full jitter), until it is worth another try."""
        said = str(error) if isinstance(error, DeliveryError) else f"{type(error).__name__}: {error}"
        self.failures += 1
        if said != self.trouble:
            waiting = self.spool.waiting
            self._say("output", f"{self.output.name}: {said}; {waiting} events wait, tried again", level="warning")
        self.trouble = said
        most_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures - 1, 16))
        delay_s = max(random.uniform(0, most_s), getattr(error, "retry_s", 0.0), 0.05)
        if not self._draining.is_set():
            self._hurry.wait(delay_s)
