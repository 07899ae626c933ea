"""What a camera is made of, and how each part is had again after it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tracker.analyze import Analyzer
from tracker.capture import Reader, Report, camera_reader
from tracker.interfaces import Tracker
from tracker.monitor.feed import OpenReader
from tracker.monitor.journal import Journal
from tracker.monitor.settings import CameraSettings, MonitorSettings
from tracker.track import make_tracker

OpenCamera = Callable[[CameraSettings, Report], Reader]


@dataclass(frozen=True)
class Stages:
    """The parts; each may be asked for again.

    Attributes:
        open_reader: see `Feed`.
        make_tracker, make_analyzer: fresh ones.
    """

    open_reader: OpenReader
    make_tracker: Callable[[], Tracker]
    make_analyzer: Callable[[], Analyzer]


def open_camera(settings: CameraSettings, report: Report) -> Reader:
    """The real reader of a camera. Raises ConfigError, SourceError."""
    return camera_reader(settings.source, report, access=settings.access(), loop=settings.loop)


def stages_of(
    settings: CameraSettings, shared: MonitorSettings, class_names: Sequence[str], opener: OpenCamera, journal: Journal
) -> Stages:
    """The parts of one camera; its credentials are read anew for each reader, and hidden in the log.

    Raises:
        ConfigError: no such tracker.
    """
    tracker = shared.tracker_of(settings)

    def open_reader(report: Report) -> Reader:
        journal.hide(settings.access().password)
        return opener(settings, report)

    return Stages(
        open_reader,
        make_tracker=lambda: make_tracker(tracker),
        make_analyzer=lambda: Analyzer(settings.zones, settings.lines, class_names),
    )
