"""Choose card, runtime and input size, load the engine, and say what really runs."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engines
from tracker.config import DetectSettings
from tracker.detect.card import InputCard, ModelCard, class_names, find_card, sha256_of
from tracker.detect.detector import EngineDetector, Identity, Observe, cores, image_input
from tracker.detect.letterbox import input_size
from tracker.detect.recognise import agreed_head, input_of
from tracker.errors import ConfigError, ModelError, RequirementError

MAX_WORKERS = 8


@dataclass(frozen=True)
class Sharing:
    """How the inferences share the cores: `workers` side by side with `threads` each."""

    workers: int
    threads: int


def share_cores(settings: DetectSettings, live: bool) -> Sharing:
    """One inference a core for files: no core waits for another. All cores on one picture for live sources: latency."""
    workers = settings.workers or (1 if live else min(cores(), MAX_WORKERS))
    return Sharing(workers, max(1, cores() // workers))


def open_detector(
    settings: DetectSettings, source: tuple[int, int] | None, *, live: bool = False, require: str | None = None,
    observe: Observe = lambda stage, seconds: None,
) -> tuple[EngineDetector, list[str]]:  # fmt: skip
    """Load the detector for pictures of `source` (width, height); None: pictures of many shapes, a square input.

    Returns:
        The detector and notices, one line each: what was tried and did not work, what is slower than it need be.

    Raises:
        ConfigError: `require` and the runtime asked for contradict each other.
        ModelError: no such model, not a model, outputs of no known head, or a card that contradicts its model.
        RequirementError: `require` or the runtime, device or precision asked for is not there.
    """
    if require and settings.runtime not in ("auto", require):
        raise ConfigError(
            f"runtime {settings.runtime} is asked for and {require} is required; leave one of the two out"
        )
    card, path = find_card(settings.model)
    signature = _inspect(path)
    sharing = share_cores(settings, live)
    options = engines.EngineOptions(
        shape=_shapes(signature, card, settings, source), precision=settings.precision, device=settings.device,
        threads=sharing.threads, streams=sharing.workers,
    )  # fmt: skip
    engine, notices = _load(path, settings.runtime, options, require)
    batch = image_input(engine.inputs).shape[0] or 1
    if batch > 1:
        notices.append(f"the model's batch is fixed at {batch}: single frames are padded")
    card = _complete(card, path, engine, signature)
    identity = Identity(card.name, sha256_of(path), path, card.head)
    return EngineDetector(engine, card, identity, settings, observe), notices


def _inspect(path: Path) -> engines.ModelSignature:
    """The model's signature; a model of another task than detection is refused by the notes of its exporter."""
    try:
        signature = engines.inspect(path)
    except engines.EngineUnavailable as error:
        raise RequirementError(str(error)) from None
    except engines.EngineError as error:
        raise ModelError(str(error)) from None
    task = signature.metadata.get("task", "detect")
    if task != "detect":
        raise ModelError(f"model {path} is made for the task '{task}'; wanted is a model for 'detect'")
    return signature


def _longer_side(card: ModelCard | None, metadata: Mapping[str, str]) -> int:
    """Longer side of the input where neither graph nor settings say it: the card's, the exporter's (`imgsz`), 640."""
    if card is not None and "size" in card.input.model_fields_set:
        return card.input.size
    sides = [int(side) for side in re.findall(r"\d+", metadata.get("imgsz", ""))]
    return max(sides, default=0) or InputCard().size


def _shapes(
    signature: engines.ModelSignature, card: ModelCard | None, settings: DetectSettings,
    source: tuple[int, int] | None,
) -> dict[str, tuple[int, ...]]:  # fmt: skip
    """The picture input's shape with open sides filled: the source's shape where the graph allows it."""
    spec = image_input(signature.inputs)
    nhwc = spec.shape[1] != 3
    height, width = spec.shape[1:3] if nhwc else spec.shape[2:4]
    longer = settings.input_size or _longer_side(card, signature.metadata)
    multiple = (card.input if card else InputCard()).multiple
    fitted = input_size(source, longer, multiple) if source else (longer, longer)
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
            return _load_one(path, name, options, reasons), reasons
        except engines.EngineLoadError as error:
            reasons.append(f"{name} refused the model: {error}")
            if len(names) == 1:
                raise ModelError(str(error)) from None
        except engines.EngineUnavailable as error:
            reasons.append(f"{name} is not available: {error}")
    if not names:
        raise RequirementError(f"no runtime for {path.suffix} files is installed; pip install onnxruntime openvino")
    raise RequirementError("; ".join(reasons))


def _load_one(path: Path, name: str, options: engines.EngineOptions, notices: list[str]) -> engines.Engine:
    """The model on one runtime; TensorRT's plans are built first where the cache has none. Raises EngineError."""
    if name not in ("tensorrt", "tensorrt-rtx"):
        return engines.load(path, name, options)
    from engines.tensorrt_plan import open_model

    return open_model(path, name, options, notices.append)


def _complete(
    card: ModelCard | None, path: Path, engine: engines.Engine, signature: engines.ModelSignature
) -> ModelCard:
    """A card with head, input and classes known, from one run (which warms the engine up as well).

    Raises:
        ModelError: the model does not run, no head understands it, or the card or its own notes contradict it.
    """
    spec = image_input(engine.inputs)
    shape = tuple(side or 1 for side in spec.shape)
    try:
        arrays = engine.infer({spec.name: _noise(shape, spec.dtype)}).values()
    except engines.EngineError as error:
        raise ModelError(f"{path} does not run: {error}") from None
    # By the names in the file: a tensor has several in OpenVINO, and it may give another one.
    outputs = {given.name: array for given, array in zip(signature.outputs, arrays, strict=True)}
    size_hw = (shape[1], shape[2]) if spec.shape[1] != 3 else (shape[2], shape[3])
    head, count = agreed_head(card, outputs, size_hw)
    names = class_names(card.classes if card else (), signature.metadata, count)
    base = card or ModelCard(name=path.stem, file=path.name)
    return base.model_copy(update={"head": head, "input": input_of(head, card), "classes": names})


def _noise(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A picture of gray noise, the same each time: bytes, or 0..1, which every family takes for a (dark) picture."""
    pixels = np.random.default_rng(0).integers(64, 192, shape, np.uint8)
    return pixels if dtype == np.uint8 else (pixels / np.float32(255)).astype(dtype)
