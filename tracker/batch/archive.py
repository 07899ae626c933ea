"""The whole archive: hands out jobs, keeps the manifest, waits where the disk is full, and knows when it is done."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event
from time import monotonic
from typing import Protocol

from tracker.batch.job import CRASHED, DONE, FAILED, FULL, STOPPED, SURVEY, Job, Outcome, Plan, is_full
from tracker.batch.local import Finished, Progress
from tracker.batch.manifest import Entry, Manifest
from tracker.batch.split import Split
from tracker.batch.spool import Spool
from tracker.errors import WriteError

POLL_S, ROOM_S = 0.5, 2.0
ROOM_BYTES = 16 << 20
"""A full disk has room again when this much more is free than at the failure."""
PLENTY_BYTES, AGAIN_S = 256 << 20, 60.0
"""With so much free, the disk is not what was full; then it is tried again so often."""
MOST_CRASHES = 3


class Runner(Protocol):
    """Whoever does the jobs."""

    @property
    def slots(self) -> int:
        """How many jobs it does at a time."""

    @property
    def free(self) -> int:
        """How many jobs it could take now."""

    def submit(self, job: Job) -> None:
        """Give it a job."""

    def poll(self, timeout_s: float) -> Iterator[Progress | Finished]:
        """What happened, waiting at most so long. Raises RequirementError."""

    def stop(self) -> None:
        """Ask all jobs to end at the next frame."""

    def close(self) -> None:
        """End the workers."""


@dataclass
class Board:
    """How far the archive is, for the person who waits.

    Attributes:
        videos: all of them. done, failed: so many of them are. running: frames by name of those in work.
        lengths: frames in all, of those that were surveyed.
        frames: safe on the disk, in all; `new` of them since the start.
        paused: why nothing is handed out, or "".
    """

    videos: int
    done: int = 0
    failed: int = 0
    frames: int = 0
    new: int = 0
    paused: str = ""

    def __post_init__(self) -> None:
        """Nothing is in work."""
        self.running: dict[str, int] = {}
        self.lengths: dict[str, int] = {}


class Archive:
    """One run of `tracker annotate` over the videos that are not done."""

    def __init__(
        self, plan: Plan, manifest: Manifest, runner: Runner, stop: Event, *, max_failures: int | None = None,
        say: Callable[[str], None] = lambda line: None, show: Callable[[Board], None] = lambda board: None,
    ) -> None:  # fmt: skip
        """Connect. `say` takes lines for a person, `show` how far it is, a few times a second."""
        self._plan, self._manifest, self._runner, self._stop = plan, manifest, runner, stop
        self._max_failures, self._say, self._show = max_failures, say, show
        self._crashes: Counter[str] = Counter()
        self._waiting: deque[Job] = deque()
        self._going: Counter[str] = Counter()  # jobs in work, by video
        self._splits: dict[str, Split] = {}  # videos that were surveyed
        self._full_at: int | None = None  # free bytes when a disk was full
        self._full_s = 0.0  # when that was, monotonic

    def run(self, entries: Sequence[Entry]) -> Board:
        """Do all that is waiting. Ends early when `stop` is set or too many failed.

        Raises:
            RequirementError: the detector is not there, or not the one that the archive was begun with.
            WriteError: the manifest cannot be written, for other reasons than a full disk.
        """
        states = Counter(entry.state for entry in entries)
        self.board = Board(
            len(entries), states[DONE], states[FAILED], sum(entry.frames for entry in entries)
        )  # fmt: skip
        self._frames = {entry.video.name: entry.frames for entry in entries}
        self._waiting.extend(Job(entry.video, self._plan) for entry in entries if entry.state not in (DONE, FAILED))
        try:
            while self._go_on():
                self._hand_out()
                for event in self._runner.poll(POLL_S):
                    self._take(event)
                self._show(self.board)
        finally:
            self._runner.close()
        return self.board

    @property
    def _busy(self) -> bool:
        """Whether jobs are in work."""
        return any(self._going.values())

    @property
    def too_many(self) -> bool:
        """Whether more videos failed than may."""
        return self._max_failures is not None and self.board.failed > self._max_failures

    def _go_on(self) -> bool:
        """Whether there is something to wait for; tells the workers to stop where that is wanted."""
        if not (self._stop.is_set() or self.too_many):
            return bool(self._waiting) or self._busy
        self._waiting.clear()
        self._runner.stop()
        return self._busy

    def _hand_out(self) -> None:
        """Give waiting jobs to free workers, unless the disk is full.

        Until it is known what the detector really is, one job goes ahead: all others must have the same.
        """
        if self._full_at is not None and not self._has_room():
            return
        while self._waiting and self._runner.free:
            if self._plan.pinned is None and self._busy:
                return
            job = replace(self._waiting.popleft(), plan=self._plan)
            name = job.video.name
            if name not in self._splits:
                self._keep(lambda name=name: self._manifest.begin(name))  # type: ignore[misc]
                # With fewer videos than workers, long ones are for several.
                if len(self._waiting) < self._runner.slots - 1 and not Spool(self._plan.spools, name).whole:
                    job = replace(job, part=SURVEY)
            job = replace(job, alone=not (self._waiting or self._busy or job.part))
            self._going[name] += 1
            self.board.running[name] = self._frames[name]
            self._runner.submit(job)

    def _has_room(self) -> bool:
        """Whether the disk has room again; waits a moment where it has not.

        Where the output's disk is not what is full, it can only be tried again.
        """
        assert self._full_at is not None, "only asked after a failure"
        elsewhere = self._full_at >= PLENTY_BYTES and monotonic() - self._full_s >= AGAIN_S
        if elsewhere or shutil.disk_usage(self._plan.output).free >= self._full_at + ROOM_BYTES:
            self._say("trying again" if elsewhere else "the disk has room again; going on")
            self._full_at, self.board.paused = None, ""
            return True
        self._stop.wait(ROOM_S)
        return False

    def _take(self, event: Progress | Finished) -> None:
        """Take note of what happened to a job."""
        job, name = event.job, event.job.video.name
        if isinstance(event, Progress):
            self._reach(job, event.frames)
            return
        outcome = event.outcome
        if outcome.identity is not None and self._plan.pinned is None:
            self._plan = replace(self._plan, pinned=outcome.identity)
            self._keep(lambda: self._manifest.set_about(detector=outcome.identity))
        self._going[name] -= 1
        if job.part is None:
            self.board.running.pop(name, None)
        if outcome.state == CRASHED:
            self._crashes[job.key] += 1
            self._say(f"{name}: {outcome.reason}")
            if self._crashes[job.key] >= MOST_CRASHES:
                outcome = replace(outcome, state=FAILED, reason=f"{outcome.reason}, {MOST_CRASHES} times")
        if outcome.state in (CRASHED, FULL):
            self._waiting.appendleft(job)
        if outcome.state == FULL:
            self._pause()
        if job.part is None:
            self._end(name, outcome)
        else:
            self._end_part(job, outcome)

    def _reach(self, job: Job, frames: int) -> None:
        """So many frames of a job are safe."""
        name = job.video.name
        if job.part is not None:
            frames = self._splits[name].reach(job.part, frames)
        self._count(name, frames)
        self.board.running[name] = frames
        self._keep(lambda: self._manifest.reached(name, frames))

    def _end(self, name: str, outcome: Outcome) -> None:
        """A video is over, for now or for good."""
        self._count(name, max(outcome.frames, self._frames[name]))
        if outcome.state in (DONE, FAILED, STOPPED):
            spent = self._splits[name].wall_s if name in self._splits else 0.0
            ended = replace(outcome, wall_s=outcome.wall_s + spent)
            self._keep(lambda: self._manifest.end(name, ended))
        self.board.done += outcome.state == DONE
        if outcome.state == FAILED:
            self.board.failed += 1
            self._say(f"failed: {name}: {outcome.reason}")

    def _end_part(self, job: Job, outcome: Outcome) -> None:
        """An attempt at a survey or a part is over; after the last part comes the job for the whole video."""
        name, over = job.video.name, outcome.state in (DONE, FAILED)
        if job.part == SURVEY:
            if not over:
                return
            split = self._splits[name] = Split.of(outcome)
            if outcome.parts:
                self.board.lengths[name] = outcome.figures["frames"]
            self._count(name, max(outcome.frames, self._frames[name]))
            self._waiting.extendleft(replace(job, part=part) for part in reversed(outcome.parts))
        else:
            self._reach(job, outcome.frames)
            split = self._splits[name]
            split.end(job.part, outcome)
            if outcome.state == FAILED:
                if not split.given_up:
                    self._say(f"notice: {name}: {outcome.reason}; what is left is for one worker")
                split.given_up = True
                rest = [one for one in self._waiting if one.part is not None and one.video.name == name]
                for one in rest:
                    self._waiting.remove(one)
                    split.left.discard(one.part)
        if over and not split.left:
            self._waiting.appendleft(replace(job, part=None))

    def _count(self, name: str, frames: int) -> None:
        """So many frames of this video are safe."""
        more = frames - self._frames[name]
        self._frames[name] = frames
        self.board.frames += more
        self.board.new += more

    def _keep(self, write: Callable[[], None]) -> None:
        """Write to the manifest; where the disk is full, wait until there is room, or until told to stop."""
        while True:
            try:
                return write()
            except WriteError as error:
                if not (is_full(error) or "full" in str(error)) or self._stop.is_set():
                    raise
            self._pause()
            while not self._stop.is_set() and not self._has_room():
                self._show(self.board)

    def _pause(self) -> None:
        """The disk is full."""
        if self._full_at is not None:
            return
        self._full_at, self._full_s = shutil.disk_usage(self._plan.output).free, monotonic()
        self.board.paused = "the disk is full"
        what = f"the disk of {self._plan.output} is full: paused until there are {ROOM_BYTES >> 20} MB more"
        if self._full_at >= PLENTY_BYTES:
            self.board.paused = "a disk or quota is full"
            what = (
                f"a disk is full, and not that of {self._plan.output}, or a quota is: make room, also for temporary "
                f"files; trying again every {AGAIN_S:.0f} s"
            )
        self._say(f"{what}; what is done is safe, Ctrl-C ends and --resume goes on")
