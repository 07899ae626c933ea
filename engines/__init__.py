"""Inference engines: arrays in, arrays out. Nothing here knows frames or boxes, or imports anything of `tracker`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from engines.base import (
    Array,
    Engine,
    EngineError,
    EngineInferError,
    EngineLoadError,
    EngineOptions,
    EngineOutOfMemory,
    EngineStopped,
    EngineUnavailable,
    TensorSpec,
)
from engines.build_cache import Plan
from engines.inspect import ModelSignature, inspect

__all__ = [
    "RUNTIMES",
    "Array",
    "Engine",
    "EngineError",
    "EngineInferError",
    "EngineLoadError",
    "EngineOptions",
    "EngineOutOfMemory",
    "EngineStopped",
    "EngineUnavailable",
    "ModelSignature",
    "Plan",
    "Runtime",
    "TensorSpec",
    "has_gpu",
    "inspect",
    "installed",
    "load",
    "load_plan",
    "why_no_gpu",
]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Runtime:
    """How a runtime is reached.

    Attributes:
        library: module that must be installed. module: of this package. opener: class that loads a file, in `module`;
            empty: the runtime compiles, and `module` has `open_model` and `open_plan`.
        gpu: True if nothing of it may be touched without an NVIDIA driver.
    """

    library: str
    module: str
    opener: str = ""
    gpu: bool = False

    @property
    def compiles(self) -> bool:
        """Whether a model is compiled to a plan first, which takes its time and is kept."""
        return not self.opener


RUNTIMES = {
    "tensorrt": Runtime("tensorrt", "tensorrt_plan", gpu=True),
    "tensorrt-rtx": Runtime("tensorrt_rtx", "tensorrt_plan", gpu=True),
    "torch": Runtime("torch", "torch_plan"),
    "openvino": Runtime("openvino", "openvino", "OpenVinoEngine"),
    "onnxruntime": Runtime("onnxruntime", "onnxruntime", "OnnxRuntimeEngine"),
}
"""All runtimes, by the names that users give them."""


def installed() -> list[str]:
    """Names of the runtimes whose library is there, and the NVIDIA driver where they need it."""
    return [
        name
        for name, runtime in RUNTIMES.items()
        if find_spec(runtime.library) is not None and (not runtime.gpu or has_gpu())
    ]


def has_gpu(index: int = 0) -> bool:
    """Whether there is an NVIDIA GPU of this number, with a driver that works."""
    return not why_no_gpu(index)


def why_no_gpu(index: int = 0) -> str:
    """What is missing for an NVIDIA GPU of this number; empty: nothing."""
    from engines.tensorrt_driver import find_gpu

    try:
        find_gpu(index)
    except EngineUnavailable as error:
        return str(error)
    return ""


def load(
    model: Path, runtime: str, options: EngineOptions, say: Say = lambda line: None, folder: Path | None = None
) -> Engine:
    """Load `model` with one runtime; its library is imported here and not before.

    Args:
        model: the file; one of the compiled runtimes takes an .onnx, which it compiles first, or a plan of its own.
        runtime: one of RUNTIMES. options: see there.
        say: takes lines of progress while it compiles. folder: cache of the plans; None: the user's.

    Raises:
        EngineUnavailable: library, driver, device or precision are not there.
        EngineLoadError: not a model, or one that the runtime refuses.
        EngineStopped: `options.stopped` ended a build.
    """
    return load_plan(model, runtime, options, say, folder)[0]


def load_plan(
    model: Path, runtime: str, options: EngineOptions, say: Say = lambda line: None, folder: Path | None = None
) -> tuple[Engine, Plan | None]:
    """As `load`, and the plan of the cache that runs; None where nothing was compiled. Raises as `load` does."""
    if runtime not in RUNTIMES:
        raise EngineUnavailable(f"unknown runtime {runtime!r}; known are {', '.join(RUNTIMES)}")
    known = RUNTIMES[runtime]
    module = import_module(f"engines.{known.module}")
    if known.compiles:
        opened: tuple[Engine, Plan | None] = module.open_plan(model, runtime, options, say, folder)
        return opened
    return getattr(module, known.opener)(model, options), None
