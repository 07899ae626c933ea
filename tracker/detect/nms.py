"""Greedy non-maximum suppression, class by class."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    iou: float,
    max_candidates: int = 2000,
) -> NDArray[np.int64]:
    """Indices of the boxes that stay, best score first.

    A box goes when a better one of its class overlaps it by more than `iou`.

    Args:
        boxes: (N, 4) xyxy. scores: (N,). class_ids: (N,).
        iou: largest overlap of two boxes that both stay.
        max_candidates: only so many of the best take part: a flood of candidates must not stop the pipeline.
    """
    order = np.argsort(-scores, kind="stable")[:max_candidates]
    if len(order) < 2:
        return order.astype(np.int64)
    corners = boxes[order]
    xywh = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), 1)
    # As lists: OpenCV takes arrays apart element by element, which is slower.
    kept = cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores[order].tolist(), class_ids[order].tolist(), -1.0, iou)
    return order[np.sort(np.asarray(kept, np.int64).reshape(-1))].astype(np.int64)
