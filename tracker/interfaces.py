"""The protocols of the stages. Structural: nobody inherits to take part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tracker.structures import Detections, Frame, StreamInfo, Tracks


class FrameSource(Protocol):
    """Where frames come from."""

    @property
    def info(self) -> StreamInfo:
        """Size, rate and name, known once the source is open."""

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order. Ends at the end of the stream; raises SourceError or SourceLost otherwise."""

    def close(self) -> None:
        """Let go of files and sockets; ends an iteration in another thread. May be called twice."""


class Detector(Protocol):
    """Frames in, boxes out."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class_id."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Detections of each frame, in pixels of that frame. Safe to call from several threads."""

    def close(self) -> None:
        """Let go of the engine. May be called twice."""


class Tracker(Protocol):
    """Detections of successive frames in, tracks out."""

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """Advance to `time_s`, also when nothing was found; returns the confirmed tracks of this frame.

        frame: the picture, for those that look at it; who has none leaves it out.
        """

    def all(self) -> Tracks:
        """Every living track: tentative, confirmed and lost."""


class Sink(Protocol):
    """Where frames and tracks go."""

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Take one frame; raises WriteError when it cannot be kept."""

    def close(self) -> None:
        """Finish the output under its final name."""

    def abort(self) -> None:
        """Keep what was written whole and playable, under its partial name."""
