"""What goes wrong while a detector runs is one line of the error tree; what is left out is counted and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engines
from tests.detect.graphs import COUNT, HEIGHT, WIDTH, save
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector
from tracker.errors import TrackerError, UsageError
from tracker.structures import Frame

FRAME = Frame.from_bgr(7, 0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def opened(path: Path, **settings: object) -> EngineDetector:
    given = DetectSettings.model_validate({"model": str(path), "runtime": "onnxruntime", "workers": 1, **settings})
    return open_detector(given, (WIDTH, HEIGHT))[0]


def test_a_failure_of_the_runtime_ends_the_run_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = opened(save(tmp_path / "m.onnx", {"o": np.zeros((1, 7, COUNT))}))

    def fail(feeds: object) -> None:
        raise engines.EngineInferError("onnxruntime failed: out of memory")

    monkeypatch.setattr(detector.engine, "infer", fail)
    with pytest.raises(TrackerError, match="model m failed on frame 7: onnxruntime failed: out of memory") as caught:
        detector.detect([FRAME])
    assert caught.value.exit_code == 1 and not isinstance(caught.value, UsageError)


def test_floods_are_told(tmp_path: Path) -> None:
    output = np.zeros((1, 5, COUNT))
    output[0, :4], output[0, 4] = [[40], [30], [10], [10]], 0.9
    detector = opened(save(tmp_path / "m.onnx", {"o": output}), max_candidates=100)
    assert detector.warnings == []
    detector.detect([FRAME, FRAME])
    assert detector.warnings == ["in 2 frames more than 100 boxes reached the score; the weakest were left out"]
    assert opened(tmp_path / "m.onnx").warnings == []


def test_classes_without_a_name(tmp_path: Path) -> None:
    """Class -1 fills lists up; a class beyond the names is an error, not an index error somewhere later."""
    listed = np.zeros((1, 300, 6))
    listed[0, :, 5], listed[0, 0] = -1, (10, 10, 50, 50, 0.9, 1)
    names = {"names": "{0: 'a', 1: 'b'}"}
    assert len(opened(save(tmp_path / "m.onnx", {"o": listed}, metadata=names), score=0.0).detect([FRAME])[0]) == 1
    listed[0, 0, 5] = 2
    with pytest.raises(TrackerError, match="found class id 2, its classes are only 2"):
        opened(save(tmp_path / "n.onnx", {"o": listed}, metadata=names)).detect([FRAME])
