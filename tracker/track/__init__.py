"""Association: detections of successive frames become tracks."""

from __future__ import annotations

from tracker.config import ByteTrackSettings, OcSortSettings, SortSettings, SparseSettings, TrackerSettings
from tracker.interfaces import Tracker
from tracker.track.bytetrack import ByteTrack
from tracker.track.ocsort import OcSort
from tracker.track.sort import Sort
from tracker.track.sparse import Sparse
from tracker.track.steady import Steady

__all__ = ["ByteTrack", "OcSort", "Sort", "Sparse", "Steady", "make_tracker"]


def make_tracker(settings: TrackerSettings) -> Tracker:
    """A fresh tracker of the chosen kind; two of them never share ids."""
    if isinstance(settings, SortSettings):
        return Sort(settings)
    if isinstance(settings, ByteTrackSettings):
        return ByteTrack(settings)
    if isinstance(settings, OcSortSettings):
        return OcSort(settings)
    if isinstance(settings, SparseSettings):
        return Sparse(settings)
    return Steady(settings)
