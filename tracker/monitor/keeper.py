"""Keeps the recordings below their limits of age and size, and the disk from filling up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tracker.monitor.output_settings import RecordSettings
from tracker.monitor.say import Say
from tracker.monitor.shelf import Shelf
from tracker.monitor.walltime import DAY_S, SteadyClock

GB = 1e9
RESERVE, MOST_RESERVE = 0.05, 64e6
"""Of the limit: what may be written between two looks."""

EASE = 1.05
MOST_AT_ONCE = 200


def free_bytes(folder: Path) -> float:
    """Room on the disk of a folder. Raises OSError."""
    return float(shutil.disk_usage(folder).free)


class Keeper:
    """Called about twice a second by one thread.

    Attributes:
        stopped: why nothing may be recorded at present, "" where it may.
        removed: files deleted in this life.
    """

    def __init__(
        self, settings: RecordSettings, footage: Shelf, moments: Shelf, say: Say, clock: SteadyClock, *,
        free: Callable[[Path], float] = free_bytes,
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            settings: the limits.
            footage, moments: recordings; clips and snapshots.
            say: the log.
            clock: for ages.
            free: bytes of room on the disk of a folder.
        """
        self._settings, self._say, self._clock, self._free = settings, say, clock, free
        self._footage, self._moments = footage, moments
        self.stopped, self.removed = "", 0

    @property
    def size(self) -> int:
        """Bytes of all finished files."""
        return self._footage.size + self._moments.size

    def tick(self, growing: int) -> bool:
        """Delete what has to go.

        Args:
            growing: bytes of the files being written.

        Returns:
            Whether everything fits; if not, files being written have to be ended, so that they can go as well.
        """
        self._by_age(self._footage, self._settings.keep_days)
        self._by_age(self._moments, self._settings.keep_event_days)
        limit = self._settings.max_gb * GB
        room = limit - min(RESERVE * limit, MOST_RESERVE)
        while self.size + growing > room and self._remove():
            pass
        self._free_disk()
        return self.size + growing <= room

    def _by_age(self, shelf: Shelf, days: float) -> None:
        """Delete the oldest that are too old, some at a time."""
        limit_s = self._clock.now_s() - days * DAY_S
        for _ in range(MOST_AT_ONCE):
            oldest_s = shelf.oldest_s
            if oldest_s is None or oldest_s >= limit_s:
                return
            self._remove_from(shelf)

    def _remove(self) -> int:
        """Delete the oldest of the kind that takes more than half: neither starves the other. Bytes freed."""
        return self._remove_from(self._footage if self._footage.size >= self._moments.size else self._moments)

    def _remove_from(self, shelf: Shelf) -> int:
        """Delete its oldest; bytes freed, 1 where it was an empty file, 0 where there was none."""
        if not len(shelf):
            return 0
        try:
            self.removed += 1
            return max(1, shelf.remove_oldest())
        except OSError as error:
            self._say("record", f"an old recording cannot be deleted: {error}", level="error")
            return 1

    def _free_disk(self) -> None:
        """Delete until the disk has the room that it should; stop recording where that is not enough."""
        wanted = self._settings.min_free_gb * GB
        try:
            free = self._free(self._footage.folder)
        except OSError as error:
            self._stop(f"the disk cannot be asked for its room: {error}")
            return
        while free < wanted and (freed := self._remove()):
            free += freed
        if free < wanted * (EASE if self.stopped else 1.0):
            self._stop(f"the disk has too little room: less than {self._settings.min_free_gb:g} GB free")
        elif self.stopped:
            self.stopped = ""
            self._say("record", "the disk has room again: recording goes on")

    def _stop(self, why: str) -> None:
        """Nothing may be recorded, once said."""
        if why != self.stopped:
            self._say("record", f"{why}; recording is paused, everything else goes on", level="error")
        self.stopped = why
