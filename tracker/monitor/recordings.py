"""The recordings of all cameras: their files, the clips and snapshots of events, and what becomes of old ones.

<folder>/footage/<camera>/<number>-<UTC>Z.mp4      files one after the other; with mode `events` only the last ones
<folder>/moments/<camera>/<number>-<UTC>Z.mp4      clips: the seconds before and after an event, cut from these
<folder>/moments/<camera>/<number>-<UTC>Z.jpg      snapshots
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Any

from tracker.errors import OutputError, TrackerError
from tracker.monitor.clips import Piece, cut
from tracker.monitor.keeper import Keeper, free_bytes
from tracker.monitor.output_settings import RecordSettings
from tracker.monitor.record import GAP_S, Recorder
from tracker.monitor.say import Say
from tracker.monitor.shelf import Shelf
from tracker.monitor.stored import StoredEvent
from tracker.monitor.walltime import SteadyClock
from tracker.structures import Frame, Tracks
from tracker.write import PartialFile
from tracker.write.files import reason

TICK_S = 0.5
RING_S = 30.0  # events are told up to this long after they happened
WRITTEN_S = 1.5  # what was given before that is in the file
Attach = Callable[[Sequence[int], str], None]


@dataclass(eq=False)
class Wish:
    """A clip to be cut.

    Attributes:
        camera: whose.
        start_s, end_s: seconds of the stream.
        wall_s: of its start.
        ids: the events that it is of.
        asked_s: when, monotonic seconds.
    """

    camera: str
    start_s: float
    end_s: float
    wall_s: float
    ids: list[int] = field(default_factory=list)
    asked_s: float = field(default_factory=monotonic)


class Recordings:
    """All of it. What cameras call returns at once.

    Attributes:
        clips: cut in this life.
        failed: clips that could not be.
    """

    def __init__(
        self, settings: RecordSettings, folder: Path, say: Say, attach: Attach, class_names: Sequence[str] = (), *,
        wall: Callable[[], float] = time, free: Callable[[Path], float] = free_bytes,
    ) -> None:  # fmt: skip
        """Look at what is there, finish what a killed process left, and start.

        Args:
            settings: what to record and keep.
            folder: for the files.
            say: the log.
            attach: told the ids of events and their clip's path below the folder.
            class_names: for the labels.
            wall: seconds since 1970.
            free: bytes of room on the disk of a folder.

        Raises:
            OutputError: the folder cannot be used.
        """
        self._settings, self._folder, self._say, self._attach = settings, folder, say, attach
        self._class_names = tuple(class_names)
        try:
            self._footage, self._moments = Shelf(folder / "footage"), Shelf(folder / "moments")
        except OSError as error:
            raise OutputError(f"recordings cannot lie in {folder}: {reason(error)}; choose another folder") from error
        self._numbers = count(max(self._footage.last_number, self._moments.last_number) + 1)
        stamps = [stamp for shelf in (self._footage, self._moments) if (stamp := shelf.newest_s) is not None]
        clock = SteadyClock(max(stamps, default=None), wall)
        self.keeper = Keeper(settings, self._footage, self._moments, say, clock, free=free)
        self._lock = Lock()
        self._recorders: dict[str, Recorder] = {}
        self._wishes: list[Wish] = []
        self.clips = self.failed = 0
        self._closing = Event()
        try:
            self._tidy(self._footage)
            self._tidy(self._moments)
        except OSError as error:
            raise OutputError(f"leftovers in {folder} cannot be finished: {reason(error)}; remove them") from error
        self.keeper.tick(0)
        self._thread = Thread(target=self._work, name="recordings", daemon=True)
        self._thread.start()

    def write(self, camera: str, frame: Frame, tracks: Tracks, wall_s: float) -> None:
        """A frame, to be recorded if its camera is."""
        if self._wanted(camera):
            self._recorder(camera).write(frame, tracks, wall_s)

    def plan(self, events: Sequence[StoredEvent]) -> None:
        """Have clips cut of what is around events. Those close to each other share one."""
        for event in events:
            self._plan(event)

    def keep_snapshot(self, camera: str, wall_s: float, jpeg: bytes) -> str:
        """Write a snapshot; its path below the folder, "" while the disk has no room. Raises TrackerError, OSError."""
        if self.keeper.stopped:
            return ""
        file = PartialFile(self._moments.path(camera, next(self._numbers), wall_s, ".jpg"))
        try:
            file.append(jpeg)
            file.commit()
        except (TrackerError, OSError):
            file.discard()
            raise
        self._moments.add(file.target)
        return self._below(file.target)

    def figures(self) -> dict[str, Any]:
        """JSON-ready: mode, paused (why, or ""), bytes, files, removed, clips, and each camera's."""
        cameras = {
            name: {"frames": each.frames, "dropped": each.dropped, "paused": each.paused, "trouble": each.trouble}
            for name, each in list(self._recorders.items())
        }
        return {
            "mode": self._settings.mode, "paused": self.keeper.stopped, "bytes": self.keeper.size,
            "files": len(self._footage) + len(self._moments), "removed": self.keeper.removed,
            "clips": {"made": self.clips, "failed": self.failed, "waiting": len(self._wishes)}, "cameras": cameras,
        }  # fmt: skip

    def close(self, timeout_s: float) -> bool:
        """Finish the files, then cut the clips that were still to come as far as there is footage.

        Returns whether all of it was done in time.
        """
        until_s = monotonic() + timeout_s
        recorders = list(self._recorders.values())
        for recorder in recorders:
            recorder.close()
        ended = all([recorder.join(max(0.0, until_s - monotonic())) for recorder in recorders])
        self._closing.set()
        self._thread.join(max(0.0, until_s - monotonic()))
        return ended and not self._thread.is_alive()

    # Within.

    def _plan(self, event: StoredEvent) -> None:
        """A clip of an event."""
        camera, settings, happened_s = event.entry.camera, self._settings, event.entry.event.time_s
        if not self._wanted(camera) or camera not in self._recorders:
            return
        start_s, end_s = max(0.0, happened_s - settings.before_s), happened_s + settings.after_s
        with self._lock:
            for wish in self._wishes:
                first_s, last_s = min(start_s, wish.start_s), max(end_s, wish.end_s)
                touch = wish.camera == camera and start_s <= wish.end_s and end_s >= wish.start_s
                if touch and last_s - first_s <= max(settings.clip_most_s, end_s - start_s):
                    wish.start_s, wish.end_s = first_s, last_s
                    wish.ids.append(event.id)
                    return
            wall_s = event.entry.wall_s - (happened_s - start_s)
            self._wishes.append(Wish(camera, start_s, end_s, wall_s, [event.id]))

    def _wanted(self, camera: str) -> bool:
        """Whether a camera is recorded."""
        settings = self._settings
        return settings.mode != "off" and (not settings.cameras or camera in settings.cameras)

    def _recorder(self, camera: str) -> Recorder:
        """Of a camera."""
        known = self._recorders.get(camera)
        if known is not None:
            return known
        with self._lock:
            if camera not in self._recorders:
                self._recorders[camera] = Recorder(
                    camera, self._settings, self._footage, lambda: next(self._numbers), lambda: self.keeper.stopped,
                    self._say, self._class_names,
                )  # fmt: skip
            return self._recorders[camera]

    def _below(self, path: Path) -> str:
        """A path as it is told to others."""
        return path.relative_to(self._folder).as_posix()

    def _tidy(self, shelf: Shelf) -> None:
        """Finish what a killed process left, or clear it where there is nothing in it."""
        saved = cleared = 0
        for path in shelf.leftovers:
            final = path.with_name(path.name.replace(".partial", ""))
            target = path.with_name(f"{next(self._numbers):09d}-{final.name.partition('-')[2]}")
            try:
                kept = path.suffix == ".mp4" and cut([Piece(final, 0.0)], -inf, inf, target) > 0
                path.unlink(missing_ok=True)
            except (TrackerError, OSError):  # a full disk: what is there plays as it is
                path.rename(target)
                kept = True
            if kept:
                shelf.add(target)
            saved, cleared = saved + kept, cleared + (not kept)
        if saved or cleared:
            said = f"{shelf.folder}: {saved} files of a killed process were finished, {cleared} empty ones removed"
            self._say("record", said, level="warning")

    def _work(self) -> None:
        """The upkeep, until closed."""
        while not self._closing.wait(TICK_S):
            self._tick(closing=False)
        self._tick(closing=True)

    def _tick(self, *, closing: bool) -> None:
        """Clips that are due, then what has to go."""
        try:
            for wish in self._due(closing=closing):
                self._cut(wish)
            self._forget(closing=closing)
            if not self.keeper.tick(self._growing()):
                for recorder in list(self._recorders.values()):
                    recorder.roll()
        except Exception as error:  # the next tick may do
            self._say("record", f"upkeep of recordings failed: {type(error).__name__}: {error}", level="error")

    def _due(self, *, closing: bool) -> list[Wish]:
        """Clips whose end is in the files, or never will be."""
        settings, now_s = self._settings, monotonic()
        patience_s = settings.clip_most_s + settings.before_s + settings.after_s + RING_S
        due = []
        with self._lock:
            for wish in self._wishes:
                recorder = self._recorders[wish.camera]
                silent = now_s - recorder.heard_s > GAP_S + WRITTEN_S
                if closing or silent or recorder.newest_s > wish.end_s + WRITTEN_S or now_s - wish.asked_s > patience_s:
                    due.append(wish)
            self._wishes = [wish for wish in self._wishes if wish not in due]
        return due

    def _cut(self, wish: Wish) -> None:
        """One clip."""
        segments = self._recorders[wish.camera].segments(wish.start_s, wish.end_s)
        try:
            if not self.keeper.tick(self._growing() + sum(segment.size() for segment in segments)):
                raise OutputError("it would take more than record.max_gb leaves")
            if self.keeper.stopped:
                raise OutputError(self.keeper.stopped)
            path = self._moments.path(wish.camera, next(self._numbers), wish.wall_s, ".mp4")
            pieces = [Piece(segment.path, segment.first_s) for segment in segments]
            if not cut(pieces, wish.start_s, wish.end_s, path):
                raise OutputError("nothing was recorded at that time")
            self._moments.add(path)
        except (TrackerError, OSError) as error:
            self.failed += 1
            self._say("record", f"no clip of {len(wish.ids)} events: {error}", camera=wish.camera, level="warning")
            return
        self.clips += 1
        self._attach(wish.ids, self._below(path))

    def _growing(self) -> int:
        """Bytes of the files being written."""
        return sum(recorder.growing() for recorder in list(self._recorders.values()))

    def _forget(self, *, closing: bool) -> None:
        """Of files that no clip can need any more: with mode `events` they are deleted."""
        for name, recorder in list(self._recorders.items()):
            with self._lock:
                wanted_s = [wish.start_s for wish in self._wishes if wish.camera == name]
            before_s = min([recorder.newest_s - self._settings.before_s - RING_S, *wanted_s])
            for segment in recorder.forget(inf if closing else before_s):
                if self._settings.mode == "events":
                    self._footage.remove(segment.path)
