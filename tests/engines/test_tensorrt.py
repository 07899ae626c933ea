"""The TensorRT runtime against a stand-in for the library and the driver: what is asked for, copied and given back."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines import (
    EngineInferError,
    EngineLoadError,
    EngineOptions,
    EngineUnavailable,
    TensorSpec,
    build,
    tensorrt,
    tensorrt_plan,
)
from engines.build_cache import publish
from engines.tensorrt_driver import Gpu
from tests.engines.tiny import INPUT, save_tiny


class Driver:
    """Memory of the GPU is memory of the host."""

    def __init__(self, index: int) -> None:
        self.held: dict[int, Any] = {}
        self.closed = 0

    def enter(self) -> None: ...

    def wait(self, stream: int) -> None: ...

    def stream(self) -> int:
        return 1

    def device_memory(self, size: int) -> int:
        buffer = ctypes.create_string_buffer(max(1, size))
        self.held[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    pinned_memory = device_memory

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        ctypes.memmove(device, host, size)

    def download(self, host: int, device: int, size: int, stream: int) -> None:
        ctypes.memmove(host, device, size)

    def free(self, stream: int, device: list[int], pinned: list[int]) -> None:
        for address in (*device, *pinned):
            del self.held[address]

    def close(self) -> None:
        assert not self.held
        self.closed += 1


class Context:
    """Doubles x (n, 2) float32 with n up to 4."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0, 0)
        self.at: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = tuple(shape)
        return shape[0] <= 4

    def set_tensor_address(self, name: str, address: int) -> None:
        self.at[name] = address

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shape

    def execute_async_v3(self, stream: int) -> bool:
        count = int(np.prod(self.shape))
        x, y = (np.ctypeslib.as_array((ctypes.c_float * count).from_address(self.at[name])) for name in "xy")
        y[:] = 2 * x
        return True


class Compiled:
    num_io_tensors = 2

    def get_tensor_name(self, place: int) -> str:
        return "xy"[place]

    def get_tensor_mode(self, name: str) -> str:
        return "INPUT" if name == "x" else "OUTPUT"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 2)

    def get_tensor_dtype(self, name: str) -> type[np.float32]:
        return np.float32

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return [(1, 2), (4, 2), (4, 2)]

    def create_execution_context(self) -> Context:
        return Context()


class Logger:
    INTERNAL_ERROR = 0

    def __init__(self, level: int) -> None: ...


class Runtime:
    def __init__(self, logger: Logger) -> None: ...

    def deserialize_cuda_engine(self, content: bytes) -> Compiled | None:
        return Compiled() if content == b"plan" else None


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> list[Driver]:
    made: list[Driver] = []
    library = SimpleNamespace(
        __version__="10.9", Logger=Logger, Runtime=Runtime, TensorIOMode=SimpleNamespace(INPUT="INPUT"),
        nptype=lambda kind: kind,
    )  # fmt: skip
    monkeypatch.setattr(tensorrt, "find_gpu", lambda index: Gpu(index, "RTX 4090", "sm89", 580))
    monkeypatch.setattr(tensorrt, "import_library", lambda runtime: library)
    monkeypatch.setattr(tensorrt, "Cuda", lambda index: made.append(Driver(index)) or made[-1])
    return made


def load(path: Path, content: bytes = b"plan", **options: Any) -> tensorrt.TensorRtEngine:
    path.write_bytes(content)
    return tensorrt.TensorRtEngine(path, EngineOptions(shape={}, **options))


def test_it_runs_and_gives_everything_back(drivers: list[Driver], tmp_path: Path) -> None:
    engine = load(tmp_path / "m.plan", streams=2, device="cuda:1")
    assert (engine.runtime, engine.device, engine.precision) == ("tensorrt 10.9", "cuda:1", "as built")
    assert engine.inputs == (TensorSpec("x", (None, 2), np.dtype(np.float32)),)
    first = engine.infer({"x": np.array([[1, 2]], np.float32)})["y"]
    second = engine.infer({"x": np.arange(6, dtype=np.float32).reshape(3, 2)})["y"]
    assert first.tolist() == [[2, 4]] and second.tolist() == [[0, 2], [4, 6], [8, 10]]
    with pytest.raises(EngineInferError, match=r"\(5, 2\) is outside what the plan was built for, \(4, 2\) at most"):
        engine.infer({"x": np.zeros((5, 2), np.float32)})
    with pytest.raises(EngineInferError, match="float32"):
        engine.infer({"x": np.zeros((1, 2))})
    engine.close()
    engine.close()
    assert drivers[0].closed == 1


def test_a_plan_of_another_gpu_is_refused(drivers: list[Driver], tmp_path: Path) -> None:
    with pytest.raises(EngineLoadError, match=r"RTX 4090 \(sm89\) refused .*another GPU or version"):
        load(tmp_path / "m.plan", b"other")
    assert drivers[0].closed == 1
    for device in ("cpu", "cuda:x"):
        with pytest.raises(EngineUnavailable, match="say cuda:0"):
            load(tmp_path / "m.plan", device=device)


def test_the_notes_beside_a_plan_are_heeded(drivers: list[Driver], tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"plan")
    plan = tmp_path / "m.plan"
    publish({".plan": made}, plan, {"ingredients": {"runtime": "tensorrt", "precision": "int8"}})
    engine = tensorrt.TensorRtEngine(plan, EngineOptions(shape={}))
    assert engine.precision == "int8+fp32"
    engine.close()
    with pytest.raises(EngineUnavailable, match=r"is int8\+fp32, precision fp16 was asked for"):
        tensorrt.TensorRtEngine(plan, EngineOptions(shape={}, precision="fp16"))
    with pytest.raises(EngineLoadError, match="built for tensorrt, not for tensorrt-rtx"):
        tensorrt.TensorRtEngine(plan, EngineOptions(shape={}), "tensorrt-rtx")
    with pytest.raises(EngineLoadError, match=r"cut short or changed \(3 of 4 bytes\)"):
        load(plan, b"pla")


def test_without_a_driver_the_library_is_not_touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nothing(index: int) -> Gpu:
        raise EngineUnavailable("no NVIDIA driver here")

    monkeypatch.setattr(tensorrt, "find_gpu", nothing)
    monkeypatch.setattr(tensorrt, "import_library", lambda runtime: pytest.fail("touched"))
    with pytest.raises(EngineUnavailable, match="no NVIDIA driver"):
        load(tmp_path / "m.plan")


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tensorrt.MODULES, "tensorrt-rtx", "no_such_library")
    with pytest.raises(EngineUnavailable, match=r"pip install 'tracker\[tensorrt-rtx\]'"):
        tensorrt.import_library("tensorrt-rtx")


def test_a_model_is_compiled_and_a_plan_that_does_not_load_is_built_again(
    drivers: list[Driver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = [b"of another GPU", b"plan"]

    def compile_it(request: build.Request, job: Path, say: Any) -> dict[str, Any]:
        (job / "model.plan").write_bytes(content.pop(0))
        return {"inputs": [], "outputs": []}

    monkeypatch.setattr(build, "_compile", compile_it)
    monkeypatch.setattr(build.metadata, "version", lambda package: "10.9")
    for module in (build, tensorrt_plan):
        monkeypatch.setattr(module, "find_gpu", lambda: Gpu(0, "RTX 4090", "sm89", 580))
    model, told = save_tiny(tmp_path / "tiny.onnx"), list[str]()

    def open_it(**options: Any) -> tensorrt.TensorRtEngine:
        wanted = EngineOptions(shape={"images": INPUT}, **options)
        return tensorrt_plan.open_model(model, "tensorrt", wanted, told.append, tmp_path / "plans")

    with pytest.raises(EngineLoadError, match="another GPU or version"):
        open_it()  # fresh from the compiler: to build it again would not help
    engine = open_it()
    assert engine.precision == "fp16" and not content
    assert sum("does not load" in line and line.endswith("building it again") for line in told) == 1
    engine.close()
    open_it().close()
    for options in ({"precision": "bf16"}, {"device": "cuda:1"}):
        with pytest.raises(EngineUnavailable, match="was asked for"):
            open_it(**options)
