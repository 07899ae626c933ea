"""What the pipeline measures of itself: time a stage, frames, rate. Flat memory however long it runs."""

from __future__ import annotations

import math
from collections import deque
from threading import Lock
from time import perf_counter

SHORTEST_S, STEPS_A_DECADE = 1e-6, 24  # histogram: 1 us to 1000 s, neighbours 10 % apart


class Histogram:
    """Durations in logarithmic bins: percentiles within 5 %."""

    def __init__(self) -> None:
        """Empty."""
        self._bins = [0] * (9 * STEPS_A_DECADE + 1)
        self.count, self.total_s = 0, 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        place = round(STEPS_A_DECADE * math.log10(max(seconds, SHORTEST_S) / SHORTEST_S))
        self._bins[min(place, len(self._bins) - 1)] += 1
        self.count += 1
        self.total_s += seconds

    def percentile(self, share: float) -> float:
        """Seconds that this share (0..1) of the durations does not exceed; 0.0 when empty."""
        rank, seen = share * self.count, 0
        for place, number in enumerate(self._bins):
            seen += number
            if number and seen >= rank:
                return float(SHORTEST_S * 10 ** (place / STEPS_A_DECADE))
        return 0.0


class Meters:
    """Durations by stage, and how many threads share a stage. Safe to use from several threads."""

    def __init__(self) -> None:
        """Nothing measured."""
        self._stages: dict[str, Histogram] = {}
        self._lock = Lock()
        self._began = perf_counter()

    def observe(self, stage: str, seconds: float) -> None:
        """Add one duration of a stage."""
        with self._lock:
            self._stages.setdefault(stage, Histogram()).add(seconds)

    def table(self) -> dict[str, dict[str, float]]:
        """Per stage: ms_p50, ms_p95 and the seconds that it was busy in all."""
        with self._lock:
            return {
                name: {
                    "ms_p50": round(1e3 * stage.percentile(0.5), 3),
                    "ms_p95": round(1e3 * stage.percentile(0.95), 3),
                    "busy_s": round(stage.total_s, 3),
                }
                for name, stage in self._stages.items()
            }

    def bottleneck(self, groups: dict[str, tuple[tuple[str, ...], int]]) -> str:
        """The group that was busy for the largest share of its threads' time.

        `groups`: name -> (its stages, number of threads that do them).
        """
        with self._lock:
            busy = {stage: histogram.total_s for stage, histogram in self._stages.items()}
        share = {
            name: sum(busy.get(stage, 0.0) for stage in stages) / threads for name, (stages, threads) in groups.items()
        }
        return max(share, key=lambda name: share[name]) if any(share.values()) else ""


class Rate:
    """Frames a second over the last two seconds of wall clock: what the panel shows."""

    def __init__(self, start_s: float, window_s: float = 2.0) -> None:
        """`start_s`: when the first frame was asked for (monotonic seconds); a burst at the start counts from there."""
        self._window_s = window_s
        self._times: deque[float] = deque([start_s], maxlen=4096)

    def tick(self, now_s: float) -> float:
        """Count one frame at `now_s` (monotonic seconds) and return the rate."""
        self._times.append(now_s)
        while len(self._times) > 2 and now_s - self._times[0] > self._window_s:
            self._times.popleft()
        span = now_s - self._times[0]
        return (len(self._times) - 1) / span if span > 0 else 0.0
