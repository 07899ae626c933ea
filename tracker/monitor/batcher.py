"""One detector for all cameras: whose turn it is, how many at once, and what happens when it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from threading import Condition, Thread
from time import monotonic
from typing import Any, Protocol

from tracker.interfaces import Detector
from tracker.monitor.slot import Item
from tracker.structures import Detections

SLICE_S = 0.1
RATE_S = 0.1
"""Weight of the newest inference in the running means."""


class Lane(Protocol):
    """What a camera is to the detector. None of these may block or raise."""

    def ready(self) -> bool:
        """Whether a frame waits, and what comes after the detector is free."""

    def take(self) -> Item | None:
        """The frame that waits; None where it has become too old."""

    def deliver(self, item: Item, detections: Detections) -> None:
        """What was found in it."""

    def reject(self, item: Item, error: Exception) -> None:
        """The detector raised on it."""


Work = list[tuple[Lane, Item]]


class Batcher:
    """Takes frames from lanes, those served the longest ago first, so that overload drops as many of each.

    Between two frames of a lane every other lane that has frames all the time is served too. A lane has one frame in
    the detector at most, so its frames stay in order whatever the number of workers.
    """

    def __init__(
        self, detector: Detector, *, size: int = 1, deadline_s: float = 0.01, workers: int = 1,
        clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Nothing runs yet.

        Args:
            detector: closed by whoever made it.
            size: frames in one inference at most.
            deadline_s: how long an inference waits for further frames at most.
            workers: inferences side by side.
            clock: monotonic seconds.
        """
        self._detector, self._size, self._deadline_s, self._clock = detector, size, deadline_s, clock
        self._changed = Condition()
        self._served: dict[Lane, int] = {}
        self._busy: set[Lane] = set()
        self._turns = count(1)
        self._closing = False
        self._threads = [Thread(target=self._work, args=(k,), name=f"detect {k}", daemon=True) for k in range(workers)]
        self._since: dict[int, float] = {}
        self._batches = self._frames = self._errors = 0
        self._failing_since: float | None = None
        self._failing_s, self._last_error = 0.0, ""
        self._mean_size = self._mean_s = 0.0

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def add(self, lane: Lane) -> None:
        """From now on this one takes part; its first turn comes at once."""
        with self._changed:
            self._served[lane] = 0
            self._changed.notify_all()

    def remove(self, lane: Lane, timeout_s: float = 5.0) -> bool:
        """This one no longer takes part; waits for its frame in the detector, and says whether that came back."""
        until_s = monotonic() + timeout_s
        with self._changed:
            self._served.pop(lane, None)
            while lane in self._busy and (left_s := until_s - monotonic()) > 0:
                self._changed.wait(left_s)
            return lane not in self._busy

    def wake(self) -> None:
        """Some lane may have become ready."""
        with self._changed:
            self._changed.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """Detect what waits in the lanes, then end; False where that took longer than `timeout_s`."""
        until_s = monotonic() + timeout_s
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until_s - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def next_batch(self) -> Work | None:
        """Wait for frames and take them: as many as fit, after the deadline what there is. None: told to end."""
        work: Work = []
        until_s = 0.0
        with self._changed:
            while True:
                self._gather(work)
                now_s = self._clock()
                until_s = until_s if until_s or not work else now_s + self._deadline_s
                if work and (len(work) >= self._size or now_s >= until_s or not self._more_may_come()):
                    return work
                if not work and self._closing:
                    return None
                self._changed.wait(min(SLICE_S, until_s - now_s) if work else SLICE_S)

    def detect(self, work: Work) -> None:
        """Detect and hand back. If a batch fails, each of its frames is tried alone: one of them is to blame."""
        began_s = self._clock()
        try:
            found = self._detector.detect([item.frame for _, item in work])
            if len(found) != len(work):
                raise RuntimeError(f"the detector gave {len(found)} results for {len(work)} frames")
        except Exception as error:
            if len(work) > 1:
                for pair in work:
                    self.detect([pair])
                return
            self._note_failure(error)
            work[0][0].reject(work[0][1], error)
            return
        self._note_success(len(work), self._clock() - began_s)
        for (lane, item), detections in zip(work, found, strict=True):
            lane.deliver(item, detections)

    def figures(self) -> dict[str, Any]:
        """Counts, means over the last inferences, and what runs, in truth, as far as the detector tells."""
        engine, identity = getattr(self._detector, "engine", None), getattr(self._detector, "identity", None)
        with self._changed:
            return {
                "runtime": getattr(engine, "runtime", ""),
                "precision": getattr(engine, "precision", ""),
                "device": getattr(engine, "device", ""),
                "model": getattr(identity, "name", ""),
                "input": list(getattr(self._detector, "size_hw", ())),
                "batches": self._batches,
                "frames": self._frames,
                "errors": self._errors,
                "batch_mean": round(self._mean_size, 2),
                "batch_ms": round(1e3 * self._mean_s, 2),
            }

    def trouble(self) -> tuple[float, str]:
        """(seconds that nothing has come of the detector although it was asked, why); (0.0, "") where it works."""
        with self._changed:
            now_s = self._clock()
            stuck_s = max((now_s - since for since in self._since.values()), default=0.0)
            if self._failing_s > stuck_s:
                return self._failing_s, f"it fails on every frame: {self._last_error}"
            return stuck_s, "it does not return" if stuck_s else ""

    def _work(self, number: int) -> None:
        """A worker's thread."""
        while (work := self.next_batch()) is not None:
            with self._changed:
                self._since[number] = self._clock()
            try:
                self.detect(work)
            finally:
                self.release(work)
                with self._changed:
                    del self._since[number]

    def release(self, work: Sequence[tuple[Lane, Item]]) -> None:
        """The lanes of a batch may be served again."""
        with self._changed:
            self._busy -= {lane for lane, _ in work}
            self._changed.notify_all()

    def _gather(self, work: Work) -> None:
        """Take what is ready, the longest waiting lane first."""
        for lane in sorted(self._served, key=self._served.__getitem__):
            if len(work) >= self._size:
                return
            if lane in self._busy or not lane.ready():
                continue
            item = lane.take()
            if item is not None:
                self._served[lane] = next(self._turns)
                self._busy.add(lane)
                work.append((lane, item))

    def _more_may_come(self) -> bool:
        """Whether waiting can fill the batch further."""
        return not self._closing and any(lane not in self._busy for lane in self._served)

    def _note_success(self, frames: int, seconds: float) -> None:
        """Count an inference."""
        with self._changed:
            self._batches += 1
            self._frames += frames
            self._failing_since, self._failing_s = None, 0.0
            weight = RATE_S if self._batches > 1 else 1.0
            self._mean_size += weight * (frames - self._mean_size)
            self._mean_s += weight * (seconds - self._mean_s)

    def _note_failure(self, error: Exception) -> None:
        """Count a frame that it raised on."""
        with self._changed:
            self._errors += 1
            self._last_error = " ".join(str(error).split()) or type(error).__name__
            now_s = self._clock()
            self._failing_since = now_s if self._failing_since is None else self._failing_since
            self._failing_s = now_s - self._failing_since
