"""Inference engines: arrays in, arrays out. Nothing here knows frames or boxes, or imports anything of `tracker`."""

from __future__ import annotations

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
    EngineUnavailable,
    TensorSpec,
)
from engines.inspect import ModelSignature, inspect

__all__ = [
    "RUNTIMES",
    "Array",
    "Engine",
    "EngineError",
    "EngineInferError",
    "EngineLoadError",
    "EngineOptions",
    "EngineUnavailable",
    "ModelSignature",
    "TensorSpec",
    "inspect",
    "installed",
    "load",
]

RUNTIMES = {"openvino": "OpenVinoEngine", "onnxruntime": "OnnxRuntimeEngine"}
"""Runtimes in the order in which `auto` tries them, with the class in the module of that name."""


def installed() -> list[str]:
    """Names of the runtimes whose library is there, in the order of `auto`."""
    return [name for name in RUNTIMES if find_spec(name) is not None]


def load(model: Path, runtime: str, options: EngineOptions) -> Engine:
    """Load `model` with one runtime; its library is imported here and not before.

    Raises:
        EngineUnavailable, EngineLoadError: as the runtime's class says.
    """
    if runtime not in RUNTIMES:
        raise EngineUnavailable(f"unknown runtime {runtime!r}; known are {', '.join(RUNTIMES)}")
    engine: Engine = getattr(import_module(f"engines.{runtime}"), RUNTIMES[runtime])(model, options)
    return engine
