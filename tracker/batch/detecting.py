"""The first pass over a video: every frame through the detector, into the spool."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from threading import Event

from tracker.batch.ahead import Ahead
from tracker.batch.job import Job, Plan, batch_of
from tracker.batch.sights import Sight, packed
from tracker.batch.spool import SEGMENT, About, Spool
from tracker.capture import Source, open_source
from tracker.config import SteadySettings
from tracker.detect import share_cores
from tracker.interfaces import Detector
from tracker.pipeline import Calls, detected
from tracker.structures import Detections, Frame, StreamInfo
from tracker.track.cues import NO_CUES, Observer
from tracker.track.table import usable

Report = Callable[[int], None]
OpenDetector = Callable[[tuple[int, int] | None], Detector]
"""For pictures of this width and height; None: of many sizes."""


def open_video(job: Job, stop: Event) -> Source:
    """The frames of the job's video that are not in its spool, and some before them."""
    spool = Spool(job.plan.spools, job.video.name)
    if not spool.whole:
        Ahead(spool).take_in()
    last = None if spool.whole else spool.last()
    mark = None if last is None else spool.mark(last.index)
    return open_source(str(job.video.path), stop=stop, mark=mark)


def detect_video(
    job: Job, source: Source, open_detector: OpenDetector, stop: Event, report: Report = lambda frames: None
) -> bool:  # fmt: skip
    """Fill the spool from where it ends; True: it is whole, False: `stop` was set before.

    Segments have fixed bounds, and at each of them what is kept of the pictures begins again, so what is written does
    not depend on where a run was killed.

    Args:
        open_detector: called when frames are missing.
        report: told how many frames are safe on the disk.

    Raises:
        TrackerError: what ended it; the segments before stay.
    """
    spool = Spool(job.plan.spools, job.video.name)
    if spool.whole:
        return True
    count = spool.reached()
    segment, varied, size = list[Sight](), 0, (source.info.width, source.info.height)
    last, detector = spool.last(), open_detector(None if source.varied else size)
    before = last.found if last is not None and last.found is not None else Detections.empty()
    frames = Remaining(source, count, job.plan.stride)
    with closing(sights(job, frames, detector, lambda: before, stop)) as seen:
        for frame, sight in seen:
            segment.append(sight)
            count = frame.index + 1
            # Gone on with from its middle, such a video would be taken for one of another size.
            varied |= (frame.width, frame.height) != size
            if len(segment) == SEGMENT:
                spool.add(segment, source.report.faults + varied)
                segment = []
                report(count)
    if stop.is_set():
        return False
    if segment:
        spool.add(segment)
    info = source.info
    rate = str(info.frame_rate or "")
    spool.finish(About(info.width, info.height, rate, tuple(detector.class_names), tuple(source.warnings)), count)
    report(count)
    return True


def sights(
    job: Job, frames: Remaining, detector: Detector, found_before: Callable[[], Detections], stop: Event
) -> Generator[tuple[Frame, Sight], None, None]:  # fmt: skip
    """Frames with what was seen of them. `found_before`: detections in the last of `frames.seen`, asked for once."""
    looker, calls = _Looker(job, frames, found_before), calls_of(job.plan, detector)
    workers = share_cores(job.plan.settings.detect, live=False).workers
    stream = detected(frames, detector, workers=workers, stop=stop, stride=job.plan.stride, calls=calls, ending=True)
    with closing(stream) as pairs:
        for frame, found, _ in pairs:
            yield frame, looker.see(frame, found)


def calls_of(plan: Plan, detector: Detector) -> Calls | None:
    """Which pictures go into one inference; None: each alone. With each segment they begin anew."""
    batch = batch_of(plan, detector)
    return Calls(batch, plan.stride, SEGMENT) if batch > 1 else None


class Remaining:
    """The frames of a source behind those that are done.

    Attributes:
        seen: the last of those done that the detector saw, `keep` of them at most.
        passed: so many of those done came.
    """

    def __init__(self, source: Source, done: int, stride: int, keep: int = 1) -> None:
        """`done` frames are passed over."""
        self._source, self._done, self._stride = source, done, stride
        self.seen = deque[Frame](maxlen=keep)
        self.passed = 0

    @property
    def info(self) -> StreamInfo:
        """As of the source."""
        return self._source.info

    def __iter__(self) -> Iterator[Frame]:
        """The frames from number `done` on."""
        for frame in self._source:
            if frame.index >= self._done:
                yield frame
                continue
            self.passed += 1
            if frame.index % self._stride == 0:
                self.seen.append(frame)

    def close(self) -> None:
        """As of the source."""
        self._source.close()


class _Looker:
    """Takes from each picture what the association wants of it."""

    def __init__(self, job: Job, frames: Remaining, found_before: Callable[[], Detections]) -> None:
        """See `sights`."""
        cues = job.plan.cues
        self._observer = Observer(SteadySettings.model_validate(cues)) if cues else None
        self._frames, self._found_before = frames, found_before
        self._found = Detections.empty()
        self._before: Frame | None = None

    def see(self, frame: Frame, found: Detections | None) -> Sight:
        """Of the next frame; `found` is None where the stride passed it over."""
        if found is None:
            return Sight(frame.index, frame.time_s, frame.duration_s, None, ticks=frame.picture.pts)
        found = usable(found, 0.0)
        before = self._before or next(reversed(self._frames.seen), None)
        cues = NO_CUES
        if self._observer is not None:
            first_of_segment = before is not None and before.index // SEGMENT != frame.index // SEGMENT
            if first_of_segment and before is not None:
                self._observer.begin_again(before, self._found if self._before else self._found_before())
            cues = self._observer.read(frame, found)
        self._before, self._found = frame, found
        looks = packed(cues.vectors) if len(found) else None
        return Sight(frame.index, frame.time_s, frame.duration_s, found, cues.motion, looks, frame.picture.pts)
