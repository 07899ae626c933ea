"""A model on PyTorch in one call: its program from the cache, exported first where there is none that fits."""

from __future__ import annotations

from pathlib import Path

from engines.base import EngineOptions
from engines.build import Request
from engines.build_cache import Plan, Say
from engines.plan import load_built
from engines.torch import TorchEngine, choose_device, choose_precision


def open_model(model: Path, runtime: str, options: EngineOptions, say: Say, folder: Path | None = None) -> TorchEngine:
    """The engine of `open_plan`."""
    return open_plan(model, runtime, options, say, folder)[0]


def open_plan(
    model: Path, runtime: str, options: EngineOptions, say: Say, folder: Path | None = None
) -> tuple[TorchEngine, Plan | None]:
    """Load `model` (.onnx, or a .pt2 that the plan cache holds) with PyTorch.

    Args:
        model: the file. runtime: "torch". options: `shape` must name every input of an .onnx.
        say: takes lines of progress. folder: the plan cache; None: the user's.

    Returns:
        The engine and its plan; None for a file that was named.

    Raises:
        EngineUnavailable: no such device, no torch, or a precision that is not built or not to be had here.
        EngineLoadError: the model cannot be exported, or its program does not load even when exported anew.
        EngineOutOfMemory: the device cannot hold it.
    """
    if model.suffix.lower() == ".pt2":
        return TorchEngine(model, options, say, folder), None
    precision = choose_precision(options.precision, choose_device(options.device))
    profiles = {name: (shape,) * 3 for name, shape in options.shape.items()}
    request = Request(model, runtime, precision, profiles, stopped=options.stopped)
    return load_built(request, lambda path: TorchEngine(path, options, say, folder), say, folder)
