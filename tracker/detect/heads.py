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
MOBILENET_MAPS = 6
MOST_GROWTH = float(np.log(1000 / 16))
"""Logarithm of the most that a default box grows: a wild offset must not overflow."""
SAMPLE = 64
"""Rows that tell probabilities from logits."""
SUM_TOLERANCE = 0.02
"""Half precision adds the probabilities of 91 classes up to this near to one."""


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


def _grow(centre: Array, sides: Array, shift: Array, growth: Array) -> NDArray[np.float32]:
    """Default boxes (K, 2), (K, 2) moved and grown as an SSD says (Liu et al. 2016; variances 0.1 and 0.2) -> xyxy."""
    return _corners(centre + shift / 10 * sides, sides * np.exp(np.minimum(growth / 5, MOST_GROWTH)))


def _foreground(scores: Array, score: float) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]:
    """Rows of probabilities (A, 1 + C), background first, whose best other class reaches `score`; score; class."""
    likely = np.flatnonzero(scores[:, 1:].max(1, initial=0.0) >= score)
    kept, best, labels = _best(scores[likely, 1:], score)
    return likely[kept], best, labels


def adds_up(scores: Array) -> bool:
    """True where the classes of every row (A, C) add up to one: probabilities that shut each other out."""
    return bool((scores >= 0).all() and (np.abs(scores.sum(1, dtype=np.float64) - 1) < SUM_TOLERANCE).all())


def _probabilities(scores: Array) -> Array:
    """Softmax over classes, unless the graph has done it."""
    if adds_up(scores[:SAMPLE]):
        return scores
    raised = np.exp(scores.astype(np.float32) - scores.max(1, keepdims=True))
    result: Array = raised / raised.sum(1, keepdims=True)
    return result


def decode_ssd(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """SSD as `tracker models export` writes it: encodings (A, 4), scores (A, 1 + C), default boxes (A, 4).

    Encodings are of x, y, width, height; scores are probabilities or logits, background first; default boxes are centre
    and sides in pixels.
    """
    encodings, scores, anchors = outputs
    rows, best, labels = _foreground(_probabilities(scores), score)
    moved, around = encodings[rows].astype(np.float32), anchors[rows].astype(np.float32)
    return _grow(around[:, :2], around[:, 2:], moved[:, :2], moved[:, 2:]), best, labels


def decode_ssd_decoded(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """SSD decoded in the graph: corners in pixels (A, 4), scores (A, 1 + C), background first, not suppressed."""
    boxes, scores = outputs
    rows, best, labels = _foreground(_probabilities(scores), score)
    return boxes[rows].astype(np.float32), best, labels


def decode_ssd_raw(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """SSD of TensorFlow's detection API: encodings (A, 4), scores (A, 1 + C), default boxes (A, 4) where it has them.

    Encodings are of y, x, height, width; scores are sigmoids or their logits, background first; default boxes are
    centre and sides in the same order, in sides of the picture. Without them: those of SSD-MobileNet.
    """
    encodings, scores = outputs[:2]
    anchors = outputs[2] if len(outputs) > 2 else mobilenet_boxes(*size_hw)
    if scores.min(initial=0.0) < 0 or scores.max(initial=0.0) > 1:
        scores = 1 / (1 + np.exp(-scores.astype(np.float32)))
    rows, best, labels = _foreground(scores, score)
    moved = encodings[rows].astype(np.float32)
    around = anchors[rows].astype(np.float32) * np.array([*size_hw, *size_hw], np.float32)
    swap = [1, 0]
    return _grow(around[:, swap], around[:, [3, 2]], moved[:, swap], moved[:, [3, 2]]), best, labels


def decode_tflite_ssd(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """TFLite_Detection_PostProcess: ymin, xmin, ymax, xmax (K, 4) of 0..1, classes (K,), scores (K,), count.

    Needs no suppression.
    """
    boxes, labels, scores, count = outputs
    rows = np.flatnonzero(scores[: round(float(count.reshape(-1)[0]))] >= score)
    height, width = size_hw
    pixels = boxes[rows][:, [1, 0, 3, 2]] * np.array([width, height] * 2, np.float32)
    return pixels.astype(np.float32), scores[rows].astype(np.float32), labels[rows].astype(np.int64)


def decode_fasterrcnn(outputs: list[Array], size_hw: tuple[int, int], score: float) -> Candidates:
    """Faster R-CNN of torchvision: corners in pixels (K, 4), labels (K,) with 0 the background, scores (K,).

    Needs no suppression.
    """
    boxes, labels, scores = outputs
    rows = np.flatnonzero((scores >= score) & (labels > 0))
    return boxes[rows].astype(np.float32), scores[rows].astype(np.float32), labels[rows].astype(np.int64) - 1


@lru_cache(maxsize=8)
def mobilenet_boxes(height: int, width: int) -> NDArray[np.float32]:
    """Default boxes (A, 4) of SSD-MobileNet for this input: y, x, height, width in 0..1; 1,917 at 300x300.

    TensorFlow's detection API: six maps of 1/16 of the input and halves, scales of 0.2 to 0.95 (Liu et al. 2016,
    section 2.2), three boxes a cell in the first map and six in the others.
    """
    maps = [(-(-height // 16), -(-width // 16))]
    while len(maps) < MOBILENET_MAPS:
        maps.append((-(-maps[-1][0] // 2), -(-maps[-1][1] // 2)))
    scales = [*np.linspace(0.2, 0.95, MOBILENET_MAPS), 1.0]
    boxes = []
    for k, (rows, columns) in enumerate(maps):
        shapes = [(scales[k], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)] + [
            ((scales[k] * scales[k + 1]) ** 0.5, 1.0)
        ]
        if k == 0:
            shapes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
        sides = np.array([(scale / ratio**0.5, scale * ratio**0.5) for scale, ratio in shapes])
        centre = np.indices((rows, columns)).reshape(2, -1).T[:, None] + 0.5
        centre = np.broadcast_to(centre / (rows, columns), (rows * columns, len(sides), 2))
        boxes.append(np.concatenate((centre, np.broadcast_to(sides, centre.shape)), 2).reshape(-1, 4))
    return np.concatenate(boxes).astype(np.float32)


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
    "ssd": decode_ssd,
    "ssd_decoded": decode_ssd_decoded,
    "ssd_raw": decode_ssd_raw,
    "tflite_ssd": decode_tflite_ssd,
    "fasterrcnn": decode_fasterrcnn,
}
SUPPRESSED = ("end2end", "efficient_nms", "tflite_ssd", "fasterrcnn")
"""Heads whose graph has its own suppression."""
