"""From a network's outputs to boxes: one function a family of heads.

Each takes the outputs of one picture and gives boxes (K, 4) float32 xyxy in pixels of the input, scores (K,) float32
and class ids (K,) int64 of the candidates that reach `score`, before suppression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.errors import ModelError

Array = NDArray[Any]
Candidates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
STRIDES = (8, 16, 32)


@lru_cache(maxsize=32)
def cells(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row (A, 2) and stride (A, 1) of every cell of an input of this size, strides 8, 16, 32 in turn."""
    grids, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        grids.append(np.stack((columns, rows), -1).reshape(-1, 2))
        strides.append(np.full((grids[-1].shape[0], 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _best(scores: Array, score: float) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]:
    """Rows of (A, C) whose best class reaches `score`, with that score and class."""
    peak = scores.max(1)
    rows = np.flatnonzero(peak >= score)
    return rows, peak[rows].astype(np.float32), scores[rows].argmax(1).astype(np.int64)


def _corners(centre: Array, sides: Array) -> NDArray[np.float32]:
    """Centres (K, 2) and sides (K, 2) -> xyxy."""
    return np.concatenate((centre - sides / 2, centre + sides / 2), 1).astype(np.float32)


def decode_cells(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """Ours: scores (A, C) in 0..1 and distances to the sides (A, 4) left, top, right, bottom in strides."""
    scores, sides = sorted((output.astype(np.float32) for output in outputs), key=lambda output: output.shape[1] == 4)
    rows, best, labels = _best(scores, score)
    grid, stride = cells(*size_hw)
    centre, reach = (grid[rows] + 0.5) * stride[rows], sides[rows] * stride[rows]
    return np.concatenate((centre - reach[:, :2], centre + reach[:, 2:]), 1).astype(np.float32), best, labels


def decode_yolox(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """YOLOX (Ge et al. 2021), raw grid (A, 5 + C): centre offset and log side in strides, objectness, class scores."""
    raw = outputs[0]
    likely = np.flatnonzero(raw[:, 4] >= score)  # a product of two probabilities is no larger than either
    raw = raw[likely].astype(np.float32)
    rows, best, labels = _best(raw[:, 5:] * raw[:, 4:5], score)
    grid, stride = cells(*size_hw)
    grid, stride = grid[likely][rows], stride[likely][rows]
    return _corners((raw[rows, :2] + grid) * stride, np.exp(raw[rows, 2:4]) * stride), best, labels


def decode_yolov5(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """YOLOv5 and v7 exports (A, 5 + C): centre, sides in pixels, objectness, class scores."""
    raw = outputs[0]
    raw = raw[raw[:, 4] >= score].astype(np.float32)
    rows, best, labels = _best(raw[:, 5:] * raw[:, 4:5], score)
    return _corners(raw[rows, :2], raw[rows, 2:4]), best, labels


def decode_yolov8(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """YOLOv8, v9, 11 and 12 exports (4 + C, A): centre, sides in pixels, class scores."""
    raw = outputs[0]
    columns = np.flatnonzero(raw[4:].max(0) >= score)
    raw = raw[:, columns].astype(np.float32).T
    _, best, labels = _best(raw[:, 4:], 0.0)
    return _corners(raw[:, :2], raw[:, 2:4]), best, labels


def decode_end2end(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """YOLOv10, YOLO26 and exports with NMS (N, 6): corners in pixels, score, class. Needs no suppression."""
    raw = outputs[0][outputs[0][:, 4] >= score].astype(np.float32)
    return np.ascontiguousarray(raw[:, :4]), np.ascontiguousarray(raw[:, 4]), raw[:, 5].astype(np.int64)


def decode_efficient_nms(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """TensorRT's EfficientNMS: count (1,), corners (N, 4), scores (N,), classes (N,). Needs no suppression."""
    count, boxes, scores, labels = outputs
    rows = np.flatnonzero(scores[: int(count.reshape(-1)[0])] >= score)
    return boxes[rows].astype(np.float32), scores[rows].astype(np.float32), labels[rows].astype(np.int64)


HEADS: dict[str, Callable[[list[Array], tuple[int, int], float], Candidates]] = {
    "cells": decode_cells,
    "yolox": decode_yolox,
    "yolov5": decode_yolov5,
    "yolov8": decode_yolov8,
    "end2end": decode_end2end,
    "efficient_nms": decode_efficient_nms,
}
SUPPRESSED = ("end2end", "efficient_nms")
"""Heads whose graph has its own suppression."""


def recognise(shapes: Mapping[str, tuple[int, ...]], size_hw: tuple[int, int]) -> tuple[str, int]:
    """Name of the head and number of classes (0: unknown) from output shapes (batch first) of a run at this input size.

    Raises:
        ModelError: outputs that no head here understands.
    """
    shown = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    count = sum((size_hw[0] // stride) * (size_hw[1] // stride) for stride in STRIDES)
    sizes = list(shapes.values())
    if len(sizes) == 2 and all(len(s) == 3 and s[1] == count for s in sizes) and 4 in (sizes[0][2], sizes[1][2]):
        return "cells", sizes[0][2] + sizes[1][2] - 4
    if len(sizes) == 4 and "num_dets" in "".join(shapes):
        return "efficient_nms", 0
    if len(sizes) == 1 and len(sizes[0]) == 3:
        _, rows, columns = sizes[0]
        if columns == 6 and rows <= 1000 and rows != count:
            return "end2end", 0
        if rows == count and columns > 5:
            return "yolox", columns - 5
        if rows == 3 * count and columns > 5:
            return "yolov5", columns - 5
        if columns == count and rows > 4:
            return "yolov8", rows - 4
    raise ModelError(
        f"the model's outputs are not those of a known detector: {shown} at input {size_hw[1]}x{size_hw[0]}; "
        f"wanted are those of {', '.join(HEADS)}"
    )
