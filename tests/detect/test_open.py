"""A model file becomes a detector that feeds it what its head wants, or one clear line says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines.build_cache import add_notes, notes_path, publish, read_notes
from engines.storage import sha256_of
from tests.detect.graphs import COUNT, HEIGHT, SIZE, WIDTH, corners, decoded, raw_grid, save
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector, share_cores
from tracker.errors import ConfigError, ModelError, RequirementError
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


OPTIONS = engines.EngineOptions(shape={})


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan of `m.onnx` (in another folder) on a machine whose TensorRT is ONNX Runtime."""
    (tmp_path / "origin").mkdir()
    grid = decoded(3)
    grid[0, :40, 2:4], grid[0, :40, 4:6] = 6, 1
    model = save(tmp_path / "origin" / "m.onnx", {"output": grid})

    class Stand(Relabelled):
        runtime, precision, device = "tensorrt 10.9", "fp16", "cuda:0"

        def __init__(self) -> None:
            self.engine = engines.load(model, "onnxruntime", OPTIONS)
            self.inputs, self.outputs = self.engine.inputs, self.engine.outputs

    usual = engines.load_plan

    def load_plan(path: Path, runtime: str, *rest: Any) -> tuple[engines.Engine, engines.Plan | None]:
        return (Stand(), None) if path.suffix == ".plan" else usual(path, runtime, *rest)

    monkeypatch.setattr(engines, "load_plan", load_plan)
    monkeypatch.setattr(engines, "installed", lambda: ["tensorrt", "openvino", "onnxruntime"])
    monkeypatch.setattr(engines, "why_no_gpu", lambda index=0: "")
    path, made = tmp_path / "m.plan", tmp_path / "made"
    made.write_bytes(b"plan")
    made_of = {
        "runtime": "tensorrt", "precision": "fp16", "model_sha256": sha256_of(model),
        "shapes": {"x": [list((1, 3, HEIGHT, WIDTH))] * 3},
    }  # fmt: skip
    publish({".plan": made}, path, {"model": "m.onnx", "ingredients": made_of})
    path.with_suffix(".yaml").write_text("name: m\nfile: m.onnx\nhead: yolox_decoded\nclasses: [cat, dog, cow]\n")
    return path


class Relabelled:
    """An engine under another name."""

    engine: engines.Engine

    def infer(self, feeds):
        return self.engine.infer(feeds)

    def close(self) -> None: ...


def test_a_plan_runs_when_it_is_named_and_its_card_says_how(plan: Path) -> None:
    detector, notices = opened(plan, runtime="auto", fused="off")
    assert detector.engine.runtime == "tensorrt 10.9" and detector.class_names == ("cat", "dog", "cow")
    assert detector.identity.head == "yolox_decoded" and len(detector.detect([FRAME])[0])
    assert notices == ["plan m.plan: parity not measured: its model m.onnx is not beside it"]


def test_a_plan_is_compared_with_the_model_beside_it(plan: Path) -> None:
    model = plan.with_name("m.onnx")
    model.write_bytes((plan.parent / "origin" / "m.onnx").read_bytes())
    notices = opened(plan, runtime="auto", fused="off")[1]
    assert len(notices) == 1 and "parity with the ONNX" in notices[0] and "recall 1.000" in notices[0]
    assert read_notes(plan)["parity"]["passed"]
    assert opened(plan, runtime="auto", fused="off")[1] == []
    save(model, {"output": decoded(3)})
    add_notes(plan, parity={})
    assert "its model m.onnx is not beside it" in opened(plan, runtime="auto", fused="off")[1][0]


def test_a_plan_without_notes_is_told(plan: Path) -> None:
    notes_path(plan).unlink()
    notices = opened(plan, runtime="auto", fused="off")[1]
    assert notices == ["plan m.plan: its notes are missing or damaged, so its boxes are not compared with a model's"]


def test_a_plan_needs_its_runtime_and_a_gpu(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="is a plan for tensorrt or tensorrt-rtx, runtime openvino was asked for"):
        opened(plan, runtime="openvino")
    with pytest.raises(ModelError, match=r"gone\.plan does not exist; build it"):
        opened(plan.with_name("gone.plan"), runtime="auto")
    monkeypatch.setattr(engines, "installed", lambda: ["openvino", "onnxruntime"])
    with pytest.raises(RequirementError, match=r"no runtime for \.plan files is installed; .*'tracker\[tensorrt\]'"):
        opened(plan, runtime="auto")
    monkeypatch.setattr(engines, "why_no_gpu", lambda index=0: "no NVIDIA driver here")
    with pytest.raises(RequirementError, match=r"m\.plan runs on an NVIDIA GPU: no NVIDIA driver here"):
        opened(plan, runtime="auto")


def test_the_gate_takes_fp32_in_the_place_of_a_bad_fp16_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runtime moves every box by some pixels in FP16."""
    grid = decoded(3)
    grid[0, :40, 2:4], grid[0, :40, 4:6] = 6, 1
    moved = grid.copy()
    moved[0, :, 0] += 3
    model, wrong = save(tmp_path / "m.onnx", {"output": grid}), save(tmp_path / "wrong.onnx", {"output": moved})
    usual, built = engines.load_plan, list[str]()

    def load_plan(
        path: Path, runtime: str, options: engines.EngineOptions, *rest: Any
    ) -> tuple[engines.Engine, engines.Plan | None]:
        if runtime != "tensorrt":
            return usual(path, runtime, options, *rest)
        precision = "fp16" if options.precision == "auto" else options.precision
        built.append(precision)
        plan, made = tmp_path / f"m-{precision}.plan", tmp_path / "made"
        made.write_bytes(b"plan")
        if not plan.exists():
            publish({".plan": made}, plan, {"ingredients": {"precision": precision}})
        engine = engines.load(wrong if precision in bad else model, "onnxruntime", OPTIONS)
        return engine, engines.Plan(plan, read_notes(plan), True)

    monkeypatch.setattr(engines, "load_plan", load_plan)
    bad, told = {"fp16"}, list[str]()
    settings = DetectSettings(model=str(model), runtime="tensorrt", fused="off", workers=1)
    for _ in range(2):
        notices = open_detector(settings, (WIDTH, HEIGHT), say=told.append)[1]
        assert len(notices) == 1 and notices[0].startswith("m-fp16.plan: parity with the ONNX")
        assert notices[0].endswith("; refused, fp32 takes its place")
    assert built == ["fp16", "fp32"] * 2 and len(told) == 2, "measured once each"
    bad.add("fp32")
    add_notes(tmp_path / "m-fp32.plan", parity={})
    with pytest.raises(ModelError, match=r"m-fp32\.plan: parity with the ONNX.*refused$"):
        open_detector(settings, (WIDTH, HEIGHT))


def test_cores_are_shared() -> None:
    assert share_cores(DetectSettings(), live=True).workers == 1
    assert share_cores(DetectSettings(workers=3), live=False).workers == 3
