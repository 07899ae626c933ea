"""Frames in, detections in pixels of the frame out: letterbox, inference, head, suppression, class filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, local
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import engines
from tracker.config import DetectSettings, nearest
from tracker.detect.card import InputCard, ModelCard
from tracker.detect.heads import HEADS, SUPPRESSED, Candidates
from tracker.detect.letterbox import Letterbox
from tracker.detect.nms import nms
from tracker.errors import ConfigError, ModelError, TrackerError
from tracker.structures import Boxes, Detections, Frame, Ids, Scores

Array = NDArray[Any]
Observe = Callable[[str, float], None]
MANY = 200
"""Class names that a message lists at most."""


@dataclass(frozen=True)
class Identity:
    """Which model this is, for banner, summary and records."""

    name: str
    sha256: str
    path: Path
    head: str


class EngineDetector:
    """A detector on an engine. `detect` may be called from several threads."""

    def __init__(
        self, engine: engines.Engine, card: ModelCard, identity: Identity, settings: DetectSettings,
        observe: Observe = lambda stage, seconds: None, batch: tuple[int, int] = (1, 0),
    ) -> None:  # fmt: skip
        """Take over `engine`; `card` must be complete (head and classes known).

        Args:
            batch: least and largest batch that the engine takes, where its batch is open; largest 0: no limit.

        Raises:
            ConfigError: a class in `settings.classes` that the model does not know.
            ModelError: the model has no picture input.
        """
        self.engine, self.identity, self.observe = engine, identity, observe
        self._card, self._settings = card, settings
        self._input, self.size_hw = self._look_at_input()
        fixed = self._input.shape[0]
        self.batch = (fixed, fixed) if fixed else batch
        self._nhwc = self._input.shape[1] != 3
        self._kept = np.array(sorted(_ids_of(settings.classes, card.classes)), np.int64)
        self._letterboxes: dict[tuple[int, int], Letterbox] = {}
        self._most = settings.max_candidates
        self._lock = Lock()
        # An input tensor a thread: a fresh one would cost half as much again, in pages to be cleared.
        self._held = local()
        self._floods = 0

    @property
    def warnings(self) -> list[str]:
        """What went other than asked for so far, one line each."""
        if not self._floods:
            return []
        return [
            f"in {self._floods} frame{'s' if self._floods > 1 else ''} more than {self._most} boxes "
            "reached the score; the weakest were left out"
        ]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class id."""
        return self._card.classes

    @property
    def views(self) -> int:
        """Network passes a picture."""
        return 1

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Detections of each frame, best score first, in pixels of that frame.

        Raises:
            TrackerError: the runtime failed, or found a class that the model does not name.
        """
        least, largest = self.batch
        found: list[Detections] = []
        step = largest or len(frames) or 1
        for start in range(0, len(frames), step):
            part = frames[start : start + step]
            found += self._detect_batch(part, max(least, len(part)))
        return found

    def close(self) -> None:
        """Let go of the engine."""
        self.engine.close()

    def _look_at_input(self) -> tuple[engines.TensorSpec, tuple[int, int]]:
        """The input, and (height, width) of the picture that the network sees. Raises ModelError."""
        spec = image_input(self.engine.inputs)
        height, width = spec.shape[1:3] if spec.shape[1] != 3 else spec.shape[2:4]
        assert height is not None and width is not None, "engines are loaded for a fixed size"
        return spec, (height, width)

    def _detect_batch(self, frames: Sequence[Frame], batch: int) -> list[Detections]:
        """At most `batch` frames in one inference; a short batch is padded."""
        clock = perf_counter()
        feeds = {self._input.name: self._pack(frames, batch)}
        clock = self._lap("preprocess", clock)
        try:
            outputs = self.engine.infer(feeds)
        except engines.EngineError as error:
            raise TrackerError(f"model {self.identity.name} failed on frame {frames[0].index}: {error}") from None
        clock = self._lap("infer", clock)
        found = [self._select(*self._decode(outputs, k, frame)) for k, frame in enumerate(frames)]
        self._lap("postprocess", clock)
        return found

    def _pack(self, frames: Sequence[Frame], batch: int) -> Array:
        """The input tensor."""
        look = self._card.input
        pictures = [self._letterbox(frame).apply(frame, look.color, look.pad) for frame in frames]
        pictures += pictures[-1:] * (batch - len(frames))
        if len(pictures) != len(getattr(self._held, "blob", ())):
            sides = (*self.size_hw, 3) if self._nhwc else (3, *self.size_hw)
            self._held.blob = np.empty((len(pictures), *sides), self._input.dtype)
        return pack(pictures, look, self._nhwc, self._held.blob)

    def _lap(self, stage: str, since: float) -> float:
        """Report a stage's seconds; returns now."""
        now = perf_counter()
        self.observe(stage, now - since)
        return now

    def _letterbox(self, frame: Frame) -> Letterbox:
        """The letterbox for this frame's size, made once."""
        size = (frame.width, frame.height)
        if size not in self._letterboxes:
            height, width = self.size_hw
            with self._lock:
                self._letterboxes[size] = Letterbox.fit(size, (width, height), self._card.input.anchor)
        return self._letterboxes[size]

    def _decode(self, outputs: Mapping[str, Array], k: int, frame: Frame) -> Candidates:
        """Candidates of picture `k` of a batch, in pixels of its frame."""
        rows = [output[k] for output in outputs.values()]
        boxes, scores, class_ids = HEADS[self._card.head](rows, self.size_hw, self._settings.score)
        # Graphs with suppression inside fill their lists up with class -1.
        good = np.isfinite(boxes).all(1) & np.isfinite(scores) & (class_ids >= 0)
        boxes = self._letterbox(frame).restore(boxes[good], frame.width, frame.height)
        return boxes, scores[good], class_ids[good]

    def _select(self, boxes: Boxes, scores: Scores, class_ids: Ids) -> Detections:
        """What is left of a picture's candidates: of the classes asked for, not suppressed, with an area."""
        settings = self._settings
        if class_ids.max(initial=-1) >= len(self.class_names):
            raise TrackerError(
                f"model {self.identity.name} found class id {class_ids.max()}, its classes are only "
                f"{len(self.class_names)}; name them all in its card"
            )
        if settings.classes:
            wanted = np.isin(class_ids, self._kept)
            boxes, scores, class_ids = boxes[wanted], scores[wanted], class_ids[wanted]
        if self._card.head in SUPPRESSED:
            order = np.argsort(-scores, kind="stable")
        else:
            if len(scores) > self._most:
                self._count_flood()
            order = nms(boxes, scores, class_ids, settings.iou, self._most)
        found = Detections(boxes[order], np.minimum(scores[order], np.float32(1)), class_ids[order])
        solid = (found.boxes[:, 2] > found.boxes[:, 0]) & (found.boxes[:, 3] > found.boxes[:, 1])
        return found[solid]

    def _count_flood(self) -> None:
        with self._lock:
            self._floods += 1


def image_input(inputs: Sequence[engines.TensorSpec]) -> engines.TensorSpec:
    """The picture among a model's inputs: (N, 3, H, W) or (N, H, W, 3), float or uint8.

    Raises:
        ModelError: there is none.
    """
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and 3 in (inputs[0].shape[1], inputs[0].shape[3]):
        return inputs[0]
    shown = ", ".join(f"{spec.name} {spec.dtype} {spec.shape}" for spec in inputs)
    raise ModelError(f"the model must have one picture input (N, 3, H, W) or (N, H, W, 3), it has: {shown}")


def pack(pictures: Sequence[NDArray[np.uint8]], look: InputCard, nhwc: bool, blob: Array) -> Array:
    """Fill the input tensor, (B, H, W, 3) or (B, 3, H, W), with pictures (H, W, 3) uint8, scaled unless it takes bytes.

    Returns `blob`.
    """
    scale = None if blob.dtype == np.uint8 else np.float32(look.scale)
    for row, picture in zip(blob, pictures, strict=True):
        # Plane by plane: a fifth of the time of cv2.dnn.blobFromImages.
        parts = [(row, picture)] if nhwc else list(zip(row, cv2.split(picture), strict=True))
        for plane, channel in parts:
            if scale is None:
                plane[...] = channel
            else:
                np.multiply(channel, scale, out=plane, casting="same_kind")
    return blob


def _ids_of(wanted: tuple[str, ...], known: tuple[str, ...]) -> list[int]:
    """Class ids of these names.

    Raises:
        ConfigError: an unknown name; the nearest is named.
    """
    shown = list(known) if len(known) <= MANY else [*known[:3], "..."]
    for name in wanted:
        if name not in known:
            raise ConfigError(f"unknown class '{name}', {nearest(name, shown)}")
    return [known.index(name) for name in wanted]
