"""What the analysis keeps over a restart, ready for JSON: totals, and who was in which zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from tracker.analyze.geometry import Array
from tracker.analyze.memory import Memory

Counts = dict[str, int]
"""By class name."""


class Saved(BaseModel):
    """Base of what is saved."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SavedStay(Saved):
    """A track was in a zone for so long, seconds; `dwelt`: the dwell event was told."""

    class_name: str
    stayed_s: float
    dwelt: bool


class SavedTrack(Saved):
    """A track that was in a zone; box xyxy as shares of the picture; stays by zone."""

    box: tuple[float, float, float, float]
    class_name: str
    stays: dict[str, SavedStay]


class SavedState(Saved):
    """All of it. `version` changes when the meaning does.

    Totals are by place, then "entered" and "exited" or "in" and "out", then class name.
    """

    version: Literal[1] = 1
    zones: dict[str, dict[str, Counts]] = {}
    lines: dict[str, dict[str, Counts]] = {}
    tracks: tuple[SavedTrack, ...] = ()


class Register:
    """Translates between rows of `Memory` and what is saved of them."""

    def __init__(self, zones: Sequence[str], class_names: Sequence[str]) -> None:
        """Names of the zones and classes by their index."""
        self._zones = {name: index for index, name in enumerate(zones)}
        self._classes = {name: index for index, name in enumerate(class_names)}
        self._class_names = tuple(class_names)

    def known(self, tracks: Sequence[SavedTrack], away_s: float) -> tuple[SavedTrack, ...]:
        """What of saved tracks still has a meaning, in the zones and classes of today; they stayed `away_s` longer."""
        kept = []
        for track in tracks:
            stays = {
                zone: stay.model_copy(update={"stayed_s": stay.stayed_s + away_s})
                for zone, stay in track.stays.items()
                if zone in self._zones and stay.class_name in self._classes
            }
            if stays and track.class_name in self._classes:
                kept.append(track.model_copy(update={"stays": stays}))
        return tuple(kept)

    def save(self, memory: Memory, now_s: float, size: Array) -> tuple[SavedTrack, ...]:
        """Tracks that are in a zone."""
        tracks = []
        for row in memory["member"].any(1).nonzero()[0]:
            stays = {
                name: SavedStay(
                    class_name=self._class_names[memory["entered_as"][row, zone]],
                    stayed_s=now_s - float(memory["entered_s"][row, zone]),
                    dwelt=bool(memory["dwelt"][row, zone]),
                )
                for name, zone in self._zones.items()
                if memory["member"][row, zone]
            }
            x1, y1, x2, y2 = (float(share) for share in memory["box"][row] / np.tile(size, 2))
            name = self._class_names[memory.classes(np.array([row]))[0]]
            tracks.append(SavedTrack(box=(x1, y1, x2, y2), class_name=name, stays=stays))
        return tuple(tracks)

    def revive(self, memory: Memory, tracks: Sequence[SavedTrack], now_s: float, size: Array) -> None:
        """Rows of saved tracks into an empty memory, under ids below 0 until their heirs come."""
        boxes = np.array([track.box for track in tracks], np.float64).reshape(-1, 4) * np.tile(size, 2)
        rows = memory.add(-1 - np.arange(len(tracks)), boxes, now_s)
        for row, track in zip(rows, tracks, strict=True):
            memory["votes"][row, self._classes[track.class_name]] = 1.0
            for name, stay in track.stays.items():
                place = row, self._zones[name]
                memory["member"][place] = memory["inside"][place] = True
                memory["since_s"][place] = memory["entered_s"][place] = now_s - stay.stayed_s
                memory["dwelt"][place], memory["entered_as"][place] = stay.dwelt, self._classes[stay.class_name]
