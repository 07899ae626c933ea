"""When a frame was: the world's time where it is known, else the time since the first frame."""

from __future__ import annotations

from datetime import datetime, timedelta

DAY_S, HOUR_S, MINUTE_S = 86400, 3600, 60


def moment(began: datetime, time_s: float) -> datetime:
    """The world's time at `time_s` seconds of a stream that began at `began`, to the millisecond."""
    return began + timedelta(milliseconds=round(1e3 * time_s))


def stamp(began: datetime | None, time_s: float) -> str:
    """`2024-01-31 23:59:59`, or without a beginning `1 d 02:03:04` after it; as clocks go, not rounded up."""
    if began is not None:
        return moment(began, time_s).strftime("%Y-%m-%d %H:%M:%S")
    days, seconds = divmod(round(1e3 * time_s) // 1000, DAY_S)
    hours, seconds = divmod(seconds, HOUR_S)
    clock = f"{hours:02d}:{seconds // MINUTE_S:02d}:{seconds % MINUTE_S:02d}"
    return f"{days} d {clock}" if days else clock
