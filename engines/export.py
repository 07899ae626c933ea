"""Weights -> ONNX: torchvision's SSD and Faster R-CNN, and what ultralytics trains; checked against torch each time."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from engines.base import EngineUnavailable
from engines.export_check import ExportError
from engines.export_request import ARCHITECTURES, Exported, Request, Say

STATES, PICKLES = (".pth",), (".pt",)
"""Suffixes of torchvision's weights (tensors only) and of ultralytics' (a pickle of the whole network)."""


def architecture_of(weights: Path) -> str:
    """The architecture that published weights name in their file name (ssd300_vgg16_coco-b556d3b4.pth).

    Raises:
        ExportError: the name tells none.
    """
    stem = weights.stem.lower()
    begins = {part: name for name, given in ARCHITECTURES.items() for part in (name, given.published)}
    found = max((part for part in begins if stem.startswith(part)), key=len, default="")
    if not found:
        raise ExportError(f"{weights.name} does not tell its architecture; add --arch {'|'.join(ARCHITECTURES)}")
    return begins[found]


def export(request: Request, say: Say) -> Exported:
    """Write `request.output`, whole or not at all.

    Args:
        request: what to export. say: takes lines for the user.

    Raises:
        ExportError: not such weights, or a graph that does not find what the network finds.
        EngineUnavailable: torch, torchvision, ultralytics or onnx is not installed.
        OSError: the output cannot be written.
    """
    if not request.weights.is_file():
        raise ExportError(f"weights {request.weights} do not exist; give a .pth (torchvision) or .pt (ultralytics)")
    if request.weights.suffix.lower() not in STATES + PICKLES:
        raise ExportError(
            f"weights {request.weights} have the suffix '{request.weights.suffix}'; wanted is .pth (a state dict of "
            "torchvision) or .pt (of ultralytics)"
        )
    request.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="export-", suffix=".partial", dir=request.output.parent) as folder:
        made = Path(folder) / request.output.name
        run = _ultralytics if request.weights.suffix.lower() in PICKLES and not request.architecture else _torchvision
        exported = run(request, made, say)
        partial = request.output.with_name(f"{request.output.stem}.partial{request.output.suffix}")
        shutil.move(made, partial)
        os.replace(partial, request.output)
    return exported


def _torchvision(request: Request, made: Path, say: Say) -> Exported:
    """A state dict: numbers only are read of it."""
    name = request.architecture or architecture_of(request.weights)
    if name not in ARCHITECTURES:
        raise ExportError(f"unknown architecture '{name}'; known are {', '.join(ARCHITECTURES)}")
    given = ARCHITECTURES[name]
    if request.size and given.family == "ssd" and request.size != given.size:
        raise ExportError(f"the input of {name} is fixed at {given.size}x{given.size}; leave --size out")
    try:
        from engines.export_torchvision import export_state
    except ImportError as error:
        raise EngineUnavailable(
            f"exporting {name} needs torch, torchvision and onnx ({error}); pip install 'tracker[torch]'"
        ) from None
    say(f"{request.weights.name}: read as tensors only (weights_only), no code in it runs")
    return export_state(request, name, made, say)


def _ultralytics(request: Request, made: Path, say: Say) -> Exported:
    """A pickle: loaded in a process of its own, on the user's word."""
    from importlib.util import find_spec

    if find_spec("ultralytics") is None:
        raise EngineUnavailable(
            f"exporting {request.weights.name} needs ultralytics (AGPL-3.0); pip install 'tracker[ultralytics]'"
        )
    from engines.export_ultralytics import LICENCE, run

    say(
        f"notice: {request.weights.name} is a pickle; loading it runs whatever code is in it. It is loaded in a "
        "process of its own, by this command only, because you asked for it"
    )
    say(f"notice: ultralytics is {LICENCE}; its makers hold that weights and exports of theirs are too")
    return run(request, made, sys.executable)
