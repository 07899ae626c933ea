"""Everything of one `tracker monitor` in its place: cameras, detector, storage, outputs.

supervisor -> publish: the state of the camera, then frame and events -> outputs -> database -> MQTT, webhook, ...
            -> status, once a second -> outputs: the plots, MQTT
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from tracker.interfaces import Detector
from tracker.monitor.camera import Result
from tracker.monitor.journal import Journal
from tracker.monitor.outputs import Outputs
from tracker.monitor.settings import MonitorSettings
from tracker.monitor.supervisor import Supervisor
from tracker.monitor.systemd import ALIVE, READY, STOPPING, notify

STATUS_S = 1.0
PIPELINE_SHARE = 0.6
"""Of the time to end: for frames on their way; the rest is for what they leave behind."""


class Station:
    """The cameras and what becomes of their frames.

    Attributes:
        supervisor: of the cameras.
        outputs: database, recordings, messages.
    """

    def __init__(
        self, settings: MonitorSettings, detector: Detector, journal: Journal, folder: Path, *, batch: int = 1,
        workers: int = 1,
    ) -> None:  # fmt: skip
        """Open the storage and go on from where an earlier process ended; no camera is opened yet.

        Args:
            settings: of all.
            detector: closed by whoever made it, after `stop`.
            journal: the log.
            folder: for all files.
            batch, workers: see `Supervisor`.

        Raises:
            ConfigError: a class or tracker that does not exist, or a secret that is not where the settings say.
            OutputError: the folder cannot be used, or another process uses it.
            RequirementError: a library that an output needs is not installed.
        """
        self._journal = journal
        journal.hide(*settings.secrets())
        for line in settings.warnings():
            journal.tell("settings", line, level="warning")
        self.supervisor = Supervisor(settings, detector, journal, batch=batch, workers=workers)
        self.outputs = Outputs(settings, folder, journal.tell, class_names=detector.class_names)
        self._saved_s: dict[str, float] = {}
        self._save_every_s, self._told_s = settings.store.save_every_s, monotonic()
        for name in self.supervisor.names():
            found = self.outputs.restore(name)
            if found is not None:
                self.supervisor.restore({name: found[0]}, found[1])
        self.supervisor.subscribe(self._publish)

    def start(self) -> None:
        """Begin."""
        self.supervisor.start()
        notify(READY)

    def tick(self) -> None:
        """To be called several times a second.

        Raises:
            TrackerError: the detector has given nothing for a minute, though it was asked.
        """
        self.supervisor.check()
        if monotonic() - self._told_s >= STATUS_S:
            self._told_s = monotonic()
            notify(ALIVE)
            self.outputs.on_status(self.supervisor.status())

    def stop(self, drain_s: float) -> bool:
        """End all within `drain_s`. Returns whether the detector may be closed: else somebody may still be in it."""
        notify(STOPPING)
        until_s = monotonic() + drain_s
        ended = self.supervisor.stop(PIPELINE_SHARE * drain_s)
        for name in self.supervisor.names():
            self._save(name)
        if not self.outputs.close(max(1.0, until_s - monotonic())):
            self._journal.tell("stopped", "not everything could be stored in time", level="warning")
        abandoned = self.supervisor.abandoned
        if abandoned:
            said = f"{abandoned} readers hang in their cameras' connections and were left behind"
            self._journal.tell("stopped", said, level="warning")
        return ended

    def _publish(self, result: Result) -> None:
        """One processed frame, in the second thread of its camera, which alone may say what it has counted so far."""
        now_s, name = monotonic(), result.camera
        if result.events or now_s - self._saved_s.get(name, 0.0) >= self._save_every_s:
            self._saved_s[name] = now_s
            self._save(name)  # before the events: totals may never be behind what is stored
        self.outputs.on_frame(name, result.frame, result.tracks, result.events, result.wall_s)

    def _save(self, name: str) -> None:
        """The state of a camera. Whatever is wrong with it, its events must not suffer."""
        try:
            self.outputs.save(name, self.supervisor.camera(name).state())
        except KeyError:  # it was removed a moment ago
            pass
        except Exception as error:
            said = f"the totals could not be saved: {type(error).__name__}: {error}"
            self._journal.tell("output", said, camera=name, level="error")
