"""The tracks of one stream as one array: row i is track i, a column is a field by name.

One structured array in place of an object a track: adding, dropping and choosing tracks are one NumPy call each,
whatever the number of columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import areas, cxcywh_to_xyxy
from tracker.structures import CONFIRMED, LOST, TENTATIVE, Detections, Tracks
from tracker.track import kalman

SLACK_S = 1e-6  # rounding of times: 30 steps of 1/30 s are not more than 1.0 s
COLUMNS: list[tuple[Any, ...]] = [
    ("id", np.int64),
    ("class_id", np.int64),
    ("score", np.float32),  # of the last matched detection
    ("hits", np.int64),  # matched detections, the first one counted
    ("first_s", np.float64),  # time of the first detection
    ("last_s", np.float64),  # time of the last matched detection
    ("confirmed", np.bool_),
    ("seen", np.bool_),  # matched or made in the newest update; two frames may have one time
    ("mean", np.float64, (8,)),
    ("covariance", np.float64, (4, 3)),
]


class Table:
    """Tracks with the columns of `COLUMNS` and those that a tracker adds. Ids start at 1 and never come back."""

    def __init__(self, *extra: tuple[Any, ...]) -> None:
        """No tracks. `extra`: further columns, (name, dtype[, shape])."""
        self.rows: NDArray[np.void] = np.zeros(0, [*COLUMNS, *extra])
        self._next_id = 1

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.rows)

    def __getitem__(self, column: str) -> NDArray[Any]:
        """The live column: writing into it changes the tracks."""
        return self.rows[column]

    def add(self, measured: NDArray[np.float64], class_ids: NDArray[np.int64], scores: NDArray[np.float32],
            now_s: float, position: float | NDArray[np.float64] = 2 * kalman.POSITION,
            speed: float | NDArray[np.float64] = kalman.SPEED) -> NDArray[np.void]:  # fmt: skip
        """New tentative tracks at `measured` (K, 4) cx, cy, w, h, seen `now_s`; returns their rows, live.

        position, speed: see `kalman.start`.
        """
        count = len(measured)
        if not count:
            return self.rows[:0]
        self.rows = np.concatenate((self.rows, np.zeros(count, self.rows.dtype)))
        new = self.rows[-count:]
        new["id"] = np.arange(self._next_id, self._next_id + count)
        self._next_id += count
        new["class_id"], new["score"], new["hits"] = class_ids, scores, 1
        new["first_s"] = new["last_s"] = now_s
        new["seen"] = True
        new["mean"], new["covariance"] = kalman.start(measured, position, speed)
        return new

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Keep the tracks of the mask (M,), in their order."""
        if not rows.all():
            self.rows = self.rows[rows]

    def clear(self) -> None:
        """Drop all tracks; their ids stay used."""
        self.rows = self.rows[:0]

    def boxes(self) -> NDArray[np.float64]:
        """Filtered boxes (M, 4) xyxy."""
        return cxcywh_to_xyxy(self.rows["mean"][:, :4])

    def tracks(self, now_s: float, chosen: NDArray[Any] | None = None,
               boxes: NDArray[np.floating[Any]] | None = None) -> Tracks:  # fmt: skip
        """What crosses the boundary, of the `chosen` rows (mask or indices; all).

        `boxes` (M, 4) xyxy of the chosen ones stand for the filtered ones.
        """
        return as_tracks(self.rows if chosen is None else self.rows[chosen], now_s, boxes)

    def correct(self, rows: NDArray[np.int64], measured: NDArray[np.float64], scores: NDArray[np.float32],
                now_s: float, position: NDArray[np.float64] = kalman.MEASUREMENT) -> None:  # fmt: skip
        """Tracks `rows` (K,) take their detections in: `measured` (K, 4) cx, cy, w, h and scores (K,).

        position: (4,), deviations of a measurement in box heights.
        """
        if not len(rows):
            return
        table = self.rows
        kalman.update(table["mean"], table["covariance"], rows, measured, position)
        table["score"][rows] = scores
        table["last_s"][rows] = now_s
        table["seen"][rows] = True
        table["hits"][rows] += 1


def as_tracks(rows: NDArray[np.void], now_s: float, boxes: NDArray[np.floating[Any]] | None = None) -> Tracks:
    """Rows of a table as what crosses the boundary; `boxes` (M, 4) xyxy stand for the filtered ones."""
    if boxes is None:
        boxes = cxcywh_to_xyxy(rows["mean"][:, :4])
    state = np.where(rows["confirmed"], np.where(rows["seen"], CONFIRMED, LOST), TENTATIVE)
    return Tracks(
        rows["id"].copy(),
        boxes.astype(np.float32),
        rows["score"].copy(),
        rows["class_id"].copy(),
        (now_s - rows["last_s"]).astype(np.float32),
        state.astype(np.int64),
    )


class Clock:
    """The stream's time as a tracker sees it: seconds, never backwards."""

    def __init__(self) -> None:
        """Not started."""
        self._start_s: float | None = None
        self._frames = 0
        self.now_s = self.before_s = 0.0  # the newest frame, and the one before

    def advance(self, time_s: float) -> float:
        """Go on to `time_s` and return the step, 0.0 for the first frame; raises ValueError when it goes back."""
        if self._start_s is None:
            self._start_s = self.now_s = time_s
        if not time_s >= self.now_s:
            raise ValueError(f"time_s must not go backwards: {time_s} after {self.now_s}")
        self.before_s, self.now_s = self.now_s, time_s
        self._frames += 1
        return time_s - self.before_s

    def torn(self, step_s: float, patience_s: float) -> bool:
        """Whether the newest step is a break in the stream (a camera that came back), not its way of going.

        It is longer than tracks may be lost, and than three usual steps: nothing from before can be known again.
        """
        usual_s = (self.since_start_s - step_s) / max(self._frames - 2, 1)
        return self._frames > 2 and step_s > patience_s + SLACK_S and step_s > 3 * usual_s

    @property
    def since_start_s(self) -> float:
        """Seconds from the first frame to the newest."""
        return self.now_s - (self._start_s or 0.0)


def usable(detections: Detections, least: float) -> Detections:
    """Those of this score or more; boxes and scores without area, without end or not a number are left out."""
    with np.errstate(invalid="ignore", over="ignore"):
        area = areas(detections.boxes)
    good = (detections.scores >= least) & (detections.scores < np.inf) & (area > 0) & (area < np.inf)
    return detections if good.all() else detections[good]
