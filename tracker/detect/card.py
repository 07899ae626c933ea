"""Model cards: what a model wants and what it gives.

A card is data (YAML) beside the model, or made up from the graph.
"""

from __future__ import annotations

import ast
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tracker.config import nearest
from tracker.errors import ModelError

HeadName = Literal["auto", "cells", "yolox", "yolov5", "yolov8", "end2end", "efficient_nms"]
MODEL_SUFFIXES = (".onnx", ".xml", ".tflite")

COCO_CLASSES = tuple(
    [
        "person",
        "bicycle",
        "car",
        "motorcycle",
        "airplane",
        "bus",
        "train",
        "truck",
        "boat",
        "traffic light",
        "fire hydrant",
        "stop sign",
        "parking meter",
        "bench",
        "bird",
        "cat",
        "dog",
        "horse",
        "sheep",
        "cow",
        "elephant",
        "bear",
        "zebra",
        "giraffe",
        "backpack",
        "umbrella",
        "handbag",
        "tie",
        "suitcase",
        "frisbee",
        "skis",
        "snowboard",
        "sports ball",
        "kite",
        "baseball bat",
        "baseball glove",
        "skateboard",
        "surfboard",
        "tennis racket",
        "bottle",
        "wine glass",
        "cup",
        "fork",
        "knife",
        "spoon",
        "bowl",
        "banana",
        "apple",
        "sandwich",
        "orange",
        "broccoli",
        "carrot",
        "hot dog",
        "pizza",
        "donut",
        "cake",
        "chair",
        "couch",
        "potted plant",
        "bed",
        "dining table",
        "toilet",
        "tv",
        "laptop",
        "mouse",
        "remote",
        "keyboard",
        "cell phone",
        "microwave",
        "oven",
        "toaster",
        "sink",
        "refrigerator",
        "book",
        "clock",
        "vase",
        "scissors",
        "teddy bear",
        "hair drier",
        "toothbrush",
    ]
)


class InputCard(BaseModel):
    """What the network's input tensor holds.

    Attributes:
        size: longer side in pixels where the graph leaves it open.
        multiple: the sides must be multiples of this.
        color, scale: order of the channels; factor from 0..255 to what the network wants.
        anchor: where the picture lies in the padded input: its middle, or its top left corner.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = 640
    multiple: int = 32
    color: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    anchor: Literal["center", "top-left"] = "center"
    pad: int = 114


class ModelCard(BaseModel):
    """A model file and how to talk to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    file: str
    sha256: str = ""
    head: HeadName = "auto"
    input: InputCard = InputCard()
    classes: tuple[str, ...] = ()
    licence: str = "not stated"
    summary: str = ""
    notes: dict[str, Any] = {}


def zoo() -> dict[str, ModelCard]:
    """All cards that the package carries, by name."""
    cards = {}
    for entry in sorted(files("engines.zoo").iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml"):
            card = ModelCard(**yaml.safe_load(entry.read_text(encoding="utf-8")))
            cards[card.name] = card
    return cards


def find_card(model: str) -> tuple[ModelCard | None, Path]:
    """Card and file of a model: a card's name, or a path (its card is `<stem>.yaml` beside it, where there is one).

    Raises:
        ModelError: no such name or file, a wrong suffix, a damaged embedded model.
    """
    cards = zoo()
    if model in cards:
        path = Path(str(files("engines.zoo") / cards[model].file))
        verify(cards[model], path)
        return cards[model], path
    path = Path(model)
    if path.suffix.lower() in (".pt", ".pth", ".pkl"):
        raise ModelError(
            f"{model} is a pickle, which may run code when loaded; export it to ONNX first and give the .onnx"
        )
    if not path.suffix and not path.exists():
        raise ModelError(f"unknown model '{model}', {nearest(model, list(cards))}; or give the path of an .onnx file")
    if path.is_dir():
        path = _only_ir(path)
    if not path.exists():
        raise ModelError(
            f"model file {model} does not exist; give the path of an .onnx file or one of: {', '.join(cards)}"
        )
    if path.suffix.lower() not in MODEL_SUFFIXES:
        raise ModelError(
            f"model file {model} has the suffix '{path.suffix}'; wanted is one of {', '.join(MODEL_SUFFIXES)}"
        )
    beside = path.with_suffix(".yaml")
    if not beside.exists():
        return None, path
    try:
        return ModelCard(**yaml.safe_load(beside.read_text(encoding="utf-8"))), path
    except (OSError, TypeError, yaml.YAMLError, ValidationError):
        return None, path  # somebody else's YAML that happens to lie there


def _only_ir(folder: Path) -> Path:
    """The one OpenVINO model (.xml) of a folder, as exporters write them."""
    found = sorted(folder.glob("*.xml"))
    if len(found) != 1:
        raise ModelError(f"model folder {folder} must hold one .xml (OpenVINO IR), it holds {len(found)}")
    return found[0]


def verify(card: ModelCard, path: Path) -> None:
    """Raise ModelError unless the file has the card's SHA-256."""
    if card.sha256 and sha256_of(path) != card.sha256:
        raise ModelError(
            f"model {card.name} is damaged: {path} differs from its card's SHA-256; install the package again"
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a model file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def class_names(card: ModelCard | None, metadata: dict[str, str], count: int) -> tuple[str, ...]:
    """Names of `count` classes: the card's, the file's own metadata (as ultralytics writes it), COCO's, or made up."""
    if card is not None and len(card.classes) == count:
        return card.classes
    try:
        named = ast.literal_eval(metadata.get("names", "{}"))
    except (ValueError, SyntaxError):
        named = {}
    if isinstance(named, dict) and len(named) == count and all(k in named for k in range(count)):
        return tuple(str(named[k]) for k in range(count))
    return COCO_CLASSES if count == len(COCO_CLASSES) else tuple(f"class_{k}" for k in range(count))
