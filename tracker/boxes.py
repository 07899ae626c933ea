"""Pure maths on boxes: arrays (N, 4), float. xyxy pixels unless the name says otherwise."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Float = TypeVar("Float", bound=np.floating[Any])


def areas(boxes: Floats) -> Floats:
    """Areas in square pixels, (N,). A box without area gives 0, never a negative number."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    product: Floats = sides[:, 0] * sides[:, 1]
    return product


def iou_matrix(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every pair, (N, 4) and (M, 4) -> (N, M) in 0..1. Boxes without area give 0."""
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    union = areas(a)[:, None] + areas(b)[None, :] - inter
    result: Floats = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return result


def xyxy_to_cxcywh(boxes: NDArray[Float]) -> NDArray[Float]:
    """Corners -> centre, width, height: (N, 4) -> (N, 4)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate((boxes[:, :2] + sides / 2, sides), 1)


def cxcywh_to_xyxy(boxes: NDArray[Float]) -> NDArray[Float]:
    """Centre, width, height -> corners: (N, 4) -> (N, 4)."""
    half = boxes[:, 2:] / 2
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), 1)
