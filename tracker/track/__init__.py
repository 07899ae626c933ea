"""Association: detections of successive frames become tracks.

A tracker is imported when it is first asked for: some come with much of SciPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.config import TrackerSettings
from tracker.interfaces import Tracker
from tracker.lazy import names_of

if TYPE_CHECKING:
    from tracker.track.bytetrack import ByteTrack
    from tracker.track.ocsort import OcSort
    from tracker.track.sort import Sort
    from tracker.track.sparse import Sparse
    from tracker.track.steady import Steady

__all__ = ["ByteTrack", "OcSort", "Sort", "Sparse", "Steady", "make_tracker"]

CLASSES = {"bytetrack": "ByteTrack", "ocsort": "OcSort", "sort": "Sort", "sparse": "Sparse", "steady": "Steady"}
"""By the names of the settings, which are those of the modules."""
__getattr__ = names_of(__name__, {module: (name,) for module, name in CLASSES.items()})


def make_tracker(settings: TrackerSettings) -> Tracker:
    """A fresh tracker of the chosen kind; two of them never share ids."""
    tracker: Tracker = __getattr__(CLASSES[settings.name])(settings)
    return tracker
