"""Choose card, runtime and input size, load the engine, and say what really runs."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import engines
from tracker.config import DetectSettings
from tracker.detect.card import InputCard, ModelCard, class_names, find_card, sha256_of
from tracker.detect.detector import EngineDetector, Identity, Observe, cores, image_input
from tracker.detect.heads import recognise
from tracker.detect.letterbox import input_size
from tracker.errors import ModelError, RequirementError

MAX_WORKERS = 8


@dataclass(frozen=True)
class Plan:
    """How the inferences share the cores: `workers` side by side with `threads` each."""

    workers: int
    threads: int


def plan(settings: DetectSettings, live: bool) -> Plan:
    """One inference a core for files: no core waits for another. All cores on one picture for live sources: latency."""
    workers = settings.workers or (1 if live else min(cores(), MAX_WORKERS))
    return Plan(workers, max(1, cores() // workers))


def open_detector(
    settings: DetectSettings, source: tuple[int, int] | None, *, live: bool = False, require: str | None = None,
    observe: Observe = lambda stage, seconds: None,
) -> tuple[EngineDetector, list[str]]:  # fmt: skip
    """Load the detector for pictures of `source` (width, height); None: pictures of many shapes, a square input.

    Returns:
        The detector and notices, one line each: what was tried and did not work.

    Raises:
        ModelError: no such model, not a model, or outputs of no known head.
        RequirementError: `require` or the runtime, device or precision asked for is not there.
    """
    card, path = find_card(settings.model)
    try:
        signature = engines.inspect(path)
    except engines.EngineUnavailable as error:
        raise RequirementError(str(error)) from None
    except engines.EngineError as error:
        raise ModelError(str(error)) from None
    look = card.input if card else _guess_input(signature)
    options = engines.EngineOptions(
        shape=_shapes(signature, look, settings, source), precision=settings.precision, device=settings.device,
        threads=plan(settings, live).threads, streams=plan(settings, live).workers,
    )  # fmt: skip
    engine, notices = _load(path, settings.runtime, options, require)
    card = _complete(card, path, look, engine, signature)
    identity = Identity(card.name, sha256_of(path), path, card.head)
    return EngineDetector(engine, card, identity, settings, observe), notices


def _guess_input(signature: engines.ModelSignature) -> InputCard:
    """What a model without a card wants, by what tells the families apart: ultralytics' notes, or YOLOX's raw grid."""
    shapes = [spec.shape for spec in signature.outputs]
    raw_grid = (
        len(shapes) == 1 and len(shapes[0]) == 3 and (shapes[0][2] or 0) > 6 and "stride" not in signature.metadata
    )
    sides = [side or 0 for side in image_input(signature.inputs).shape[1:] if side != 3]
    # The cells of all levels; None, as in the graph itself, where a side is open.
    count = sum((sides[0] // step) * (sides[1] // step) for step in (8, 16, 32)) if all(sides) else None
    if raw_grid and shapes[0][1] == count:
        return InputCard(size=max(sides) or 640, color="bgr", scale=1.0, anchor="top-left")
    return InputCard()


def _shapes(
    signature: engines.ModelSignature, look: InputCard, settings: DetectSettings, source: tuple[int, int] | None
) -> dict[str, tuple[int, ...]]:
    """The picture input's shape with open sides filled: the source's shape where the graph allows it."""
    spec = image_input(signature.inputs)
    nhwc = spec.shape[1] != 3
    height, width = spec.shape[1:3] if nhwc else spec.shape[2:4]
    longer = settings.input_size or look.size
    fitted = input_size(source, longer, look.multiple) if source else (longer, longer)
    if settings.input_size and height and width and settings.input_size != max(height, width):
        raise ModelError(
            f"the model's input is fixed at {width}x{height}, input_size {settings.input_size} was asked for; "
            "leave it out"
        )
    sides = (height or fitted[1], width or fitted[0])
    batch = spec.shape[0] or 1
    return {spec.name: (batch, *sides, 3) if nhwc else (batch, 3, *sides)}


def ladder(runtime: str, path: Path) -> list[str]:
    """Runtimes to try, in order. A fixed order, never a measurement: the same machine always runs the same."""
    if runtime != "auto":
        return [runtime]
    order = (
        ["openvino", "onnxruntime"]
        if platform.machine().lower() in ("x86_64", "amd64")
        else ["onnxruntime", "openvino"]
    )
    there = [name for name in order if name in engines.installed()]
    return there if path.suffix.lower() == ".onnx" else [name for name in there if name == "openvino"]


def _load(
    path: Path, runtime: str, options: engines.EngineOptions, require: str | None
) -> tuple[engines.Engine, list[str]]:
    """The first runtime of the ladder that takes the model, and why the ones before did not."""
    reasons: list[str] = []
    names = [require] if require else ladder(runtime, path)
    for name in names:
        try:
            return engines.load(path, name, options), reasons
        except engines.EngineLoadError as error:
            reasons.append(f"{name} refused the model: {error}")
            if len(names) == 1:
                raise ModelError(str(error)) from None
        except engines.EngineUnavailable as error:
            reasons.append(f"{name} is not available: {error}")
    if not names:
        raise RequirementError(f"no runtime for {path.suffix} files is installed; pip install onnxruntime openvino")
    raise RequirementError("; ".join(reasons))


def _complete(
    card: ModelCard | None, path: Path, look: InputCard, engine: engines.Engine, signature: engines.ModelSignature
) -> ModelCard:
    """A card with head and classes known, from one run on an empty picture (which warms the engine up as well)."""
    spec = image_input(engine.inputs)
    shape = tuple(side or 1 for side in spec.shape)
    try:
        outputs = engine.infer({spec.name: np.full(shape, 114, spec.dtype)})
    except engines.EngineError as error:
        raise ModelError(f"{path} does not run: {error}") from None
    size_hw = (shape[1], shape[2]) if spec.shape[1] != 3 else (shape[2], shape[3])
    if card is not None and card.head != "auto" and card.classes:
        return card
    head, count = recognise({name: output.shape for name, output in outputs.items()}, size_hw)
    base = card or ModelCard(name=path.stem, file=path.name)
    names = class_names(card, signature.metadata, count or _count_names(signature))
    return base.model_copy(update={"head": head, "input": look, "classes": names})


def _count_names(signature: engines.ModelSignature) -> int:
    """Number of class names in the file's notes; 80 where it has none (exports with NMS do not show the number)."""
    text = signature.metadata.get("names", "")
    return text.count(":") or 80
