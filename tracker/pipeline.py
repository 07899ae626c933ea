"""The way of a frame through one stream: grab, detect, track, write.

    source thread --> this loop --> detector threads --> this loop --> writer thread
    (read ahead)      (submit)      (one picture each)   (track)       (draw, encode, records)

Every queue is bounded: a slow stage makes the ones before it wait, and a file never loses a frame. Detections come back
in the order of the frames, whatever thread was faster, so the tracks do not depend on timing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import Event
from time import perf_counter

from tracker.errors import SourceLost
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
    def finished(self) -> int:
        """Frames that went all the way: detected or passed over, tracked, handed to the outputs."""
        return self.processed + sum(self.dropped.values())

    @property
    def in_flight(self) -> int:
        """Frames taken from the source and not finished; 0 after a run that did not fail."""
        return self.captured - self.finished

    def lines(self) -> tuple[str, ...]:
        """Text of the corner panel."""
        return (
            f"{self.fps:.1f} fps",
            f"{self.latency_ms:.0f} ms",
            f"{self.tracks} track{'' if self.tracks == 1 else 's'}",
        )


@dataclass(frozen=True)
class Calls:
    """Which frames of a file go into one call of the detector: told by their numbers, wherever reading begins.

    Attributes:
        batch: pictures in a call.
        stride: frames from one picture to the next.
        restart: calls begin anew at multiples of it.
    """

    batch: int
    stride: int
    restart: int

    @property
    def span(self) -> int:
        """Frames from the first of a call to the first of the next."""
        return self.batch * self.stride

    def first(self, index: int) -> int:
        """The first frame of the call that a frame is in."""
        return index - index % self.restart % self.span


def detected(
    source: FrameSource,
    detector: Detector,
    *,
    workers: int,
    stop: Event,
    stride: int = 1,
    calls: Calls | None = None,
    ending: bool = False,
    status: Status | None = None,
) -> Generator[tuple[Frame, Detections | None, float], None, None]:
    """Frames in order with their detections, while the next ones are with the detector's threads.

    Args:
        source: read in this thread.
        detector: called in `workers` threads.
        workers: pictures in the detector at the same time.
        stop: ends the stream after the frames that were taken.
        stride: of the frames, only each `stride`-th is detected; the others come with None.
        calls: which pictures go into one call of the detector; None: each alone.
        ending: the last frame of a file is detected in any case.
        status: counts the frames taken.

    Yields:
        Frame, detections, and when the frame was taken from the source (monotonic seconds).

    Raises:
        Whatever source or detector raise, at once; SourceLost after the frames that were taken.
    """
    # A live frame is finished at once; waiting for the next one would cost a frame's time of latency.
    depth = 0 if source.info.live else workers + 1 if calls is None else 2 * calls.span
    window: deque[_Taken] = deque()
    frames, lost = iter(source), None
    call = _Call()
    pool = ThreadPoolExecutor(workers, "detect")
    try:
        while not stop.is_set():
            try:
                frame = next(frames)
            except StopIteration:
                break
            except SourceLost as error:
                lost = error
                break
            if status is not None:
                status.captured += 1
            place = None if frame.index % stride else call.add(frame)
            window.append(_Taken(frame, call, place, perf_counter()))
            if calls is None or calls.first(frame.index + 1) == frame.index + 1:
                call.submit(pool, detector)
                call = _Call()
            while len(window) > depth:
                yield _first(window)
        if ending:
            _take_last(window, call, stop)
        call.submit(pool, detector)
        while window:
            yield _first(window)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if lost is not None:
        raise lost


class _Call:
    """Frames for one call of the detector, and what comes of it."""

    def __init__(self) -> None:
        """No frame yet."""
        self.frames: list[Frame] = []
        self._pending: Future[list[Detections]] | None = None

    def add(self, frame: Frame) -> int:
        """One more; its place in the call."""
        self.frames.append(frame)
        return len(self.frames) - 1

    def submit(self, pool: ThreadPoolExecutor, detector: Detector) -> None:
        """Begin, if there is anything to do."""
        if self.frames:
            self._pending = pool.submit(detector.detect, self.frames)

    def found(self, place: int) -> Detections:
        """Of one of its frames, as soon as it is done."""
        assert self._pending is not None, "the window is longer than a call"
        return self._pending.result()[place]


@dataclass(frozen=True)
class _Taken:
    """A frame, the call that it is in, its place there (None: the stride passed it over), and when it was taken."""

    frame: Frame
    call: _Call
    place: int | None
    at_s: float


def _take_last(window: deque[_Taken], call: _Call, stop: Event) -> None:
    """Detect the newest frame, if it was passed over. After a stop nobody knows whether it is the last: it goes."""
    if window and window[-1].place is None:
        last = window.pop()
        if not stop.is_set():
            window.append(replace(last, call=call, place=call.add(last.frame)))


def _first(window: deque[_Taken]) -> tuple[Frame, Detections | None, float]:
    """Take the oldest frame out, as soon as it is done."""
    one = window.popleft()
    return one.frame, None if one.place is None else one.call.found(one.place), one.at_s


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
        self._rate = Rate(perf_counter())
        self._tracks = Tracks.empty()

    def run(self) -> Status:
        """Work until the source ends or `stop` is set; every frame taken is accounted for.

        Raises:
            Whatever a stage raises, from whatever thread, at once; SourceLost after the frames that were taken.
        """
        began = perf_counter()
        frames = detected(
            self.source, self.detector, workers=self.workers, stride=self.stride, stop=self.stop, status=self.status
        )
        try:
            with closing(frames):
                for frame, found, taken in frames:
                    self._finish(frame, found, taken)
        finally:
            self.status.wall_s = perf_counter() - began
        return self.status

    def _finish(self, frame: Frame, found: Detections | None, taken: float) -> None:
        """Track and write one frame, in order; `found` is None where the stride passed it over."""
        status = self.status
        if found is None:
            status.dropped["stride"] = status.dropped.get("stride", 0) + 1
        else:
            began = perf_counter()
            self._tracks = self.tracker.update(found, frame.time_s, frame)
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
