"""How far a live stream has fallen behind: what was sent and not yet read waits in buffers where nobody sees it."""

from __future__ import annotations

BEHIND_S = 1.0
"""A reader that lags more than this passes over what waits, up to the next picture that stands by itself."""

WAITED_SHARE = 0.5
"""A packet that took this share of a frame's time to come was waited for: nothing newer was there."""

QUEUED = 5
"""So many packets in a row without a wait are a queue, fewer are the network's jitter."""

DEFAULT_STEP_S = 0.02


class Lag:
    """Of one connection. Counts from the last packet that had to be waited for, so a camera's clock may drift."""

    def __init__(self, step_s: float, *, timed: bool = True) -> None:
        """`step_s`: usual time between pictures, 0.0 where unknown. `timed`: the pictures carry times of their own."""
        self._least_wait_s = WAITED_SHARE * (step_s or DEFAULT_STEP_S)
        self._timed = timed
        self._queued = 0
        self._waited_at: float | None = None
        self._least_s: float | None = None
        self._behind, self._caught_up = False, True
        self.seconds = 0.0

    def passes_over(self, waited_s: float, now_s: float, *, stands_alone: bool) -> bool:
        """Take note of a packet; whether to leave it undecoded, because newer ones wait behind it.

        Args:
            waited_s: how long it took to come once it was asked for.
            now_s: monotonic clock.
            stands_alone: a key frame.
        """
        if waited_s >= self._least_wait_s or self._waited_at is None:
            self._queued, self._waited_at, self._least_s, self._caught_up = 0, now_s, None, True
        else:
            self._queued += 1
        lag_s = self.seconds if self._timed else now_s - self._waited_at
        if self._behind:
            self._behind = not (stands_alone and self._caught_up)
        elif self._queued >= QUEUED and lag_s > BEHIND_S:
            self._behind, self._caught_up = True, False
        return self._behind

    def picture(self, raw_s: float) -> None:
        """Set `seconds` from the time since the connection's first picture arrived, less the picture's own time."""
        self._least_s = raw_s if self._least_s is None else min(self._least_s, raw_s)
        self.seconds = raw_s - self._least_s
