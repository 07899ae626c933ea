"""A model file with its card, and what is known of both before and after it is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engines
from engines.build_cache import read_notes
from tracker.config import DetectSettings
from tracker.detect.card import InputCard, ModelCard, class_names, find_card, read_card, sha256_of
from tracker.detect.detector import EngineDetector, Identity, Observe, image_input
from tracker.detect.ladder import PLANS
from tracker.detect.letterbox import input_size
from tracker.detect.recognise import agreed_head, input_of
from tracker.errors import ModelError, RequirementError


@dataclass(frozen=True)
class Model:
    """A model file.

    Attributes:
        card: what is said about it; None: nothing. path: of the file. sha256: hexadecimal.
        signature: inputs and outputs as the file has them; None for a plan, which tells them when it is loaded.
        batch: least and largest batch that a plan was built for; largest 0: no limit is known.
    """

    card: ModelCard | None
    path: Path
    sha256: str
    signature: engines.ModelSignature | None
    batch: tuple[int, int] = (1, 0)

    @property
    def is_plan(self) -> bool:
        """Whether the file is compiled already."""
        return self.signature is None


def find_model(name: str) -> Model:
    """The model of this card, or in this file.

    Raises:
        ModelError: no such model, not a model, or one of another task. RequirementError: what reads it is missing.
    """
    path = Path(name)
    if path.suffix.lower() in PLANS:
        if not path.is_file():
            raise ModelError(f"plan {name} does not exist; build it with `tracker engine build`")
        return Model(read_card(path.with_suffix(".yaml")), path, sha256_of(path), None, _batch_of(path))
    card, path = find_card(name)
    return Model(card, path, sha256_of(path), _inspect(path))


def _batch_of(plan: Path) -> tuple[int, int]:
    """Least and largest batch that a plan was built for, by its notes; (1, 0) where it has none."""
    try:
        least, _, largest = next(iter(read_notes(plan)["ingredients"]["shapes"].values()))
        return int(least[0]), int(largest[0])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, StopIteration):
        return 1, 0


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


def input_shapes(model: Model, settings: DetectSettings, source: tuple[int, int] | None) -> dict[str, tuple[int, ...]]:
    """The picture input's shape with open sides filled: the source's shape where the graph allows it. None of a plan.

    Raises:
        ModelError: no picture input, or the size asked for is not the graph's.
    """
    if model.signature is None:
        return {}
    spec, card = image_input(model.signature.inputs), model.card
    nhwc = spec.shape[1] != 3
    height, width = spec.shape[1:3] if nhwc else spec.shape[2:4]
    longer = settings.input_size or _longer_side(card, model.signature.metadata)
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


def _longer_side(card: ModelCard | None, metadata: Mapping[str, str]) -> int:
    """Longer side of the input where neither graph nor settings say it: the card's, the exporter's (`imgsz`), 640."""
    if card is not None and "size" in card.input.model_fields_set:
        return card.input.size
    sides = [int(side) for side in re.findall(r"\d+", metadata.get("imgsz", ""))]
    return max(sides, default=0) or InputCard().size


def detector_on(
    model: Model, engine: engines.Engine, settings: DetectSettings,
    observe: Observe = lambda stage, seconds: None, batch: tuple[int, int] | None = None,
) -> EngineDetector:  # fmt: skip
    """A detector on an engine that has loaded the model, or a plan of it. One run warms it up and tells its head.

    Args:
        batch: least and largest batch that the engine takes, where its batch is open; None: the model's.

    Raises:
        ModelError: no head understands it, or its card or its own notes contradict it.
        ConfigError: a class in `settings.classes` that it does not know.
        EngineError: it does not run.
    """
    batch = batch or model.batch
    card = _complete(model, engine, batch[0])
    identity = Identity(card.name, model.sha256, model.path, card.head)
    return EngineDetector(engine, card, identity, settings, observe, batch)


def _complete(model: Model, engine: engines.Engine, batch: int) -> ModelCard:
    """A card with head, input and classes known."""
    spec, card = image_input(engine.inputs), model.card
    shape = tuple(side or batch for side in spec.shape)
    arrays = engine.infer({spec.name: _noise(shape, spec.dtype)}).values()
    signature = model.signature or engines.ModelSignature(engine.inputs, engine.outputs, {})
    # By the names in the file: a tensor has several in OpenVINO, and it may give another one.
    outputs = {given.name: array for given, array in zip(signature.outputs, arrays, strict=True)}
    size_hw = (shape[1], shape[2]) if spec.shape[1] != 3 else (shape[2], shape[3])
    head, count = agreed_head(card, outputs, size_hw)
    names = class_names(card.classes if card else (), signature.metadata, count)
    base = card or ModelCard(name=model.path.stem, file=model.path.name)
    return base.model_copy(update={"head": head, "input": input_of(head, card), "classes": names})


def _noise(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A picture of gray noise, the same each time: bytes, or 0..1, which every family takes for a (dark) picture."""
    pixels = np.random.default_rng(0).integers(64, 192, shape, np.uint8)
    return pixels if dtype == np.uint8 else (pixels / np.float32(255)).astype(dtype)
