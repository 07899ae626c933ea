"""The fused graph on real frames, compiled, and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest

import engines
from engines.build import Request, build_plan, runtime_version
from engines.precision import load_onnx, to_fp16
from engines.tensorrt_driver import find_gpu
from tests.detect.fusing import ROOT, STREET6, footage, load, usual_of
from tracker.detect.fused import INPUT, Picture, fuse, open_fused
from tracker.detect.parity import OPENED, measure
from tracker.structures import Frame


def test_real_frames_give_the_same_boxes() -> None:
    usual = usual_of(STREET6, (768, 432), score=OPENED)
    parity = measure(usual, open_fused(usual, (768, 432), load), footage(ROOT / "samples" / "street.mp4", 30, 10))
    assert parity is not None and parity.boxes > 90
    assert (parity.recall, parity.precision) == (1, 1) and parity.mean_iou > 0.995 and parity.worst_drift < 0.02


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize(
    ("name", "step", "size"),
    [
        ("street_1080p", 9, (768, 432)),
        ("street_1080p", 9, (1280, 720)),
        ("street_1080p", 9, (1920, 1080)),
        ("night_square_1080p_3fps", 1, (1920, 1080)),
    ],
)
@pytest.mark.parametrize("model", ["street6", "yolox-nano"])
def test_real_footage_passes_the_gate(
    data: Path, model: str, name: str, step: int, size: tuple[int, int], half: bool, tmp_path: Path
) -> None:
    path = STREET6 if model == "street6" else data / "weights" / "yolox_nano_416x416.onnx"
    clip = data / "videos" / f"{name}.mp4"
    if not path.exists() or not clip.exists():
        pytest.skip(f"{path.name} or {clip.name} is not there")

    def load_half(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> engines.Engine:
        onnx.save(to_fp16(load_onnx(file)), tmp_path / "half.onnx")
        return load(tmp_path / "half.onnx", shapes)

    frames = [Frame(f.index, f.time_s, f.picture.reformat(*size)) for f in footage(clip, step, 14)]
    usual = usual_of(path, size, score=OPENED)
    fused = open_fused(usual, size, load_half if half else load)
    parity = measure(usual, fused, frames)
    assert fused.warnings == [] and parity is not None and parity.boxes > 100
    assert not parity.shortfall("fp16" if half else "fp32")
    assert half or (parity.recall == 1 and parity.mean_iou > 0.995)


@pytest.fixture
def rtx() -> None:
    try:
        runtime_version("tensorrt-rtx")
    except engines.EngineUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("layout", "precision", "batch"), [("i420", "fp32", 1), ("nv12", "fp16", 8), ("bgr", "fp16", 1)]
)
def test_it_is_compiled_without_a_gpu(rtx: None, layout: Any, precision: str, batch: int, tmp_path: Path) -> None:
    """Every size is fixed but the batch, suppression included."""
    usual = usual_of(STREET6, (1280, 720))
    picture = Picture(1280, 720, layout)
    model = tmp_path / "fused.onnx"
    onnx.save(fuse(load_onnx(STREET6), usual, picture), model)
    shapes = {INPUT: ((1, picture.size), (batch, picture.size), (batch, picture.size))}
    plan = build_plan(Request(model, "tensorrt-rtx", precision, shapes, ("sm89",)), lambda line: None, tmp_path / "p")
    side = 1 if batch == 1 else None
    assert plan.notes["inputs"] == [{"name": "planes", "shape": [side, picture.size], "dtype": "uint8"}]
    assert plan.notes["outputs"] == [{"name": "rows", "shape": [side, 1024, 6], "dtype": "float32"}]


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def gpu_runtime(request: pytest.FixtureRequest) -> Iterator[str]:
    try:
        find_gpu()
        runtime_version(request.param)
    except engines.EngineUnavailable as error:
        pytest.skip(str(error))
    yield request.param


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("layout", ["i420", "nv12", "bgr"])
def test_a_gpu_gives_the_same_boxes(gpu_runtime: str, precision: str, layout: Any, tmp_path: Path) -> None:
    usual = usual_of(STREET6, (768, 432), score=OPENED)
    kind = {"i420": "yuv420p", "nv12": "nv12", "bgr": "bgr24"}[layout]
    frames = [
        Frame(frame.index, frame.time_s, frame.picture.reformat(format=kind))
        for frame in footage(ROOT / "samples" / "street.mp4", 30, 10)
    ]

    def compiled(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> engines.Engine:
        from engines.tensorrt_plan import open_model

        options = engines.EngineOptions(shape=shapes, precision=precision)
        return open_model(path, gpu_runtime, options, lambda line: None, tmp_path)

    fused = open_fused(usual, (768, 432), compiled, layout)
    parity = measure(usual, fused, frames)
    assert parity is not None and not parity.shortfall(precision)
    assert fused.engine.device == "cuda:0" and not fused.warnings
    fused.close()
