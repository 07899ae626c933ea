"""A model on TensorRT in one call: its plan from the cache, compiled first where there is none that fits."""

from __future__ import annotations

from pathlib import Path

from engines.base import EngineOptions, EngineUnavailable
from engines.build import Request
from engines.build_cache import Plan, Say
from engines.plan import load_built
from engines.tensorrt import TensorRtEngine
from engines.tensorrt_driver import find_gpu

PRECISIONS = {"auto": "fp16", "fp16": "fp16", "fp32": "fp32"}


def open_model(
    model: Path, runtime: str, options: EngineOptions, say: Say, folder: Path | None = None
) -> TensorRtEngine:
    """The engine of `open_plan`."""
    return open_plan(model, runtime, options, say, folder)[0]


def open_plan(
    model: Path, runtime: str, options: EngineOptions, say: Say, folder: Path | None = None
) -> tuple[TensorRtEngine, Plan | None]:
    """Load `model` (.onnx, or a .plan that the user names) with "tensorrt" or "tensorrt-rtx".

    Args:
        model: the file. runtime: which library. options: `shape` must name every input of an .onnx.
        say: takes lines of progress. folder: the plan cache; None: the user's.

    Returns:
        The engine and its plan; None for a file that was named.

    Raises:
        EngineUnavailable: no GPU, no such library, or a precision that plans are not built in.
        EngineLoadError: the model cannot be compiled, or its plan does not load even when built anew.
    """
    if model.suffix.lower() == ".plan":
        return TensorRtEngine(model, options, runtime), None
    find_gpu()  # before anything is read or compiled
    if options.device not in ("auto", "cuda:0"):
        raise EngineUnavailable(f"{runtime} compiles for cuda:0 only, device {options.device} was asked for")
    if options.precision not in PRECISIONS:
        raise EngineUnavailable(f"{runtime} builds fp32 and fp16, precision {options.precision} was asked for")
    precision = PRECISIONS[options.precision]
    profiles = {name: (shape,) * 3 for name, shape in options.shape.items()}
    request = Request(model, runtime, precision, profiles, stopped=options.stopped)
    return load_built(request, lambda path: TensorRtEngine(path, options, runtime), say, folder)
