"""A detector that changes its runtime while it runs: when a plan is ready, or when a GPU has no memory left.

Each frame is detected by exactly one runtime, and none is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition
from typing import Any

import engines
from engines import EngineOutOfMemory
from tracker.detect.detector import EngineDetector, Identity
from tracker.errors import TrackerError
from tracker.structures import Detections, Frame

SPARE = 256
"""Frames after a change from which on none from before it can come any more: a pipeline holds far fewer at a time."""
Say = Callable[[str], None]
StepDown = Callable[[engines.Engine], EngineDetector]


@dataclass
class _Leg:
    """What one detector of the relay has done.

    Attributes:
        since: index of the frame from which on it detects. first: the least that it did detect. frames: how many.
        active: calls that are in it now. most: frames an inference at most, 0: as many as are given.
    """

    detector: EngineDetector
    since: int = 0
    first: int | None = None
    frames: int = 0
    active: int = 0
    most: int = 0
    closed: bool = False

    def close(self) -> None:
        """Let go of the engine."""
        if not self.closed:
            self.closed = True
            self.detector.close()


class _Exhausted(Exception):
    """The GPU has no memory even for one frame."""


class RelayDetector:
    """A detector like `EngineDetector`, on one runtime after the other. `detect` may be called from several threads."""

    def __init__(
        self, first: EngineDetector, step_down: StepDown | None = None,
        say: Say = lambda line: None,
    ) -> None:  # fmt: skip
        """Begin with `first`.

        Args:
            first: taken over. say: told of every change.
            step_down: opens the detector of the next runtime below that of an engine; raises TrackerError where there
                is none. None: the runtime at work is required, and its lack of memory an error.
        """
        self._legs = [_Leg(first)]
        self._step_down, self._say = step_down, say
        self._turn = Condition()
        self._stepping = self._closed = False
        self._broken: TrackerError | None = None
        self._newest = -1
        self._told: list[str] = []

    @property
    def engine(self) -> engines.Engine:
        """The engine that detected last; before the first frame the one that will."""
        return self._used()[-1].detector.engine

    @property
    def identity(self) -> Identity:
        """Which model this is."""
        return self._legs[-1].detector.identity

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the network's input, pixels."""
        return self._legs[-1].detector.size_hw

    @property
    def views(self) -> int:
        """Network passes a picture: its tiles, and mirrored ones."""
        return self._legs[-1].detector.views

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class id."""
        return self._legs[-1].detector.class_names

    @property
    def warnings(self) -> list[str]:
        """What went other than asked for so far, one line each."""
        return [*self._told, *(line for leg in self._legs for line in leg.detector.warnings)]

    @property
    def runtimes(self) -> list[dict[str, Any]]:
        """What ran, in order: runtime, precision, device, from_frame (the first that it detected), frames."""
        return [
            {
                "runtime": leg.detector.engine.runtime,
                "precision": leg.detector.engine.precision,
                "device": leg.detector.engine.device,
                "from_frame": leg.first or 0,
                "frames": leg.frames,
            }
            for leg in self._used()
        ]

    def _used(self) -> list[_Leg]:
        """The legs that detected something; before the first frame the first one."""
        with self._turn:
            return [leg for leg in self._legs if leg.frames] or self._legs[:1]

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """See `EngineDetector.detect`; where the GPU has no memory, on the next runtime of the ladder."""
        if not frames:
            return []
        while True:
            leg = self._enter(frames)
            found: list[Detections] | None = None
            try:
                found = self._run(leg, frames)
            except _Exhausted as error:
                problem = str(error)
            finally:
                self._leave(leg, frames if found is not None else ())
            if found is not None:
                return found
            self._replace(leg, frames[0].index, problem)

    def swap(self, detector: EngineDetector) -> None:
        """Take over `detector`, which detects from the next frame on. Closes it at once where this one is closed."""
        with self._turn:
            self._turn.wait_for(lambda: not self._stepping)
            if self._closed:
                detector.close()
                return
            self._legs.append(_Leg(detector, since=self._newest + 1))
            since = self._newest + 1
        self._say(f"notice: from frame {since} on: {_name(detector)}")

    def warn(self, line: str) -> None:
        """Say a line now, and keep it for the summary."""
        with self._turn:
            self._told.append(line)
        self._say(f"warning: {line}")

    def close(self) -> None:
        """Let go of all engines."""
        with self._turn:
            self._closed = True
            for leg in self._legs:
                leg.close()

    def _enter(self, frames: Sequence[Frame]) -> _Leg:
        """The leg for these frames; legs that no frame can come to any more are closed."""
        index = frames[0].index
        with self._turn:
            self._turn.wait_for(lambda: not self._stepping)
            if self._broken is not None:
                raise self._broken
            self._newest = max(self._newest, frames[-1].index)
            going = [leg for leg in self._legs if leg.since <= index and not leg.closed]
            leg = going[-1] if going else self._legs[-1]
            for old in self._legs[:-1]:
                if not old.active and index >= self._legs[-1].since + SPARE:
                    old.close()
            leg.active += 1
            return leg

    def _leave(self, leg: _Leg, frames: Sequence[Frame]) -> None:
        """Count what was detected."""
        with self._turn:
            leg.active -= 1
            leg.frames += len(frames)
            if frames:
                leg.first = min(frames[0].index, frames[0].index if leg.first is None else leg.first)
            self._turn.notify_all()

    def _run(self, leg: _Leg, frames: Sequence[Frame]) -> list[Detections]:
        """Detect in batches that fit into memory. Raises _Exhausted where none does."""
        found: list[Detections] = []
        while len(found) < len(frames):
            part = frames[len(found) :][: leg.most or None]
            try:
                found += leg.detector.detect(part)
            except TrackerError as error:
                # The detector tells of its engine's error in a line of its own.
                if not isinstance(error.__context__, EngineOutOfMemory):
                    raise
                if len(part) == 1:
                    raise _Exhausted(str(error)) from None
                self._halve(leg, len(part))
        return found

    def _halve(self, leg: _Leg, size: int) -> None:
        """Half as many frames an inference from now on."""
        with self._turn:
            if leg.most and leg.most < size:
                return  # another thread was faster
            leg.most = size // 2
        self.warn(f"GPU out of memory with {size} frames an inference: {leg.most} at most from now on")

    def _replace(self, leg: _Leg, index: int, problem: str) -> None:
        """The next runtime in the place of this one, unless another thread has done so. Raises TrackerError."""
        with self._turn:
            self._turn.wait_for(lambda: not self._stepping)
            if leg.closed or self._broken is not None:
                return
            self._stepping = True
            self._turn.wait_for(lambda: not any(other.active for other in self._legs))
            name = _name(leg.detector)
            leg.close()  # before the next one wants memory
        try:
            if self._step_down is None:
                raise TrackerError(f"{problem}; this runtime is required: use a smaller detect.input_size or model")
            successor = self._step_down(leg.detector.engine)
            with self._turn:
                self._legs.append(_Leg(successor))
        except TrackerError as error:
            self._broken = error
            raise
        finally:
            with self._turn:
                self._stepping = False
                self._turn.notify_all()
        self.warn(f"GPU out of memory on {name}: frame {index} and what follows run on {_name(successor)}")


def _name(detector: EngineDetector) -> str:
    """What runs, for a line."""
    engine = detector.engine
    return f"{engine.runtime}, {engine.precision}, {engine.device}"
