"""Cameras that misbehave on purpose, and the rest of a monitor around them."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tracker.capture import Halt, Patience, Report
from tracker.errors import SourceError
from tracker.monitor.camera import Result
from tracker.monitor.journal import Journal
from tracker.monitor.settings import CameraSettings, MonitorSettings
from tracker.monitor.supervisor import Supervisor
from tracker.structures import Detections, Frame, StreamInfo, Tracks

PICTURE = Frame.from_bgr(0, 0.0, np.zeros((48, 64, 3), np.uint8)).picture
QUICK = Patience(float("inf"), first_delay_s=0.01, longest_delay_s=0.05)
RATE = 100.0


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Until it holds. The time is generous: the machine may be busy."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)
    return value


class FakeReader:
    """Frames at RATE. `behaviour` may be changed at any time:

    "good"; "raise" after 5 frames; "hang" after 5 frames, deaf to everything until `free` is set; "refuse" at once;
    "silent" while it lasts; "end" after 5 frames; "huge" pictures of changing size.
    """

    def __init__(self, report: Report, behaviour: str, free: threading.Event) -> None:
        self.name, self.report, self.live = "fake", report, True
        self.behaviour, self._free = behaviour, free
        self.info: StreamInfo | None = None

    def frames(self, halt: Halt) -> Iterator[Frame]:
        if self.behaviour == "refuse":
            raise SourceError("no such thing")
        index = 0
        while not halt.wait(1 / RATE):
            if index == 5:
                if self.behaviour == "raise":
                    raise RuntimeError("the reader broke")
                if self.behaviour == "end":
                    return
                if self.behaviour == "hang":
                    self._free.wait()
            if self.behaviour == "silent":
                continue
            self.info = StreamInfo("fake", 64, 48, None, None, True)
            yield Frame(index, index / RATE, self.picture(index))
            index += 1

    def overdue(self) -> None:
        return None

    def picture(self, index: int) -> Any:
        if self.behaviour != "huge":
            return PICTURE
        side = 16 * (1 + index % 5)
        return Frame.from_bgr(0, 0.0, np.zeros((side, 2 * side, 3), np.uint8)).picture


class World:
    """Behaviour of each camera by name; remembers the readers."""

    def __init__(self, **behaviour: str) -> None:
        self.behaviour = behaviour
        self.readers: dict[str, list[FakeReader]] = {}
        self.free = threading.Event()

    def settings(self, **changes: Any) -> MonitorSettings:
        cameras = {name: CameraSettings(source=name) for name in self.behaviour}
        return MonitorSettings(cameras=cameras, **changes)

    def open(self, settings: CameraSettings, report: Report) -> FakeReader:
        reader = FakeReader(report, self.behaviour[settings.source], self.free)
        self.readers.setdefault(settings.source, []).append(reader)
        return reader


class FakeDetector:
    """Finds one thing in each frame; may take its time; raises on pictures of `poison` size."""

    class_names = ("person", "car")

    def __init__(self, delay_s: float = 0.0, poison: int = 0) -> None:
        self.delay_s, self.poison = delay_s, poison
        self.batches: list[int] = []

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        time.sleep(self.delay_s)
        if any(frame.width == self.poison for frame in frames):
            raise RuntimeError("the detector broke")
        self.batches.append(len(frames))
        return [found() for _ in frames]

    def close(self) -> None:
        pass


def found() -> Detections:
    return Detections(np.array([[4, 4, 24, 24]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int64))


class FakeTracker:
    """One track a frame, with a new id each time: 1, 2, 3, ... May fail or hang."""

    def __init__(self, fail_at: int = 0, wait: threading.Event | None = None) -> None:
        self.updates, self._fail_at, self._wait = 0, fail_at, wait

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        self.updates += 1
        if self.updates == self._fail_at:
            raise RuntimeError("the tracker broke")
        if self._wait is not None:
            self._wait.wait()
        one = np.ones(1, np.int64)
        return Tracks(self.updates * one, detections.boxes, detections.scores, one * 0, np.zeros(1, np.float32), one)

    def all(self) -> Tracks:
        return Tracks.empty()


class Log:
    """A journal in memory."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.journal = Journal(as_json=True, stream=self.text)

    def lines(self, event: str = "", camera: str = "") -> list[dict[str, Any]]:
        every = [json.loads(line) for line in self.text.getvalue().splitlines()]
        return [
            line for line in every if line["event"] in ("", event or line["event"])
            and line.get("camera", "") == (camera or line.get("camera", ""))
        ]  # fmt: skip


class Watched:
    """A supervisor on fakes, with what it published."""

    def __init__(self, world: World, detector: FakeDetector | None = None, batch: int = 1, **changes: Any) -> None:
        self.world, self.log = world, Log()
        self.results: dict[str, list[Result]] = {name: [] for name in world.behaviour}
        self.supervisor = Supervisor(
            world.settings(**changes), detector or FakeDetector(), self.log.journal, batch=batch,
            open_camera=world.open, patience=QUICK,
        )  # fmt: skip
        self.supervisor.subscribe(lambda result: self.results.setdefault(result.camera, []).append(result))

    def __enter__(self) -> Watched:
        self.supervisor.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.world.free.set()
        self.supervisor.stop(5.0)

    def count(self, name: str) -> int:
        return len(self.results[name])

    def more(self, name: str, count: int = 30) -> None:
        """Wait for this many further results of a camera."""
        before = self.count(name)
        wait_for(lambda: self.count(name) >= before + count)

    def state(self, name: str) -> tuple[str, str]:
        status = self.supervisor.camera(name).status()
        return status["state"], status["reason"]


def adds_up(frames: dict[str, Any]) -> bool:
    """Rule 8."""
    return frames["captured"] == frames["processed"] + sum(frames["dropped"].values()) + frames["in_flight"]
