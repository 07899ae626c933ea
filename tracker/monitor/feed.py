"""The frames of one camera, however its reader fails: it may raise, end, or hang in a system call for ever."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import Lock, Thread, current_thread
from time import monotonic
from typing import Literal

from tracker.capture import Halt, LossError, Patience, Reader, Reason, Report
from tracker.errors import TrackerError
from tracker.monitor.journal import Journal
from tracker.monitor.slot import Item, Ledger
from tracker.structures import Frame, StreamInfo

State = Literal["connecting", "up", "stalled", "down", "paused", "ended", "failed"]
"""connecting: no answer yet. up: frames come. stalled: frames came, and then none for STALL_S. down: no connection, the
reason says why; it is tried again. paused: on request. ended: a file without `loop`, to its end. failed: frames come,
and a stage of this camera raises; it is tried again."""

OpenReader = Callable[[Report], Reader]
STALL_S = 4.5
"""Without a frame, until a camera counts as stalled; with the watchdog's pace it is told within 5 s."""

SILENT_S, GRACE_S = 15.0, 5.0
"""A reader that does not say when it will have moved has so long; what is later than this and the grace is hung."""

MOST_LEFT = 3
"""Hung readers left behind at a time; they end by their own time-outs. A further one is not started before."""


@dataclass(eq=False)
class _Life:
    """One life of a reader: a thread with what belongs to it."""

    began_s: float
    report: Report = field(default_factory=Report)
    halt: Halt = field(default_factory=Halt)
    thread: Thread | None = None
    reader: Reader | None = None
    frames: int = 0
    last_s: float = -math.inf
    shift_s: float | None = None
    unseen: dict[str, int] = field(default_factory=dict)

    def left(self, clock: Callable[[], float]) -> bool:
        """Whether it hangs."""
        due_s = self.report.due_s
        if due_s is None:
            due_s = max(self.began_s, self.last_s) + SILENT_S
        return clock() > due_s + GRACE_S


class Feed:
    """Reads in a thread of its own. Time and numbers of the frames go on over all lives of the reader."""

    def __init__(
        self, name: str, open_reader: OpenReader, ledger: Ledger, deliver: Callable[[Item], None], journal: Journal,
        *, patience: Patience | None = None, clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Nothing is read yet.

        Args:
            name: of the camera.
            open_reader: a fresh reader that counts in the given report; may raise.
            ledger: each frame is entered here.
            deliver: takes each frame; must not block. Never called by a reader that was given up.
            journal: told of changes of the state.
            patience: delays before a reader that raised is opened again.
            clock: monotonic seconds.
        """
        self.name, self._open, self._ledger, self._deliver, self._journal = name, open_reader, ledger, deliver, journal
        self._patience, self._clock = patience or Patience(math.inf), clock
        self._lock = Lock()
        self._life: _Life | None = None
        self._left: list[_Life] = []
        self._wanted = self._ended = False
        self._index, self._zero_s, self._last_time_s = 0, math.inf, 0.0
        self._reconnects, self._resumed = 0, True
        self._told: State = "paused"
        self._last_s = -math.inf
        self.hangs = 0

    def start(self) -> None:
        """Begin, or go on after `stop`."""
        with self._lock:
            self._wanted, self._ended, self._resumed = True, False, True
            self._begin()

    def stop(self) -> None:
        """No frame is delivered any more; the thread ends soon, by its time-outs at the latest."""
        with self._lock:
            self._wanted = False
            self._leave()

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads of all lives; whether they have ended."""
        until = self._clock() + timeout_s
        with self._lock:
            threads = [life.thread for life in self._left if life.thread is not None]
        for thread in threads:
            if thread is not current_thread():
                thread.join(max(0.0, until - self._clock()))
        return not any(thread.is_alive() for thread in threads)

    @property
    def left_behind(self) -> int:
        """Threads of readers that were told to end, or given up, and have not ended yet."""
        with self._lock:
            return sum(life.thread is not None and life.thread.is_alive() for life in self._left)

    def check(self) -> None:
        """Look after the reader: replace one that hangs, tell a change of the state. Called every moment."""
        with self._lock:
            life = self._life
            self._left = [each for each in self._left if each.thread is not None and each.thread.is_alive()]
            if life is not None and not self._ended and life.left(self._clock):
                self.hangs += 1
                self._leave()
                self._journal.tell("hang", "the reader hangs; another one takes its place", camera=self.name,
                                   level="warning")  # fmt: skip
            if self._wanted and self._life is None and not self._ended:
                self._begin()
        state, reason, said = self.state()
        if state != self._told:
            self._told = state
            self._journal.tell("state", f"{state}{f': {said}' if said else ''}", camera=self.name,
                               level="info" if state in ("up", "connecting", "paused", "ended") else "warning",
                               state=state, reason=reason)  # fmt: skip

    def state(self) -> tuple[State, str, str]:
        """(state, reason as one word or "", the reason in words)."""
        life, age_s = self._life, self._clock() - self._last_s
        if not self._wanted:
            return "paused", "", ""
        if self._ended:
            return "ended", "", "the source is at its end"
        if life is None:
            return "down", "hung", f"{len(self._left)} readers hang; waiting for one to end"
        loss = life.report.loss
        if loss is not None and (loss.reason is not Reason.TIME_OUT or not self._index):
            return "down", loss.reason.name.lower(), str(loss)
        if self._index and age_s >= STALL_S:
            return "stalled", "time_out", f"no frame for {STALL_S:g} s"
        return ("up" if life.frames else "connecting"), "", ""

    @property
    def info(self) -> StreamInfo | None:
        """What is known of the stream."""
        life = self._life
        return life.reader.info if life is not None and life.reader is not None else None

    @property
    def reconnects(self) -> int:
        """Connections made anew after a loss, with pictures."""
        life = self._life
        return self._reconnects + (life.report.reconnects if life is not None else 0)

    def restore(self, reconnects: int) -> None:
        """Add the count of an earlier life."""
        self._reconnects += reconnects

    def _begin(self) -> None:
        """A new life, unless too many old ones hang."""
        if self._life is None and len(self._left) < MOST_LEFT:
            life = self._life = _Life(self._clock())
            life.thread = Thread(target=self._read, args=(life,), name=f"read {self.name}", daemon=True)
            life.thread.start()

    def _leave(self) -> None:
        """Give the reader up; what it still brings is not taken."""
        life, self._life = self._life, None
        if life is not None:
            life.halt.set()
            self._count_unseen(life)
            self._reconnects += life.report.reconnects
            self._left.append(life)

    def _read(self, life: _Life) -> None:
        """The thread of a life: readers one after another, until told to end or the source is at its end."""
        failures = 0
        while not life.halt.is_set():
            before = life.frames
            try:
                for frame in self._frames(life):
                    if not self._take(life, frame):
                        return
                if life.halt.is_set():
                    return
                if life.frames > before:
                    self._ended = self._life is life
                    return
                life.report.loss = LossError(Reason.ENDED)
            except Exception as error:
                life.report.loss = LossError(Reason.OTHER, self._journal.masked(_said(error)))
                if not isinstance(error, TrackerError):
                    self._journal.tell("error", f"reading failed: {_said(error)}", camera=self.name, level="error")
            failures = 1 if life.frames > before else failures + 1
            delay_s = self._patience.delay_s(failures)
            life.report.busy(delay_s)
            life.halt.wait(delay_s)

    def _frames(self, life: _Life) -> Iterator[Frame]:
        """Frames of a fresh reader."""
        life.shift_s, life.report.due_s = None, None
        life.reader = self._open(life.report)
        with closing(life.reader.frames(life.halt)) as frames:
            yield from frames

    def _take(self, life: _Life, frame: Frame) -> bool:
        """Book the frame and hand it on; False where this reader was given up."""
        with self._lock:
            if self._life is not life:
                return False
            now_s = self._clock()
            self._count_unseen(life)
            if life.shift_s is None:
                self._place(life, frame, now_s)
            time_s = max(self._last_time_s, frame.time_s + (life.shift_s or 0.0))
            item = Item(replace(frame, index=self._index, time_s=time_s), now_s - life.report.lag_s)
            life.frames, life.last_s = life.frames + 1, now_s
            life.report.loss = None
            self._last_s, self._last_time_s, self._index = now_s, time_s, self._index + 1
            self._ledger.enter(item)
            self._deliver(item)
            return True

    def _count_unseen(self, life: _Life) -> None:
        """Book what the reader itself passed over."""
        for reason, number in list(life.report.dropped.items()):
            self._ledger.drop_unseen(reason, number - life.unseen.get(reason, 0))
            life.unseen[reason] = number

    def _place(self, life: _Life, frame: Frame, now_s: float) -> None:
        """The first frame of a reader: its place on the time line of the camera, which runs on without it."""
        if math.isinf(self._zero_s):
            self._zero_s = now_s
        life.shift_s = max(now_s - self._zero_s, self._last_time_s) - frame.time_s
        if not self._resumed:
            self._reconnects += 1
        self._resumed = False


def _said(error: Exception) -> str:
    """An error in one line, with its kind where the message alone says little."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TrackerError) else f"{type(error).__name__}: {text}"
