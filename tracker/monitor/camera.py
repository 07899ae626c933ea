"""One camera: its feed, its place at the detector, its tracker and analysis, and what it publishes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Condition, Thread
from time import monotonic, time
from typing import Any

import numpy as np

from tracker.analyze import Event, Shape
from tracker.capture import Patience
from tracker.meters import Histogram
from tracker.monitor.feed import Feed, State
from tracker.monitor.journal import Journal
from tracker.monitor.settings import CameraSettings
from tracker.monitor.slot import Budget, Item, Ledger, Slot
from tracker.monitor.stages import Stages
from tracker.structures import Detections, Frame, Tracks

FPS_S, LATENCY_S = 5.0, 60.0
POOR_FIT = 0.6


@dataclass(frozen=True)
class Result:
    """One processed frame, as subscribers get it.

    Attributes:
        camera: its name.
        frame, tracks, events: ids of tracks are not used again in the life of the camera, restarts of its tracker or of
            the service (where the state was restored) included.
        latency_s: from capture to now.
        wall_s: when it was captured, seconds since 1970 UTC. For people only: this clock may be set at any time.
    """

    camera: str
    frame: Frame
    tracks: Tracks
    events: Sequence[Event]
    latency_s: float
    wall_s: float


class Camera:
    """Threads: one reads and decodes, one tracks, analyses and publishes, in the order of the frames."""

    def __init__(
        self, name: str, settings: CameraSettings, stages: Stages, journal: Journal,
        publish: Callable[[Result], None], wake: Callable[[], None], *, max_latency_s: float = 0.5,
        patience: Patience | None = None, clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Nothing runs yet.

        Args:
            name, settings: as in cameras.yaml.
            stages: its parts.
            journal: the log.
            publish: takes each result, in this camera's second thread.
            wake: tells the batcher that there is something to take.
            max_latency_s: frames that would be published later after their capture are not detected.
            patience: delays before a part that failed is tried again.
            clock: monotonic seconds.

        Raises:
            ConfigError: a zone or line counts a class that the detector does not know.
        """
        self.name, self.settings, self._stages, self._journal = name, settings, stages, journal
        self._publish, self._wake, self._clock = publish, wake, clock
        self._patience = patience or Patience(math.inf)
        self.ledger = Ledger()
        self._slot, self._budget = Slot(self.ledger, clock), Budget(max_latency_s)
        self.feed = Feed(name, stages.open_reader, self.ledger, self._offer, journal, patience=patience, clock=clock)
        self._tracker, self._analyzer = stages.make_tracker(), stages.make_analyzer()
        self._id_base = self._last_id = 0
        self._changed = Condition()
        self._handed: tuple[Item, Detections] | None = None
        self._closing = False
        self._thread: Thread | None = None
        self._next_s = -math.inf  # when the next frame is wanted, with a limited rate
        self._failures, self._failed, self._resume_s = 0, "", -math.inf
        self.restarts = 0
        self.latency = Histogram()
        self._recent: deque[tuple[float, float]] = deque()
        self.latest: Result | None = None
        self._fit_checked = False

    def start(self) -> None:
        """Begin reading, unless it is not enabled."""
        self._thread = Thread(target=self._work, name=f"track {self.name}", daemon=True)
        self._thread.start()
        if self.settings.enabled:
            self.feed.start()

    def pause(self) -> None:
        """Disconnect; the time line and the tracks stay."""
        self.feed.stop()
        self._slot.clear("paused")

    def resume(self) -> None:
        """Connect again."""
        self.feed.start()

    def finish(self, timeout_s: float) -> bool:
        """After the feed was stopped and the batcher is done with this camera: end the second thread.

        What is still on its way counts as dropped ("stopped"). Returns whether the thread has ended.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._slot.clear("stopped")
        self.ledger.drop_all("stopped")
        return self._thread is None or not self._thread.is_alive()

    # What the batcher asks (see `batcher.Lane`).

    def ready(self) -> bool:
        """Whether a frame waits and the second thread is free for it."""
        return self._slot.full and self._handed is None and self._clock() >= self._resume_s

    def take(self) -> Item | None:
        """The newest frame, None where it is too old."""
        return self._slot.take(self._budget.max_age_s())

    def deliver(self, item: Item, detections: Detections) -> None:
        """Go on with a detected frame."""
        with self._changed:
            self._handed = item, detections
            self._changed.notify_all()

    def reject(self, item: Item, error: Exception) -> None:
        """The detector raised on this frame."""
        self._fail(item, "detecting", error)

    # Its own threads.

    def _offer(self, item: Item) -> None:
        """From the feed: a new frame. Must not block."""
        rate = self.settings.rate
        if rate is not None:
            step_s = 1 / rate
            if item.captured_s < self._next_s - 0.25 * step_s:  # cameras are not punctual
                self.ledger.drop(item, "rate")
                return
            self._next_s = max(self._next_s + step_s, item.captured_s)
        self._slot.put(item)
        self._wake()

    def _work(self) -> None:
        """The second thread."""
        while True:
            with self._changed:
                while self._handed is None and not self._closing:
                    self._changed.wait(1.0)
                if self._handed is None:
                    return
                (item, detections), self._handed = self._handed, None
            self._wake()
            self._step(item, detections)

    def _step(self, item: Item, detections: Detections) -> None:
        """Track, analyse, publish one frame. Whatever raises is replaced, and harms nobody else."""
        frame = item.frame
        try:
            tracks = self._with_own_ids(self._tracker.update(detections, frame.time_s, frame))
        except Exception as error:
            self._fail(item, "tracking", error)
            self._id_base, self._tracker = self._last_id, self._stages.make_tracker()
            return
        try:
            events = self._analyzer.update(tracks, frame.time_s, (frame.width, frame.height))
        except Exception as error:
            self._fail(item, "the analysis", error)
            self._renew_analyzer()
            return
        now_s = self._clock()
        latency_s = now_s - item.captured_s
        if not self.ledger.processed(item):
            return  # given up meanwhile
        self._failures, self._failed = 0, ""
        self._budget.note(now_s - item.taken_s)
        self.latency.add(latency_s)
        self._recent.append((now_s, latency_s))
        while now_s - self._recent[0][0] > LATENCY_S:
            self._recent.popleft()
        self.latest = Result(self.name, frame, tracks, events, latency_s, time() - latency_s)
        self._publish(self.latest)

    def _with_own_ids(self, tracks: Tracks) -> Tracks:
        """Ids that no earlier tracker of this camera gave."""
        if self._id_base:
            tracks = replace(tracks, ids=tracks.ids + self._id_base)
        self._last_id = max(self._last_id, int(tracks.ids.max(initial=0)))
        return tracks

    def _renew_analyzer(self) -> None:
        """A fresh one with the totals of the one that broke, if they can be had."""
        broken, self._analyzer = self._analyzer, self._stages.make_analyzer()
        with suppress(Exception):
            self._analyzer.restore(broken.state())

    def _fail(self, item: Item, what: str, error: Exception) -> None:
        """A stage raised: count it; from the second time in a row on wait longer and longer."""
        self.ledger.drop(item, "error")
        self._failures, self.restarts = self._failures + 1, self.restarts + 1
        said = f"{what} failed: {type(error).__name__}: {error}"
        self._journal.tell("error", said, camera=self.name, level="error")
        if self._failures > 1:
            self._failed = said
            self._resume_s = self._clock() + self._patience.delay_s(self._failures - 1)

    # What people and machines see.

    @property
    def state_now(self) -> tuple[State, str, str]:
        """(state, reason as one word or "", the reason in words)."""
        state, reason, said = self.feed.state()
        failed = self._failed
        return ("failed", "error", self._journal.masked(failed)) if state == "up" and failed else (state, reason, said)

    def status(self) -> dict[str, Any]:
        """Figures, JSON-ready; see `Supervisor.status`."""
        now_s, (state, reason, said) = self._clock(), self.state_now
        recent = [pair for pair in list(self._recent) if now_s - pair[0] < LATENCY_S]
        lately = sum(1 for pair in recent if now_s - pair[0] < FPS_S)
        waits = np.percentile([1e3 * pair[1] for pair in recent], (50, 95, 99)) if recent else np.zeros(3)
        latest, info = self.latest, self.feed.info
        return {
            "state": state,
            "reason": reason,
            "detail": self._journal.masked(said),
            "source": self.settings.shown()["source"],
            "fps": round(lately / FPS_S, 2),
            "latency_ms": {name: round(float(ms), 1) for name, ms in zip(("p50", "p95", "p99"), waits, strict=True)},
            "frames": self.ledger.figures(),
            "reconnects": self.feed.reconnects,
            "restarts": self.restarts,
            "hangs": self.feed.hangs,
            "tracks": len(latest.tracks) if latest is not None and state == "up" else 0,
            "counts": self._analyzer.counts(),
            "queue": int(self._slot.full) + int(self._handed is not None),
            "size": [latest.frame.width, latest.frame.height] if latest is not None else None,
            "codec": info.codec if info is not None else "",
        }

    def shapes(self, width: int, height: int) -> list[Shape]:
        """What to draw of zones and lines into a picture of this size; see `Analyzer.shapes`."""
        return self._analyzer.shapes(width, height)

    def check_fit(self, size_hw: tuple[int, int] | None) -> None:
        """Tell once where the pictures fill little of the detector's input: small things are missed then."""
        if self.latest is None or size_hw is None or self._fit_checked:
            return
        self._fit_checked = True
        (height, width), frame = size_hw, self.latest.frame
        scale = min(width / frame.width, height / frame.height)
        share = scale * scale * frame.width * frame.height / (width * height)
        if share < POOR_FIT:
            said = (
                f"its {frame.width}x{frame.height} pictures fill {share:.0%} of the detector's {width}x{height} input; "
                "if most cameras are like it, set aspect to their shape, if not to '1:1'"
            )
            self._journal.tell("shape", said, camera=self.name, level="warning")

    def state(self) -> dict[str, Any]:
        """What `restore` needs after a restart, JSON-ready."""
        return {
            "frames": self.ledger.figures(),
            "reconnects": self.feed.reconnects,
            "last_id": self._last_id,
            "analyzer": self._analyzer.state(),
        }

    def restore(self, state: Mapping[str, Any], away_s: float = 0.0) -> None:
        """Go on where `state` was taken, `away_s` seconds ago; before `start`.

        Raises:
            ValueError: not a state of `state()`.
        """
        try:
            frames = state["frames"]
            self.ledger.restore(int(frames["captured"]), int(frames["processed"]), dict(frames["dropped"]))
            self._id_base = self._last_id = int(state["last_id"])
            self.feed.restore(int(state["reconnects"]))
            saved = state["analyzer"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the state of a camera: {error}") from None
        self._analyzer.restore(saved, away_s)
