"""The wall clock, for stamps and for ages. It may be set at any time, by hundreds of years."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from time import monotonic, time

DAY_S = 86_400.0
STEP_S, TRUST_S = 60.0, 3600.0


class SteadyClock:
    """Seconds since 1970 that follow a jump of the wall clock only after it has stood for an hour.

    What is deleted for its age is deleted by this clock: a clock set wrong for a moment deletes nothing.
    """

    def __init__(
        self, newest_s: float | None = None, wall: Callable[[], float] = time, steady: Callable[[], float] = monotonic
    ) -> None:
        """Begin.

        Args:
            newest_s: newest stamp that was ever written, where there is one: a start more than a day later is a jump.
            wall: seconds since 1970.
            steady: monotonic seconds.
        """
        self._wall, self._steady = wall, steady
        self._offset = self._candidate = wall() - steady()
        self._since_s = steady()
        if newest_s is not None and wall() - newest_s > DAY_S:
            self._offset = newest_s - steady()

    def now_s(self) -> float:
        """Seconds since 1970."""
        steady = self._steady()
        offset = self._wall() - steady
        if abs(offset - self._candidate) > STEP_S:
            self._since_s = steady
        self._candidate = offset
        if abs(offset - self._offset) <= STEP_S or steady - self._since_s >= TRUST_S:
            self._offset = offset
        return self._offset + steady


def utc(wall_s: float) -> datetime:
    """The time of a stamp; one that no calendar holds becomes its nearest end."""
    try:
        return datetime.fromtimestamp(wall_s, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return (datetime.max if wall_s > 0 else datetime.min).replace(tzinfo=timezone.utc)


def iso(wall_s: float) -> str:
    """`2025-01-02T10:11:12.345Z`."""
    return utc(wall_s).isoformat(timespec="milliseconds").replace("+00:00", "Z")
