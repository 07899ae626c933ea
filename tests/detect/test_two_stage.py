"""The Faster R-CNN that the package carries: it opens offline, finds what is in the street, alike on both runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.detector import frames_of
from engines.export_check import compare
from tracker.boxes import iou_matrix
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, card, open_detector, zoo

NAME = "street6-rcnn"
ROOT = Path(__file__).parent.parent.parent
CLIP, TRUTH = ROOT / "samples" / "street.mp4", ROOT / "samples" / "street_gt" / "gt" / "gt.txt"
LIKE = ((1,), (2, 4), (3, 5, 6))
"""Classes of the truth that count as one: persons, two wheels, four wheels (vans lie between them)."""


def opened(runtime: str, **settings: object) -> EngineDetector:
    given = {"model": NAME, "runtime": runtime, "workers": 1, **settings}
    return open_detector(DetectSettings.model_validate(given), (768, 432))[0]


def truth_at(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) xyxy and classes (N,) from 1 of what is well seen in a frame (from 0)."""
    rows = np.loadtxt(TRUTH, delimiter=",")
    rows = rows[(rows[:, 0] == frame + 1) & (rows[:, 8] > 0.6) & (rows[:, 5] > 24)]
    return np.concatenate((rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]), 1), rows[:, 7].astype(int)


def test_the_package_carries_it() -> None:
    given = zoo()[NAME]
    assert given.carried and given.head == "fasterrcnn" and given.precision == "fp32"
    assert given.classes == zoo()["street6"].classes
    path = card.file_of(given)
    assert path.stat().st_size < 20e6 and card.sha256_of(path) == given.sha256


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_it_finds_what_is_in_the_street(runtime: str) -> None:
    pytest.importorskip(runtime)
    detector = opened(runtime, score=0.1)
    assert detector.engine.precision == "fp32"
    wanted = found = right = given = 0
    for frame in frames_of(CLIP, 121)[::40]:
        (row,) = detector.detect([frame])
        boxes, classes = truth_at(frame.index)
        overlap = iou_matrix(boxes, row.boxes.astype(float))
        kind = np.array(
            [[any(a in group and b + 1 in group for group in LIKE) for b in row.class_ids] for a in classes]
        )
        hit = (overlap >= 0.5) & kind
        wanted, found = wanted + len(boxes), found + int(hit.any(1).sum())
        sure = row.scores >= 0.6
        right, given = right + int((overlap[:, sure] >= 0.4).any(0).sum()), given + int(sure.sum())
    assert wanted >= 60 and found >= 0.65 * wanted, (found, wanted)
    assert given >= 25 and right >= 0.8 * given, (right, given)


def test_both_runtimes_find_the_same() -> None:
    pytest.importorskip("openvino")
    rows = []
    for runtime in ("onnxruntime", "openvino"):
        detector = opened(runtime, score=0.05)
        found = [detector.detect([frame])[0] for frame in frames_of(CLIP, 101)[::50]]
        rows.append([(row.boxes, row.scores, row.class_ids) for row in found])
    agreement = compare(*rows, most=100)
    assert agreement.boxes >= 30 and agreement.share == 1, agreement
