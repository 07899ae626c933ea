"""The ladder of runtimes: TensorRT, CUDA, OpenVINO, ONNX Runtime. A fixed order, never a measurement.

The same machine always runs the same. What is not installed is no rung of it.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import engines
from engines.build_cache import read_notes
from tracker.errors import RequirementError

PLANS = {".plan": ("tensorrt", "tensorrt-rtx"), ".pt2": ("torch",)}
"""Files that are plans themselves, and the runtimes that load them."""
READERS = {".xml": ("openvino",), ".tflite": ("openvino",)}
"""Files other than .onnx that are no plans, likewise."""
CPU = ("auto", "cpu")
"""Devices that a processor is meant by."""


@dataclass(frozen=True)
class Rung:
    """A runtime and the device that it is asked for: "auto", "cpu", "cuda:N" or Intel's "gpu" and "gpu:N"."""

    runtime: str
    device: str

    @property
    def compiles(self) -> bool:
        """Whether a model is compiled for it first."""
        return self.runtime in engines.RUNTIMES and engines.RUNTIMES[self.runtime].compiles


def rung_of(engine: engines.Engine) -> Rung:
    """The rung that an engine stands on."""
    return Rung(engine.runtime.split()[0], engine.device)


def ladder(path: Path, device: str = "auto") -> list[Rung]:
    """All rungs for this file on this machine, best first.

    Args:
        path: of the model. device: as of `Rung`; leaves the rungs of other devices out. Intel's GPU is a rung
            only where it is asked for.
    """
    there = engines.installed()
    if path.suffix.lower() in PLANS:
        return [Rung(name, device) for name in _made_for(path) if name in there]
    takers = READERS.get(path.suffix.lower(), tuple(engines.RUNTIMES))
    if of_intel(device):
        return [Rung("openvino", device)] if "openvino" in there and "openvino" in takers else []
    rungs = [*(_gpu_rungs(there, device) if device != "cpu" else ()), *(_cpu_rungs(there) if device in CPU else ())]
    return [rung for rung in rungs if rung.runtime in takers]


def of_intel(device: str) -> bool:
    """Whether a device is Intel's GPU, which OpenVINO alone runs on."""
    return device.partition(":")[0] == "gpu"


def _gpu_rungs(there: list[str], device: str) -> list[Rung]:
    """Those of an NVIDIA GPU; none of the libraries is touched where there is no driver."""
    device = "cuda:0" if device == "auto" else device
    if not engines.has_gpu(int(device.partition(":")[2])):
        return []
    able = {"onnxruntime": _onnxruntime_has_cuda, "torch": _torch_has_cuda}
    order = ("tensorrt", "tensorrt-rtx", "onnxruntime", "torch")
    return [Rung(name, device) for name in order if name in there and able.get(name, lambda: True)()]


def _cpu_rungs(there: list[str]) -> list[Rung]:
    """Those of the processor: OpenVINO is at home on x86-64."""
    order = ("openvino", "onnxruntime")
    if platform.machine().lower() not in ("x86_64", "amd64"):
        order = order[::-1]
    return [Rung(name, "cpu") for name in order if name in there]


def _onnxruntime_has_cuda() -> bool:
    """Whether the ONNX Runtime that is installed was built for CUDA."""
    try:
        import onnxruntime
    except ImportError:
        return False
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _torch_has_cuda() -> bool:
    """Whether the torch that is installed was built for CUDA."""
    try:
        torch: Any = import_module("torch")
    except ImportError:
        return False
    return bool(torch.version.cuda)


def _made_for(plan: Path) -> tuple[str, ...]:
    """The runtime that a plan's notes name; of one without notes all that load such files."""
    takers = PLANS[plan.suffix.lower()]
    try:
        named = read_notes(plan)["ingredients"]["runtime"]
    except (ValueError, KeyError, TypeError):
        return takers
    return (named,) if named in takers else takers


def below(rung: Rung, path: Path, device: str = "auto") -> list[Rung]:
    """The rungs after this one; of one that is not on the ladder those of the processor. Arguments as of `ladder`."""
    rungs = ladder(path, device)
    if rung in rungs:
        return rungs[rungs.index(rung) + 1 :]
    return [other for other in rungs if other.device == "cpu" and other.runtime != rung.runtime]


def first_rungs(path: Path, runtime: str, device: str, require: str | None) -> list[Rung]:
    """The rungs to try for a run, in order: the ladder for "auto", else the one asked for.

    Raises:
        RequirementError: there is none; says what is missing.
    """
    if require or runtime != "auto":
        return [Rung(require or runtime, device)]
    rungs = ladder(path, device)
    if rungs:
        return rungs
    takers = {**PLANS, **READERS}.get(path.suffix.lower(), ("onnxruntime", "openvino"))
    if engines.RUNTIMES[takers[0]].gpu and not engines.has_gpu():
        raise RequirementError(f"plan {path} runs on an NVIDIA GPU: {engines.why_no_gpu()}")
    if of_intel(device):
        reason = (
            f"no runtime for {path.suffix} files runs on it"
            if "openvino" in engines.installed()
            else ("it needs openvino; pip install openvino")
        )
        raise RequirementError(f"device {device} is asked for: {reason}")
    if device not in CPU:
        reason = engines.why_no_gpu(int(device.partition(":")[2])) or f"no runtime for {path.suffix} files runs on it"
        raise RequirementError(f"device {device} is asked for: {reason}")
    extra = takers[0] if takers[0] in ("onnxruntime", "openvino") else f"'tracker[{takers[0]}]'"
    raise RequirementError(f"no runtime for {path.suffix} files is installed; pip install {extra}")
