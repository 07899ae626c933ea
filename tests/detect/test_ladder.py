"""Which runtimes are tried, in what order, and what is told of those that do not work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engines import EngineLoadError, EngineOutOfMemory, EngineUnavailable
from tests.detect.gpus import ALL, Fakes, Gpu, fakes, frames, machine, marks, model, opener, raising
from tracker.config import DetectSettings, make_settings
from tracker.detect import open_detector, open_relay
from tracker.detect.ladder import Rung, below, ladder
from tracker.errors import ConfigError, RequirementError, TrackerError

__all__ = ["fakes", "machine", "model"]  # fixtures
CPU_RUNGS = [Rung("openvino", "cpu"), Rung("onnxruntime", "cpu")]
ONNX = Path("m.onnx")


def test_the_order_is_fixed(machine: Callable[..., None]) -> None:
    machine(*ALL)
    gpu_rungs = [Rung(name, "cuda:0") for name in ("tensorrt", "tensorrt-rtx", "onnxruntime", "torch")]
    assert ladder(ONNX) == [*gpu_rungs, *CPU_RUNGS]
    assert ladder(ONNX, "cpu") == CPU_RUNGS
    assert ladder(ONNX, "cuda:0") == gpu_rungs and ladder(ONNX, "cuda:1") == []
    assert ladder(Path("m.xml")) == CPU_RUNGS[:1]
    assert below(gpu_rungs[0], ONNX) == [*gpu_rungs[1:], *CPU_RUNGS]
    assert below(Rung("torch", "cpu"), ONNX) == CPU_RUNGS
    assert below(CPU_RUNGS[0], ONNX) == CPU_RUNGS[1:]
    machine(*ALL, cuda=False)
    assert ladder(ONNX) == [Rung("tensorrt", "cuda:0"), Rung("tensorrt-rtx", "cuda:0"), *CPU_RUNGS]
    machine("openvino", "onnxruntime", "torch", gpus=0)
    assert ladder(ONNX) == CPU_RUNGS


def test_intels_gpu_is_taken_where_it_is_asked_for(machine: Callable[..., None], model: Path, fakes: Fakes) -> None:
    """OpenVINO alone runs there."""
    machine(*ALL)
    assert not any(rung.device == "gpu" for rung in ladder(ONNX))
    for device in ("gpu", "gpu:1"):
        assert ladder(ONNX, device) == ladder(Path("m.tflite"), device) == [Rung("openvino", device)]
        assert DetectSettings(device=device).device == device and below(Rung("openvino", device), ONNX, device) == []
    fakes.content = {"openvino": lambda say: Gpu("openvino", 0, device="gpu:1")}
    settings = DetectSettings(model=str(model), device="gpu:1", workers=1)
    assert open_detector(settings, (96, 64))[0].engine.device == "gpu:1" and fakes.asked == [("openvino", "gpu:1")]
    machine("onnxruntime")
    with pytest.raises(RequirementError, match="device gpu is asked for: it needs openvino; pip install openvino"):
        open_detector(DetectSettings(model=str(model), device="gpu"), (96, 64))
    for wrong in ("gpu:", "gpu0", "cuda", "GPU"):
        with pytest.raises(ConfigError, match=r"'detect\.device'"):
            make_settings(None, {"detect.device": wrong})


def test_each_rung_that_fails_is_told_once(fakes: Fakes, model: Path) -> None:
    fakes.content = {
        "tensorrt": raising(EngineUnavailable("built for another driver")),
        "tensorrt-rtx": raising(EngineLoadError("no such operator")),
        "onnxruntime": raising(EngineOutOfMemory("no memory for a context")),
        "torch": lambda say: Gpu("torch", 3),
    }
    opened = opener(model)
    assert opened.first().engine.runtime == "torch 1.0"
    assert opened.notices == [
        "tensorrt is not available: built for another driver",
        "tensorrt-rtx refused the model: no such operator",
        "onnxruntime has no memory for the model: no memory for a context",
    ]
    assert fakes.asked == [(name, "cuda:0") for name in ("tensorrt", "tensorrt-rtx", "onnxruntime", "torch")]


def test_a_run_steps_down_the_ladder_when_memory_ends(fakes: Fakes, model: Path) -> None:
    full = Gpu("tensorrt", 0)
    fakes.content = {
        "tensorrt": lambda say: full,
        "tensorrt-rtx": raising(EngineUnavailable("cannot be imported")),
        "onnxruntime": lambda say: Gpu("onnxruntime", 1),
    }
    said = list[str]()
    relay = open_relay(opener(model, say=said.append), say=said.append)
    assert marks(relay.detect(frames(0))) == [0]
    full.room = 0
    assert marks(relay.detect(frames(1))) == [1]
    assert said[0] == "notice: tensorrt-rtx is not available: cannot be imported" and len(said) == 2


def test_a_required_runtime_is_not_left(fakes: Fakes, model: Path) -> None:
    full = Gpu("tensorrt", 0)
    fakes.content = {"tensorrt": lambda say: full}
    relay = open_relay(opener(model, require="tensorrt"))
    full.room = 0
    with pytest.raises(TrackerError, match="this runtime is required"):
        relay.detect(frames(0))
