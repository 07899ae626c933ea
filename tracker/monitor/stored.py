"""What the database holds of an event, a camera and a minute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracker.analyze.events import Event
from tracker.monitor.walltime import iso

COLUMNS = (
    "id, camera, wall_s, time_s, kind, place, track_id, class_id, class_name, box, direction, label, value, "
    "snapshot, clip"
)


@dataclass(frozen=True)
class Entry:
    """An event on its way into the database.

    Attributes:
        camera: its name.
        wall_s: when it happened, seconds since 1970 UTC as the wall clock stood.
        event: what happened.
        snapshot: path below the folder of the data, "" where there is none.
    """

    camera: str
    wall_s: float
    event: Event
    snapshot: str = ""

    def row(self) -> tuple[Any, ...]:
        """The values of `COLUMNS` between id and clip."""
        event = self.event
        box = json.dumps([round(side, 1) for side in event.box]) if event.box else None
        return (
            self.camera, self.wall_s, event.time_s, event.kind, event.place, event.track_id, event.class_id,
            event.class_name, box, event.direction, event.label, event.value, self.snapshot,
        )  # fmt: skip


@dataclass(frozen=True)
class StoredEvent:
    """An event that is in the database.

    Attributes:
        id: from 1, without gaps, never used again.
        store: identity of the database; with it the id is unique among all of them.
        entry: the event.
        clip: path below the folder of the data, "" where there is none or none yet.
    """

    id: int
    store: str
    entry: Entry
    clip: str = ""

    @classmethod
    def of_row(cls, row: Sequence[Any], store: str) -> StoredEvent:
        """Of the values of `COLUMNS`."""
        number, camera, wall_s, time_s, kind, place, track_id, class_id, name, box, direction, label, value = row[:13]
        sides = tuple(json.loads(box)) if box else None
        event = Event(kind, time_s, place, track_id, class_id, name, sides, direction, label, value)
        return cls(number, store, Entry(camera, wall_s, event, row[13]), row[14])

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: id, store, camera, time (UTC), what `Event.as_dict` has, snapshot, clip."""
        entry = self.entry
        head = {"id": self.id, "store": self.store, "camera": entry.camera, "time": iso(entry.wall_s)}
        return head | entry.event.as_dict() | {"snapshot": entry.snapshot, "clip": self.clip}


@dataclass(frozen=True)
class SavedState:
    """What a camera was saved with.

    Attributes:
        state: as given to `Store.save`.
        wall_s: when, seconds since 1970 UTC.
    """

    state: dict[str, Any]
    wall_s: float


@dataclass(frozen=True)
class Point:
    """One figure of one minute.

    Attributes:
        minute: its begin, seconds since 1970 UTC.
        total, number, least, most: sum, count and range of what was observed in it.
    """

    minute: int
    total: float
    number: int
    least: float
    most: float

    @property
    def mean(self) -> float:
        """Of what was observed."""
        return self.total / self.number


@dataclass
class Minute:
    """A figure of a minute while it gathers."""

    total: float
    number: int
    least: float
    most: float

    def add(self, value: float) -> None:
        """One more observation."""
        self.total, self.number = self.total + value, self.number + 1
        self.least, self.most = min(self.least, value), max(self.most, value)

    def merge(self, other: Minute) -> None:
        """Those of another one too."""
        self.total, self.number = self.total + other.total, self.number + other.number
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
