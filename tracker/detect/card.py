"""Model cards: what a model wants and what it gives.

A card is data (YAML) beside the model, or made up from the graph.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from engines import EngineUnavailable, storage
from tracker.config import nearest
from tracker.detect.classes import CLASS_LISTS
from tracker.errors import ModelError

HeadName = Literal[
    "auto", "cells", "yolox", "yolox_decoded", "yolov5", "yolov6", "yolov8", "yolo_nas", "end2end", "efficient_nms",
    "ssd", "ssd_decoded", "ssd_raw", "tflite_ssd", "fasterrcnn",
]  # fmt: skip
MODEL_SUFFIXES = (".onnx", ".xml", ".tflite")
PICKLE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".tar", ".joblib")
EXPORTED_SUFFIXES = (".pt", ".pth")
OURS = re.compile(r"^(file|head|input)\s*:", re.MULTILINE)
"""Keys that only a card has."""

COCO_CLASSES = CLASS_LISTS["coco"]
UNKNOWN_COUNT = 1000
"""Names made up where a graph with suppression inside does not show how many classes it knows."""


class InputCard(BaseModel):
    """What the network's input tensor holds.

    Attributes:
        size: longer side in pixels where the graph leaves it open.
        multiple: the sides must be multiples of this.
        color, scale: order of the channels; factor from 0..255 to what the network wants.
        anchor: where the picture lies in the padded input: its middle, or its top left corner; "stretch": over all of
            it, its aspect not kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = 640
    multiple: int = 32
    color: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    anchor: Literal["center", "top-left", "stretch"] = "center"
    pad: int = 114


class Checkpoint(BaseModel):
    """Weights that the model's file is made from, here, by `engines.export`.

    Attributes:
        arch: one of `engines.export_request.ARCHITECTURES`. url: of the weights; empty: none are published.
        sha256: of the weights; of published ones the first eight digits, which their name holds, or more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    arch: str
    url: str = ""
    sha256: str = ""


class ModelCard(BaseModel):
    """A model file and how to talk to it.

    Attributes:
        url, size: where `tracker models fetch` has the file from (empty: the package carries it, unless there is a
            `checkpoint`), and its bytes; of a checkpoint its own.
        checkpoint: the file is made from these weights.
        precision: what "auto" is for this model: "fp32" where it loses whole pixels in half precision or bfloat16.
        classes: names in the network's order; in a card also "coco" for its 80, or "coco91" for its category ids.
        ap: published COCO AP at IoU 0.5 to 0.95, 0..1; None: none is published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    file: str
    url: str = ""
    size: int = 0
    sha256: str = ""
    checkpoint: Checkpoint | None = None
    head: HeadName = "auto"
    precision: Literal["auto", "fp32"] = "auto"
    input: InputCard = InputCard()
    classes: tuple[str, ...] = ()
    ap: float | None = None
    licence: str = "not stated"
    summary: str = ""
    notes: dict[str, Any] = {}

    @field_validator("classes", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return CLASS_LISTS.get(value, value) if isinstance(value, str) else value

    @property
    def carried(self) -> bool:
        """Whether the package itself holds the file."""
        return not self.url and self.checkpoint is None


def zoo() -> dict[str, ModelCard]:
    """All cards that the package carries, by name."""
    cards = {}
    for entry in sorted(files("engines.zoo").iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml"):
            card = ModelCard(**yaml.safe_load(entry.read_text(encoding="utf-8")))
            cards[card.name] = card
    return cards


def file_of(card: ModelCard) -> Path:
    """Where the file of a card of the zoo is, or will be once it is fetched.

    Raises:
        ModelError: there is no folder to fetch it to.
    """
    if card.carried:
        return Path(str(files("engines.zoo") / card.file))
    try:
        return storage.cache_folder() / "models" / card.file
    except EngineUnavailable as error:
        raise ModelError(str(error)) from None


def recorded_sha256(path: Path) -> str:
    """SHA-256 that a fetched file without a pinned one had when it first came (`<file>.sha256`); empty: no record."""
    try:
        words = path.with_name(f"{path.name}.sha256").read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return ""
    return words[0] if words else ""


def find_card(model: str) -> tuple[ModelCard | None, Path]:
    """Card and file of a model: a card's name, or a path (its card is `<stem>.yaml` beside it, where there is one).

    Raises:
        ModelError: no such name or file, a model that is still to be fetched, a wrong suffix, a damaged model.
    """
    cards = zoo()
    if model in cards:
        return _of_zoo(cards[model])
    path = Path(model)
    if path.suffix.lower() in PICKLE_SUFFIXES:
        way = f"tracker models export {model} --output {path.stem}.onnx"
        if path.suffix.lower() not in EXPORTED_SUFFIXES:
            way = "with the library that wrote it"
        raise ModelError(
            f"{model} is a pickle, which may run code when loaded; where you trust it, export it to ONNX ({way}) "
            "and give the .onnx"
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
    card = read_card(path.with_suffix(".yaml"))
    if card is not None:
        verify(card, path)
    return card, path


def _of_zoo(card: ModelCard) -> tuple[ModelCard, Path]:
    """A card of the zoo, with the SHA-256 that is known of its file, and the file. Raises ModelError."""
    path = file_of(card)
    card = card.model_copy(update={"sha256": card.sha256 or recorded_sha256(path)})
    if not card.carried and not (card.sha256 and path.exists()):
        if card.checkpoint is not None and not card.checkpoint.url:
            raise ModelError(unpublished(card))
        raise ModelError(f"model {card.name} is not here yet; fetch it with: tracker models fetch {card.name}")
    verify(card, path)
    return card, path


def unpublished(card: ModelCard) -> str:
    """What to say of a model without published weights."""
    arch = card.checkpoint.arch if card.checkpoint else ""
    way = f"tracker models export WEIGHTS.pth --arch {arch} --output {card.file}"
    return f"nobody publishes weights of {card.name}; export your own: {way}"


def read_card(path: Path) -> ModelCard | None:
    """The card in this file; None where there is none, or somebody else's YAML that happens to lie there.

    Raises:
        ModelError: it is meant as a card and has a mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        if OURS.search(text):
            raise ModelError(f"card {path} is not YAML: {' '.join(str(error).split())}") from None
        return None
    # Ultralytics' files of an architecture have a `head` too: a list of layers.
    if not isinstance(content, dict) or not any(
        key in content and not isinstance(content[key], list) for key in ("file", "head", "input")
    ):
        return None
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        raise ModelError(f"card {path}: {_reason(error)}") from None


def _reason(error: ValidationError) -> str:
    """The first of pydantic's complaints, on one line."""
    first = error.errors()[0]
    where, name = ".".join(map(str, first["loc"])), str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        parts: dict[str, type[BaseModel]] = {"input": InputCard, "checkpoint": Checkpoint}
        known = parts.get(str(first["loc"][0]), ModelCard)
        return f"unknown key '{where}', {nearest(name, list(known.model_fields))}"
    if first["type"] == "missing":
        return f"key '{where}' is missing"
    return f"key '{where}': {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"


def _only_ir(folder: Path) -> Path:
    """The one OpenVINO model (.xml) of a folder, as exporters write them."""
    found = sorted(folder.glob("*.xml"))
    if len(found) != 1:
        raise ModelError(f"model folder {folder} must hold one .xml (OpenVINO IR), it holds {len(found)}")
    return found[0]


def verify(card: ModelCard, path: Path) -> None:
    """Raise ModelError unless the file has the card's SHA-256."""
    if card.sha256 and sha256_of(path) != card.sha256.lower():
        remedy = (
            f"fetch it again: tracker models fetch {card.name}"
            if not card.carried
            else ("install it again, or correct the card")
        )
        raise ModelError(f"model {card.name} is damaged: {path} differs from its card's SHA-256; {remedy}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a model, hexadecimal; of an OpenVINO IR that of the .xml followed by its weights in the .bin."""
    weights = path.with_suffix(".bin")
    return storage.sha256_of(path, *([weights] if path.suffix.lower() == ".xml" and weights.exists() else []))


def class_names(given: Sequence[str], metadata: Mapping[str, str], count: int) -> tuple[str, ...]:
    """Names of `count` classes (0: unknown): the card's, the file's own metadata (as ultralytics writes it), or ours.

    Raises:
        ModelError: the card or the metadata name another number of classes than the outputs have.
    """
    for names, where in ((tuple(given), "card"), (names_in(metadata), "metadata")):
        if names and count and len(names) != count:
            raise ModelError(
                f"the model's outputs have {count} classes, its {where} names {len(names)}: "
                f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}; "
                + ("correct the card" if where == "card" else "is it an export of another task than detect?")
            )
        if names:
            return names
    lists = {len(names): names for names in CLASS_LISTS.values()}
    return lists.get(count) or tuple(f"class_{k}" for k in range(count or UNKNOWN_COUNT))


def names_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The class names in a file's metadata, "{0: 'person', ...}" or "['person', ...]"; empty where there are none."""
    try:
        named = ast.literal_eval(metadata.get("names", ""))
    except (ValueError, SyntaxError):
        return ()
    if isinstance(named, dict) and set(named) == set(range(len(named))):
        named = [named[k] for k in range(len(named))]
    return tuple(map(str, named)) if isinstance(named, (list, tuple)) else ()
