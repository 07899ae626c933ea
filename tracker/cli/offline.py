"""`tracker run --offline`: the stages of a run in two passes over a source that can be read twice.

The first pass detects, the second draws and writes; between them the tracks are made from the whole video. Both are the
ordinary pipeline, with a stand-in for each stage that has nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracker.errors import SourceError
from tracker.interfaces import Tracker
from tracker.structures import Detections, Frame, Tracks
from tracker.track.whole import WholeLinker


class Collector:
    """Stands for the tracker in the first pass: hands all on to where the tracks are made after it."""

    def __init__(self, linker: WholeLinker) -> None:
        """`linker` has the tracks of the whole video once this pass is over."""
        self._linker = linker

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """Keep what there is to know of the frame."""
        self._linker.add(detections, time_s, frame)
        return Tracks.empty()

    def all(self) -> Tracks:
        """None so far."""
        return Tracks.empty()


class Paced:
    """A tracker that is told even times, where those of the source are a player's and not the world's."""

    def __init__(self, tracker: Tracker, step_s: float | None) -> None:
        """`step_s`: seconds between frames; None: the source's times."""
        self._tracker, self._step_s = tracker, step_s

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """As `Tracker` has it."""
        if self._step_s is not None and frame is not None:
            time_s = frame.index * self._step_s
        return self._tracker.update(detections, time_s, frame)

    def all(self) -> Tracks:
        """As `Tracker` has it."""
        return self._tracker.all()


class Replay:
    """Stands for the tracker in the second pass: hands out tracks that are known, frame by frame."""

    def __init__(self, tracks: Iterator[Tracks]) -> None:
        """Of every frame that was detected, in order."""
        self._tracks, self._newest = tracks, Tracks.empty()

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """The next ones; raises SourceError where the source has more frames than the first time."""
        newest = next(self._tracks, None)
        if newest is None:
            raise SourceError(f"the source has more frames now than before (at {time_s:.3f} s); it must not change")
        self._newest = newest
        return newest

    def all(self) -> Tracks:
        """Those of the newest frame."""
        return self._newest


class Blind:
    """Stands for the detector in the second pass."""

    class_names: tuple[str, ...] = ()

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Nothing, for each frame."""
        return [Detections.empty()] * len(frames)

    def close(self) -> None:
        """Nothing to let go of."""


class Nowhere:
    """Stands for the outputs in the first pass."""

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Not written."""

    def close(self) -> None:
        """Nothing to finish."""

    def abort(self) -> None:
        """Nothing to keep."""
