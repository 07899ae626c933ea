"""The analysis of one camera: tracks of successive frames in, events and counts out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from threading import Lock
from typing import Any

import numpy as np

from tracker.analyze.events import Change, Event
from tracker.analyze.geometry import Mask
from tracker.analyze.ledger import Ledger
from tracker.analyze.lines import Lines
from tracker.analyze.memory import Memory
from tracker.analyze.settings import LineSettings, PlaceSettings, ZoneSettings
from tracker.analyze.shapes import Shape, line_shape, zone_shape
from tracker.analyze.state import Register, SavedState, SavedTrack
from tracker.analyze.zones import Zones
from tracker.config import nearest
from tracker.errors import ConfigError
from tracker.structures import TENTATIVE, Ids, Tracks

FORGET_S = 10.0  # an id that comes back after this long without a sight is taken for a new track
GAP_S, GAP_STEPS, STEPS = 1.0, 3, 15  # see `Analyzer._watched`


class Analyzer:
    """Zones and lines of one stream. Safe to ask from other threads while one thread updates."""

    def __init__(
        self,
        zones: Mapping[str, ZoneSettings],
        lines: Mapping[str, LineSettings],
        class_names: Sequence[str],
        size: tuple[int, int] | None = None,
        *,
        rejoin_s: float = 2.0,
    ) -> None:
        """Nothing seen, all counts 0.

        Args:
            zones, lines: by name.
            class_names: name of each class_id.
            size: (width, height) of the picture, pixels; or tell it to `update`.
            rejoin_s: an object whose track was lost for no longer goes on under a new id; 0: never.

        Raises:
            ConfigError: a zone or line counts a class that the detector does not know.
        """
        self._named_zones, self._named_lines = dict(zones), dict(lines)
        self._class_names = tuple(class_names)
        self._zones = Zones(tuple(zones.values()), self._wanted("zone", zones))
        self._lines = Lines(tuple(lines.values()), self._wanted("line", lines))
        self._memory = Memory(len(zones), len(lines), len(self._class_names))
        self._ledger = Ledger(zones, lines, self._class_names)
        self._register = Register(tuple(zones), self._class_names)
        self._rejoin_s = rejoin_s
        self._forget_s = max([FORGET_S, rejoin_s, *(place.lost_s for place in (*zones.values(), *lines.values()))])
        self._first_s = self._now_s = -np.inf
        self._steps_s: deque[float] = deque(maxlen=STEPS)
        self._restored: tuple[SavedTrack, ...] = ()
        self._size = np.zeros(2)  # not told yet
        self._lock = Lock()
        if size is not None:
            self._check(Tracks.empty(), 0.0, size)
            self._resize(size)

    def update(self, tracks: Tracks, time_s: float, size: tuple[int, int] | None = None) -> list[Event]:
        """Take in one frame, also when nothing is in it, and return what happened, in order of time.

        Only tracks matched in this frame and past the tentative state count: a predicted place proves nothing.

        Args:
            tracks: boxes in pixels of this frame.
            time_s: seconds of the stream, never backwards.
            size: (width, height) of this frame; without it, as before.

        Raises:
            ValueError: time runs backwards, no size was ever told, or a class_id has no name. Nothing was taken in.
        """
        with self._lock:
            self._check(tracks, time_s, size)
            if size is not None:
                self._resize(size)
            self._advance(time_s)
            seen = tracks[(tracks.state != TENTATIVE) & (tracks.missed_s <= 0)]
            changes = self._follow(seen) if len(seen) or len(self._memory) else []
            events = self._ledger.tell(changes, self._memory, self._first_s)
            events += self._ledger.limits(self._memory["member"].sum(0), time_s)
            self._memory.keep(self._memory["unseen_s"] <= self._forget_s)
            return events

    def counts(self) -> dict[str, Any]:
        """What stands in the counters, ready for JSON.

        `{"zones": {name: {"occupancy", "entered", "exited", "classes": {name: {...}}}},
        "lines": {name: {"in", "out", "classes": {name: {...}}}}}`. In every zone and class, also over restarts,
        entered - exited = occupancy.
        """
        with self._lock:
            return self._ledger.counts()

    def shapes(self, width: int, height: int) -> list[Shape]:
        """What to draw into a picture of this size, zones first."""
        counts, size = self.counts(), np.array((width, height), np.float64)
        zones = [zone_shape(name, zone, counts["zones"][name], size) for name, zone in self._named_zones.items()]
        return zones + [line_shape(name, line, counts["lines"][name], size) for name, line in self._named_lines.items()]

    def state(self) -> dict[str, Any]:
        """What `restore` needs after a restart, ready for JSON."""
        with self._lock:
            tracks = self._restored
            if self._now_s > -np.inf:
                tracks = self._register.save(self._memory, self._now_s, self._size)
            zones, lines = self._ledger.saved()
        return SavedState(zones=zones, lines=lines, tracks=tracks).model_dump(mode="json")

    def restore(self, state: Mapping[str, Any], away_s: float = 0.0) -> None:
        """Go on where `state` was taken, before the first update.

        Totals go on. Who was in a zone is looked for at the same place and keeps its stay under its new id, so that a
        parked car does not enter anew; who is not found again in time has left.

        Args:
            state: of `state()`.
            away_s: seconds from then to now; stays go on through them.

        Raises:
            ValueError: not a state of `state()`, or frames were seen already.
        """
        saved = SavedState.model_validate(state)
        with self._lock:
            if self._now_s > -np.inf:
                raise ValueError("restore wants a fresh analyzer, this one has seen frames; call it before update")
            self._restored = self._register.known(saved.tracks, max(away_s, 0.0))
            self._ledger.restore(saved.zones, saved.lines, self._restored)

    def _wanted(self, kind: str, places: Mapping[str, PlaceSettings]) -> Mask:
        """(places, classes): who counts where. Raises ConfigError."""
        for name, place in places.items():
            for wish in place.classes:
                if wish not in self._class_names:
                    hint = nearest(wish, list(self._class_names))
                    raise ConfigError(f"{kind} '{name}': the detector knows no class '{wish}', {hint}")
        rows = [[not place.classes or known in place.classes for known in self._class_names]
                for place in places.values()]  # fmt: skip
        return np.array(rows, np.bool_).reshape(len(places), len(self._class_names))

    def _check(self, tracks: Tracks, time_s: float, size: tuple[int, int] | None) -> None:
        """Raise ValueError for what `update` cannot take."""
        if not time_s >= self._now_s:
            raise ValueError(f"time_s must not run backwards: {time_s} after {self._now_s}")
        if size is None and not self._size.any():
            raise ValueError("the size of the picture was never told; pass size=(width, height)")
        if size is not None and min(size) < 1:
            raise ValueError(f"size must be (width, height) in pixels, got {size}")
        names, ids = len(self._class_names), tracks.class_ids
        if len(ids) and not (ids.min() >= 0 and ids.max() < names):
            raise ValueError(
                f"class_ids must be below the number of class names, {names}, got {ids.min()}..{ids.max()}"
            )

    def _resize(self, size: tuple[int, int]) -> None:
        """The picture has this size from now on; what is remembered in pixels goes along."""
        new = np.array(size, np.float64)
        if (new == self._size).all():
            return
        if self._size.any():
            self._memory.scale(new / self._size)
        self._size = new
        self._zones.resize(new)
        self._lines.resize(new)

    def _advance(self, time_s: float) -> None:
        """The frame's time; with the first one, who was there before a restart comes back to be found again."""
        if self._now_s > -np.inf:
            self._memory["unseen_s"][:] += self._watched(time_s - self._now_s)
        else:
            self._first_s = time_s
            self._register.revive(self._memory, self._restored, time_s, self._size)
            self._ledger.limits(self._memory["member"].sum(0), time_s, tell=False)
        self._now_s = time_s

    def _watched(self, step_s: float) -> float:
        """Seconds of this step in which an absent track could have been seen.

        A hole in the stream is no absence: longer than a second and than three usual steps counts as one of these.
        """
        usual_s = median(self._steps_s) if self._steps_s else step_s
        self._steps_s.append(step_s)
        return usual_s if step_s > GAP_S and step_s > GAP_STEPS * usual_s else step_s

    def _identify(self, seen: Tracks) -> tuple[Ids, Ids]:
        """Rows (M,) of the tracks seen, new ones included, and the indices of those that are new (K,)."""
        memory, boxes = self._memory, seen.boxes.astype(np.float64)
        rows = memory.find(seen.ids)
        strangers = (rows < 0).nonzero()[0]
        if len(strangers) and self._rejoin_s > 0:
            missing = memory["unseen_s"] <= self._rejoin_s
            missing[rows[rows >= 0]] = False
            places, classes = boxes[strangers], seen.class_ids[strangers]
            rows[strangers] = heirs = memory.forerunners(missing.nonzero()[0], places, classes, self._now_s)
            memory["id"][heirs[heirs >= 0]] = seen.ids[strangers[heirs >= 0]]
        new = (rows < 0).nonzero()[0]
        if len(new):
            rows[new] = memory.add(seen.ids[new], boxes[new], self._now_s)
        return rows, new

    def _follow(self, seen: Tracks) -> list[Change]:
        """What the tracks seen did, and those not seen."""
        memory = self._memory
        rows, new = self._identify(seen)
        step = memory.see(rows, seen.boxes.astype(np.float64), seen.class_ids, self._now_s)
        if len(new):
            self._lines.begin(memory, step[new])
        absent = np.ones(len(memory), np.bool_)
        absent[rows] = False
        lost = absent.nonzero()[0]
        changes = self._zones.step(memory, step) + self._zones.lose(memory, lost)
        return changes + self._lines.step(memory, step) + self._lines.lose(memory, lost)
