"""Every head decodes a box that was encoded by its family's own formula."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.detect.heads import (
    HEADS,
    SUPPRESSED,
    cells,
    decode_cells,
    decode_end2end,
    decode_fasterrcnn,
    decode_ssd,
    decode_ssd_decoded,
    decode_ssd_raw,
    decode_tflite_ssd,
    decode_yolo_nas,
    decode_yolov8,
    decode_yolox,
    mobilenet_boxes,
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


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def encoded(box: tuple[float, ...], around: tuple[float, ...]) -> list[float]:
    """Liu et al. 2016, equation 2, with the variances of its code: box and default box as centre and sides."""
    (cx, cy, w, h), (dx, dy, dw, dh) = box, around
    return [(cx - dx) / dw / 0.1, (cy - dy) / dh / 0.1, np.log(w / dw) / 0.2, np.log(h / dh) / 0.2]


@pytest.mark.parametrize("raw", [False, True])
def test_ssd_head(raw: bool) -> None:
    rng = np.random.default_rng(0)
    anchors = np.concatenate((rng.uniform(0, 64, (50, 2)), rng.uniform(8, 30, (50, 2))), 1).astype(np.float32)
    encodings, logits = rng.normal(0, 1, (50, 4)).astype(np.float32), rng.normal(0, 0.1, (50, 4)).astype(np.float32)
    logits[:, 0] = 6  # background
    logits[7], encodings[7] = (0, 1, 8, 1), encoded((40, 30, 20, 10), tuple(anchors[7]))
    logits[9] = (9, 0, 0, 0)
    scores = logits if raw else softmax(logits)
    boxes, found, labels = decode_ssd([encodings, scores, anchors], SIZE, 0.5)
    assert boxes[0] == pytest.approx([30, 25, 50, 35], abs=1e-3) and labels.tolist() == [1]
    assert found == pytest.approx([softmax(logits)[7, 2]])


def test_ssd_head_without_an_overflow() -> None:
    wild = np.full((1, 4), 1e4, np.float32)
    boxes, _, _ = decode_ssd([wild, np.array([[0, 1.0]]), np.array([[10.0, 10, 4, 4]])], SIZE, 0.5)
    assert np.isfinite(boxes).all() and boxes[0, 2] - boxes[0, 0] == pytest.approx(4 * 1000 / 16, rel=1e-4)


def test_ssd_decoded_head() -> None:
    scores = np.array([[0.9, 0.1, 0], [0.2, 0.1, 0.7], [0.4, 0.6, 0]], np.float32)
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    given, found, labels = decode_ssd_decoded([boxes, scores], SIZE, 0.5)
    assert given.tolist() == boxes[1:].tolist() and labels.tolist() == [1, 0]
    assert found == pytest.approx([0.7, 0.6])


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_ssd_raw_head(logits: bool, given: bool) -> None:
    """TensorFlow's order: y, x, height, width, in sides of the picture; scores are sigmoids."""
    anchors = mobilenet_boxes(300, 300)
    encodings = np.zeros((len(anchors), 4), np.float32)
    scores = np.full((len(anchors), 3), -6, np.float32)
    x, y, w, h = encoded((0.5, 0.25, 0.2, 0.1), tuple(anchors[1500][[1, 0, 3, 2]]))
    encodings[1500], scores[1500] = (y, x, h, w), (3, -2, 1.5)
    if not logits:
        scores = 1 / (1 + np.exp(-scores))
    outputs = [encodings, scores, anchors] if given else [encodings, scores]
    boxes, found, labels = decode_ssd_raw(outputs, (300, 300), 0.5)
    assert boxes[0] == pytest.approx([120, 60, 180, 90], abs=1e-2) and labels.tolist() == [1]
    assert found == pytest.approx([1 / (1 + np.exp(-1.5))])
    wide, _, _ = decode_ssd_raw([*outputs[:2], anchors], (150, 600), 0.5)
    assert wide[0] == pytest.approx([240, 30, 360, 45], abs=1e-2)


def test_default_boxes_of_ssd_mobilenet() -> None:
    """Their number, the order in a cell, and the scales 0.2 to 0.95 of Liu et al. 2016, section 2.2."""
    boxes = mobilenet_boxes(300, 300)
    assert boxes.shape == (1917, 4) and mobilenet_boxes(320, 320).shape == (2034, 4)
    assert boxes[0] == pytest.approx([0.5 / 19, 0.5 / 19, 0.1, 0.1], abs=1e-6)
    assert boxes[1] == pytest.approx([0.5 / 19, 0.5 / 19, 0.2 / 2**0.5, 0.2 * 2**0.5], abs=1e-6)
    assert boxes[3, :2] == pytest.approx([0.5 / 19, 1.5 / 19], abs=1e-6)
    second = 19 * 19 * 3
    assert boxes[second : second + 6, 2:] == pytest.approx(
        np.array([(0.35 / r**0.5, 0.35 * r**0.5) for r in (1, 2, 0.5, 3, 1 / 3)] + [((0.35 * 0.5) ** 0.5,) * 2]),
        abs=1e-6,
    )
    assert boxes[-1] == pytest.approx([0.5, 0.5, 0.95**0.5, 0.95**0.5], abs=1e-6)


def test_tflite_ssd_head() -> None:
    boxes, scores = np.zeros((10, 4), np.float32), np.zeros(10, np.float32)
    boxes[:3], scores[:3] = (0.25, 0.5, 0.5, 0.75), (0.9, 0.3, 0.8)
    labels = np.array([2, 0, 5, *[0] * 7], np.float32)
    given, found, ids = decode_tflite_ssd([boxes, labels, scores, np.float32(2)], SIZE, 0.25)
    assert given.tolist() == [[48, 16, 72, 32]] * 2 and ids.tolist() == [2, 0]
    assert found == pytest.approx([0.9, 0.3]) and "tflite_ssd" in SUPPRESSED


def test_fasterrcnn_head() -> None:
    boxes = np.array([[1, 2, 30, 40], [5, 6, 7, 8], [0, 0, 9, 9]], np.float32)
    given, found, ids = decode_fasterrcnn(
        [boxes, np.array([1, 90, 0], np.int64), np.array([0.9, 0.4, 0.9], np.float32)], SIZE, 0.5
    )
    assert given.tolist() == [[1, 2, 30, 40]] and ids.tolist() == [0] and found == pytest.approx([0.9])
    assert "fasterrcnn" in SUPPRESSED


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
        "ssd": [np.zeros((COUNT, 4)), np.eye(3)[np.zeros(COUNT, int)], np.ones((COUNT, 4))],
        "ssd_decoded": [np.zeros((COUNT, 4)), np.eye(3)[np.zeros(COUNT, int)]],
        "ssd_raw": [np.zeros((COUNT, 4)), np.zeros((COUNT, 3)), np.ones((COUNT, 4))],
        "tflite_ssd": [np.zeros((10, 4)), np.zeros(10), np.zeros(10), np.zeros(1)],
        "fasterrcnn": [np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0)],
    }[name]
    boxes, scores, labels = HEADS[name](outputs, SIZE, 0.5)
    assert boxes.shape == (0, 4) and scores.shape == labels.shape == (0,)
    assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int64)
