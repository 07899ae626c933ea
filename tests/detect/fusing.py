"""What the tests of fused graphs share: the detector without, pictures, and networks that find heaps of boxes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import engines
from tests.detect.graphs import COUNT, HEIGHT, WIDTH, centres
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector
from tracker.detect.heads import cells
from tracker.structures import Frame

ROOT = Path(__file__).parent.parent.parent
STREET6 = ROOT / "engines" / "zoo" / "street6.onnx"
SIZE = (160, 120)


def load(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> engines.Engine:
    return engines.load(path, "onnxruntime", engines.EngineOptions(shape=shapes, threads=1))


def usual_of(model: Path, size: tuple[int, int] | None = SIZE, **settings: object) -> EngineDetector:
    given = {"model": str(model), "runtime": "onnxruntime", "workers": 1, **settings}
    return open_detector(DetectSettings.model_validate(given), size)[0]


def picture_of(kind: str, size: tuple[int, int], seed: int = 0) -> av.VideoFrame:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (size[1], size[0], 3), np.uint8), (0, 0), 2)
    bgr = np.asarray(cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX), np.uint8)
    return av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format=kind)


def footage(path: Path, step: int, count: int) -> list[Frame]:
    with av.open(str(path)) as container:
        return [Frame(k, k / 25, p) for k, p in enumerate(islice(container.decode(video=0), 0, step * count, step))]


def crowd(rows: int, classes: int, seed: int) -> tuple[Any, Any]:
    """Boxes (rows, 4) xyxy in heaps and scores (rows, classes): plenty to suppress."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(10, 60, (6, 2))[rng.integers(0, 6, rows)] + rng.normal(0, 4, (rows, 2))
    half = rng.uniform(6, 14, (rows, 2))
    return np.concatenate((centre - half, centre + half), 1), rng.random((rows, classes)) ** 3


def outputs_of(head: str, seed: int = 3) -> dict[str, Any]:
    """Outputs of a network with this head: heaps of boxes."""
    boxes, scores = crowd(COUNT, 3, seed)
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    grid, stride = cells(HEIGHT, WIDTH)
    own, certain = (grid + 0.5) * stride, np.full((COUNT, 1), 0.8)
    if head == "cells":
        return {
            "scores": scores[None],
            "sides": (np.concatenate((own - boxes[:, :2], boxes[:, 2:] - own), 1) / stride)[None],
        }
    if head == "yolo_nas":  # recognised by centres that go along with the cells
        return {"boxes": np.concatenate((centres() - 9, centres() + 9), 1)[None], "scores": scores[None]}
    if head == "yolov8":
        return {"o": np.concatenate((middle, sides, scores), 1).T[None]}
    if head == "yolox":
        parts: tuple[Any, ...] = (middle / stride - grid, np.log(sides / stride), certain, scores)
    elif head == "yolov5":
        parts = (middle, sides, certain, scores)
    elif head == "end2end":
        parts = (boxes[:100], np.linspace(0.9, 0, 100)[:, None], np.where(np.arange(100) < 40, 1, -1)[:, None])
    else:
        parts = (centres(), np.full((COUNT, 2), 20), np.ones((COUNT, 1)) if head == "yolov6" else certain, scores)
    made = np.concatenate(parts, 1)
    return {"o": np.concatenate((made,) * (3 if head == "yolov5" else 1))[None]}
