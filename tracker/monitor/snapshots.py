"""Pictures of events, made in a thread of its own on the way of the events to the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

import cv2
import numpy as np

from tracker.analyze.events import Event
from tracker.monitor.inbox import Inbox
from tracker.monitor.say import Say
from tracker.monitor.stored import Entry
from tracker.structures import CONFIRMED, Frame, Tracks
from tracker.write import Overlay, canvas_of

MOST_PICTURES = 16  # that may wait, of all cameras
Keep = Callable[[str, float, bytes], str]


@dataclass(frozen=True)
class Moment:
    """Events of one frame; without the frame where too many waited."""

    camera: str
    frame: Frame | None
    tracks: Tracks
    events: tuple[Event, ...]
    wall_s: float
    time_s: float

    def entries(self, snapshot: str) -> list[Entry]:
        """For the database. An event may have happened some time before the frame that told it."""
        return [Entry(self.camera, self.wall_s - (self.time_s - each.time_s), each, snapshot) for each in self.events]


class Snapshots:
    """The thread. Events pass it in order, with their picture or, where there is no time or room for it, without.

    Attributes:
        made: snapshots written.
        skipped: of frames with events, because too many waited, the disk had no room, or it failed.
        lost: events that never reached the database.
    """

    def __init__(
        self, keep: Keep | None, add: Callable[[Entry], object], say: Say, *, class_names: Sequence[str],
        quality: int, size: int,
    ) -> None:  # fmt: skip
        """Start.

        Args:
            keep: writes a JPEG of a camera and a time, and returns its path, "" where there is no room; None: no
                snapshots are wanted.
            add: takes each event.
            say: the log.
            class_names: for the labels.
            quality: of the JPEG, 1..100.
            size: frames with events that may wait; beyond, the oldest go with their events.
        """
        self._keep, self._add, self._say, self._quality = keep, add, say, quality
        self._overlay = Overlay(class_names, trails=False, panel=False)
        self._inbox: Inbox[Moment] = Inbox(size)
        self._pictures, self._lock = 0, Lock()
        self.made = self.skipped = self.lost = 0
        self._thread = Thread(target=self._work, name="snapshots", daemon=True)
        self._thread.start()

    def put(self, camera: str, frame: Frame, tracks: Tracks, events: Sequence[Event], wall_s: float) -> None:
        """Events of a frame. Returns at once."""
        with self._lock:
            room = self._keep is not None and self._pictures < MOST_PICTURES
            self._pictures += room
            self.skipped += self._keep is not None and not room
        moment = Moment(camera, frame if room else None, tracks, tuple(events), wall_s, frame.time_s)
        gone = self._inbox.put(moment)
        if gone is not None:
            with self._lock:
                self._pictures -= gone.frame is not None
            self.lost += len(gone.events)
            said = f"{len(gone.events)} events were lost, {self.lost} in all: too many wait for their pictures"
            self._say("lost", said, camera=gone.camera, level="error")

    def close(self, timeout_s: float) -> bool:
        """Hand on what waits; returns whether that was done in time."""
        self._inbox.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        """Until closed and empty."""
        while not self._inbox.ended:
            for moment in self._inbox.take(1, 1.0):
                path = self._picture(moment)
                for entry in moment.entries(path):
                    try:
                        self._add(entry)
                    except ValueError as error:
                        self.lost += 1
                        self._say("lost", f"an event was lost: {error}", camera=moment.camera, level="error")

    def _picture(self, moment: Moment) -> str:
        """The path of the snapshot, "" where there is none."""
        if moment.frame is None or self._keep is None:
            return ""
        with self._lock:
            self._pictures -= 1
        try:
            path = self._keep(moment.camera, moment.wall_s, self._encode(moment.frame, moment))
        except Exception as error:  # an event without a picture is better than no event
            self._say("snapshot", f"no snapshot: {type(error).__name__}: {error}", camera=moment.camera, level="error")
            path = ""
        self.made, self.skipped = self.made + bool(path), self.skipped + (not path)
        return path

    def _encode(self, frame: Frame, moment: Moment) -> bytes:
        """JPEG with the boxes of the events. Raises ValueError, FFmpegError, cv2.error."""
        canvas = canvas_of(frame.picture)
        self._overlay.draw(canvas, tracks_of(moment.events, moment.tracks), frame.time_s)
        picture: Any = canvas.to_ndarray(format="bgr24")
        done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not done:
            raise ValueError("the picture could not be encoded")
        return bytes(jpeg)


def tracks_of(events: Sequence[Event], tracks: Tracks) -> Tracks:
    """The tracks that events are of: where they are now, or where they were last seen."""
    chosen = tracks[np.isin(tracks.ids, [event.track_id for event in events if event.track_id is not None])]
    gone = {
        event.track_id: event
        for event in events
        if event.track_id is not None and event.box is not None and event.track_id not in chosen.ids
    }
    count = len(gone)
    boxes = np.array([event.box for event in gone.values()], np.float32).reshape(count, 4)
    classes = [event.class_id if event.class_id is not None else -1 for event in gone.values()]
    return Tracks(
        np.concatenate((chosen.ids, np.array(list(gone), np.int64))),
        np.concatenate((chosen.boxes, boxes)),
        np.concatenate((chosen.scores, np.zeros(count, np.float32))),
        np.concatenate((chosen.class_ids, np.array(classes, np.int64))),
        np.concatenate((chosen.missed_s, np.zeros(count, np.float32))),
        np.concatenate((chosen.state, np.full(count, CONFIRMED, np.int64))),
    )
