"""A model file becomes a detector that feeds it what its head wants, or one clear line says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engines
from tests.detect.graphs import COUNT, HEIGHT, SIZE, WIDTH, corners, decoded, raw_grid, save
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector, share_cores
from tracker.errors import ConfigError, ModelError
from tracker.structures import Frame

FRAME = Frame.from_bgr(0, 0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
BLANK = np.zeros((1, 7, COUNT))


def opened(path: Path, **settings: object) -> tuple[EngineDetector, list[str]]:
    given = DetectSettings.model_validate({"model": str(path), "runtime": "onnxruntime", "workers": 1, **settings})
    return open_detector(given, (WIDTH, HEIGHT))


class Recorder:
    """An engine that keeps what it was fed."""

    def __init__(self, engine: engines.Engine) -> None:
        self.engine, self.inputs, self.fed = engine, engine.inputs, np.zeros(0)

    def infer(self, feeds):
        self.fed = next(iter(feeds.values()))
        return self.engine.infer(feeds)


def fed(detector: EngineDetector) -> str:
    """What a blue, wide picture looks like to the network: order of channels, range, place."""
    recorder = Recorder(detector.engine)
    detector.engine = recorder  # type: ignore[assignment]
    picture = np.zeros((20, 96, 3), np.uint8)
    picture[..., 0] = 250
    detector.detect([Frame.from_bgr(0, 0.0, picture)])
    high = recorder.fed[0].max((1, 2))
    order = "bgr" if high[0] > high[2] else "rgb"
    place = "top-left" if recorder.fed[0, 1, 0, 50] == 0 else "center"
    return f"{order} {'255' if high.max() > 1 else '1'} {place}"


DYNAMIC: tuple[int | str, ...] = (1, 3, "h", "w")
V5 = np.zeros((1, 3 * COUNT, 85))


@pytest.mark.parametrize(
    ("output", "options", "look"),
    [
        (raw_grid(1), {}, "bgr 255 top-left"),
        (raw_grid(80), {"open_rows": True}, "bgr 255 top-left"),
        (raw_grid(80), {"shape": DYNAMIC, "open_rows": True}, "bgr 255 top-left"),
        (decoded(80), {}, "bgr 255 top-left"),
        (decoded(80, objectness=1), {}, "rgb 1 center"),
        (V5, {"shape": DYNAMIC, "open_rows": True}, "rgb 1 center"),
        (np.zeros((1, 84, COUNT)), {}, "rgb 1 center"),
    ],
)
def test_the_input_follows_the_recognised_head(output, options, look: str, tmp_path: Path) -> None:
    detector, _ = opened(
        save(tmp_path / "m.onnx", {"output": output}, **options), **({"input_size": 96} if "shape" in options else {})
    )
    assert detector.size_hw == SIZE
    assert fed(detector) == look


@pytest.mark.skipif("openvino" not in engines.installed(), reason="openvino is not installed")
def test_openvino_recognises_the_same(tmp_path: Path) -> None:
    outputs = {"scores": np.zeros((1, COUNT, 6)), "sides": np.zeros((1, COUNT, 4))}
    assert opened(save(tmp_path / "c.onnx", outputs), runtime="openvino")[0].identity.head == "cells"
    assert opened(save(tmp_path / "x.onnx", {"o": decoded(3)}), runtime="openvino")[0].identity.head == "yolox_decoded"


def test_a_grid_decoded_in_the_graph_is_not_decoded_again(tmp_path: Path) -> None:
    grid = decoded(80)
    grid[0, 10, :6] = (80, 40, 20, 30, 1, 1)
    found = opened(save(tmp_path / "m.onnx", {"output": grid}))[0].detect([FRAME])[0]
    assert found.boxes.tolist() == [[70, 25, 90, 55]]


def test_yolo_nas(tmp_path: Path) -> None:
    boxes, scores = corners(), np.zeros((1, COUNT, 80))
    boxes[0, 7], scores[0, 7, 2] = (20, 30, 60, 50), 0.9
    found = opened(save(tmp_path / "m.onnx", {"boxes": boxes, "scores": scores}))[0].detect([FRAME])[0]
    assert found.boxes.tolist() == [[20, 30, 60, 50]] and found.class_ids.tolist() == [2]


@pytest.mark.parametrize(("imgsz", "size_hw"), [("[320, 320]", (224, 320)), (None, (448, 640))])
def test_open_sides_take_the_exporters_size(imgsz: str | None, size_hw: tuple[int, int], tmp_path: Path) -> None:
    count = sum((size_hw[0] // stride) * (size_hw[1] // stride) for stride in (8, 16, 32))
    notes = {"imgsz": imgsz} if imgsz else {}
    path = save(tmp_path / "m.onnx", {"o": np.zeros((1, 7, count))}, shape=DYNAMIC, metadata=notes)
    assert opened(path)[0].size_hw == size_hw


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"task": "pose", "names": "{0: 'person'}"}, "made for the task 'pose'"),
        ({"task": "segment"}, "made for the task 'segment'"),
        ({"names": "{0: 'person'}"}, "3 classes, its metadata names 1"),
    ],
)
def test_models_of_other_tasks_are_refused(metadata, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=reason):
        opened(save(tmp_path / "m.onnx", {"output0": BLANK}, metadata=metadata))


@pytest.mark.parametrize(
    ("card", "reason"),
    [("classes: [cat, dog]", "3 classes, its card names 2"), ("head: end2end", "says head 'end2end', but .* 'yolov8'")],
)
def test_a_card_that_contradicts_its_model_is_refused(card: str, reason: str, tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", {"output0": BLANK})
    path.with_suffix(".yaml").write_text(f"name: m\nfile: m.onnx\n{card}\n")
    with pytest.raises(ModelError, match=reason):
        opened(path)


def test_names_of_an_end_to_end_model(tmp_path: Path) -> None:
    listed = np.zeros((1, 300, 6))
    plain = save(tmp_path / "plain.onnx", {"output0": listed})
    assert opened(plain)[0].class_names[::999] == ("class_0", "class_999")
    carded = save(tmp_path / "carded.onnx", {"output0": listed})
    carded.with_suffix(".yaml").write_text("name: m\nfile: carded.onnx\nclasses: [cat, dog, cow]\n")
    assert opened(carded)[0].class_names == ("cat", "dog", "cow")
    noted = save(tmp_path / "noted.onnx", {"output0": listed}, metadata={"names": "{0: 'a: b', 1: 'c'}"})
    assert opened(noted)[0].class_names == ("a: b", "c")
    with pytest.raises(ConfigError, match=r"'person', known are class_0, class_1, class_2, \.\.\.$"):
        opened(plain, classes=("person",))


def test_a_fixed_batch_is_said(tmp_path: Path) -> None:
    detector, notices = opened(
        save(tmp_path / "m.onnx", {"output0": np.zeros((4, 7, COUNT))}, shape=(4, 3, HEIGHT, WIDTH))
    )
    assert notices == ["the model's batch is fixed at 4: single frames are padded"]
    assert len(detector.detect([FRAME])) == 1
    assert opened(save(tmp_path / "one.onnx", {"output0": BLANK}))[1] == []


def test_require_may_not_contradict_the_runtime() -> None:
    with pytest.raises(ConfigError, match="runtime openvino is asked for and onnxruntime is required"):
        open_detector(DetectSettings(runtime="openvino"), (WIDTH, HEIGHT), require="onnxruntime")
    detector, _ = open_detector(DetectSettings(runtime="onnxruntime"), (WIDTH, HEIGHT), require="onnxruntime")
    assert detector.engine.runtime.startswith("onnxruntime")


def test_cores_are_shared() -> None:
    assert share_cores(DetectSettings(), live=True).workers == 1
    assert share_cores(DetectSettings(workers=3), live=False).workers == 3
