"""The way of a frame through one stream: grab, detect, track, write.

    source thread --> this loop --> detector threads --> this loop --> writer thread
    (read ahead)      (submit)      (one picture each)   (track)       (draw, encode, records)

Every queue is bounded: a slow stage makes the ones before it wait, and a file never loses a frame. Detections come back
in the order of the frames, whatever thread was faster, so the tracks do not depend on timing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from time import perf_counter

from tracker.interfaces import Detector, FrameSource, Sink, Tracker
from tracker.meters import Meters, Rate
from tracker.structures import Detections, Frame, Tracks


@dataclass
class Status:
    """What a person is shown while it runs. Written by the loop, read by the overlay and the progress bar."""

    captured: int = 0
    processed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    fps: float = 0.0
    latency_ms: float = 0.0
    tracks: int = 0
    seen: set[int] = field(default_factory=set)
    first_s: float | None = None
    last_s: float = 0.0
    end_s: float = 0.0
    wall_s: float = 0.0

    @property
    def in_flight(self) -> int:
        """Frames taken from the source and not yet accounted for; 0 after a run."""
        return self.captured - self.processed - sum(self.dropped.values())

    def lines(self) -> tuple[str, ...]:
        """Text of the corner panel."""
        return (
            f"{self.fps:.1f} fps",
            f"{self.latency_ms:.0f} ms",
            f"{self.tracks} track{'' if self.tracks == 1 else 's'}",
        )


class Pipeline:
    """One stream from its source to its outputs."""

    def __init__(
        self, source: FrameSource, detector: Detector, tracker: Tracker, sink: Sink, *, workers: int = 1,
        stride: int = 1, stop: Event | None = None, meters: Meters | None = None,
        on_frame: Callable[[Status], None] = lambda status: None, status: Status | None = None,
    ) -> None:  # fmt: skip
        """Connect the stages.

        Args:
            workers: pictures in the detector at the same time.
            stride: the detector sees every `stride`-th frame; the others are shown with the last boxes.
            stop: set from outside to end the run after the frames in flight.
            on_frame: called in this thread after each frame.
            status: the live figures, shared with whoever shows them.
        """
        self.source, self.detector, self.tracker, self.sink = source, detector, tracker, sink
        self.workers, self.stride = workers, stride
        self.stop, self.meters, self.on_frame = stop or Event(), meters or Meters(), on_frame
        self.status = status or Status()
        # A live frame is finished at once; waiting for the next one would cost a frame's time of latency.
        self._depth = 0 if source.info.live else workers + 1
        self._rate = Rate(perf_counter())
        self._tracks = Tracks.empty()

    def run(self) -> Status:
        """Work until the source ends or `stop` is set; every frame taken is accounted for.

        Raises:
            Whatever a stage raises, from whatever thread, at once.
        """
        window: deque[tuple[Frame, Future[Detections] | None, float]] = deque()
        pool = ThreadPoolExecutor(self.workers, "detect")
        began = perf_counter()
        try:
            for frame in self.source:
                self.status.captured += 1
                window.append((frame, self._submit(pool, frame), perf_counter()))
                while len(window) > self._depth:
                    self._finish(*window.popleft())
                if self.stop.is_set():
                    break
            while window:
                self._finish(*window.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self.status.wall_s = perf_counter() - began
        return self.status

    def _submit(self, pool: ThreadPoolExecutor, frame: Frame) -> Future[Detections] | None:
        """Hand the frame to a detector thread; None where the stride passes it over."""
        return None if frame.index % self.stride else pool.submit(self._detect, frame)

    def _detect(self, frame: Frame) -> Detections:
        """In a detector thread."""
        return self.detector.detect([frame])[0]

    def _finish(self, frame: Frame, pending: Future[Detections] | None, taken: float) -> None:
        """Track and write one frame, in order."""
        status = self.status
        if pending is None:
            status.dropped["stride"] = status.dropped.get("stride", 0) + 1
        else:
            found = pending.result()
            began = perf_counter()
            self._tracks = self.tracker.update(found, frame.time_s)
            self.meters.observe("track", perf_counter() - began)
            status.processed += 1
            status.seen.update(self._tracks.ids.tolist())
        now = perf_counter()
        status.fps, status.latency_ms, status.tracks = self._rate.tick(now), 1e3 * (now - taken), len(self._tracks)
        status.first_s = frame.time_s if status.first_s is None else status.first_s
        status.last_s, status.end_s = frame.time_s, max(status.end_s, frame.time_s + frame.duration_s)
        began = perf_counter()
        self.sink.write(frame, self._tracks)
        self.meters.observe("wait_writer", perf_counter() - began)
        self.on_frame(status)
