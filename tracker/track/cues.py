"""What a picture tells beyond the boxes found in it: how the camera moved, and what the objects look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracker.config import SteadySettings
from tracker.structures import Detections, Frame

if TYPE_CHECKING:  # both come with OpenCV, which the association alone never needs
    from tracker.track.appearance import Embedder
    from tracker.track.motion import CameraMotion


class Cues(NamedTuple):
    """Of one picture; without one there are none."""

    motion: NDArray[np.float64] | None = None  # (2, 3) from the picture before to this one, None: no motion
    vectors: NDArray[np.float32] | None = None  # (N, D) looks of its N detections


NO_CUES = Cues()


class Observer:
    """Reads the cues that the settings ask for from the pictures of one stream, in order."""

    def __init__(self, settings: SteadySettings) -> None:
        """No picture yet. Raises ConfigError or ModelError where the appearance asked for cannot be had."""
        self._follows = settings.camera_motion == "auto"
        self._motion: CameraMotion | None = None
        self._embedder: Embedder | None = None
        if settings.appearance not in ("off", "auto"):
            from tracker.track.appearance import make_embedder

            self._embedder = make_embedder(settings.appearance)

    def read(self, frame: Frame | None, found: Detections) -> Cues:
        """Of this picture, with what was found in it."""
        if frame is None:
            return NO_CUES
        motion = vectors = None
        if self._follows:
            if self._motion is None:
                from tracker.track.motion import CameraMotion

                self._motion = CameraMotion()
            motion = self._motion.follow(frame, found.boxes)
        if self._embedder is not None:
            vectors = self._embedder.embed(frame, found.boxes)
        return Cues(motion, vectors)

    def begin_again(self, frame: Frame, found: Detections) -> None:
        """Forget every picture but this one: what is read from now on depends on nothing before it."""
        self._motion = None
        if self._follows:
            from tracker.track.motion import CameraMotion

            self._motion = CameraMotion()
            self._motion.follow(frame, found.boxes)
