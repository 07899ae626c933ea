"""To and from `supervision.Detections`, which other detectors and annotators speak."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from tracker.errors import RequirementError
from tracker.structures import Detections, Tracks


class SupervisionDetections(Protocol):
    """What is read of a `supervision.Detections`."""

    @property
    def xyxy(self) -> Any:
        """(N, 4) numbers, pixels."""

    @property
    def confidence(self) -> Any:
        """(N,) 0..1, or None."""

    @property
    def class_id(self) -> Any:
        """(N,) whole numbers, or None."""


def from_supervision(found: SupervisionDetections) -> Detections:
    """Detections of one frame; without confidence their score is 1, without class their class_id 0.

    Masks, tracker ids and further data are left out. Needs no supervision.

    Raises:
        ValueError: arrays that do not fit together, or numbers that are not finite.
    """
    boxes = np.array(found.xyxy, np.float32).reshape(-1, 4)
    count = len(boxes)
    scores = np.ones(count, np.float32) if found.confidence is None else np.array(found.confidence, np.float32)
    class_ids = np.zeros(count, np.int64) if found.class_id is None else np.array(found.class_id, np.int64)
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("wanted finite boxes and confidences, got NaN or infinity among them")
    return Detections(boxes, scores, class_ids)


def to_supervision(tracks: Tracks) -> Any:
    """The tracks of one frame as `supervision.Detections`, their ids as `tracker_id`.

    Raises:
        RequirementError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise RequirementError(f"to_supervision needs supervision ({error}); pip install supervision") from None
    return supervision.Detections(
        xyxy=tracks.boxes.copy(),
        confidence=tracks.scores.copy(),
        class_id=tracks.class_ids.copy(),
        tracker_id=tracks.ids.copy(),
    )
