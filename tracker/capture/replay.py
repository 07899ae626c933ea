"""Files as cameras: played at their own rate, over and over if wanted, while time runs on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from tracker.capture.clock import DEFAULT_STEP_S
from tracker.capture.lag import BEHIND_S
from tracker.structures import Frame, StreamInfo

if TYPE_CHECKING:
    from tracker.capture.buffer import Reader
    from tracker.capture.halt import Halt
    from tracker.capture.report import Report

SLACK_S = 10.0


class Replay:
    """Plays what another reader gives. A source that turns out to be live is passed on as it is."""

    live = True

    def __init__(self, open_reader: Callable[[], Reader], report: Report, *, name: str, loop: bool) -> None:
        """`open_reader`: a fresh reader for each round, on the same `report`."""
        self._open, self.report, self.name, self._loop = open_reader, report, name, loop
        self.info: StreamInfo | None = None
        self._began_s: float | None = None
        self._ahead_s = 0.0  # what the time line is moved by, against that of the file
        self._next_s = 0.0
        self._index = 0

    def frames(self, halt: Halt) -> Generator[Frame, None, None]:
        """Frames, each at its time.

        Raises:
            What the reader raises.
        """
        while not halt.is_set():
            before, self._ahead_s = self._index, self._next_s
            reader = self._open()
            with closing(reader.frames(halt)) as frames:
                for frame in frames:
                    self.info = reader.info and replace(reader.info, live=True, frame_count=None)
                    yield frame if reader.live else self._at_its_time(frame, halt)
            if not self._loop or self._index == before:
                return

    def overdue(self) -> Exception | None:
        """Never: a file comes."""
        return None

    def _at_its_time(self, frame: Frame, halt: Halt) -> Frame:
        """The frame, on the time line of this camera, once it is due."""
        if self._began_s is None:
            self._began_s = monotonic() - frame.time_s
        due_s = self._began_s + frame.time_s + self._ahead_s
        late_s = monotonic() - due_s
        if late_s > BEHIND_S:
            # A camera would not have waited either: what it saw meanwhile is gone.
            self._ahead_s, due_s = self._ahead_s + late_s, due_s + late_s
            self.report.note("the file could not be read at its own rate; its time was stretched")
        self.report.busy(max(0.0, -late_s) + SLACK_S)
        halt.wait(-late_s)
        self.report.lag_s = max(0.0, monotonic() - due_s)
        self._next_s = frame.time_s + self._ahead_s + (frame.duration_s or DEFAULT_STEP_S)
        self._index += 1
        return replace(frame, index=self._index - 1, time_s=frame.time_s + self._ahead_s)
