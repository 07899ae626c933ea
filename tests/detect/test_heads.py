"""Every head decodes a box that was encoded by its family's own formula."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.detect.heads import (
    HEADS,
    cells,
    decode_cells,
    decode_end2end,
    decode_yolo_nas,
    decode_yolov8,
    decode_yolox,
)

SIZE = (64, 96)  # height, width
COUNT = 8 * 12 + 4 * 6 + 2 * 3


def test_cells_go_row_by_row_and_stride_by_stride() -> None:
    grid, stride = cells(*SIZE)
    assert len(grid) == COUNT
    assert grid[1].tolist() == [1, 0] and grid[12].tolist() == [0, 1]
    assert stride[[0, 96, 120], 0].tolist() == [8, 16, 32]


def test_cells_head() -> None:
    scores, sides = np.zeros((COUNT, 3), np.float32), np.ones((COUNT, 4), np.float32)
    scores[97, 2], sides[97] = 0.7, (1, 0.5, 2, 0.25)  # column 1, row 0 of stride 16: centre (24, 8)
    for outputs in ([scores, sides], [sides, scores]):
        boxes, found, labels = decode_cells(outputs, SIZE, 0.5)
        assert boxes.tolist() == [[8, 0, 56, 12]]
        assert found.tolist() == pytest.approx([0.7]) and labels.tolist() == [2]


def test_yolox_head() -> None:
    raw = np.zeros((COUNT, 8), np.float32)
    raw[13] = (0.5, 0.25, np.log(3), np.log(2), 0.8, 0.1, 0.9, 0.2)  # column 1, row 1 of stride 8
    boxes, found, labels = decode_yolox([raw], SIZE, 0.3)
    assert boxes[0] == pytest.approx([0, 2, 24, 18], abs=1e-4)
    assert found == pytest.approx([0.72]) and labels.tolist() == [1]


def test_yolov8_head() -> None:
    raw = np.zeros((4 + 3, COUNT), np.float32)
    raw[:, 5] = (30, 20, 10, 8, 0.1, 0.6, 0.2)
    boxes, found, labels = decode_yolov8([raw], SIZE, 0.3)
    assert boxes.tolist() == [[25, 16, 35, 24]] and labels.tolist() == [1]
    assert found == pytest.approx([0.6])


def test_end2end_head() -> None:
    raw = np.zeros((300, 6), np.float32)
    raw[0] = (1, 2, 3, 4, 0.9, 5)
    boxes, _, labels = decode_end2end([raw], SIZE, 0.3)
    assert boxes.tolist() == [[1, 2, 3, 4]] and labels.tolist() == [5]


def test_yolo_nas_head() -> None:
    boxes, scores = np.zeros((COUNT, 4), np.float32), np.zeros((COUNT, 3), np.float32)
    boxes[7], scores[7, 2] = (20, 30, 60, 50), 0.9
    for outputs in ([boxes, scores], [scores, boxes]):
        found, best, labels = decode_yolo_nas(outputs, SIZE, 0.5)
        assert found.tolist() == [[20, 30, 60, 50]] and labels.tolist() == [2]
        assert best == pytest.approx([0.9])


@pytest.mark.parametrize("name", sorted(HEADS))
def test_nothing_found_is_empty(name: str) -> None:
    outputs = {
        "cells": [np.zeros((COUNT, 3)), np.zeros((COUNT, 4))],
        "yolox": [np.zeros((COUNT, 8))],
        "yolox_decoded": [np.zeros((COUNT, 8))],
        "yolov6": [np.zeros((COUNT, 8))],
        "yolov5": [np.zeros((COUNT * 3, 8))],
        "yolo_nas": [np.zeros((COUNT, 4)), np.zeros((COUNT, 3))],
        "yolov8": [np.zeros((7, COUNT))],
        "end2end": [np.zeros((300, 6))],
        "efficient_nms": [np.zeros(1, np.int32), np.zeros((100, 4)), np.zeros(100), np.zeros(100)],
    }[name]
    boxes, scores, labels = HEADS[name](outputs, SIZE, 0.5)
    assert boxes.shape == (0, 4) and scores.shape == labels.shape == (0,)
    assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int64)
