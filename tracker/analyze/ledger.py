"""The counters of a camera, and events with names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracker.analyze.events import Change, Event
from tracker.analyze.geometry import Mask
from tracker.analyze.memory import Memory
from tracker.analyze.settings import LineSettings, ZoneSettings
from tracker.analyze.state import Counts, SavedTrack

ENTERED, EXITED, IN, OUT = "entered", "exited", "in", "out"


class Totals:
    """Counts by place, what happened there, and class name. They only grow."""

    def __init__(self, places: Sequence[str], words: tuple[str, str]) -> None:
        """All 0 at these places; the two `words` are what can happen."""
        self._words = words
        self._counts: dict[str, dict[str, Counter[str]]] = {
            place: {word: Counter() for word in words} for place in places
        }

    def __getitem__(self, place: str) -> dict[str, Counter[str]]:
        """Live counts of a place, by word and class name."""
        return self._counts[place]

    def of(self, place: str) -> dict[str, Any]:
        """`{word: total, ..., "classes": {name: {word: total}}}`."""
        counts = self._counts[place]
        names = sorted(set().union(*counts.values()))
        classes = {name: {word: counts[word][name] for word in self._words} for name in names}
        return {word: counts[word].total() for word in self._words} | {"classes": classes}

    def saved(self) -> dict[str, dict[str, Counts]]:
        """By place, word and class name."""
        return {place: {word: dict(counts[word]) for word in self._words} for place, counts in self._counts.items()}

    def restore(self, saved: Mapping[str, Mapping[str, Counts]]) -> None:
        """Go on from there; places that are no more are left out."""
        for place in self._counts.keys() & saved.keys():
            for word in self._words:
                self._counts[place][word] = Counter(saved[place].get(word, {}))


class Ledger:
    """Names the changes, counts them, and watches the limits of zones."""

    def __init__(
        self, zones: Mapping[str, ZoneSettings], lines: Mapping[str, LineSettings], class_names: tuple[str, ...]
    ) -> None:
        """All counts 0."""
        self._zones, self._lines, self._class_names = tuple(zones), tuple(lines), class_names
        self._entries = Totals(self._zones, (ENTERED, EXITED))
        self._crossings = Totals(self._lines, (IN, OUT))
        limits = [zone.max_occupancy for zone in zones.values()]
        self._limits = np.array([np.inf if limit is None else limit for limit in limits])
        self._over: Mask = np.zeros(len(zones), np.bool_)

    def tell(self, changes: list[Change], memory: Memory, first_s: float) -> list[Event]:
        """Count the changes of a frame and name them; nothing happened before `first_s`."""
        events = [self._event(change, memory, first_s) for change in changes]
        for event in events:
            if event.kind == "cross":
                self._crossings[event.place][event.direction][event.class_name] += 1
            elif event.kind != "dwell":
                self._entries[event.place][ENTERED if event.kind == "enter" else EXITED][event.class_name] += 1
        return sorted(events, key=lambda event: event.time_s)

    def _event(self, change: Change, memory: Memory, first_s: float) -> Event:
        """The change with names."""
        places = self._lines if change.kind == "cross" else self._zones
        track_id = int(memory["id"][change.row])
        x1, y1, x2, y2 = (float(side) for side in memory["box"][change.row])
        return Event(
            kind=change.kind,
            time_s=max(change.time_s, first_s),
            place=places[change.place],
            track_id=track_id if track_id > 0 else None,
            class_id=change.class_id,
            class_name=self._class_names[change.class_id],
            box=(x1, y1, x2, y2),
            direction=change.direction,
            label=change.label,
            value=change.value,
        )

    def limits(self, inside: np.ndarray[Any, np.dtype[np.int64]], now_s: float, *, tell: bool = True) -> list[Event]:
        """Zones whose number of tracks, `inside` (Z,), came over or back to its limit since the last call."""
        over: Mask = inside > self._limits
        turned = (over != self._over).nonzero()[0] if tell else ()
        self._over = over
        words = {True: "exceeded", False: "cleared"}
        return [
            Event("occupancy", now_s, self._zones[zone], label=words[bool(over[zone])], value=float(inside[zone]))
            for zone in turned
        ]

    def counts(self) -> dict[str, Any]:
        """As `Analyzer.counts`."""
        zones = {}
        for name in self._zones:
            totals = self._entries.of(name)
            for counts in (totals, *totals["classes"].values()):
                counts["occupancy"] = counts[ENTERED] - counts[EXITED]
            zones[name] = totals
        return {"zones": zones, "lines": {name: self._crossings.of(name) for name in self._lines}}

    def saved(self) -> tuple[dict[str, dict[str, Counts]], dict[str, dict[str, Counts]]]:
        """Totals of zones and of lines."""
        return self._entries.saved(), self._crossings.saved()

    def restore(
        self,
        zones: Mapping[str, Mapping[str, Counts]],
        lines: Mapping[str, Mapping[str, Counts]],
        present: Sequence[SavedTrack],
    ) -> None:
        """Go on from saved totals; who was in and is not among those `present` has left."""
        self._entries.restore(zones)
        self._crossings.restore(lines)
        for name in self._zones:
            inside = Counter(track.stays[name].class_name for track in present if name in track.stays)
            entered = self._entries[name][ENTERED] | inside
            self._entries[name][ENTERED], self._entries[name][EXITED] = entered, entered - inside
