"""From a network's outputs to boxes: one function a family of heads.

Each takes the outputs of one picture and gives boxes (K, 4) float32 xyxy in pixels of the input, scores (K,) float32
and class ids (K,) int64 of the candidates that reach `score`, before suppression.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """YOLOv5, v6, v7 and YOLOX decoded in the graph (A, 5 + C): centre, sides in pixels, objectness, class scores."""
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


def decode_yolo_nas(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """YOLO-NAS exports without suppression: corners in pixels (A, 4) and class scores (A, C), in either order."""
    boxes, scores = sorted(outputs, key=lambda output: output.shape[1] != 4)
    rows, best, labels = _best(scores, score)
    return boxes[rows].astype(np.float32), best, labels


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
    "yolox_decoded": decode_yolov5,
    "yolov5": decode_yolov5,
    "yolov6": decode_yolov5,
    "yolov8": decode_yolov8,
    "yolo_nas": decode_yolo_nas,
    "end2end": decode_end2end,
    "efficient_nms": decode_efficient_nms,
}
SUPPRESSED = ("end2end", "efficient_nms")
"""Heads whose graph has its own suppression."""
