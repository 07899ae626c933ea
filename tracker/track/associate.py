"""Which detection belongs to which track."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Indices = NDArray[np.int64]


def assign(similarity: NDArray[np.floating[Any]], threshold: float) -> tuple[Indices, Indices]:
    """One-to-one pairs of the largest total similarity, none below `threshold`.

    Pairs below the threshold count as 0 in the optimum, so that they can't force better pairs apart.

    Args:
        similarity: (M, N), >= 0. threshold: the least similarity of a pair.

    Returns:
        Rows (K,) and columns (K,), int64, rows ascending.
    """
    allowed = np.where(similarity >= threshold, similarity, 0.0)
    sure = allowed > 0
    if sure.sum(1).max(initial=0) <= 1 and sure.sum(0).max(initial=0) <= 1:
        rows, columns = np.nonzero(sure)  # nothing is contested: most frames of most videos
    else:
        rows, columns = linear_sum_assignment(allowed, maximize=True)
        good = sure[rows, columns]
        rows, columns = rows[good], columns[good]
    return rows.astype(np.int64), columns.astype(np.int64)
