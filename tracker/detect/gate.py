"""Compiled plans pass the parity gate once: when they are built, or at the first load where they can run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import engines
from engines.build_cache import add_notes, read_notes
from tracker.config import DetectSettings
from tracker.detect.card import file_of, sha256_of, zoo
from tracker.detect.detector import EngineDetector
from tracker.detect.model import Model, detector_on, find_model
from tracker.detect.parity import OPENED, measure, told, unmeasured
from tracker.detect.sharing import cores
from tracker.errors import ModelError, RequirementError, TrackerError
from tracker.interfaces import Detector
from tracker.structures import Frame

Frames = Callable[[], Iterable[Frame]]
TOO_FEW = "the ONNX finds too few boxes on these frames"


def nothing() -> Iterable[Frame]:
    """No frames: rendered ones are compared on then."""
    return ()


def open_reference(model: Model, shape: Mapping[str, tuple[int, ...]], settings: DetectSettings) -> EngineDetector:
    """The ONNX on ONNX Runtime, as plans are compared with it.

    Raises:
        EngineError: it does not load. ModelError: it is no detector.
    """
    engine = engines.load(model.path, "onnxruntime", engines.EngineOptions(shape, device="cpu", threads=cores()))
    return detector_on(model, engine, comparing(settings))


def comparing(settings: DetectSettings) -> DetectSettings:
    """The same settings with every box that counts in a comparison."""
    return settings.model_copy(update={"score": OPENED, "classes": ()})


def check(
    plan: engines.Plan,
    reference: Callable[[], EngineDetector],
    candidate: Callable[[], Detector],
    frames: Frames = nothing,
    batch: int = 1,
) -> dict[str, Any]:
    """The parity of a plan as it is stored beside it; measured and stored now where it was not before.

    Args:
        plan: of the cache, or of the user's. reference, candidate: open the ONNX and the plan for comparing; the
            reference is closed again. frames: of the user's. batch: least batch of the plan.

    Raises:
        TrackerError, EngineError: the plan does not run, or the reference does not.
    """
    known = dict(plan.notes.get("parity") or {})
    if known.get("measured"):
        return known
    opened = reference()
    try:
        figures = measure(opened, candidate(), frames(), batch)
    finally:
        opened.close()
    notes = unmeasured(TOO_FEW) if figures is None else figures.notes(plan.notes["ingredients"]["precision"])
    store(plan.path, notes)
    return notes


def store(plan: Path, parity: Mapping[str, Any]) -> None:
    """Write a parity into the notes of a plan; one that may not be written to is measured again the next time."""
    try:
        add_notes(plan, parity=dict(parity))
    except (OSError, ValueError):
        return


def check_named(model: Model, engine: engines.Engine, settings: DetectSettings, frames: Frames) -> str:
    """The line about the parity of a plan that the user named; measured where its ONNX is at hand. Never raises."""
    try:
        notes = read_notes(model.path)
    except ValueError as error:
        return f"plan {model.path.name}: {error}, so its boxes are not compared with a model's"
    known = notes.get("parity") or {}
    if known.get("measured"):
        return "" if known["passed"] else f"plan {model.path.name}: {told(known)}"
    origin = _origin(model, notes)
    if origin is None:
        return f"plan {model.path.name}: parity not measured: its model {notes.get('model')} is not beside it"
    least = {name: tuple(shapes[0]) for name, shapes in notes["ingredients"]["shapes"].items()}
    batch, _ = model.batch
    try:
        parity = check(
            engines.Plan(model.path, notes, False), lambda: open_reference(origin, least, settings),
            lambda: detector_on(model, engine, comparing(settings)), frames, batch,
        )  # fmt: skip
    except (TrackerError, engines.EngineError) as error:
        return f"plan {model.path.name}: parity not measured: {error}"
    return f"plan {model.path.name}: {told(parity)}"


def _origin(plan: Model, notes: Mapping[str, Any]) -> Model | None:
    """The model that a plan was built from, if it is the one beside it or of the same name in the zoo."""
    card = zoo().get(plan.card.name) if plan.card else None
    try:
        places = [plan.path.with_name(str(notes["model"])), *([file_of(card)] if card else [])]
        for path in places:
            if path.is_file() and sha256_of(path) == notes["ingredients"]["model_sha256"]:
                return find_model(card.name if card and path == places[-1] else str(path))
    except (OSError, KeyError, ModelError, RequirementError):
        return None
    return None
