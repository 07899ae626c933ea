"""Events, frames and a log for the tests of what the monitor keeps and tells."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from tests.monitor.fakes import wait_for
from tests.write.scenes import gray_frame
from tracker.analyze.events import Event
from tracker.monitor.courier import DeliveryError, Rejected
from tracker.monitor.output_settings import StoreSettings
from tracker.monitor.recordings import Recordings
from tracker.monitor.store import Store
from tracker.monitor.stored import Entry, StoredEvent
from tracker.structures import Tracks

NOON_S = 1_760_000_000.0  # some day in 2025


class Told:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: str, message: str, *, camera: str = "", level: str = "info") -> None:
        self.lines.append(f"{level} {event} {camera} {message}")

    def __contains__(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))


def event(time_s: float = 1.0, place: str = "door", value: float = 0.0) -> Event:
    """Somebody enters."""
    return Event("enter", time_s, place, 7, 0, "person", (10.0, 20.0, 40.0, 60.0), label="left", value=value)


def entry(number: int = 0, camera: str = "gate", wall_s: float = NOON_S) -> Entry:
    """An event whose value is its number."""
    return Entry(camera, wall_s + number, event(float(number), value=float(number)))


def numbers(events: Sequence[StoredEvent]) -> list[int]:
    """The numbers of such events."""
    return [int(each.entry.event.value) for each in events]


@contextmanager
def opened(folder: Path, **values: Any) -> Iterator[Store]:
    """A database in a folder; `values`: of its settings, and say and wall."""
    keywords = {"wall": lambda: NOON_S + 1000} | {key: values.pop(key) for key in ("say", "wall") if key in values}
    store = Store(folder / "events.sqlite", StoreSettings(**({"save_every_s": 0.1} | values)), **keywords)
    try:
        yield store
    finally:
        store.close()


def fill(store: Store, first: int, count: int) -> None:
    """Add events and wait until they are committed."""
    for number in range(first, first + count):
        assert store.add(entry(number))
    assert store.drain(20)


class Inboard:
    """An output that remembers, and fails as it is told."""

    def __init__(self, name: str = "inboard") -> None:
        self.name, self.got, self.closed = name, [], False  # type: ignore[var-annotated]
        self.fails: Callable[[int], Exception | None] = lambda number: None
        self._lock = Lock()

    def send(self, events: Sequence[StoredEvent], done: Callable[[int], None]) -> None:
        for each in events:
            error = self.fails(int(each.entry.event.value))
            if error is not None:
                raise error
            with self._lock:
                self.got.append(int(each.entry.event.value))
            done(each.id)

    def close(self, timeout_s: float) -> None:
        self.closed = True


def feed(
    recordings: Recordings, frames: range, *, rate: float = 20.0, camera: str = "gate", wall_s: float = NOON_S,
    size: tuple[int, int] = (128, 64),
) -> None:  # fmt: skip
    """Give numbered frames, no faster than they are written."""
    for index in frames:
        seen = frames_of(recordings, camera)
        recordings.write(camera, gray_frame(index, index / rate, size=size), Tracks.empty(), wall_s + index / rate)
        wait_for(lambda seen=seen: frames_of(recordings, camera) > seen)  # type: ignore[misc]


def frames_of(recordings: Recordings, camera: str = "gate") -> int:
    """Frames written, left out or dropped."""
    figures = recordings.figures()["cameras"].get(camera, {})
    return sum(int(figures.get(key, 0)) for key in ("frames", "paused", "dropped"))


def may_mount() -> bool:
    """Whether this process may mount a small disk to fill it."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None


__all__ = ["DeliveryError", "Rejected", "Told", "entry", "event", "feed", "fill", "may_mount", "numbers", "opened"]
