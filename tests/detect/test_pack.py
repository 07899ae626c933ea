"""Pictures in the input tensor: the values, in every layout and type, and whose memory it is."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from tests.detect.graphs import COUNT, HEIGHT, WIDTH, save
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector
from tracker.detect.card import InputCard
from tracker.detect.detector import pack
from tracker.structures import Frame

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_values(dtype: type, nhwc: bool) -> None:
    pictures = RNG.integers(0, 256, (2, 6, 8, 3), np.uint8)
    blob = np.full((2, 6, 8, 3) if nhwc else (2, 3, 6, 8), 7, dtype)
    look = InputCard(scale=1 / 255)
    assert pack(list(pictures), look, nhwc, blob) is blob
    wanted = pictures if dtype == np.uint8 else (pictures * np.float32(look.scale)).astype(dtype)
    assert np.array_equal(blob, wanted if nhwc else wanted.transpose(0, 3, 1, 2))


@pytest.fixture
def detector(tmp_path: Path) -> EngineDetector:
    path = save(tmp_path / "m.onnx", {"o": np.zeros((1, 7, COUNT))})
    given = DetectSettings.model_validate({"model": str(path), "runtime": "onnxruntime", "workers": 2})
    return open_detector(given, (WIDTH, HEIGHT))[0]


def grey(value: int) -> Frame:
    return Frame.from_bgr(0, 0.0, np.full((HEIGHT, WIDTH, 3), value, np.uint8))


def test_the_tensor_of_a_thread_is_filled_again(detector: EngineDetector) -> None:
    first = detector._pack([grey(51)], 1)
    assert np.allclose(first, 51 / 255)
    second = detector._pack([grey(102)], 1)
    assert second is first
    assert np.allclose(second, 102 / 255)
    more = detector._pack([grey(51), grey(102)], 3)
    assert np.allclose(more.mean((1, 2, 3)), (0.2, 0.4, 0.4))


def test_threads_do_not_share_a_tensor(detector: EngineDetector) -> None:
    mine, theirs = detector._pack([grey(51)], 1), list[np.ndarray]()
    thread = Thread(target=lambda: theirs.append(detector._pack([grey(102)], 1)))
    thread.start()
    thread.join()
    assert np.allclose(mine, 51 / 255)
    assert np.allclose(theirs[0], 102 / 255)
