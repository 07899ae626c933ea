"""Tracks that move along given paths, and an analyzer that watches them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tracker.analyze import Analyzer, Event, LineSettings, ZoneSettings
from tracker.structures import CONFIRMED, Tracks

CLASSES = ("person", "car", "truck")
SIZE = (1000, 1000)
SQUARE = ZoneSettings(polygon=((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)), anchor="centre")
FENCE = LineSettings(start=(0.2, 0.5), end=(0.8, 0.5), anchor="centre")  # in: downwards

Path = Callable[[float], tuple[float, float] | None]
"""Place of an object's centre at a time, pixels; None: not seen."""


def tracks(
    *rows: tuple[int, float, float],
    box: tuple[float, float] = (40, 40),
    classes: Sequence[int] = (),
    missed_s: float = 0,
) -> Tracks:
    """Confirmed tracks of (id, centre x, centre y), all of one size."""
    count = len(rows)
    centres = np.array([row[1:] for row in rows], np.float64).reshape(-1, 2)
    half = np.array(box) / 2
    return Tracks(
        np.array([row[0] for row in rows], np.int64),
        np.concatenate((centres - half, centres + half), 1).astype(np.float32),
        np.full(count, 0.9, np.float32),
        np.array(classes or [0] * count, np.int64),
        np.full(count, missed_s, np.float32),
        np.full(count, CONFIRMED, np.int64),
    )


def analyzer(
    zones: Mapping[str, ZoneSettings] | None = None,
    lines: Mapping[str, LineSettings] | None = None,
    rejoin_s: float = 2.0,
) -> Analyzer:
    """One of a picture of 1000 x 1000 pixels, so that shares are thousandths of a pixel."""
    return Analyzer(zones or {}, lines or {}, CLASSES, SIZE, rejoin_s=rejoin_s)


def watch(
    one: Analyzer, paths: Mapping[int, Path], times: Iterable[float], box: tuple[float, float] = (40, 40)
) -> list[Event]:
    """All events of objects that move along paths, by id, looked at at these times."""
    events: list[Event] = []
    for time_s in times:
        places = {number: path(time_s) for number, path in paths.items()}
        rows = [(number, *place) for number, place in places.items() if place is not None]
        events += one.update(tracks(*rows, box=box), time_s)
    return events


def clock(end_s: float, rate: float = 25.0, start_s: float = 0.0) -> list[float]:
    """Times of frames."""
    return [start_s + index / rate for index in range(round((end_s - start_s) * rate) + 1)]


def told(events: Iterable[Event]) -> list[str]:
    """Kinds and directions, in order."""
    return [f"{event.kind} {event.direction}".strip() for event in events]
