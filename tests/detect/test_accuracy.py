"""Preprocessing and decoding are those of the reference: on real images, where a mistake would cost accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.detector import average_precision, frames_of
from tracker.boxes import iou_matrix
from tracker.config import DetectSettings
from tracker.detect import open_detector
from tracker.structures import Frame

pytest.importorskip("pycocotools")
NANO, SSD = "yolox_nano_416x416.onnx", "ssd_mobilenet_v1_coco_quant.tflite"


def test_yolox_nano_reaches_its_own_accuracy(data: Path) -> None:
    """With the reference preprocessing it was measured at .62 (person) and .45 (car) on these 128 images."""
    detector, _ = open_detector(DetectSettings(model=str(data / "weights" / NANO), score=0.01), None)
    found = average_precision(detector, data, "coco128")
    assert found["person"] >= 0.62
    assert found["car"] >= 0.45


def test_ssd_mobilenet_reaches_its_own_accuracy(data: Path) -> None:
    """TensorFlow's quantised SSD-MobileNet v1 through OpenVINO; it was measured at .44 (person) and .33 (car).

    TFLite's own post-processing, which gives ten boxes a picture at most, is what that was measured with.
    """
    pytest.importorskip("openvino")
    detector, _ = open_detector(DetectSettings(model=str(data / "weights" / SSD), score=0.01), None)
    found = average_precision(detector, data, "coco128")
    assert found["person"] >= 0.48 and found["car"] >= 0.33


@pytest.mark.parametrize("model", ["street6", NANO])
def test_planes_lose_nothing_against_a_full_conversion(data: Path, model: str) -> None:
    """Resizing the decoder's planes finds what converting the whole frame to BGR first finds."""
    path = model if model == "street6" else str(data / "weights" / model)
    frames = frames_of(data / "videos" / "street_1080p.mp4", 60)[::6]
    detector, _ = open_detector(DetectSettings(model=path, score=0.4, precision="fp32"), (1920, 1080))
    matched = total = 0
    for frame in frames:
        (ours,) = detector.detect([frame])
        (reference,) = detector.detect([Frame.from_bgr(frame.index, frame.time_s, np.ascontiguousarray(frame.bgr))])
        total += len(reference)
        overlap = iou_matrix(reference.boxes.astype(float), ours.boxes.astype(float))
        same = reference.class_ids[:, None] == ours.class_ids[None]
        matched += int(((overlap * same).max(1, initial=0) > 0.85).sum())
    assert total >= 50
    assert matched / total >= 0.93
