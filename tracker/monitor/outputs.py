"""All that the monitor keeps and tells: the database, recordings, and events to whoever wants them.

    frame with events -> snapshot -> database (gives the id) -> MQTT, webhook, JSON lines; clip when its end is recorded

What cameras call returns at once; disk and network have threads of their own, and queues that are bounded.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, time
from typing import Any

from tracker.analyze.events import Event
from tracker.errors import OutputError
from tracker.monitor.courier import Courier, Output
from tracker.monitor.jsonl import JsonlOutput
from tracker.monitor.mqtt import MqttOutput
from tracker.monitor.output_settings import OutputSettings, SpoolSettings
from tracker.monitor.recordings import Recordings
from tracker.monitor.say import Say
from tracker.monitor.snapshots import Snapshots
from tracker.monitor.spool import Spool, retire
from tracker.monitor.store import Listener, Store
from tracker.monitor.webhook import WebhookOutput
from tracker.structures import Frame, Tracks
from tracker.write.files import reason

DATABASE, LOCK = "events.sqlite", "lock"


class Outputs:
    """Everything behind the publishing of a frame. Every method may be called from any thread.

    Attributes:
        folder: what the paths of snapshots and clips begin at.
        store: events, totals, series.
    """

    def __init__(
        self, settings: OutputSettings, folder: Path, say: Say, *, class_names: Sequence[str] = (),
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """Open everything, finish what a killed process left, and begin.

        Args:
            settings: the sections store, record, mqtt, webhook, jsonl.
            folder: for all files; made where it is not there. For one process at a time.
            say: the log.
            class_names: of the detector, for labels.
            wall: seconds since 1970.

        Raises:
            OutputError: the folder or a file in it cannot be used, or another process uses it.
            ConfigError: a password is not where the settings say.
            RequirementError: a library is not installed.
        """
        self.folder, self._wall = folder, wall
        self._couriers: dict[str, Courier] = {}
        self._mqtt: MqttOutput | None = None
        with ExitStack() as undo:
            self._lock = _locked(folder)
            undo.callback(os.close, self._lock)
            self.store = Store(folder / DATABASE, settings.store, say, wall=wall)
            undo.callback(self.store.close)
            record = settings.record
            self._recordings = Recordings(record, folder, say, self.store.attach_clip, class_names, wall=wall)
            undo.callback(self._recordings.close, 1.0)
            self._snapshots = Snapshots(
                self._recordings.keep_snapshot if record.snapshots else None, self.store.add, say,
                class_names=class_names, quality=record.jpeg_quality, size=settings.store.queue,
            )  # fmt: skip
            undo.callback(self._snapshots.close, 1.0)
            undo.callback(self._end_couriers, 0.0)
            self._open(settings, say)
            undo.pop_all()
        self.store.listen(self._recordings.plan)

    def on_frame(self, camera: str, frame: Frame, tracks: Tracks, events: Sequence[Event], wall_s: float) -> None:
        """A processed frame of a camera, taken at `wall_s` (seconds since 1970). Returns at once."""
        self._recordings.write(camera, frame, tracks, wall_s)
        if events:
            self._snapshots.put(camera, frame, tracks, events, wall_s)

    def on_status(self, status: Mapping[str, Any]) -> None:
        """`Supervisor.status()`, about once a second: for the plots, and for MQTT. Returns at once."""
        for name, camera in status["cameras"].items():
            zones = (camera.get("counts") or {}).get("zones", {})
            figures = {f"zone {zone}": float(each["occupancy"]) for zone, each in zones.items()}
            figures |= {"fps": float(camera["fps"]), "tracks": float(camera["tracks"])}
            p95 = float(camera["latency_ms"]["p95"])
            # Without a frame there is no latency; 0 would draw the plot down.
            self.store.observe(name, figures | ({"latency_ms": p95} if p95 > 0 else {}))
        if self._mqtt is not None:
            self._mqtt.on_status(status["cameras"])

    def save(self, camera: str, state: Mapping[str, Any]) -> None:
        """What `restore` is to return after a restart. Returns at once; best after each frame with events.

        It is written with the next events, so that totals and events agree after a kill, or within
        `store.save_every_s`.
        """
        self.store.save(camera, state)

    def restore(self, camera: str) -> tuple[dict[str, Any], float] | None:
        """The state that a camera was saved with, and how long ago that was (seconds by the wall clock, at least 0)."""
        with suppress(sqlite3.Error):
            saved = self.store.restore(camera)
            if saved is not None:
                return saved.state, max(0.0, self._wall() - saved.wall_s)
        return None

    def listen(self, listener: Listener) -> None:
        """Have events told once they are committed, with their ids, in order; the listener must be quick."""
        self.store.listen(listener)

    def stats(self) -> dict[str, Any]:
        """All figures, JSON-ready, without secrets.

        {"store": {"newest", "queue", "lost", "trouble"}, "snapshots": {"made", "skipped"}, "record": see
        `Recordings.figures`, "outputs": {name: see `Courier.figures`}}
        """
        store, snapshots = self.store, self._snapshots
        return {
            "store": {
                "newest": store.newest, "queue": store.queued, "lost": store.lost + snapshots.lost,
                "trouble": store.trouble,
            },
            "snapshots": {"made": snapshots.made, "skipped": snapshots.skipped},
            "record": self._recordings.figures(),
            "outputs": {name: courier.figures() for name, courier in self._couriers.items()},
        }  # fmt: skip

    def close(self, timeout_s: float = 10.0) -> bool:
        """Hand on what waits, finish files, and end. No frame may come any more.

        Returns whether all of it was done in time. What an output has not delivered it delivers after the next start.
        """
        until_s = monotonic() + timeout_s

        def left_s(share: float = 1.0) -> float:
            return max(0.1, share * (until_s - monotonic()))

        done = self._snapshots.close(left_s(0.4))
        done &= self.store.drain(left_s(0.4))
        for courier in self._couriers.values():
            courier.drain(left_s(0.7))
        done &= self._recordings.close(left_s(0.7))
        done &= self._end_couriers(left_s(0.7))
        done &= self.store.close(left_s())
        os.close(self._lock)
        return done

    def _open(self, settings: OutputSettings, say: Say) -> None:
        """The outputs that are wanted."""
        if settings.mqtt is not None:
            self._mqtt = MqttOutput(settings.mqtt, say)
            self._mqtt.came = self._deliver(self._mqtt, settings.mqtt, say).hurry
        if settings.webhook is not None:
            self._deliver(WebhookOutput(settings.webhook), settings.webhook, say)
        if settings.jsonl is not None:
            self._deliver(JsonlOutput(settings.jsonl, self.folder), settings.jsonl, say)
        for output in (MqttOutput, WebhookOutput, JsonlOutput):
            if output.name not in self._couriers:
                retire(self.store, output.name)

    def _deliver(self, output: Output, settings: SpoolSettings, say: Say) -> Courier:
        """Begin with one."""
        courier = Courier(output, Spool(self.store, output.name, settings.most_waiting, say), say)
        self._couriers[output.name] = courier
        return courier

    def _end_couriers(self, timeout_s: float) -> bool:
        """Wait for their ends."""
        until_s = monotonic() + timeout_s
        for courier in self._couriers.values():
            courier.drain(timeout_s)
        return all([courier.close(max(0.0, until_s - monotonic())) for courier in self._couriers.values()])


def _locked(folder: Path) -> int:
    """The folder, for this process alone: a descriptor that holds it, also freed by a kill.

    Raises:
        OutputError: it cannot be made, or another process has it.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(f"{folder} cannot be used: {reason(error)}; choose another folder") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise OutputError(f"{folder} is used by another tracker monitor; stop it or choose another folder") from None
    return held
