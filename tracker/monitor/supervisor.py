"""All cameras and the detector that they share: start, watch, change at run time, stop.

    reader thread a camera -> slot (the newest frame) -> batcher (one detector) -> second thread a camera -> subscribers

Nothing in the way of one camera waits for another one, but for its turn at the detector.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, RLock, Thread
from time import monotonic
from typing import Any

from tracker.capture import Patience
from tracker.errors import ConfigError, TrackerError
from tracker.interfaces import Detector
from tracker.monitor.batcher import Batcher
from tracker.monitor.camera import Camera, Result
from tracker.monitor.journal import Journal
from tracker.monitor.settings import CameraSettings, MonitorSettings
from tracker.monitor.stages import OpenCamera, open_camera, stages_of

Callback = Callable[[Result], None]
CHECK_S = 0.25
FIXED = ("detect", "aspect", "batch", "serve", "data", "store", "record", "mqtt", "webhook", "jsonl")
"""Sections that only a restart takes over."""

FATAL_S = 60.0
"""A detector that gave nothing for so long although it was asked ends the process: a restart may cure it."""


class Supervisor:
    """Owns cameras and batcher. Every method may be called from any thread.

    Use::

        supervisor = Supervisor(settings, detector, Journal())
        supervisor.subscribe(store.add)
        supervisor.start()
        while not stop.wait(0.2):
            supervisor.check()        # raises when the detector is gone
        supervisor.stop(10.0)
    """

    def __init__(
        self, settings: MonitorSettings, detector: Detector, journal: Journal, *, batch: int = 1, workers: int = 1,
        open_camera: OpenCamera = open_camera, patience: Patience | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Make the cameras; nothing is opened yet.

        Args:
            settings: of all.
            detector: closed by whoever made it, after `stop`.
            journal: the log.
            batch: frames that the detector takes at once, where the settings do not say.
            workers: inferences side by side.
            open_camera: how a camera is opened.
            patience: delays before a part of a camera that failed is tried again.
            clock: monotonic seconds.

        Raises:
            ConfigError: a class or tracker that does not exist.
        """
        self.settings, self._detector, self._journal = settings, detector, journal
        self._open_camera, self._patience, self._clock = open_camera, patience, clock
        self._batcher = Batcher(
            detector, size=settings.batch.max or batch, deadline_s=settings.batch.deadline_ms / 1e3, workers=workers,
            clock=clock,
        )  # fmt: skip
        self._lock = RLock()  # changes of the set of cameras, one at a time
        self._callbacks: tuple[Callback, ...] = ()
        self._callbacks_lock = Lock()
        self._running, self._began_s = False, clock()
        self._closing = Event()
        self._watcher = Thread(target=self._watch, name="watch", daemon=True)
        self.callback_errors = 0
        self._gone: list[Camera] = []  # removed, and its reader may still be in a system call
        self._cameras = {name: self._make(name, camera) for name, camera in settings.cameras.items()}

    # Life.

    def start(self) -> None:
        """Begin. Returns at once; cameras come up by themselves."""
        with self._lock:
            self._running, self._began_s = True, self._clock()
            self._batcher.start()
            for camera in self._cameras.values():
                self._launch(camera)
            self._watcher.start()

    def check(self) -> None:
        """To be called now and then.

        Raises:
            TrackerError: the detector has given nothing for a minute, though it was asked.
        """
        silent_s, why = self._batcher.trouble()
        if silent_s > FATAL_S:
            raise TrackerError(f"the detector has given nothing for {silent_s:.0f} s: {why}; restart the service")

    def stop(self, drain_s: float = 10.0) -> bool:
        """End all within `drain_s`: no new frames, those on their way go on, the rest is dropped ("stopped").

        Afterwards nothing is in flight and no subscriber is called. Returns whether all that uses the detector has
        ended. Readers are waited for as long as there is time; see `abandoned`.
        """
        until_s = self._clock() + drain_s
        self._closing.set()
        with self._lock:
            cameras, self._running = list(self._cameras.values()), False
        for camera in cameras:
            camera.feed.stop()
        ended = self._batcher.stop(0.5 * drain_s)
        for camera in cameras:
            ended &= camera.finish(max(0.1, 0.5 * (until_s - self._clock())))
        for camera in (*cameras, *self._gone):
            camera.feed.join(max(0.0, until_s - self._clock()))
        return ended

    @property
    def abandoned(self) -> int:
        """Readers left behind in their camera's connection.

        FFmpeg listens to nothing but its time-outs: some seconds of waiting for a picture, twice as many for an answer,
        as long as the system likes for a name. Such a thread delivers nothing and does not keep the process alive.
        """
        return sum(camera.feed.left_behind for camera in (*self._cameras.values(), *self._gone))

    # Cameras at run time.

    def add(
        self, name: str, settings: CameraSettings, state: dict[str, Any] | None = None, away_s: float = 0.0
    ) -> None:
        """A further camera. `state`: of `Camera.state`, to go on from; `away_s`: seconds since.

        Raises:
            ConfigError: the name is taken, a credential is missing, or a class or tracker does not exist.
        """
        with self._lock:
            if name in self._cameras:
                raise ConfigError(f"a camera '{name}' exists already; remove it first or choose another name")
            if settings.enabled:
                settings.access()
            camera = self._make(name, settings)
            if state is not None:
                camera.restore(state, away_s)
            self._cameras[name] = camera
            if self._running:
                self._launch(camera)
            self._journal.tell("added", f"added: {settings.shown()['source']}", camera=name)

    def remove(self, name: str) -> dict[str, Any]:
        """Take a camera out and return its state (`Camera.state`). Raises KeyError where there is none."""
        with self._lock:
            camera = self._cameras.pop(name)
        camera.feed.stop()
        self._batcher.remove(camera)
        camera.finish(2.0)
        self._gone = [other for other in (*self._gone, camera) if other.feed.left_behind]
        self._journal.tell("removed", "removed", camera=name)
        return camera.state()

    def pause(self, name: str) -> None:
        """Disconnect a camera until `resume`. Raises KeyError where there is none."""
        self._cameras[name].pause()

    def resume(self, name: str) -> None:
        """Connect a paused camera again. Raises KeyError where there is none."""
        self._cameras[name].resume()

    def reload(self, settings: MonitorSettings) -> list[str]:
        """Take over new settings: cameras that changed begin anew with their totals, the others do not notice.

        Returns what was done, and what needs a restart, one line each.

        Raises:
            ConfigError: the new settings cannot be; nothing was changed.
        """
        with self._lock:
            old = self.settings
            for name, camera in settings.cameras.items():
                self._make(name, camera, settings)
                if camera.enabled:
                    camera.access()
            fixed = [key for key in FIXED if getattr(old, key) != getattr(settings, key)]
            lines = [f"'{key}' changed: restart the service for that" for key in fixed]
            self.settings = settings.model_copy(update={key: getattr(old, key) for key in fixed})
            shared = old.tracker != settings.tracker or old.max_latency_ms != settings.max_latency_ms
            for name in [name for name in self._cameras if name not in settings.cameras]:
                self.remove(name)
                lines.append(f"camera '{name}' removed")
            for name, camera in settings.cameras.items():
                if name not in self._cameras:
                    self.add(name, camera)
                    lines.append(f"camera '{name}' added")
                elif shared or self._cameras[name].settings != camera:
                    self.add(name, camera, self.remove(name))
                    lines.append(f"camera '{name}' changed")
        self._journal.tell("reload", f"settings read again: {'; '.join(lines) or 'nothing changed'}")
        return lines

    def restore(self, states: dict[str, dict[str, Any]], away_s: float) -> None:
        """Go on from the states of an earlier process, before `start`; a state that is unusable is told and left out.

        Args:
            states: name -> `Camera.state()`; names that are not in the settings are passed over.
            away_s: seconds since they were taken.
        """
        for name, state in states.items():
            camera = self._cameras.get(name)
            if camera is None:
                continue
            try:
                camera.restore(state, away_s)
            except ValueError as error:
                self._cameras[name] = self._make(name, camera.settings)
                self._journal.tell("restore", f"the saved state cannot be used: {error}", camera=name, level="warning")

    # What others see.

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Have `callback(result)` called for each processed frame, in the second thread of its camera, in order.

        One that is slow delays its camera only, which then drops frames; one that raises is told in the log and
        called again for the next frame. Returns a function that ends the subscription.
        """
        with self._callbacks_lock:
            self._callbacks = (*self._callbacks, callback)

        def unsubscribe() -> None:
            with self._callbacks_lock:
                self._callbacks = tuple(each for each in self._callbacks if each is not callback)

        return unsubscribe

    def names(self) -> list[str]:
        """The cameras, in their order."""
        return list(self._cameras)

    def camera(self, name: str) -> Camera:
        """A camera. Raises KeyError where there is none."""
        return self._cameras[name]

    def latest(self, name: str) -> Result | None:
        """The newest result of a camera, None before the first. Raises KeyError where there is no such camera."""
        return self._cameras[name].latest

    def states(self) -> dict[str, dict[str, Any]]:
        """What `restore` needs, JSON-ready: name -> `Camera.state()`."""
        return {name: camera.state() for name, camera in list(self._cameras.items())}

    def status(self) -> dict[str, Any]:
        """All figures, JSON-ready, without secrets.

        {"cameras": {name: {"state", "reason", "detail", "source", "fps", "latency_ms": {"p50", "p95", "p99"},
        "frames": {"captured", "processed", "dropped": {reason: n}, "in_flight"}, "reconnects", "restarts", "hangs",
        "tracks", "counts", "queue", "size", "codec"}}, "detector": {"runtime", "precision", "device", "model",
        "input", "fps", "batches", "frames", "errors", "batch_mean", "batch_ms"}, "uptime_s", "callback_errors"}

        Latencies are of the last minute, rates of the last seconds; `Camera.latency` is the histogram since the start.
        Reasons of drops: late (overtaken by a newer frame), stale (would miss max_latency_ms), rate, behind (not even
        decoded, to catch up), damaged (the decoder made parts of it up), error, paused, stopped.
        """
        cameras = {name: camera.status() for name, camera in list(self._cameras.items())}
        figures = self._batcher.figures() | {"fps": round(sum(each["fps"] for each in cameras.values()), 2)}
        return {
            "cameras": cameras,
            "detector": figures,
            "uptime_s": round(self._clock() - self._began_s, 1),
            "callback_errors": self.callback_errors,
        }

    # Within.

    def _make(self, name: str, settings: CameraSettings, shared: MonitorSettings | None = None) -> Camera:
        """A camera that isn't running yet. Raises ConfigError."""
        shared = shared or self.settings
        stages = stages_of(settings, shared, self._detector.class_names, self._open_camera, self._journal)
        return Camera(
            name, settings, stages, self._journal, self._publish, self._batcher.wake,
            max_latency_s=shared.max_latency_ms / 1e3, patience=self._patience, clock=self._clock,
        )  # fmt: skip

    def _launch(self, camera: Camera) -> None:
        """Start a camera and give it its place at the detector."""
        for line in camera.settings.warnings():
            self._journal.tell("settings", line, camera=camera.name, level="warning")
        self._batcher.add(camera)
        camera.start()

    def _publish(self, result: Result) -> None:
        """Hand a result to the subscribers."""
        for callback in self._callbacks:
            try:
                callback(result)
            except Exception as error:
                self.callback_errors += 1
                said = f"an output failed: {type(error).__name__}: {error}"
                self._journal.tell("output", said, camera=result.camera, level="error")

    def _watch(self) -> None:
        """The watchdog's thread."""
        size_hw = getattr(self._detector, "size_hw", None)
        while not self._closing.wait(CHECK_S):
            for camera in list(self._cameras.values()):
                try:
                    camera.feed.check()
                    camera.check_fit(size_hw)
                except Exception as error:
                    said = f"the watchdog failed: {type(error).__name__}: {error}"
                    self._journal.tell("watchdog", said, camera=camera.name, level="error")
