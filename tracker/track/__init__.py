"""Association: detections of successive frames become tracks."""

from __future__ import annotations

from tracker.config import SortSettings, TrackerSettings
from tracker.interfaces import Tracker
from tracker.track.sort import Sort

__all__ = ["Sort", "make_tracker"]


def make_tracker(settings: TrackerSettings) -> Tracker:
    """A fresh tracker of the chosen kind; two of them never share ids."""
    return Sort(SortSettings(**settings.model_dump(exclude={"name"})))
