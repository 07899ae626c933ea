"""The loop: order, accounting, errors from every stage, stopping."""

from __future__ import annotations

import threading
from threading import Event

import pytest

from tests.fakes import FakeDetector, ListSource, RecordingSink
from tracker.errors import SourceLost
from tracker.pipeline import Pipeline
from tracker.track import Sort


def run(source: ListSource, detector: FakeDetector, sink: RecordingSink, **options):
    return Pipeline(source, detector, Sort(), sink, **options).run()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_frame_is_written_once_and_in_order(workers: int) -> None:
    """Detections that come back out of order change nothing."""
    sink = RecordingSink()
    status = run(ListSource(40), FakeDetector(lambda k: 0.004 * (k % 3)), sink, workers=workers)
    assert [index for index, _ in sink.rows] == list(range(40))
    assert {tuple(ids) for _, ids in sink.rows} == {(1, 2)}
    assert (status.captured, status.processed, status.in_flight, status.dropped) == (40, 40, 0, {})


def test_stride_shows_every_frame_and_counts_the_others() -> None:
    detector, sink = FakeDetector(), RecordingSink()
    status = run(ListSource(20), detector, sink, stride=3)
    assert detector.seen == [0, 3, 6, 9, 12, 15, 18]
    assert len(sink.rows) == 20
    assert status.processed == 7 and status.dropped == {"stride": 13} and status.in_flight == 0


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("source", "detector", "sink", "message"),
    [
        (lambda: ListSource(50, fail_at=7), FakeDetector, RecordingSink, "the reader broke"),
        (lambda: ListSource(50), lambda: FakeDetector(fail_at=7), RecordingSink, "the detector broke"),
        (lambda: ListSource(50), FakeDetector, lambda: RecordingSink(fail_at=7), "the disk broke"),
    ],
)
def test_an_error_anywhere_ends_the_run_with_its_message(source, detector, sink, message, workers) -> None:
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match=message):
        run(source(), detector(), sink(), workers=workers)
    assert set(threading.enumerate()) <= before


def test_stop_finishes_what_was_taken() -> None:
    """Frames add up also when a run is interrupted."""
    stop, sink = Event(), RecordingSink()
    status = Pipeline(
        ListSource(1000), FakeDetector(), Sort(), sink, workers=2, stop=stop,
        on_frame=lambda status: stop.set() if status.processed == 10 else None,
    ).run()  # fmt: skip
    assert 10 <= status.processed < 20
    assert status.in_flight == 0 and len(sink.rows) == status.captured


def test_a_live_frame_is_not_kept_waiting_for_the_next() -> None:
    """With one frame of depth the last frame would be written only after the next one comes."""
    written: list[int] = []

    class Source(ListSource):
        def __iter__(self):
            for frame in super().__iter__():
                yield frame
                assert written[-1] == frame.index

    class Sink(RecordingSink):
        def write(self, frame, tracks) -> None:
            written.append(frame.index)

    run(Source(5, live=True), FakeDetector(), Sink())
    assert written == list(range(5))


def test_media_time_is_first_to_last_frame_with_its_duration() -> None:
    status = run(ListSource(30), FakeDetector(), RecordingSink())
    assert status.first_s == 0.0 and status.last_s == pytest.approx(29 / 30)


def test_a_lost_source_finishes_what_was_taken() -> None:
    """The outputs get their final names then, so every frame taken must be in them."""

    class Source(ListSource):
        def __iter__(self):
            yield from super().__iter__()
            raise SourceLost("gone")

    sink = RecordingSink()
    pipeline = Pipeline(Source(20), FakeDetector(lambda k: 0.002), Sort(), sink, workers=2)
    with pytest.raises(SourceLost, match="gone"):
        pipeline.run()
    assert len(sink.rows) == pipeline.status.captured == pipeline.status.finished == 20
