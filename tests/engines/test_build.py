"""Real builds: every model at hand compiled by TensorRT for RTX, which needs no GPU for it, and by OpenVINO."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest

import engines
from engines import EngineLoadError, EngineOptions, EngineUnavailable
from engines.build import Request, build_plan, runtime_version
from engines.build_graph import prepare
from engines.precision import convert, load_onnx
from engines.tensorrt_driver import find_gpu
from tests.engines.tiny import INPUT, pictures, save_tiny
from tracker.boxes import iou_matrix
from tracker.capture import open_source
from tracker.cli.engine_frames import feeds_of
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector
from tracker.detect.rendered import rendered_frames
from tracker.structures import Frame

ROOT = Path(__file__).parent.parent.parent
STREET6 = ROOT / "engines" / "zoo" / "street6.onnx"
PRECISIONS = ("fp32", "fp16", "int8")


def installed(runtime: str) -> None:
    try:
        runtime_version(runtime)
    except EngineUnavailable as error:
        pytest.skip(str(error))


def detector_of(model: Path) -> EngineDetector:
    return open_detector(DetectSettings(model=str(model), runtime="onnxruntime", workers=1, score=0.3), None)[0]


@pytest.fixture(params=["street6", "yolox-nano"], scope="module")
def model(request: pytest.FixtureRequest) -> Path:
    if request.param == "street6":
        return STREET6
    path: Path = request.getfixturevalue("data") / "weights" / "yolox_nano_416x416.onnx"
    return path if path.exists() else pytest.skip("yolox_nano_416x416.onnx is not there")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_detector_is_compiled_without_a_gpu(model: Path, precision: str, tmp_path: Path) -> None:
    """With a batch of 1 to 8, for one kind of GPU; the plan's inputs and outputs are the model's."""
    installed("tensorrt-rtx")
    detector = detector_of(model)
    spec = detector.engine.inputs[0]
    shape = tuple(side or 1 for side in spec.shape)
    feeds = feeds_of(detector, islice(rendered_frames(), 4)) if precision == "int8" else []
    profile = {spec.name: (shape, (8, *shape[1:]), (8, *shape[1:]))}
    told: list[str] = []
    plan = build_plan(Request(model, "tensorrt-rtx", precision, profile, ("sm89",), 256, feeds), told.append, tmp_path)
    assert plan.built and 2e6 < plan.path.stat().st_size < 40e6 and told
    (given,) = plan.notes["inputs"]
    assert given == {"name": spec.name, "shape": [None, *shape[1:]], "dtype": spec.dtype.name}
    wanted = [(out.name, list(out.shape[2:]), "float32") for out in detector.engine.outputs]
    assert [(out["name"], out["shape"][2:], out["dtype"]) for out in plan.notes["outputs"]] == [
        (name, [side or found for side, found in zip(sides, out["shape"][2:], strict=True)], kind)
        for (name, sides, kind), out in zip(wanted, plan.notes["outputs"], strict=True)
    ]
    detector.close()


def test_all_kinds_of_gpu_in_one_plan(tmp_path: Path) -> None:
    installed("tensorrt-rtx")
    shapes = {"images": (INPUT, INPUT, INPUT)}
    request = Request(
        save_tiny(tmp_path / "tiny.onnx"), "tensorrt-rtx", "fp16", shapes, ("sm75", "sm80", "sm86", "sm89", "sm120")
    )
    plan = build_plan(request, lambda line: None, tmp_path / "plans")
    assert (
        plan.notes["ingredients"]["target"] == "sm75+sm80+sm86+sm89+sm120" and plan.notes["inputs"][0]["shape"][0] == 1
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_openvino_runs_what_was_built(tmp_path: Path, precision: str) -> None:
    installed("openvino")
    model = save_tiny(tmp_path / "tiny.onnx")
    request = Request(model, "openvino", precision, {"images": (INPUT, INPUT, INPUT)}, feeds=pictures(4))
    plan = build_plan(request, lambda line: None, tmp_path / "plans")
    assert sorted(plan.notes["files"]) == [".bin", ".xml"]
    engine = engines.load(plan.path, "openvino", EngineOptions(shape={}, precision="fp32"))
    reference = engines.load(model, "onnxruntime", EngineOptions(shape={}))
    assert engine.precision == ("int8+fp32" if precision == "int8" else "fp32")
    for feed in pictures(2, seed=9):
        assert engine.infer(feed)["boxes"] == pytest.approx(reference.infer(feed)["boxes"], abs=8)


def test_what_the_compiler_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    """The reason comes out of the child process."""
    installed("tensorrt-rtx")
    shape = (1, 4)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Unheard", ["x"], ["y"], domain="of.nobody")], "g",
        [value("x", 1, shape)], [value("y", 1, shape)],
    )  # fmt: skip
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("of.nobody", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "odd.onnx")
    request = Request(tmp_path / "odd.onnx", "tensorrt-rtx", "fp32", {"x": (shape, shape, shape)}, ("sm89",))
    with pytest.raises(EngineLoadError, match=r"tensorrt-rtx cannot compile .*odd\.onnx: .*Unheard") as caught:
        build_plan(request, lambda line: None, tmp_path / "plans")
    assert "\n" not in str(caught.value) and not list((tmp_path / "plans").iterdir())


def frames_of_the_sample() -> list[Frame]:
    """Twelve frames, half a second apart."""
    source = open_source(str(ROOT / "samples" / "street.mp4"))
    try:
        return list(islice(source, 0, 180, 15))
    finally:
        source.close()


@pytest.mark.parametrize(
    ("precision", "recall", "overlap", "drift"), [("fp16", 0.99, 0.98, 0.01), ("int8", 0.8, 0.9, 0.06)]
)
def test_boxes_of_the_converted_model(
    tmp_path: Path, precision: str, recall: float, overlap: float, drift: float
) -> None:
    """Boxes in FP16 against those in FP32: the gate of the project. INT8 is looser, by choice of the user."""
    before = detector_of(STREET6)
    spec = before.engine.inputs[0]
    shape = tuple(side or 1 for side in spec.shape)
    feeds = feeds_of(before, islice(rendered_frames(), 8)) if precision == "int8" else []
    graph = prepare(load_onnx(STREET6), {spec.name: (shape, shape, shape)})
    onnx.save(convert(graph, precision, feeds, tmp_path), tmp_path / "m.onnx")
    card = [line for line in STREET6.with_suffix(".yaml").read_text().splitlines() if not line.startswith("sha256")]
    (tmp_path / "m.yaml").write_text("\n".join(card))
    after = detector_of(tmp_path / "m.onnx")
    hits, total, overlaps, drifts = 0, 0, [], []
    for frame in frames_of_the_sample():
        want, got = before.detect([frame])[0], after.detect([frame])[0]
        total += len(want)
        if not len(want) or not len(got):
            continue
        iou = iou_matrix(want.boxes, got.boxes) * (want.class_ids[:, None] == got.class_ids[None])
        best, found = iou.argmax(1), iou.max(1) >= 0.5
        hits += int(found.sum())
        overlaps += iou.max(1)[found].tolist()
        drifts += np.abs(want.scores - got.scores[best])[found].tolist()
    assert total >= 20
    assert hits / total >= recall and np.mean(overlaps) >= overlap and np.mean(drifts) <= drift


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_plan_runs_on_the_gpu(tmp_path: Path, runtime: str, precision: str) -> None:
    try:
        find_gpu()
    except EngineUnavailable as error:
        pytest.skip(str(error))
    installed(runtime)
    from engines.tensorrt import TensorRtEngine

    model = save_tiny(tmp_path / "tiny.onnx")
    largest = (4, *INPUT[1:])
    request = Request(model, runtime, precision, {"images": (INPUT, largest, largest)})
    plan = build_plan(request, lambda line: None, tmp_path / "plans")
    engine = TensorRtEngine(plan.path, EngineOptions(shape={}, streams=2), runtime)
    reference = engines.load(model, "onnxruntime", EngineOptions(shape={}))
    feeds = pictures(3)
    wanted = np.concatenate([reference.infer(feed)["boxes"] for feed in feeds])
    got = engine.infer({"images": np.concatenate([feed["images"] for feed in feeds])})["boxes"]
    assert got == pytest.approx(wanted, abs=1.0) and engine.precision == precision and engine.device == "cuda:0"
    engine.close()
    engine.close()
