"""Devices that are there, those that are not, and memory that runs out: ONNX Runtime, OpenVINO and TensorRT."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import engines
from engines import EngineInferError, EngineLoadError, EngineOptions, EngineOutOfMemory, EngineUnavailable
from engines import onnxruntime as ours
from engines.base import is_out_of_memory
from engines.openvino import _device
from engines.tensorrt import _memory
from engines.tensorrt_driver import Gpu
from tests.engines.tiny import INPUT, pictures, save_tiny

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class Session:
    """`given`: the providers asked for; `used`: what the session then has."""

    def __init__(self, given: list[Any], used: list[str]) -> None:
        self.given, self.used = given, used

    def get_providers(self) -> list[str]:
        return self.used


def library(offered: list[str], used: list[str], refuse: str = "") -> Any:
    """An onnxruntime with these providers, whose CUDA sessions run on `used`, or fail with `refuse`."""

    def open_it(path: str, settings: Any, providers: list[Any], enable_fallback: int) -> Session:
        assert enable_fallback == 0, "it would print its troubles and go on without CUDA"
        on_cuda = providers != [CPU]
        if on_cuda and refuse:
            raise RuntimeError(refuse)
        return Session(providers, used if on_cuda else [CPU])

    return SimpleNamespace(InferenceSession=open_it, get_available_providers=lambda: offered)


def choose(device: str, ort: Any) -> tuple[Any, str]:
    opened: tuple[Any, str] = ours._open(ort, Path("m.onnx"), None, device)
    return opened


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(index: int = 0) -> Gpu:
        if index > 1:
            raise EngineUnavailable(f"there is no GPU {index}")
        return Gpu(index, "RTX 4090", "sm89", 580)

    monkeypatch.setattr(ours, "find_gpu", find)


@pytest.mark.usefixtures("gpu")
def test_onnx_runtime_tells_where_it_really_runs() -> None:
    ort = library([CUDA, CPU], [CUDA, CPU])
    session, device = choose("cuda:1", ort)
    assert device == "cuda:1" and session.given == [(CUDA, {"device_id": "1"}), CPU]
    assert choose("auto", ort)[1] == "cuda:0" and choose("cpu", ort)[1] == "cpu"
    silent = library([CUDA, CPU], [CPU])  # CUDA's libraries are missing: it takes the CPU and says nothing
    assert choose("auto", silent)[1] == "cpu"
    with pytest.raises(EngineUnavailable, match="cuda:0 is not there for onnxruntime: its CUDA provider does not load"):
        choose("cuda:0", silent)
    failing = library([CUDA, CPU], [], "no kernel image")
    assert choose("auto", failing)[1] == "cpu"
    with pytest.raises(RuntimeError, match="no kernel image"):
        choose("cuda:0", failing)


@pytest.mark.usefixtures("gpu")
def test_onnx_runtime_without_cuda() -> None:
    ort = library([CPU], [CPU])
    assert choose("auto", ort)[1] == "cpu"
    for device, message in (
        ("cuda:0", "pip install onnxruntime-gpu"),
        ("cuda:2", "no GPU 2"),
        ("gpu", "cpu and cuda:N"),
    ):
        with pytest.raises(EngineUnavailable, match=f"device {device} is not there for onnxruntime: .*{message}"):
            choose(device, ort)


@pytest.mark.gpu
def test_onnx_runtime_on_the_gpu(tmp_path: Path) -> None:
    """Where onnxruntime-gpu is installed: it says cuda:0 and gives what the CPU gives."""
    model = save_tiny(tmp_path / "tiny.onnx")
    try:
        engine = engines.load(model, "onnxruntime", EngineOptions(shape={"images": INPUT}, device="cuda:0"))
    except EngineUnavailable as error:
        pytest.skip(str(error))
    reference = engines.load(model, "onnxruntime", EngineOptions(shape={"images": INPUT}, device="cpu"))
    assert (engine.device, reference.device) == ("cuda:0", "cpu")
    for feed in pictures(2):
        assert engine.infer(feed)["boxes"] == pytest.approx(reference.infer(feed)["boxes"], abs=0.5)


@pytest.mark.parametrize(
    ("wanted", "there", "name"),
    [
        ("auto", ["CPU", "GPU"], "CPU"),
        ("gpu", ["CPU", "GPU"], "GPU"),
        ("gpu", ["CPU", "GPU.0", "GPU.1"], "GPU"),
        ("gpu:1", ["CPU", "GPU.0", "GPU.1"], "GPU.1"),
        ("gpu", ["CPU"], None),
        ("gpu:2", ["CPU", "GPU.0", "GPU.1"], None),
        ("cuda:0", ["CPU", "GPU"], None),
    ],
)
def test_devices_of_openvino(wanted: str, there: list[str], name: str | None) -> None:
    core = SimpleNamespace(available_devices=there)
    if name:
        assert _device(core, wanted) == name
        return
    offered = ", ".join(device.lower().replace(".", ":") for device in there)
    with pytest.raises(EngineUnavailable, match=f"openvino has {offered} here, device {wanted} was asked for"):
        _device(core, wanted)


@pytest.mark.parametrize(
    ("text", "ran_out"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("cuMemAlloc_v2 failed: out of memory", True),
        ("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 9", True),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", True),
        ("std::bad_alloc", True),
        ("an illegal memory access was encountered", False),
        ("", False),
    ],
)
def test_memory_that_runs_out_is_known_by_each_librarys_words(text: str, ran_out: bool) -> None:
    assert is_out_of_memory(RuntimeError(text)) is ran_out
    assert is_out_of_memory(MemoryError())


def test_memory_that_runs_out_is_an_error_of_loading_and_of_running() -> None:
    assert issubclass(EngineOutOfMemory, EngineInferError) and issubclass(EngineOutOfMemory, EngineLoadError)
    with pytest.raises(EngineOutOfMemory, match="cuda:0 has no memory left"), _memory("cuda:0"):
        raise EngineInferError("cuMemAlloc_v2 failed: out of memory")
    with pytest.raises(EngineInferError, match="illegal") as caught, _memory("cuda:0"):
        raise EngineInferError("cuStreamSynchronize failed: an illegal memory access was encountered")
    assert not isinstance(caught.value, EngineOutOfMemory)


def test_onnx_runtime_without_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engines.load(
        save_tiny(tmp_path / "tiny.onnx"), "onnxruntime", EngineOptions(shape={"images": INPUT}, device="cpu")
    )

    class Full:
        def run(self, names: list[str], feeds: Any) -> Any:
            raise RuntimeError(
                "RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 1099511627776"
            )

    monkeypatch.setattr(engine, "_session", Full())
    with pytest.raises(EngineOutOfMemory, match=r"cpu has no memory left .*size 1099511627776.*; use a smaller batch"):
        engine.infer({"images": np.zeros(INPUT, np.float32)})
