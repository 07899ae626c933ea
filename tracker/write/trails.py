"""Where objects came from: the foot points of the last second, fading."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.write.canvas import Plane

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

POINTS = 6  # kept a trail: more would not be seen
MOST_LINES = 160  # a frame: crowds get trails of fewer points
SHORTEST = 1.5  # pixels; what stands still leaves no trail


class Trails:
    """Remembers the foot points of each id for `trail_s` seconds of the stream."""

    def __init__(self, trail_s: float) -> None:
        """Empty."""
        self._trail_s = trail_s
        self._ids: Integers = np.zeros(0, np.int64)
        self._seen: Doubles = np.zeros(0)
        self._times: Doubles = np.zeros(0)
        self._points: Floats = np.zeros((0, 0, 2), np.float32)

    def push(self, ids: Integers, feet: Floats, time_s: float) -> tuple[Floats, Floats]:
        """Add the points of one frame.

        Args:
            ids: (M,) of the objects now.
            feet: (M, 2) where they stand.
            time_s: of the frame; going back forgets everything.

        Returns:
            (K, M, 2) their points, oldest first, NaN where there is none, and (K,) how fresh: 1 now to 0 forgotten.
        """
        if self._times.size and time_s < self._times[-1]:
            self.forget()
        self._reserve(ids, time_s)
        rows = np.searchsorted(self._ids, ids)
        self._seen[rows] = time_s
        step = self._trail_s / POINTS
        if self._times.size < 2 or time_s - self._times[-2] >= step * 0.999:
            # The newest point moves with each frame until it is `step` away from the one before; then it stays.
            newest = self._points[-1:] if self._times.size else np.full((1, len(self._ids), 2), np.nan, np.float32)
            self._points = np.concatenate((self._points, newest))
            self._times = np.append(self._times, time_s)
        self._points[-1, rows] = feet
        self._times[-1] = time_s
        young = self._times > time_s - self._trail_s
        if not young.all():
            self._points, self._times = self._points[young], self._times[young]
        fresh = 1 - (time_s - self._times) / self._trail_s
        return self._points[:, rows], fresh.astype(np.float32)

    def _reserve(self, ids: Integers, time_s: float) -> None:
        """Make columns for new ids and drop those not seen for a trail's time."""
        living = self._seen > time_s - self._trail_s
        if living.all() and np.isin(ids, self._ids).all():
            return
        columns = np.union1d(self._ids[living], ids)
        points = np.full((len(self._times), len(columns), 2), np.nan, np.float32)
        seen = np.full(len(columns), time_s)
        places = np.searchsorted(columns, self._ids[living])
        points[:, places], seen[places] = self._points[:, living], self._seen[living]
        self._ids, self._points, self._seen = columns, points, seen

    def forget(self) -> None:
        """Start again."""
        self._ids, self._seen, self._times = self._ids[:0], self._seen[:0], self._times[:0]
        self._points = self._points[:0, :0]


def draw_trails(
    planes: Sequence[Plane], points: Floats, fresh: Floats, colours: NDArray[np.uint8], line: int, sub: int
) -> None:
    """Draw trails that fade into what is behind them.

    Args:
        planes: Y, U, V.
        points: (K, M, 2) x and y in pixels inside the picture, oldest first; NaN is no point.
        fresh: (K,) 0..1, how much is left of each point.
        colours: (M, 3) YUV.
        line: width of the boxes' lines, pixels.
        sub: pixels a chroma sample, along a side.
    """
    stride = max(1, -(-points.shape[1] * (len(points) - 1) // MOST_LINES))
    points, fresh = points[::-1][::stride][::-1], fresh[::-1][::stride][::-1]  # the newest always stays
    starts, ends = points[:-1], points[1:]
    moved = np.abs(ends - starts).max(2) >= SHORTEST  # NaN compares false
    age, trail = np.nonzero(moved)
    start, end = starts[moved].astype(np.int64), ends[moved].astype(np.int64)
    opacity = (1 - (1 - 0.5 * (fresh[:-1] + fresh[1:])) ** 2)[age]  # stays strong near the object
    values = []
    for channel, (plane, scale) in enumerate(zip(planes, (1, sub, sub), strict=False)):
        x, y = ((start + end) // (2 * scale)).T
        ground = plane[y, x].astype(np.float32)
        values.append((ground + (colours[trail, channel] - ground) * opacity).tolist())
    luma, blueness, redness = planes[:3]
    line, thin = max(2, line * 3 // 4), max(1, line * 3 // 4 // sub)
    pairs = zip(start.tolist(), end.tolist(), (start // sub).tolist(), (end // sub).tolist(), *values, strict=True)
    for a, b, coarse_a, coarse_b, y_value, u_value, v_value in pairs:
        cv2.line(luma, a, b, y_value, line)
        cv2.line(blueness, coarse_a, coarse_b, u_value, thin)
        cv2.line(redness, coarse_a, coarse_b, v_value, thin)
