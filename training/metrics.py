"""Average precision at IoU 0.5 with unsure regions, for watching a training. Final figures come from pycocotools."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def iou_matrix(a: Array, b: Array) -> Array:
    """IoU of (N, 4) and (M, 4) xyxy: (N, M)."""
    lo = np.maximum(a[:, None, :2], b[None, :, :2])
    hi = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (hi - lo).clip(0).prod(-1)
    areas = [(box[:, 2:] - box[:, :2]).prod(-1) for box in (a, b)]
    return np.asarray(inter / (areas[0][:, None] + areas[1][None] - inter + 1e-9), np.float32)


def average_precision(found: list[Array], truth: list[Array], unsure: list[Array]) -> float:
    """AP50 (101 recall points, as COCO) of one class over pictures.

    Args:
        found: per picture (D, 5) box, score. truth, unsure: per picture (N, 4); a detection on an unsure box counts
            neither for nor against (overlap over its own area of at least a half).
    """
    scores: list[float] = []
    hits: list[bool] = []
    for boxes, gt, grey in zip(found, truth, unsure, strict=True):
        overlap = iou_matrix(boxes[:, :4], gt)
        taken = np.zeros(len(gt), bool)
        for k in np.argsort(-boxes[:, 4], kind="stable"):
            free = np.where(taken, -1.0, overlap[k])
            best = int(free.argmax()) if len(gt) else -1
            hit = best >= 0 and free[best] >= 0.5
            if hit:
                taken[best] = True
            elif len(grey) and inside(boxes[k, :4], grey):
                continue
            scores.append(float(boxes[k, 4]))
            hits.append(hit)
    total = sum(len(gt) for gt in truth)
    if not total or not scores:
        return float("nan") if not total else 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits)[order])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    at = np.searchsorted(right / total, np.linspace(0, 1, 101), side="left")
    return float(np.append(precision, 0.0)[at].mean())


def inside(box: Array, grey: Array) -> bool:
    """Whether at least half of `box` lies in one of the unsure boxes (N, 4)."""
    sides = (np.minimum(box[2:], grey[:, 2:]) - np.maximum(box[:2], grey[:, :2])).clip(0)
    return bool(sides.prod(1).max() >= 0.5 * (box[2:] - box[:2]).prod())
