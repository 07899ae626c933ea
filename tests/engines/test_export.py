"""What is exported finds what torch finds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import engines
from engines import EngineOptions, EngineUnavailable
from engines.build import Request as Plan
from engines.build import build_plan, runtime_version
from engines.export import export
from engines.export_check import ExportError, Found, compare
from engines.export_request import ARCHITECTURES, Request
from tests.engines.exporting import Made, exported, made, random_weights
from tracker.config import DetectSettings
from tracker.detect import open_detector
from tracker.detect.heads import HEADS
from tracker.structures import Frame

__all__ = ["made", "random_weights"]  # fixtures
ROOT = Path(__file__).parent.parent.parent
SSD = [
    pytest.param("ssdlite320", 320, 3234),
    pytest.param("ssd300-vgg16", 300, 8732, marks=pytest.mark.slow),
    pytest.param("ssd512-vgg16", 512, 24564, marks=pytest.mark.slow),
]
TWO_STAGE = [
    pytest.param("fasterrcnn-mobilenet-320"),
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("fasterrcnn-mobilenet", "fasterrcnn-r50-fpn", "fasterrcnn-r50-fpn-v2")
    ),
]


def found_by_torchvision(network: Any, shown: list[np.ndarray]) -> list[Found]:
    """Of the network's own `forward`; classes without the background. What its edge cut off to nothing is left out."""
    import torch

    network.transform.min_size, network.transform.max_size = (min(shown[0].shape[:2]),), max(shown[0].shape[:2])
    rows = []
    with torch.no_grad():
        for picture in shown:
            (row,) = network([torch.from_numpy(picture).permute(2, 0, 1).float() / 255])
            boxes = row["boxes"].numpy()
            solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
            rows.append((boxes[solid], row["scores"].numpy()[solid], row["labels"].numpy()[solid] - 1))
    return rows


def found_by_us(model: Path, shown: list[np.ndarray], **settings: Any) -> list[Found]:
    """Through the whole detection stage, from a file without a card."""
    given = {"model": str(model), "runtime": "onnxruntime", "workers": 1, **settings}
    detector, _ = open_detector(DetectSettings.model_validate(given), shown[0].shape[1::-1])
    assert detector.class_names[0] == "person" and len(detector.class_names) == 90
    rows = []
    for picture in shown:
        (row,) = detector.detect([Frame.from_bgr(0, 0.0, np.ascontiguousarray(picture[..., ::-1]))])
        rows.append((row.boxes, row.scores, row.class_ids))
    return rows


def paper_boxes(size: int, maps: list[int], scales: list[float], steps: list[int] | None, ratios: list[int]) -> Any:
    """Default boxes of Liu et al. 2016, section 2.2, centre and sides in pixels; clipped sides as torchvision has them.

    `ratios`: how many aspect ratios each map has besides 1, out of 2 and 3 (and their inverses).
    """
    rows = []
    for k, side in enumerate(maps):
        middle = (scales[k] * scales[k + 1]) ** 0.5
        shapes = [(scales[k], scales[k]), (middle, middle)]
        for ratio in (2, 3)[: ratios[k]]:
            wide, high = scales[k] * ratio**0.5, scales[k] / ratio**0.5
            shapes += [(wide, high), (high, wide)]
        pitch = size / side if steps is None else steps[k]
        for y in range(side):
            for x in range(side):
                for wide, high in shapes:
                    rows.append(((x + 0.5) * pitch, (y + 0.5) * pitch, min(wide, 1) * size, min(high, 1) * size))
    return np.array(rows)


PAPER = {
    "ssd300-vgg16": (
        300, [38, 19, 10, 5, 3, 1], [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05], [8, 16, 32, 64, 100, 300],
        [1, 2, 2, 2, 1, 1],
    ),
    "ssd512-vgg16": (
        512, [64, 32, 16, 8, 4, 2, 1], [0.04, 0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 1.06],
        [8, 16, 32, 64, 128, 256, 512], [1, 2, 2, 2, 2, 1, 1],
    ),
    "ssdlite320": (320, [20, 10, 5, 3, 2, 1], [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0], None, [2] * 6),
}  # fmt: skip


@pytest.mark.parametrize(("name", "size", "count"), SSD)
def test_an_ssd_finds_what_torchvision_finds(made: Callable[[str], Made], name: str, size: int, count: int) -> None:
    """The whole way: state dict, graph, default boxes, our decoding and our suppression."""
    this = made(name)
    network, model, shown = this.network, this.model, this.shown
    assert this.told.agreement.share == 1 and this.told.agreement.boxes > 20 and this.told.size == size
    network.score_thresh, network.topk_candidates, network.detections_per_img = 0.495, 10_000, 10_000
    wanted = found_by_torchvision(network, shown)
    wanted = [tuple(part[row[1] >= 0.5] for part in row) for row in wanted]  # only one class of a box reaches that
    given = found_by_us(model, shown, score=0.495, iou=network.nms_thresh, max_candidates=10_000)
    agreement = compare(wanted, [tuple(part[row[1] >= 0.5] for part in row) for row in given])
    assert agreement.boxes >= 6 and agreement.share == 1, agreement

    engine = engines.load(model, "onnxruntime", EngineOptions(shape={}))
    outputs = engine.infer({"images": np.stack(shown)})
    assert {key: value.shape for key, value in outputs.items()} == {
        "encodings": (2, count, 4), "scores": (2, count, 91), "anchors": (2, count, 4)
    }  # fmt: skip
    assert outputs["anchors"][1] == pytest.approx(paper_boxes(*PAPER[name]), abs=0.02)
    assert HEADS["ssd"]([array[1] for array in outputs.values()], (size, size), 0.3)[0].shape[1] == 4


@pytest.mark.parametrize("name", TWO_STAGE)
def test_a_faster_rcnn_finds_what_torchvision_finds(made: Callable[[str], Made], random_weights, name: str) -> None:
    """On pictures of two shapes, neither of them the one that it was traced with."""
    this = made(name)
    assert this.told.agreement.share >= 0.99 and this.told.size == ARCHITECTURES[name].size
    wanted: list[Found] = []
    given: list[Found] = []
    for size_hw in ((256, 384), (352, 288)):
        shown = random_weights.pictures(1, size_hw)
        wanted += found_by_torchvision(this.network, shown)
        given += found_by_us(this.model, shown, score=0.05, input_size=max(size_hw))
    agreement = compare(wanted, given, most=100)
    assert agreement.boxes > 100 and agreement.share >= 0.99, agreement
    assert agreement.px <= 0.5 and agreement.score <= 0.005
    graph = onnx.load(str(this.model)).graph
    assert [output.name for output in graph.output] == ["boxes", "labels", "scores"]


def test_openvino_finds_what_onnxruntime_finds(made: Callable[[str], Made], random_weights) -> None:
    """Lists of open length between the stages are nothing that every runtime takes."""
    pytest.importorskip("openvino")
    model, shown = made("fasterrcnn-mobilenet-320").model, random_weights.pictures(2, (256, 384))
    both = [
        found_by_us(model, shown, score=0.05, input_size=384, runtime=runtime, precision="fp32")
        for runtime in ("onnxruntime", "openvino")
    ]
    agreement = compare(both[0], both[1], most=100)
    assert agreement.boxes > 100 and agreement.share >= 0.99, agreement


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(("name", "size"), [("ssdlite320", 320), ("ssd300-vgg16", 300), ("ssd512-vgg16", 512)])
def test_an_ssd_is_compiled_by_tensorrt(
    made: Callable[[str], Made], tmp_path: Path, name: str, size: int, precision: str
) -> None:
    try:
        runtime_version("tensorrt-rtx")
    except EngineUnavailable as error:
        pytest.skip(str(error))
    this = made(name)
    feeds = [{"images": picture[None]} for picture in this.shown] if precision == "int8" else []
    profile = {"images": ((1, size, size, 3), (4, size, size, 3), (4, size, size, 3))}
    plan = build_plan(
        Plan(this.model, "tensorrt-rtx", precision, profile, ("sm89",), 1024, feeds), lambda line: None, tmp_path
    )
    rows = {"ssdlite320": 3234, "ssd300-vgg16": 8732, "ssd512-vgg16": 24564}[name]
    assert [(out["name"], out["shape"]) for out in plan.notes["outputs"]] == [
        ("encodings", [None, rows, 4]), ("scores", [None, rows, 91]), ("anchors", [None, rows, 4])
    ]  # fmt: skip
    assert plan.path.stat().st_size > 3e6


def test_the_file_tells_what_it_is(random_weights, tmp_path: Path) -> None:
    weights = random_weights.save(random_weights.network_of("ssdlite320", 2), "ssdlite320", tmp_path)
    shown = random_weights.pictures(1, (320, 320))
    model, told = exported(weights, shown, names=("cat", "dog"))
    assert told.names == ("cat", "dog")
    signature = engines.inspect(model)
    assert signature.metadata == {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "imgsz": "[320, 320]"}
    assert [spec.shape for spec in signature.outputs] == [(None, 3234, 4), (None, 3234, 3), (None, 3234, 4)]
    assert str(ROOT) not in str(model.read_bytes()) and "torchvision/models" not in str(model.read_bytes())
    with pytest.raises(ExportError, match="know 2 classes, 1 names were given"):
        exported(weights, shown, names=("cat",))


def test_weights_of_a_frozen_normalisation_are_taken(random_weights, tmp_path: Path) -> None:
    """Published ones have no count of batches, and lie under "model" in a checkpoint of torchvision's training."""
    import torch

    name = "fasterrcnn-mobilenet-320"
    weights = random_weights.save(random_weights.network_of(name, 90), name, tmp_path)
    state = torch.load(weights, weights_only=True)
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert len(kept) < len(state)
    torch.save({"model": kept, "epoch": 3}, weights)
    assert exported(weights, random_weights.pictures(1, (256, 320)))[1].agreement.boxes > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head"), [("yolo11n", "yolov8"), ("yolo26n", "end2end"), ("yolov10n", "end2end"), ("yolov5nu", "yolov8")]
)
def test_ultralytics_finds_the_same(tmp_path: Path, name: str, head: str) -> None:
    """Random weights whose scores are not all next to nothing; made in a process of its own, as the export is."""
    pytest.importorskip("ultralytics", reason="needs ultralytics: pip install 'tracker[ultralytics]'")
    from tests.engines.random_weights import pictures

    weights = tmp_path / f"{name}.pt"
    quiet = {"YOLO_CONFIG_DIR": str(tmp_path), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    code = f"from tests.engines.random_weights import save_yolo; save_yolo({name!r}, {str(weights)!r})"
    environment = {**os.environ, **quiet, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path, capture_output=True)
    told: list[str] = []
    output = tmp_path / "m.onnx"
    done = export(Request(weights, output, "", 320, (), pictures(3, (320, 256))), told.append)
    assert done.agreement.share >= 0.99 and done.agreement.boxes > 20 and len(done.names) == 80 and done.size == 320
    assert "AGPL-3.0" in " ".join(told) and "is a pickle; loading it runs whatever code is in it" in " ".join(told)
    settings = DetectSettings(model=str(output), runtime="onnxruntime", workers=1, input_size=320)
    detector, _ = open_detector(settings, (320, 180))
    assert detector.identity.head == head and detector.size_hw == (192, 320) and detector.class_names[79] == "79"
