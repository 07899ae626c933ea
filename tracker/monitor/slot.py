"""Where frames wait, and the books on them: captured = processed + dropped + in flight, at any moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from tracker.structures import Frame

WEIGHT = 0.1


@dataclass(eq=False)
class Item:
    """One frame on its way through the monitor.

    Attributes:
        frame: the picture.
        captured_s: monotonic clock when the source could have given it: the age of a frame that waited in the
            network's buffers counts from there.
        taken_s: the same when the detector took it.
    """

    frame: Frame
    captured_s: float
    taken_s: float = 0.0


class Ledger:
    """The books of one camera. Each frame is entered once and leaves once, whoever says so first, from any thread."""

    def __init__(self) -> None:
        """Nothing captured."""
        self._lock = Lock()
        self._open: set[Item] = set()
        self._captured = self._processed = 0
        self._dropped: dict[str, int] = {}

    def enter(self, item: Item) -> None:
        """A frame was captured."""
        with self._lock:
            self._captured += 1
            self._open.add(item)

    def processed(self, item: Item) -> bool:
        """It went all the way; False where it was given up before."""
        with self._lock:
            if item not in self._open:
                return False
            self._open.remove(item)
            self._processed += 1
            return True

    def drop(self, item: Item, reason: str) -> bool:
        """It will not be processed; False where that is known already."""
        with self._lock:
            if item not in self._open:
                return False
            self._open.remove(item)
            self._dropped[reason] = self._dropped.get(reason, 0) + 1
            return True

    def drop_unseen(self, reason: str, count: int) -> None:
        """Frames that the source passed over without handing them on."""
        if count:
            with self._lock:
                self._captured += count
                self._dropped[reason] = self._dropped.get(reason, 0) + count

    def drop_all(self, reason: str) -> None:
        """Give up on whatever is in flight; nothing is, afterwards."""
        with self._lock:
            if self._open:
                self._dropped[reason] = self._dropped.get(reason, 0) + len(self._open)
            self._open.clear()

    def figures(self) -> dict[str, int | dict[str, int]]:
        """{captured, processed, dropped: {reason: number}, in_flight}, all of one moment."""
        with self._lock:
            return {
                "captured": self._captured,
                "processed": self._processed,
                "dropped": dict(self._dropped),
                "in_flight": len(self._open),
            }

    def restore(self, captured: int, processed: int, dropped: dict[str, int]) -> None:
        """Add the totals of an earlier life; what was in flight when it ended counts as dropped ("stopped")."""
        with self._lock:
            self._captured += captured
            self._processed += processed
            lost = captured - processed - sum(dropped.values())
            for reason, number in (*dropped.items(), ("stopped", lost)):
                if number:
                    self._dropped[reason] = self._dropped.get(reason, 0) + number


class Budget:
    """How old a frame may be when it is taken, so that it is published in time.

    What is left of the latency budget after the usual time from taking to publishing and twice its mean deviation, as
    TCP estimates its time-outs (RFC 6298).
    """

    def __init__(self, max_latency_s: float) -> None:
        """Nothing is known of the times yet."""
        self._max_s = max_latency_s
        self._mean_s = self._deviation_s = 0.0

    def note(self, seconds: float) -> None:
        """A frame took this long from taking to publishing."""
        self._deviation_s += WEIGHT * (abs(seconds - self._mean_s) - self._deviation_s)
        self._mean_s += WEIGHT * (seconds - self._mean_s)

    def max_age_s(self) -> float:
        """Never less than a fifth of the budget: where the detector alone takes longer, the newest frames go on."""
        return max(0.2 * self._max_s, self._max_s - self._mean_s - 2 * self._deviation_s)


class Slot:
    """Room for one frame: the newest. A live picture that was overtaken is of no use to anybody."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._ledger, self._clock = ledger, clock
        self._lock = Lock()
        self._item: Item | None = None

    def put(self, item: Item) -> None:
        """Keep this frame in place of the one before, which counts as dropped ("late")."""
        with self._lock:
            before, self._item = self._item, item
        if before is not None:
            self._ledger.drop(before, "late")

    def take(self, max_age_s: float) -> Item | None:
        """The frame, if it is fresh enough; an older one counts as dropped ("stale")."""
        with self._lock:
            item, self._item = self._item, None
        if item is not None and self._clock() - item.captured_s > max_age_s:
            self._ledger.drop(item, "stale")
            return None
        if item is not None:
            item.taken_s = self._clock()
        return item

    def clear(self, reason: str) -> None:
        """Drop what is there."""
        with self._lock:
            item, self._item = self._item, None
        if item is not None:
            self._ledger.drop(item, reason)

    @property
    def full(self) -> bool:
        """Whether a frame waits."""
        return self._item is not None
