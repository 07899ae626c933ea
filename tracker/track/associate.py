"""Which detection belongs to which track: candidate pairs first, then the best one-to-one choice among them.

Pairs are sparse: of 500 x 500 boxes only some thousand overlap, and all that follows (weights, gates, assignment) is
paid for these alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Indices = NDArray[np.int64]
Boxes = NDArray[np.float64]


class Pairs(NamedTuple):
    """Candidate pairs, rows ascending and columns ascending within a row."""

    rows: Indices  # (K,) int64, of the tracks
    columns: Indices  # (K,) int64, of the detections
    gain: NDArray[np.float64]  # (K,) > 0, larger is better

    def at_least(self, least: float) -> Pairs:
        """Those of this gain or more."""
        good = self.gain >= least
        return self if good.all() else Pairs(self.rows[good], self.columns[good], self.gain[good])


def overlaps(a: Boxes, a_classes: Indices, b: Boxes, b_classes: Indices) -> Pairs:
    """Every pair of one class that overlaps, with its IoU: boxes (M, 4) and (N, 4) xyxy, classes (M,) and (N,)."""
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    touch = (width > 0) & (height > 0) & (a_classes[:, None] == b_classes[None, :])
    rows, columns = np.nonzero(touch)
    inter = width[touch] * height[touch]
    area_a, area_b = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1]), (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return Pairs(rows, columns, inter / (area_a[rows] + area_b[columns] - inter))


def choose(pairs: Pairs) -> tuple[Indices, Indices]:
    """The one-to-one choice of the largest total gain: rows (K,) ascending and their columns (K,)."""
    rows, columns, gain = pairs
    if not len(rows):
        return rows, columns
    rivals = (np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)
    if not rivals.any():
        return rows, columns
    alone = ~rivals
    row_names, row_places = np.unique(rows[rivals], return_inverse=True)
    column_names, column_places = np.unique(columns[rivals], return_inverse=True)
    matrix = np.zeros((len(row_names), len(column_names)))
    matrix[row_places, column_places] = gain[rivals]
    chosen_rows, chosen_columns = linear_sum_assignment(matrix, maximize=True)
    good = matrix[chosen_rows, chosen_columns] > 0
    best_rows = np.concatenate((rows[alone], row_names[chosen_rows[good]]))
    best_columns = np.concatenate((columns[alone], column_names[chosen_columns[good]]))
    order = np.argsort(best_rows)
    return best_rows[order], best_columns[order]
