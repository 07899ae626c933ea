"""How neighbouring pictures differ: what in them can be followed, and how fast they become unrelated.

All of it on luma of about 320 pixels width, a few milliseconds a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.structures import Image

WIDTH = 320
"""Pixels of a probed picture's width."""

COARSE_WIDTH = 80
"""Of the pictures whose correlation is measured: there, a fast limb moves by less than its own width."""

LEAST_CHANGE, NOISE_FACTOR = 10, 4
"""Gray levels, and multiples of the usual difference, from which a pixel counts as changed."""

LEAST_SWING, LEAST_PIXELS = 15, 8
"""Gray levels by which a pixel varies within a run to be measured; how many such pixels are enough."""

SMALL = 0.2
"""Share of the picture's width up to which a changed region is small."""

STILL_PX, SLIP_PX = 0.5, 1.0
"""Pixels by which a standing corner may move; by which a followed one may miss its start on the way back."""

RIM_PX = 4
"""Pixels from the picture's edge within which a thing may be about to leave."""

FEWEST_CORNERS = 5

FLOW: dict[str, Any] = {"winSize": (11, 11), "maxLevel": 3}
"""Window in pixels, and levels of the pyramid, of Lucas-Kanade."""

Points = NDArray[Any]
"""(N, 1, 2) float32 x, y, as OpenCV has them."""


@dataclass(frozen=True)
class Pair:
    """Two neighbouring pictures.

    Attributes:
        corners, lost: corners in what changed, and those of them that cannot be followed.
        small_corners, small_lost: the same for small regions.
        still: share of the corners of the whole picture that stand where they stood; 0.0 where there is none.
        jump: gray levels by which the whole picture's brightness changed.
    """

    corners: int
    lost: int
    small_corners: int
    small_lost: int
    still: float
    jump: float


def compare(first: Image, second: Image) -> Pair:
    """Two (H, W) uint8 pictures, `first` being the earlier one.

    A corner (Shi and Tomasi 1994) is lost where pyramidal Lucas-Kanade (Bouguet 2001) there and back again does not
    come home (Kalal et al., Forward-Backward Error, 2010).
    """
    difference = cv2.GaussianBlur(second, (0, 0), 1.5).astype(np.int16) - cv2.GaussianBlur(first, (0, 0), 1.5)
    jump = int(np.median(difference[::2, ::2]))
    # Otherwise a cloud before the sun would change all of it, and Lucas-Kanade follows equal brightness only.
    second = np.clip(second.astype(np.int16) - jump, 0, 255).astype(np.uint8)
    apart = np.abs(difference - jump)
    changed = (apart > max(LEAST_CHANGE, NOISE_FACTOR * float(np.median(apart[::2, ::2])))).astype(np.uint8)
    still = _still(first, second)
    near = cv2.dilate(changed, np.ones((3, 3), np.uint8))
    corners = cv2.goodFeaturesToTrack(first, 100, 0.02, 4, mask=near) if near.any() else None
    if corners is None or len(corners) < FEWEST_CORNERS:
        return Pair(0, 0, 0, 0, still, jump)
    _, followed = _follow(first, second, corners)
    small = _in_small_regions(near, corners)
    return Pair(len(corners), int((~followed).sum()), int(small.sum()), int((small & ~followed).sum()), still, jump)


def decorrelation(run: Sequence[Image]) -> float | None:
    """Mean square difference of neighbours by that of next neighbours, over the pixels that vary; noise taken off.

    1/2 for a sharp thing that moves evenly by less than its size (the square of the difference grows with the uncovered
    area, hence with time), 1/4 for a blurred one, 1 for pictures that have nothing to do with each other.

    Args:
        run: (N, H, W) uint8 pictures in a row, 3 or more.

    Returns:
        None where (almost) nothing changes.
    """
    height = max(1, round(COARSE_WIDTH * run[0].shape[0] / run[0].shape[1]))
    small = [cv2.resize(picture, (COARSE_WIDTH, height), interpolation=cv2.INTER_AREA) for picture in run]
    values = np.stack([cv2.GaussianBlur(picture, (0, 0), 1.0) for picture in small]).astype(np.float32)
    values -= np.median(values, axis=(1, 2), keepdims=True)
    near, far = (np.mean(np.square(values[k:] - values[:-k]), axis=0) for k in (1, 2))
    varied = np.ptp(values, axis=0) > LEAST_SWING
    if varied.sum() < LEAST_PIXELS:
        return None
    noise = float(np.quantile(near, 0.2))
    rest = float(far[varied].mean()) - noise
    return max(0.0, float(near[varied].mean()) - noise) / rest if rest > 0 else None


def same(first: Image, second: Image) -> bool:
    """Whether the second picture repeats the first, as slowed-down or padded footage does."""
    size = (COARSE_WIDTH, max(1, COARSE_WIDTH * first.shape[0] // first.shape[1]))
    one, other = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (first, second))
    return int(cv2.absdiff(one, other).max()) <= 2


def _still(first: Image, second: Image) -> float:
    """Share of the corners of the whole picture that stand."""
    half = (first.shape[1] // 2, first.shape[0] // 2)
    one, other = (np.asarray(cv2.resize(it, half, interpolation=cv2.INTER_AREA), np.uint8) for it in (first, second))
    corners = cv2.goodFeaturesToTrack(one, 60, 0.02, 4)
    if corners is None:
        return 0.0
    moved, followed = _follow(one, other, corners, back=False)
    return float((followed & (np.linalg.norm(moved - corners, axis=2)[:, 0] < STILL_PX / 2)).mean())


def _follow(first: Image, second: Image, corners: Points, *, back: bool = True) -> tuple[Points, NDArray[np.bool_]]:
    """(N, 1, 2) places in the second picture, (N,) whether they can be believed."""
    none: Any = None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(first, second, corners, none, **FLOW)
    good = found[:, 0] > 0
    if back:
        home, found, _ = cv2.calcOpticalFlowPyrLK(second, first, moved, none, **FLOW)
        good &= (found[:, 0] > 0) & (np.linalg.norm(home - corners, axis=2)[:, 0] < SLIP_PX)
    return np.asarray(moved), good


def _in_small_regions(changed: NDArray[Any], corners: Points) -> NDArray[np.bool_]:
    """(N,) whether a corner lies in one of the changed regions that are small and clear of the picture's edge."""
    # The parts of one thing: a walker's two edges change, what is between them does not.
    whole = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(whole)
    column, row = corners[:, 0].astype(int).T
    label = labels[row, column]
    left, top, width, height = boxes[label, : cv2.CC_STAT_HEIGHT + 1].T
    fits = np.maximum(width, height) <= SMALL * changed.shape[1]
    # What enters or leaves cannot be followed at any rate.
    whole_in = (left >= RIM_PX) & (top >= RIM_PX)
    whole_in &= (left + width <= changed.shape[1] - RIM_PX) & (top + height <= changed.shape[0] - RIM_PX)
    return np.asarray((label > 0) & fits & whole_in)
