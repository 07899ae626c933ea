"""How the camera moved between two pictures, so that tracks can be moved along before anything is matched.

Corners outside the boxes of objects are followed by sparse optical flow (Shi & Tomasi 1994; Lucas & Kanade 1981 with
pyramids) in a small picture of the luma, and the similarity that most of them agree on (RANSAC) is the camera's motion,
as in BoT-SORT (Aharon et al. 2022). Flow is taken from a reference picture, not from the last one. While the camera
stands, the reference stays, too: so there is nothing to add up, not even a slow drift goes lost, and the corners are
looked for once. Half of the corners must have moved `STILL` or more, else the motion is exactly none.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.structures import Boxes, Frame, Image

Array = NDArray[np.float64]
Points = NDArray[np.float32]

LONGEST = 320  # longer side of the small picture, pixels
CORNERS, FEWEST, QUALITY, APART = 80, 12, 0.01, 8.0  # how many, from how many on, how good, pixels between two
STILL = 0.25  # pixels of the small picture; a 1080p picture has 6 for one of it
OFF = 1.0  # pixels of the small picture by which a corner may miss the common motion
MARGIN = 2  # pixels of the small picture around a box in which no corner is trusted
CELLS = 4  # the picture is cut into 4 x 4 cells to see how far the corners that agree are spread
NO_POINTS: Points = np.zeros((0, 2), np.float32)
SURE = 0.2  # least confidence of a motion
STANDING = 1.5  # a motion must have so much more support than a camera that stands
FLOW: dict[str, Any] = {
    "winSize": (11, 11),
    "maxLevel": 3,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03),
    "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
}


class CameraMotion:
    """The camera of one stream.

    Attributes:
        confidence: of the newest result, 0..1: the share of the corners that agree on it, times the share of the
            picture's cells with corners in which some do. Below `SURE` the result is no motion.
    """

    def __init__(self) -> None:
        """No picture yet."""
        self.confidence = 0.0
        self._reference: Image | None = None
        self._corners: Points = NO_POINTS[:, None]  # (N, 1, 2) in the reference
        self._moved = NO_POINTS  # those of them that agree on a motion, where they are in the newest picture

    def follow(self, frame: Frame, boxes: Boxes) -> Array | None:
        """The similarity (2, 3) from pixels of the frame before to this one's, None where there is no motion.

        boxes: (N, 4) xyxy pixels of objects in this frame, which may move by themselves.
        """
        divisor = -(-max(frame.width, frame.height) // LONGEST)
        width, height = max(frame.width // divisor, 1), max(frame.height // divisor, 1)
        picture = frame.luma(width, height)
        if self._reference is None or self._reference.shape != picture.shape:
            self._renew(picture, frame, boxes)
            return None
        motion = self._estimate(self._reference, picture)
        if self.confidence >= SURE and motion is None:
            return None
        self._renew(picture, frame, boxes)
        if motion is None:
            return None
        scale = np.array((frame.width / width, frame.height / height))
        motion[:, :2] *= scale[:, None] / scale
        motion[:, 2] *= scale
        return motion

    def _estimate(self, reference: Image, picture: Image) -> Array | None:
        """Similarity (2, 3) from the reference to `picture`, in its pixels; None where the camera stands or none fits.

        Leaves the corners that agree with it where they are now.
        """
        motion = self._flow(reference, picture, 0.0)
        if self.confidence < SURE:
            shift, _ = cv2.phaseCorrelate(reference.astype(np.float32), picture.astype(np.float32))
            motion = self._flow(reference, picture, shift)
        return motion if self.confidence >= SURE else None

    def _flow(self, reference: Image, picture: Image, shift: Any) -> Array | None:
        """The same, looking for the corners `shift` (x, y) pixels further than they were, however few agree."""
        self.confidence, self._moved = 0.0, NO_POINTS
        if len(self._corners) < FEWEST:
            return None
        guess = self._corners + np.float32(shift)
        ends, followed, _ = cv2.calcOpticalFlowPyrLK(reference, picture, self._corners, guess, **FLOW)
        good = followed[:, 0] == 1
        if 2 * good.sum() < len(good) or good.sum() < FEWEST:
            return None
        start, end = self._corners[good, 0], ends[good, 0]
        still = np.abs(end - start).max(1) < STILL
        self.confidence = _support(start, still, picture)
        if 2 * still.sum() > len(still):
            return None
        matrix, agree = cv2.estimateAffinePartial2D(
            start, end, method=cv2.RANSAC, ransacReprojThreshold=OFF, maxIters=100, refineIters=2
        )
        moving = 0.0 if matrix is None else _support(start, agree[:, 0] == 1, picture)
        if moving <= STANDING * self.confidence:
            return None
        self.confidence, self._moved = moving, end[agree[:, 0] == 1]
        return np.asarray(matrix, np.float64)

    def _renew(self, picture: Image, frame: Frame, boxes: Boxes) -> None:
        """Take this picture as the reference, with corners outside the boxes: known ones, or new if few are left."""
        scale = picture.shape[1] / frame.width, picture.shape[0] / frame.height
        mask = np.full(picture.shape, 255, np.uint8)
        limit = np.array(picture.shape[::-1])
        finite = boxes[np.isfinite(boxes).all(1)]
        small = np.clip(finite * (scale * 2) + (-MARGIN, -MARGIN, MARGIN, MARGIN), 0, (*limit, *limit))
        for left, top, right, bottom in small.astype(int).tolist():
            mask[top : bottom + 1, left : right + 1] = 0
        columns, rows = np.clip(self._moved, 0, limit - 1).astype(int).T
        corners: Any = self._moved[mask[rows, columns] > 0][:, None]
        if 2 * len(corners) < CORNERS:
            corners = cv2.goodFeaturesToTrack(picture, CORNERS, QUALITY, APART, mask=mask)
        self._reference, self._moved = picture, NO_POINTS
        self._corners = NO_POINTS[:, None] if corners is None else corners


def _support(points: Points, agree: NDArray[np.bool_], picture: Image) -> float:
    """The share of the points (N, 2) that agree, times the share of the cells with points in which some do."""
    height, width = picture.shape
    cells = (points * (CELLS / width, CELLS / height)).astype(int) @ (1, CELLS)
    return float(agree.mean()) * len(set(cells[agree].tolist())) / len(set(cells.tolist()))
