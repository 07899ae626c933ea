"""The fused graph against the usual way: same input to the network, same boxes, whatever comes in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from av.video.reformatter import ColorRange, Colorspace

import engines
from engines.precision import load_onnx
from tests.detect.fusing import SIZE, STREET6, load, outputs_of, picture_of, usual_of
from tests.detect.graphs import COUNT, save
from tracker.config import make_settings, parse_assignments
from tracker.detect.card import InputCard
from tracker.detect.fused import FusedDetector, Picture, copy_planes, fuse, fused_where_wanted, open_fused
from tracker.detect.fused_front import add_front
from tracker.detect.letterbox import Letterbox
from tracker.detect.onnx_nodes import Nodes
from tracker.errors import ConfigError, ModelError, RequirementError
from tracker.structures import Detections, Frame


def same(found: Detections, wanted: Detections) -> None:
    assert len(found) == len(wanted) and found.class_ids.tolist() == wanted.class_ids.tolist()
    assert found.boxes == pytest.approx(wanted.boxes, abs=1e-2) and found.scores == pytest.approx(wanted.scores)


@pytest.mark.parametrize("anchor", ["top-left", "center"])
@pytest.mark.parametrize("size", [(768, 432), (1920, 1080), (35, 29), (500, 64)])
@pytest.mark.parametrize("kind", ["yuv420p", "yuvj420p", "nv12", "yuv444p"])
def test_the_network_sees_what_it_sees_otherwise(kind: str, size: tuple[int, int], anchor: str) -> None:
    """Larger, smaller, to less than half, odd sizes; planes, pairs and whatever must become BGR first."""
    box, look = (
        Letterbox.fit(size, (416, 256), anchor),
        InputCard(scale=0.5, color="bgr" if anchor == "center" else "rgb"),
    )
    layout = {"nv12": "nv12", "yuv444p": "bgr"}.get(kind, "i420")
    picture, make, value = Picture(*size, layout), Nodes("front", 17), onnx.helper.make_tensor_value_info  # type: ignore[arg-type]
    out = add_front(make, "planes", picture, box, look, scaled=True)
    graph = onnx.helper.make_graph(
        make.nodes, "front", [value("planes", 2, ("n", picture.size))], [value(out, 1, ("n", 3, 256, 416))], make.held
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    frames = [Frame(k, 0.0, picture_of(kind, size, k)) for k in range(2)]
    frames[1].picture.colorspace = Colorspace.ITU709  # colours are the picture's own, not the plan's
    if kind == "nv12":
        frames[0].picture.color_range = ColorRange.JPEG
    rows = np.empty((2, picture.size), np.uint8)
    for row, frame in zip(rows, frames, strict=True):
        copy_planes(frame, picture, row)
    for found, frame in zip(session.run(None, {"planes": rows})[0], frames, strict=True):
        wanted = box.apply(frame, look.color, look.pad).transpose(2, 0, 1) * np.float32(0.5)
        off = np.abs(found - wanted) * 2
        assert off.max() <= 3 and off.mean() < 0.002, "levels of grey: a rounding here and there"


@pytest.mark.parametrize(
    "head", ["cells", "yolox", "yolox_decoded", "yolov5", "yolov6", "yolov8", "yolo_nas", "end2end"]
)
@pytest.mark.parametrize("settings", [{}, {"score": 0.02, "iou": 0.3}, {"classes": ("class_1",)}], ids=str)
def test_every_head_gives_the_boxes_that_it_gives_otherwise(
    head: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    usual = usual_of(save(tmp_path / "m.onnx", outputs_of(head)), **settings)
    assert usual.identity.head == head
    frame = Frame(0, 0.0, picture_of("yuv420p", SIZE))
    fused = open_fused(usual, SIZE, load)
    (wanted,), (found,) = usual.detect([frame]), fused.detect([frame])
    assert len(wanted) > 3
    same(found, wanted)
    assert fused.warnings == [] and fused.size_hw == usual.size_hw and fused.class_names == usual.class_names


@pytest.mark.parametrize("length", [2, 3, 7, 8, 9, 20])
def test_chains_of_any_length_fall_as_one_by_one(length: int, tmp_path: Path) -> None:
    """Each box pushes out the next, so every other one stays; the graph alone settles the first eight."""
    output = np.zeros((1, 5, COUNT))
    output[0, :4, :length] = [[10 + 3 * k for k in range(length)], [30] * length, [10] * length, [10] * length]
    output[0, 4, :length] = np.linspace(0.9, 0.5, length)
    usual = usual_of(save(tmp_path / "m.onnx", {"o": output}), iou=0.5)
    frame = Frame(0, 0.0, picture_of("yuv420p", SIZE))
    (wanted,), (found,) = usual.detect([frame]), open_fused(usual, SIZE, load).detect([frame])
    assert len(wanted) == (length + 1) // 2
    same(found, wanted)


def test_frames_that_do_not_fit_go_the_usual_way(tmp_path: Path) -> None:
    usual = usual_of(STREET6, (192, 128), input_size=192)
    seen: list[tuple[str, float]] = []
    usual.observe = lambda stage, seconds: seen.append((stage, seconds))
    fused = open_fused(usual, (192, 128), load)
    kinds = [("yuv420p", (192, 128)), ("yuv444p", (192, 128)), ("yuv420p", (128, 192)), ("yuvj420p", (192, 128))]
    frames = [Frame(k, 0.0, picture_of(*kind, k)) for k, kind in enumerate(kinds)]
    for found, wanted in zip(fused.detect(frames), usual.detect(frames), strict=True):
        same(found, wanted)
    assert fused.warnings == [
        "2 frames were not 192x128 i420, for which letterbox and suppression are in the graph; resized here"
    ]
    assert {stage for stage, _ in seen} == {"preprocess", "infer", "postprocess"}
    assert fused.detect([]) == []
    fused.close()


def test_what_goes_up_is_the_planes_and_nothing_else(tmp_path: Path) -> None:
    fused = open_fused(usual_of(save(tmp_path / "m.onnx", outputs_of("yolov8"))), SIZE, load)
    (spec,) = fused.engine.inputs
    assert spec.dtype == np.uint8 and spec.shape == (1, 160 * 120 * 3 // 2 + 1)
    (rows,) = fused.engine.outputs
    assert rows.shape == (1, COUNT, 6)


def test_floods_are_told(tmp_path: Path) -> None:
    output = np.zeros((1, 5, COUNT))
    output[0, :4], output[0, 4] = [[40], [30], [10], [10]], 0.9
    fused = open_fused(usual_of(save(tmp_path / "m.onnx", {"o": output}), max_candidates=100), SIZE, load)
    assert len(fused.detect([Frame(0, 0.0, picture_of("yuv420p", SIZE))])[0]) == 1
    assert fused.warnings == ["in 1 frame more than 100 boxes reached the score; the weakest were left out"]


def test_when_it_is_fused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save(tmp_path / "m.onnx", outputs_of("yolov8"))

    def refuse(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> engines.Engine:
        raise engines.EngineLoadError("no such operator")

    for choice, size in (("off", SIZE), ("auto", SIZE), ("auto", None)):
        usual = usual_of(model, size, fused=choice)
        assert fused_where_wanted(usual, size, load) == (usual, [])
    fused, notices = fused_where_wanted(usual_of(model, fused="on"), SIZE, load)
    assert isinstance(fused, FusedDetector) and notices == []
    with pytest.raises(ModelError, match=r"no such operator; leave detect\.fused at auto"):
        fused_where_wanted(usual_of(model, fused="on"), SIZE, refuse)
    with pytest.raises(ModelError, match="of many sizes"):
        fused_where_wanted(usual_of(model, fused="on"), None, load)
    usual = usual_of(model)
    monkeypatch.setattr(usual.engine, "device", "cuda:0")
    assert isinstance(fused_where_wanted(usual, SIZE, load)[0], FusedDetector)
    assert fused_where_wanted(usual, SIZE, refuse) == (
        usual, ["letterbox and suppression stay on the host: no such operator"]
    )  # fmt: skip


@pytest.mark.parametrize(("written", "meant"), [("on", "on"), ("off", "off"), ("auto", "auto"), ("'off'", "off")])
def test_on_and_off_are_meant_as_written(written: str, meant: str, tmp_path: Path) -> None:
    """YAML takes them for true and false."""
    file = tmp_path / "c.yaml"
    file.write_text(f"detect: {{fused: {written}}}\n")
    assert make_settings(file, {}).detect.fused == meant
    assert make_settings(None, parse_assignments((f"detect.fused={written}",))).detect.fused == meant
    with pytest.raises(ConfigError, match=r"'detect\.fused': input should be 'auto', 'on' or 'off', got 1"):
        make_settings(None, {"detect.fused": 1})


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = usual_of(save(tmp_path / "m.onnx", outputs_of("yolov8")), fused="on")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(RequirementError, match=r"pip install 'tracker\[build\]'"):
        fused_where_wanted(usual, SIZE, load)


def test_what_cannot_be_fused_says_so(tmp_path: Path) -> None:
    usual = usual_of(save(tmp_path / "m.onnx", outputs_of("yolov8")))
    model = load_onnx(usual.identity.path)
    model.opset_import[0].version = 10
    with pytest.raises(ModelError, match=r"model m \(opset 10, head 'yolov8'\) is not fused; wanted are opset 11"):
        fuse(model, usual, Picture(*SIZE))


def test_the_same_model_makes_the_same_file(tmp_path: Path) -> None:
    """The plan cache goes by the file's bytes: another start must not compile again."""
    usual = usual_of(STREET6, (768, 432))
    made = [fuse(load_onnx(STREET6), usual, Picture(768, 432)).SerializeToString(deterministic=True) for _ in range(2)]
    assert made[0] == made[1]
