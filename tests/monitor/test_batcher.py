"""Whose turn it is at the detector, with a clock that stands still unless it is moved."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.monitor.fakes import PICTURE, FakeDetector, adds_up, found, wait_for
from tracker.monitor.batcher import Batcher
from tracker.monitor.slot import Item, Ledger, Slot
from tracker.structures import Detections, Frame


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class SimulatedLane:
    """A camera of `rate` frames a second on a simulated clock."""

    def __init__(self, clock: Clock, rate: float, phase: float = 0.0, max_age_s: float = 0.5) -> None:
        self.clock, self.rate, self.next_s = clock, rate, clock.now + phase / rate
        self.ledger = Ledger()
        self.slot, self.max_age_s = Slot(self.ledger, clock), max_age_s
        self.latencies: list[float] = []
        self.rejected = 0

    def arrive(self) -> None:
        """Frames that came up to now."""
        while self.next_s <= self.clock.now:
            item = Item(Frame(0, 0.0, PICTURE), self.next_s)
            self.ledger.enter(item)
            self.slot.put(item)
            self.next_s += 1 / self.rate

    def ready(self) -> bool:
        return self.slot.full

    def take(self) -> Item | None:
        return self.slot.take(self.max_age_s)

    def deliver(self, item: Item, detections: Detections) -> None:
        self.ledger.processed(item)
        self.latencies.append(self.clock.now - item.captured_s)

    def reject(self, item: Item, error: Exception) -> None:
        self.ledger.drop(item, "error")
        self.rejected += 1

    @property
    def processed(self) -> int:
        return self.ledger.figures()["processed"]  # type: ignore[return-value]


class SlowDetector(FakeDetector):
    """Moves the clock on by `seconds` a frame."""

    def __init__(self, clock: Clock, lanes: list[SimulatedLane], seconds: float) -> None:
        super().__init__()
        self.clock, self.lanes, self.seconds = clock, lanes, seconds

    def detect(self, frames):  # type: ignore[no-untyped-def]
        self.clock.now += self.seconds * len(frames)
        for lane in self.lanes:
            lane.arrive()
        self.batches.append(len(frames))
        return [found() for _ in frames]


def simulate(lanes: list[SimulatedLane], detector: SlowDetector, size: int, seconds: float) -> Batcher:
    """Run a batcher over simulated time."""
    clock = detector.clock
    batcher = Batcher(detector, size=size, deadline_s=0.0, clock=clock)
    for lane in lanes:
        batcher.add(lane)
    until = clock.now + seconds
    while clock.now < until:
        while not any(lane.ready() for lane in lanes):
            clock.now += 0.001
            for lane in lanes:
                lane.arrive()
        work = batcher.next_batch()
        assert work
        batcher.detect(work)
        batcher.release(work)
        assert all(adds_up(lane.ledger.figures()) for lane in lanes)
    return batcher


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("cameras", [2, 8, 30])
def test_overload_drops_evenly_and_latency_stays_flat(cameras: int, size: int) -> None:
    """Twice and more of what the detector can do, for a minute: everyone has the same share, the lag does not grow."""
    clock = Clock()
    lanes = [SimulatedLane(clock, 25.0, phase=number / cameras) for number in range(cameras)]
    detector = SlowDetector(clock, lanes, 1 / (12.5 * cameras))
    simulate(lanes, detector, size, 60.0)
    processed = [lane.processed for lane in lanes]
    assert max(processed) - min(processed) <= 1 + size
    assert min(processed) >= 0.9 * 60 * 12.5
    dropped = [lane.ledger.figures()["dropped"] for lane in lanes]
    assert all(set(each) == {"late"} for each in dropped)
    for lane in lanes:
        half = len(lane.latencies) // 2
        assert max(lane.latencies) < 0.5
        assert max(lane.latencies[half:]) <= max(lane.latencies[:half]) + 0.05


def test_a_slow_camera_is_not_drowned_by_quick_ones() -> None:
    """It asks for less than its share, so it gets all of it."""
    clock = Clock()
    lanes = [SimulatedLane(clock, 50.0), SimulatedLane(clock, 50.0), SimulatedLane(clock, 2.0)]
    simulate(lanes, SlowDetector(clock, lanes, 1 / 30), 1, 30.0)
    assert lanes[2].processed >= 58
    assert abs(lanes[0].processed - lanes[1].processed) <= 2


def test_frames_that_waited_for_too_long_are_not_detected() -> None:
    clock = Clock()
    lanes = [SimulatedLane(clock, 1.0, max_age_s=0.3), SimulatedLane(clock, 100.0, max_age_s=0.3)]
    lanes[0].slot.put(item := Item(Frame(0, 0.0, PICTURE), clock.now - 0.4))
    lanes[0].ledger.enter(item)
    lanes[1].arrive()
    batcher = Batcher(FakeDetector(), size=2, deadline_s=0.0, clock=clock)
    for lane in lanes:
        batcher.add(lane)
    assert [lane for lane, _ in batcher.next_batch() or ()] == [lanes[1]]
    assert lanes[0].ledger.figures()["dropped"] == {"stale": 1}


@given(st.lists(st.floats(1.0, 60.0), min_size=2, max_size=8), st.integers(1, 5), st.floats(0.005, 0.2))
@settings(max_examples=60, deadline=None)
def test_between_two_turns_of_a_camera_all_that_wait_have_theirs(rates: list[float], size: int, seconds: float) -> None:
    clock = Clock()
    lanes = [SimulatedLane(clock, rate, max_age_s=1e9) for rate in rates]
    detector = SlowDetector(clock, lanes, seconds)
    batcher = Batcher(detector, size=size, deadline_s=0.0, clock=clock)
    for lane in lanes:
        lane.arrive()
        batcher.add(lane)
    waiting: dict[SimulatedLane, set[SimulatedLane]] = {lane: set() for lane in lanes}
    for _ in range(60):
        ready = {lane for lane in lanes if lane.ready()}
        if not ready:
            clock.now += 0.01
            for lane in lanes:
                lane.arrive()
            continue
        work = batcher.next_batch()
        assert work
        served = {lane for lane, _ in work}
        assert len(served) == len(work) == min(size, len(ready))
        for lane in ready - served:  # passed over: none of those served may have been served since it began to wait
            assert not waiting[lane] & served
            waiting[lane] |= served  # type: ignore[arg-type]
        for lane in served:
            waiting[lane] = set()  # type: ignore[index]
        batcher.detect(work)
        batcher.release(work)


def test_a_batch_that_fails_is_tried_one_by_one_and_only_the_culprit_is_rejected() -> None:
    clock = Clock()
    lanes = [SimulatedLane(clock, 10.0) for _ in range(4)]
    detector = FakeDetector(poison=128)
    batcher = Batcher(detector, size=4, deadline_s=0.0, clock=clock)
    for lane in lanes:
        lane.arrive()
        batcher.add(lane)
    work = batcher.next_batch()
    assert work
    bad = Frame.from_bgr(0, 0.0, np.zeros((64, 128, 3), np.uint8))
    work[1] = work[1][0], Item(bad, clock.now)
    batcher.detect(work)
    assert [lane.rejected for lane, _ in work] == [0, 1, 0, 0]  # type: ignore[attr-defined]
    assert detector.batches == [1, 1, 1]
    figures = batcher.figures()
    assert (figures["errors"], figures["frames"]) == (1, 3)


def test_trouble_is_a_detector_that_fails_all_the_time_not_one_bad_camera() -> None:
    clock = Clock()
    detector = FakeDetector(poison=64)
    batcher = Batcher(detector, clock=clock)
    lane = SimulatedLane(clock, 10.0)

    def detect() -> None:
        batcher.detect([(lane, Item(Frame(0, 0.0, PICTURE), clock.now))])

    detect()
    clock.now += 100
    assert batcher.trouble()[0] == 0.0, "one failure long ago, and nothing was asked since"
    detect()
    silent_s, why = batcher.trouble()
    assert silent_s == 100
    assert "the detector broke" in why
    detector.poison = 0
    detect()
    assert batcher.trouble() == (0.0, "")


def test_a_detector_that_does_not_return_is_noticed() -> None:
    clock = Clock()
    lane = SimulatedLane(clock, 10.0)
    lane.arrive()
    free = threading.Event()

    class Stuck(FakeDetector):
        def detect(self, frames):  # type: ignore[no-untyped-def]
            free.wait()
            return super().detect(frames)

    batcher = Batcher(Stuck(), clock=clock)
    batcher.add(lane)
    batcher.start()
    wait_for(lambda: batcher._since)
    clock.now += 70
    assert batcher.trouble() == (pytest.approx(70), "it does not return")
    free.set()
    assert batcher.stop(5.0)


def test_the_deadline_brings_batches_together() -> None:
    """Real time: frames that come within the deadline share an inference."""
    clock = Clock()
    lanes = [SimulatedLane(clock, 10.0) for _ in range(3)]
    detector = FakeDetector()
    batcher = Batcher(detector, size=3, deadline_s=30.0)
    for lane in lanes:
        batcher.add(lane)
    batcher.start()
    for lane in lanes:
        lane.arrive()
        batcher.wake()
    wait_for(lambda: sum(lane.processed for lane in lanes) == 3)
    assert detector.batches == [3]
    lanes[0].slot.put(Item(Frame(0, 0.0, PICTURE), clock.now))
    assert batcher.stop(5.0), "the deadline does not hold up the end"
