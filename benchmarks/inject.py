"""Fifteen boxes that walk through the picture: the same load after the detector for every pipeline that is compared.

Random weights find nothing, so association, drawing and encoding would have nothing to do. Imported by the peer's
process too: numpy only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNT = 15


def boxes(index: int, width: int, height: int, count: int = COUNT) -> NDArray[np.float32]:
    """(count, 6) float32 x1, y1, x2, y2, score, class of frame `index`: smooth walks, bouncing off the edges."""
    k = np.arange(count)
    side = height * (0.12 + 0.1 * (k % 4) / 4)
    box_w, box_h = side * 0.5, side
    span_x, span_y = width - box_w, height - box_h
    x = _bounce(k * span_x / count + index * (1.0 + 0.3 * (k % 5)) * width / 768, span_x)
    y = _bounce((k * 0.37 % 1.0) * span_y + index * 0.2 * (k % 3) * height / 432, span_y)
    columns = (x, y, x + box_w, y + box_h, 0.5 + 0.4 * (k % 7) / 7, np.zeros(count))
    result: NDArray[np.float32] = np.stack(columns, 1).astype(np.float32)
    return result


def _bounce(position: NDArray[Any], span: NDArray[Any]) -> NDArray[Any]:
    """Triangle wave of amplitude `span`."""
    folded: NDArray[Any] = np.abs((position + span) % (2 * span) - span)
    return folded
