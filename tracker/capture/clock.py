"""Timestamps of the container -> seconds from the first frame, never decreasing."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

from tracker.capture.report import Report

_Picture = TypeVar("_Picture")

FILE_JUMP_S = 1.0
"""A step back by more than this is a new time line (files joined together); by less, one bad timestamp."""

LIVE_JUMP_S = 10.0
"""A camera whose clock leaps ahead by more than this has set its clock; nothing was recorded in between."""

STEADY_SHARE, STEP_SLACK = 0.9, 0.1
"""A stream counts as one of constant rate when this share of its steps is this close to the nominal one."""

DEFAULT_STEP_S = 1 / 25
"""Time between frames of a stream that says nothing about it."""


class FileClock:
    """Times of a finite stream. Constant and variable rate alike: the PTS is taken at its word."""

    def __init__(self, time_base: Fraction, rate: Fraction | None, report: Report) -> None:
        """`time_base`: seconds of one tick. `rate`: frames a second, fills in where a timestamp is missing."""
        self._time_base = time_base
        self._rate_step_s = float(1 / rate) if rate else 0.0
        self._report = report
        self._origin: int | None = None
        self._last_s: float | None = None
        self._step_s = self._rate_step_s or DEFAULT_STEP_S
        self._steady, self._other, self._missing = 0, 0, 0

    def missing(self) -> int:
        """How many frames the gaps of an otherwise steady stream stand for; 0 at variable rate."""
        return self._missing if self._steady >= STEADY_SHARE * (self._steady + self._other) else 0

    def seconds(self, ticks: int) -> float:
        """Ticks -> seconds, correctly rounded."""
        return ticks * self._time_base.numerator / self._time_base.denominator

    def duration_s(self, ticks: int) -> float:
        """How long a picture stands when no next one tells: its own duration, else the rate, else 0.0."""
        return self.seconds(ticks) if ticks > 0 else self._rate_step_s

    def time_s(self, ticks: int | None, duration: int = 0) -> float:
        """Time of the next picture, whose PTS is `ticks` and whose own duration is `duration` ticks (0: unknown).

        Without a PTS, or with one before the picture before, it follows that picture by its duration.
        """
        expected_s = 0.0 if self._last_s is None else self._last_s + self._step_s
        if ticks is not None and self._origin is None:
            self._origin = ticks - self._ticks(expected_s)
        time_s = expected_s if ticks is None else self.seconds(ticks - (self._origin or 0))
        if ticks is None or time_s < (self._last_s or 0.0):
            self._report.repaired_timestamps += 1
            if ticks is not None and (self._last_s or 0.0) - time_s > FILE_JUMP_S:
                self._origin = ticks - self._ticks(expected_s)
            time_s = expected_s
        elif self._last_s is not None and self._rate_step_s:
            self._count_step((time_s - self._last_s) / self._rate_step_s)
        self._last_s = time_s
        self._step_s = self.duration_s(duration) or DEFAULT_STEP_S
        return time_s

    def _count_step(self, steps: float) -> None:
        """Take note of a step of this many nominal frame durations."""
        steady = abs(steps - 1) < STEP_SLACK
        self._steady += steady
        self._other += not steady
        self._missing += max(0, round(steps) - 1)

    def _ticks(self, seconds: float) -> int:
        """Seconds -> ticks."""
        return round(Fraction(seconds) / self._time_base)


def in_order(stamped: Iterable[tuple[_Picture, int | None]], window: int) -> Iterator[tuple[_Picture, int | None]]:
    """Pictures in their order with the timestamps in theirs, which are out of place by `window` places at most."""
    waiting: deque[_Picture] = deque()
    ticks: list[int] = []
    for picture, tick in stamped:
        if tick is not None:
            waiting.append(picture)
            heapq.heappush(ticks, tick)
        while waiting and (tick is None or len(waiting) > window):
            yield waiting.popleft(), heapq.heappop(ticks)
        if tick is None:
            yield picture, None
    while waiting:
        yield waiting.popleft(), heapq.heappop(ticks)


class LiveClock:
    """Times of a stream that comes over several connections, each with a time line of its own.

    The first picture of a connection is placed by its arrival, those after it by their PTS: jitter of the network does
    not enter into motion, and time spent without a connection passes.
    """

    def __init__(self, report: Report) -> None:
        """Nothing has come yet."""
        self._report = report
        self._began_s: float | None = None
        self._last_s = 0.0
        self._arrived_s = 0.0
        self._origin: int | None = None
        self._base_s = 0.0

    def reconnected(self) -> None:
        """The next picture is the first one of a new connection."""
        self._origin = None

    def time_s(self, ticks: int | None, time_base: Fraction, arrival_s: float, step_s: float = 0.0) -> float:
        """Seconds since the first picture of the first connection.

        Args:
            ticks: PTS, or None for a stream without times (MJPEG), whose pictures are placed by arrival alone.
            time_base: seconds of one tick.
            arrival_s: monotonic clock when the picture came.
            step_s: usual time between pictures, 0.0 where unknown.
        """
        first = self._began_s is None
        if self._began_s is None:
            self._began_s = self._arrived_s = arrival_s
        placed_s = 0.0 if first else max(arrival_s - self._began_s, self._last_s + step_s)
        if ticks is None:
            time_s = 0.0 if first else max(arrival_s - self._began_s, self._last_s)
        elif self._origin is None:
            time_s = self._place(ticks, placed_s)
        else:
            time_s = self._base_s + float((ticks - self._origin) * time_base)
            leap_s = time_s - self._last_s
            if leap_s < 0 or leap_s > LIVE_JUMP_S + 2 * (arrival_s - self._arrived_s):
                self._report.repaired_timestamps += 1
                time_s = self._place(ticks, placed_s)
        self._last_s, self._arrived_s = time_s, arrival_s
        return time_s

    def ahead_s(self, now_s: float) -> float:
        """By how much the time of the last picture is ahead of the clock, seconds; less than 0: behind it."""
        return self._last_s - (now_s - (now_s if self._began_s is None else self._began_s))

    def _place(self, ticks: int, time_s: float) -> float:
        """Begin a time line: from here on `ticks` stands for `time_s`."""
        self._origin, self._base_s = ticks, time_s
        return time_s
