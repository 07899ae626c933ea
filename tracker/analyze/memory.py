"""What is known of each track: one row each, over zones and lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracker.analyze.geometry import Array, Mask
from tracker.boxes import areas
from tracker.structures import Ids

ANCHORS = ("foot", "centre")
SLACK_S = 1e-6  # rounding of times: 15 steps of 1/30 s are not less than 0.5 s
SMOOTH_S = 0.3  # the speed of a track is a mean over about so long
REACH = 0.6  # an heir begins within so many box sizes of where its forerunner should be
LARGEST_RATIO = 2.5  # and its area differs by no more than this factor
FARTHEST_S = 1.0  # speeds are good for so long; what was hidden longer is looked for where it would have been then


@dataclass(frozen=True)
class Step:
    """What one frame tells of the M tracks seen in it.

    Attributes:
        rows: (M,) int64, of `Memory`.
        classes: (M,) int64, class by majority.
        before, after: (M, 2, 2) float64, anchors (foot, centre) when last seen and now, xy pixels.
        sizes: (M,) float64, root of the box's area, pixels.
        before_s: (M,) float64, when last seen; now_s: the frame's time.
    """

    rows: Ids
    classes: Ids
    before: Array
    after: Array
    sizes: Array
    before_s: Array
    now_s: float

    def __getitem__(self, chosen: Ids) -> Step:
        """The tracks of these indices."""
        return Step(
            self.rows[chosen],
            self.classes[chosen],
            self.before[chosen],
            self.after[chosen],
            self.sizes[chosen],
            self.before_s[chosen],
            self.now_s,
        )


class Memory:
    """The rows, as one structured array: adding and dropping are one call, whatever the number of columns."""

    def __init__(self, zones: int, lines: int, classes: int) -> None:
        """No tracks; so many zones, lines and classes."""
        columns: list[tuple[Any, ...]] = [
            ("id", np.int64),
            ("box", np.float64, (4,)),  # xyxy pixels, last seen
            ("velocity", np.float64, (2,)),  # of the centre, pixels a second
            ("seen_s", np.float64),  # stream time
            ("unseen_s", np.float64),  # since then, as far as there were frames
            ("votes", np.float32, (classes,)),  # frames seen as each class
            ("inside", np.bool_, (zones,)),  # within the polygon and of its classes
            ("since_s", np.float64, (zones,)),  # `inside` is as it is since
            ("member", np.bool_, (zones,)),  # counts as in
            ("entered_s", np.float64, (zones,)),
            ("entered_as", np.int64, (zones,)),  # class_id
            ("dwelt", np.bool_, (zones,)),  # the dwell event was told
            ("side", np.int8, (lines,)),  # of the line on which it last was for sure: 1, -1, or 0 for never
            ("turned_s", np.float64, (lines,)),  # on the present side since
            ("net", np.int64, (lines,)),  # passages through the segment since `side` was sure; towards 1 are positive
            ("crossed_s", np.float64, (lines,)),  # the last of them
        ]
        self.rows: NDArray[np.void] = np.zeros(0, columns)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, column: str) -> NDArray[Any]:
        """The live column: writing into it changes the tracks."""
        return self.rows[column]

    def find(self, ids: Ids) -> Ids:
        """Row of each id, (M,); -1 for unknown ones."""
        same = ids[:, None] == self.rows["id"][None, :]
        return np.where(same.any(1), same.argmax(1), -1) if len(self) else np.full(len(ids), -1)

    def add(self, ids: Ids, boxes: Array, now_s: float) -> Ids:
        """Begin tracks at boxes (K, 4) and return their rows (K,)."""
        old = len(self)
        self.rows = np.concatenate((self.rows, np.zeros(len(ids), self.rows.dtype)))
        new = self.rows[old:]
        new["id"], new["box"], new["seen_s"] = ids, boxes, now_s
        for column in ("since_s", "turned_s"):
            new[column] = now_s
        return np.arange(old, len(self))

    def see(self, rows: Ids, boxes: Array, class_ids: Ids, now_s: float) -> Step:
        """Take in where the tracks of `rows` are now; `boxes` (M, 4)."""
        before, before_s = self.rows["box"][rows], self.rows["seen_s"][rows]
        step_s = np.maximum(now_s - before_s, 0.0)[:, None]
        moved = (boxes - before).reshape(-1, 2, 2).mean(1)
        speed = np.divide(moved, step_s, out=np.zeros_like(moved), where=step_s > 0)
        velocity = self.rows["velocity"][rows]
        self.rows["velocity"][rows] = velocity + (1 - np.exp(-step_s / SMOOTH_S)) * (speed - velocity)
        self.rows["box"][rows], self.rows["seen_s"][rows], self.rows["unseen_s"][rows] = boxes, now_s, 0.0
        self.rows["votes"][rows, class_ids] += 1.0
        sizes = np.sqrt(areas(boxes))
        return Step(rows, self.classes(rows), anchors(before), anchors(boxes), sizes, before_s, now_s)

    def classes(self, rows: Ids) -> Ids:
        """Class by majority of frames, (M,)."""
        return np.asarray(self.rows["votes"][rows].argmax(1), np.int64)

    def scale(self, factors: Array) -> None:
        """The picture has another size: `factors` (2,) for x and y."""
        self.rows["box"] *= np.tile(factors, 2)
        self.rows["velocity"] *= factors

    def keep(self, rows: Mask) -> None:
        """Keep the rows of the mask, in their order."""
        if not rows.all():
            self.rows = self.rows[rows]

    def forerunners(self, missing: Ids, boxes: Array, class_ids: Ids, now_s: float) -> Ids:
        """The row that each new track continues, (N,) of `missing` (K,), or -1.

        A track whose id changes (a missed detection, a change of class) is still one object: the new one begins where
        the old one would be by now, at about its size. Boxes (N, 4) of the new ones.
        """
        heirs = np.full(len(boxes), -1)
        if not len(missing) or not len(boxes):
            return heirs
        gap_s = np.minimum(now_s - self.rows["seen_s"][missing], FARTHEST_S)
        drift = np.tile(self.rows["velocity"][missing] * gap_s[:, None], 2)
        old = self.rows["box"][missing]
        apart = _centres(boxes)[:, None] - _centres(old + drift)[None]
        area, area_old = np.maximum(areas(boxes), 1.0)[:, None], np.maximum(areas(old), 1.0)[None]
        cost = np.hypot(apart[..., 0], apart[..., 1]) / (area * area_old) ** 0.25
        ratio = np.maximum(area / area_old, area_old / area)
        fits = (cost <= REACH) & (ratio <= LARGEST_RATIO)
        cost = cost + 0.5 * REACH * (class_ids[:, None] != self.classes(missing)[None])
        new, its = linear_sum_assignment(np.where(fits, cost, 1e6))
        chosen = fits[new, its]
        heirs[new[chosen]] = missing[its[chosen]]
        return heirs


def anchors(boxes: Array) -> Array:
    """Foot and centre of boxes: (M, 4) -> (M, 2, 2), in the order of `ANCHORS`."""
    centres = _centres(boxes)
    feet = np.stack((centres[:, 0], boxes[:, 3]), 1)
    return np.stack((feet, centres), 1)


def _centres(boxes: Array) -> Array:
    """(M, 4) -> (M, 2)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2
