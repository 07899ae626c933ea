"""Machines that are not here: engines on a GPU of some size, and which libraries and GPUs there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines import EngineOptions, EngineOutOfMemory, TensorSpec
from engines.base import Array
from tests.detect.graphs import HEIGHT, SIZE, WIDTH, save
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, ModelCard
from tracker.detect import ladder as rungs
from tracker.detect.detector import Identity
from tracker.detect.open import Opener
from tracker.structures import Frame

PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
CARD = ModelCard(name="fake", file="fake.onnx", head="end2end", classes=tuple("abcdef"))


def frames(*indices: int) -> list[Frame]:
    return [Frame.from_bgr(index, float(index), PICTURE) for index in indices]


class Gpu:
    """An engine that finds one box in each picture, of class `mark`, and holds `room` pictures an inference."""

    precision = "fp32"
    outputs = (TensorSpec("found", (None, 1, 6), np.dtype(np.float32)),)

    def __init__(self, name: str, mark: int, room: int = 99, device: str = "cuda:0") -> None:
        self.runtime, self.mark, self.room, self.device, self.closed = f"{name} 1.0", mark, room, device, 0
        self.inputs = (TensorSpec("x", (None, 3, *SIZE), np.dtype(np.float32)),)
        self.batches: list[int] = []
        self.hold: Callable[[], object] = lambda: None

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        assert not self.closed
        size = len(feeds["x"])
        self.hold()
        if size > self.room:
            raise EngineOutOfMemory("the GPU has no memory left")
        self.batches.append(size)
        row = np.array([[10, 10, 30, 30, 0.9, self.mark]], np.float32)
        return {"found": np.repeat(row[None], size, 0)}

    def close(self) -> None:
        self.closed += 1


def detector(engine: Gpu) -> EngineDetector:
    return EngineDetector(engine, CARD, Identity("fake", "", Path("fake.onnx"), "end2end"), DetectSettings())


def marks(found: Sequence[Any]) -> list[int]:
    """Which engine detected each frame."""
    return [int(one.class_ids[0]) for one in found]


ALL = ("tensorrt", "tensorrt-rtx", "torch", "openvino", "onnxruntime")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine with these libraries and GPUs."""

    def make(*there: str, gpus: int = 1, cuda: bool = True) -> None:
        monkeypatch.setattr(engines, "installed", lambda: list(there))
        monkeypatch.setattr(engines, "why_no_gpu", lambda index=0: "" if index < gpus else "no NVIDIA driver here")
        monkeypatch.setattr(rungs, "_onnxruntime_has_cuda", lambda: cuda)
        monkeypatch.setattr(rungs, "_torch_has_cuda", lambda: cuda)
        monkeypatch.setattr(rungs.platform, "machine", lambda: "x86_64")

    return make


class Fakes:
    """What `engines.load_plan` gives on a machine of fakes: engines by runtime, or what opening one raises."""

    def __init__(self) -> None:
        self.content: dict[str, Callable[[Callable[[str], None]], Gpu]] = {}
        self.asked: list[tuple[str, str]] = []
        self.stopped: Callable[[], bool] = lambda: False

    def load_plan(
        self, model: Path, runtime: str, options: EngineOptions, say: Callable[[str], None] = print,
        folder: Path | None = None,
    ) -> tuple[Gpu, None]:  # fmt: skip
        self.asked.append((runtime, options.device))
        self.stopped = options.stopped
        return self.content[runtime](say), None


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch, machine: Callable[..., None]) -> Fakes:
    machine(*ALL)
    made = Fakes()
    monkeypatch.setattr(engines, "load_plan", made.load_plan)
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(tmp_path / "m.onnx", {"found": np.zeros((1, 1, 6))})


def opener(model: Path, runtime: str = "auto", **options: Any) -> Opener:
    settings = DetectSettings(model=str(model), runtime=runtime, workers=1, fused="off")  # type: ignore[arg-type]
    return Opener(settings, (WIDTH, HEIGHT), **options)


def raising(error: Exception) -> Callable[..., Gpu]:
    def open_it(say: Any) -> Gpu:
        raise error

    return open_it
