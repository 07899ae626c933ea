"""The back of a fused graph: from the network's outputs to a list of boxes in pixels of the picture.

All shapes are fixed but the batch: neither the number of candidates nor that of boxes depends on the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracker.detect.heads import cells
from tracker.detect.letterbox import Letterbox
from tracker.detect.onnx_nodes import Nodes

Outputs = Sequence[tuple[str, tuple[int, ...]]]
"""Names and shapes (B, ...) of a network's outputs."""
Decoded = tuple[str, str, str]
"""Names of boxes (B, A, 4) xyxy in pixels of the input, scores (B, A, 1) and classes (B, A, 1), all FP32."""
ROUNDS = 8
"""Of suppression; an even number, see `_suppress`. Street scenes down to a score of 0.01 need 6."""
LISTS = ("end2end",)
"""Heads whose graph has its own suppression."""


def add_back(
    make: Nodes, head: str, outputs: Outputs, box: Letterbox, size: tuple[int, int], iou: float, most: int
) -> tuple[str, int]:
    """The network's outputs -> rows (B, K, 6): x1, y1, x2, y2, score, class; best score first; class -1: suppressed.

    Args:
        make: takes the nodes. head: a name in DECODERS. outputs: of the network. box: the picture in the input.
        size: (width, height) of the picture, pixels.
        iou: overlap of two boxes of a class above which the weaker goes.
        most: so many of the best candidates take part; K is this or the number of candidates.

    Returns:
        Name of the rows, and K.
    """
    boxes, scores, labels = DECODERS[head](make, outputs, (box.height, box.width))
    axis = 2 if head == "yolov8" else 1
    count = min(most, outputs[0][1][axis])
    best, rows = make.pair("TopK", scores, np.array([count]), axis=1)
    labels = make("GatherElements", labels, rows, axis=1)
    boxes = make("GatherElements", boxes, make("Expand", rows, np.array([1, 1, 4])), axis=1)
    corner = np.array([box.left, box.top, box.left, box.top], np.float32)
    scale = np.array([box.scale_x, box.scale_y, box.scale_x, box.scale_y], np.float32)
    boxes = make("Div", make("Sub", boxes, corner), scale)
    boxes = make("Min", make("Max", boxes, np.zeros(4, np.float32)), np.array([*size, *size], np.float32))
    if head not in LISTS:
        kept = _suppress(make, boxes, labels, count, iou)
        labels = make("Sub", make("Mul", make("Add", labels, 1.0), kept), 1.0)
    return make("Concat", boxes, best, labels, axis=2), count


def _suppress(make: Nodes, boxes: str, labels: str, count: int, iou: float) -> str:
    """1 for the boxes (B, K, 4), best first, that stay, 0 for those that go: (B, K, 1).

    The greedy method goes through the boxes one by one; this is the same for all at once (Cluster-NMS: Zheng et al.
    2021, Enhancing Geometric Factors in Model Learning and Inference). A round keeps what no box still kept overlaps.
    The first holds too many, the next too few, and so on, closing in on what the greedy method keeps: a chain of n
    boxes that each push out the next needs n rounds. After an even number nothing is missing, and what a longer
    chain leaves over falls to the greedy method on the host.
    """
    x1, y1, x2, y2 = (make.part(boxes, k, k + 1, 2) for k in range(4))
    across = {name: make("Transpose", name, perm=[0, 2, 1]) for name in (x1, y1, x2, y2, labels)}
    width = make("Sub", make("Min", x2, across[x2]), make("Max", x1, across[x1]))
    height = make("Sub", make("Min", y2, across[y2]), make("Max", y1, across[y1]))
    shared = make("Mul", make("Max", width, 0.0), make("Max", height, 0.0))
    area = make("Mul", make("Sub", x2, x1), make("Sub", y2, y1))
    union = make("Sub", make("Add", area, make("Transpose", area, perm=[0, 2, 1])), shared)
    overlaps = make("Greater", shared, make("Mul", union, iou))
    # Classes are whole numbers in FP32.
    same = make("Less", make("Abs", make("Sub", labels, across[labels])), 0.5)
    better = np.tril(np.ones((1, count, count), np.float32), -1)  # row i, column j: j is better than i
    pushes = make("Mul", make.cast(make("And", overlaps, same), "FLOAT"), better)
    kept = make("Sub", 1.0, make.largest(pushes, 2))
    for _ in range(ROUNDS - 1):
        pushed = make.largest(make("Mul", pushes, make.shape(kept, -1, 1, count)), 2)
        kept = make("Sub", 1.0, pushed)
    return make.shape(kept, -1, count, 1)


def _corners(make: Nodes, centre: str, sides: str) -> str:
    half = make("Mul", sides, 0.5)
    return make("Concat", make("Sub", centre, half), make("Add", centre, half), axis=2)


def _best(make: Nodes, scores: str) -> tuple[str, str]:
    """The best class of each row (B, A, C): score and number, both (B, A, 1) FP32."""
    peak, label = make.pair("TopK", scores, np.array([1]), axis=2)
    return peak, make.cast(label, "FLOAT")


def _with_objectness(make: Nodes, raw: str, columns: int) -> tuple[str, str]:
    """The same of rows that hold an objectness in column 4 and the class scores behind it."""
    peak, labels = _best(make, make.part(raw, 5, columns, 2))
    return make("Mul", peak, make.part(raw, 4, 5, 2)), labels


def _cells(make: Nodes, outputs: Outputs, size_hw: tuple[int, int]) -> Decoded:
    (scores, _), (sides, _) = sorted(outputs, key=lambda output: output[1][2] == 4)
    grid, stride = cells(*size_hw)
    reach, centre = make("Mul", sides, stride[None]), ((grid + 0.5) * stride)[None].astype(np.float32)
    low, high = make.part(reach, 0, 2, 2), make.part(reach, 2, 4, 2)
    return make("Concat", make("Sub", centre, low), make("Add", centre, high), axis=2), *_best(make, scores)


def _yolox(make: Nodes, outputs: Outputs, size_hw: tuple[int, int]) -> Decoded:
    ((raw, shape),) = outputs
    grid, stride = cells(*size_hw)
    centre = make("Mul", make("Add", make.part(raw, 0, 2, 2), grid[None]), stride[None])
    sides = make("Mul", make("Exp", make.part(raw, 2, 4, 2)), stride[None])
    return _corners(make, centre, sides), *_with_objectness(make, raw, shape[2])


def _yolov5(make: Nodes, outputs: Outputs, size_hw: tuple[int, int]) -> Decoded:
    ((raw, shape),) = outputs
    boxes = _corners(make, make.part(raw, 0, 2, 2), make.part(raw, 2, 4, 2))
    return boxes, *_with_objectness(make, raw, shape[2])


def _yolov8(make: Nodes, outputs: Outputs, size_hw: tuple[int, int]) -> Decoded:
    ((columns, shape),) = outputs
    raw = make("Transpose", columns, perm=[0, 2, 1])
    boxes = _corners(make, make.part(raw, 0, 2, 2), make.part(raw, 2, 4, 2))
    return boxes, *_best(make, make.part(raw, 4, shape[1], 2))


def _yolo_nas(make: Nodes, outputs: Outputs, size_hw: tuple[int, int]) -> Decoded:
    (boxes, _), (scores, _) = sorted(outputs, key=lambda output: output[1][2] != 4)
    return boxes, *_best(make, scores)


def _end2end(make: Nodes, outputs: Outputs, size_hw: tuple[int, int]) -> Decoded:
    ((raw, _),) = outputs
    return make.part(raw, 0, 4, 2), make.part(raw, 4, 5, 2), make.part(raw, 5, 6, 2)


DECODERS: dict[str, Callable[[Nodes, Outputs, tuple[int, int]], Decoded]] = {
    "cells": _cells,
    "yolox": _yolox,
    "yolox_decoded": _yolov5,
    "yolov5": _yolov5,
    "yolov6": _yolov5,
    "yolov8": _yolov8,
    "yolo_nas": _yolo_nas,
    "end2end": _end2end,
}
"""What the functions of `heads.HEADS` do, as nodes."""
