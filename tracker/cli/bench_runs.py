"""What `tracker bench` measures: every runtime and precision that runs a model here, on the same frames, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import engines
from engines.build import Request, build_plan, precisions_of
from tracker.config import DetectSettings
from tracker.detect import EngineDetector
from tracker.detect.fused import FusedDetector, fused_where_wanted
from tracker.detect.gate import comparing
from tracker.detect.ladder import Rung, ladder
from tracker.detect.model import Model, detector_on, input_shapes
from tracker.detect.parity import LIMITS, Parity, measure
from tracker.detect.sharing import cores
from tracker.errors import ModelError, TrackerError
from tracker.structures import Frame

ROUNDS, FRAMES, FEWEST = 5, 24, 3
"""Each contender has its turn so often, on so many frames at most, and so many at least where it is slow."""
SECONDS = 12.0
"""What the turns of one contender may take together."""
Say = Callable[[str], None]
Feeds = Sequence[Mapping[str, engines.Array]]


@dataclass
class Contender:
    """One runtime in one precision on one device, open.

    Attributes:
        rung, asked: what it was opened with; `asked` is a precision. int8: a plan that was calibrated here.
        usual: on the plain graph. detector: what `tracker run` would use, on a GPU with letterbox and suppression in
            the graph. plans: what was compiled for it, or lay there.
        infer_ms, detect_ms: of each frame, by rounds. parity: with the reference; None: too few boxes to tell.
    """

    rung: Rung
    asked: str
    usual: EngineDetector
    detector: EngineDetector
    plans: list[engines.Plan]
    int8: bool = False
    infer_ms: list[list[float]] = field(default_factory=list)
    detect_ms: list[list[float]] = field(default_factory=list)
    parity: Parity | None = None

    @property
    def precision(self) -> str:
        """What is really in use."""
        return self.detector.engine.precision

    @property
    def name(self) -> str:
        """For lines about it."""
        return f"{self.rung.runtime} {self.precision}" + (
            f" on {self.rung.device}" if self.rung.device != "cpu" else ""
        )

    @property
    def build_s(self) -> float | None:
        """Seconds that compiling took, now or when it was done; None: nothing is compiled."""
        return sum(float(plan.notes["seconds"]) for plan in self.plans) if self.plans else None

    @property
    def built(self) -> bool:
        """Whether something was compiled now."""
        return any(plan.built for plan in self.plans)

    @property
    def shortfall(self) -> str:
        """In what its boxes fall short of what a plan of its precision must hold; empty: in nothing that is known."""
        kind = self.asked if self.asked in LIMITS and not self.int8 else "int8"
        return self.parity.shortfall(kind) if self.parity else ""

    @property
    def ms(self) -> float:
        """Median of the whole detection, milliseconds an image."""
        return float(np.median(np.concatenate(self.detect_ms)))

    @property
    def spread(self) -> float:
        """How far the rounds' medians lie apart, as a share of the median: the noise of this machine."""
        medians = [float(np.median(times)) for times in self.detect_ms]
        return (max(medians) - min(medians)) / self.ms

    def figures(self) -> dict[str, Any]:
        """For programs."""
        infer, detect = np.concatenate(self.infer_ms), np.concatenate(self.detect_ms)
        engine = self.detector.engine
        return {
            "runtime": engine.runtime,
            "precision": self.precision,
            "device": engine.device,
            "infer_ms": {"p50": round(float(np.median(infer)), 3), "p95": round(float(np.percentile(infer, 95)), 3)},
            "detect_ms": {"p50": round(self.ms, 3), "p95": round(float(np.percentile(detect, 95)), 3)},
            "spread": round(self.spread, 3),
            "images": len(detect),
            "fused": isinstance(self.detector, FusedDetector),
            "build_s": None if self.build_s is None else round(self.build_s, 2),
            "built_now": self.built,
            "parity": None if self.parity is None else {k: round(v, 4) for k, v in asdict(self.parity).items()},
            "shortfall": self.shortfall,
        }

    def close(self) -> None:
        """Let go of its engines."""
        self.detector.close()


def devices(path: Path, device: str) -> list[Rung]:
    """Where this file can run here: the ladder, and below it what `auto` leaves out: torch on the CPU, Intel's GPUs."""
    rungs = ladder(path, device)
    there = engines.installed()
    if device in ("auto", "cpu") and "torch" in there and path.suffix.lower() == ".onnx":
        rungs.append(Rung("torch", "cpu"))
    if device == "auto" and "openvino" in there and _has_intel_gpu():
        rungs += ladder(path, "gpu")
    return rungs


def _has_intel_gpu() -> bool:
    from engines.quiet import import_openvino

    try:
        return any(name.startswith("GPU") for name in import_openvino().Core().available_devices)
    except (ImportError, RuntimeError):
        return False


def wanted(rungs: Sequence[Rung]) -> Iterator[tuple[Rung, str]]:
    """Each rung with each precision to try; ONNX Runtime runs a model in its own."""
    for rung in rungs:
        offered = {"onnxruntime": ("auto",), "openvino": ("fp32", "bf16", "fp16")}.get(rung.runtime)
        for precision in offered or [name for name in precisions_of(rung.runtime) if name != "int8"]:
            yield rung, precision


class Bench:
    """One model on one set of frames."""

    def __init__(self, model: Model, settings: DetectSettings, frames: Sequence[Frame], say: Say) -> None:
        """`frames`: what is looked at. Raises ModelError: no picture input."""
        self.model, self.frames, self._settings, self._say = model, frames, settings, say
        sizes = {(frame.width, frame.height) for frame in frames}
        self.size = next(iter(sizes)) if len(sizes) == 1 else None
        self.shapes = input_shapes(model, settings, self.size)
        self.model_name = settings.model
        self.contenders: list[Contender] = []
        self.refused: list[tuple[str, str]] = []

    @property
    def open_size(self) -> str:
        """The input's size, 640x384, where the model leaves it open; else empty."""
        signature = self.model.signature
        if signature is None or all(signature.inputs[0].shape[1:]):
            return ""
        height, width = self.contenders[0].usual.size_hw
        return f"{width}x{height}"

    def open(self, rung: Rung, precision: str) -> None:
        """Add a contender, or to `refused` why it does not run here."""
        options = engines.EngineOptions(self.shapes, precision, rung.device, cores())
        self._add(rung, precision, options, self.model.path)

    def open_int8(self, rung: Rung, feeds: Feeds) -> None:
        """The same of an INT8 plan with ranges from `feeds`."""
        profiles = {name: (shape,) * 3 for name, shape in self.shapes.items()}
        try:
            plan = build_plan(Request(self.model.path, rung.runtime, "int8", profiles, feeds=feeds), self._say)
        except engines.EngineError as error:
            self.refused.append((f"{rung.runtime} int8", str(error)))
            return
        options = engines.EngineOptions(self.shapes, "auto", rung.device, cores())
        self._add(rung, "auto", options, plan.path, plan)

    def _add(
        self, rung: Rung, precision: str, options: engines.EngineOptions, path: Path, int8: engines.Plan | None = None
    ) -> None:  # fmt: skip
        plans = [int8] if int8 else []
        try:
            engine, plan = engines.load_plan(path, rung.runtime, options, self._say)
            plans += [plan] if plan else []
            try:
                usual = detector_on(self.model, engine, self._settings)
                detector, notices = (usual, []) if int8 else self._fused(usual, rung, options, plans)
            except BaseException:
                engine.close()
                raise
        except (engines.EngineError, TrackerError) as error:
            self.refused.append((f"{rung.runtime} {precision}", str(error)))
            return
        found = Contender(
            rung, engine.precision if precision == "auto" else precision, usual, detector, plans, bool(int8)
        )
        self.refused += [(found.name, notice) for notice in notices]
        self.contenders.append(found)

    def _fused(
        self, usual: EngineDetector, rung: Rung, options: engines.EngineOptions, plans: list[engines.Plan]
    ) -> tuple[EngineDetector, list[str]]:
        """As `tracker run` does: on a GPU letterbox and suppression go into the graph."""

        def load(path: Path, shape: Mapping[str, tuple[int, ...]]) -> engines.Engine:
            engine, plan = engines.load_plan(path, rung.runtime, replace(options, shape=shape), self._say)
            plans.extend([plan] if plan else [])
            return engine

        return fused_where_wanted(usual, self.size, load)

    def reference(self) -> EngineDetector:
        """The ONNX on ONNX Runtime; of another file OpenVINO in FP32. Raises ModelError."""
        runtime = "onnxruntime" if self.model.path.suffix.lower() == ".onnx" else "openvino"
        precision = "auto" if runtime == "onnxruntime" else "fp32"
        try:
            options = engines.EngineOptions(self.shapes, precision, "cpu", cores())
            engine = engines.load(self.model.path, runtime, options)
            return detector_on(self.model, engine, comparing(self._settings))
        except engines.EngineError as error:
            raise ModelError(f"the boxes cannot be compared: {error}") from None

    def compare(self, one: Contender, reference: EngineDetector) -> None:
        """Set its parity. Raises TrackerError: it failed on a frame."""
        settings = comparing(self._settings)
        detector = detector_on(self.model, one.usual.engine, settings)
        if isinstance(one.detector, FusedDetector):
            detector = FusedDetector(detector, one.detector.engine, one.detector.picture)
        one.parity = measure(reference, detector, self.frames)

    def take_turns(self, step: Callable[[Contender], None]) -> None:
        """Measure all contenders; `step` is told of each turn that is over.

        They take turns, the first one another each round, so that what else the machine does meets all alike. The first
        frame of a turn warms the caches up and does not count. Raises TrackerError: one failed on a frame.
        """
        for turn in range(ROUNDS):
            first = turn % len(self.contenders)
            for one in [*self.contenders[first:], *self.contenders[:first]]:
                self._turn(one)
                step(one)

    def _turn(self, one: Contender) -> None:
        infer_ms: list[float] = []
        detect_ms: list[float] = []

        def observe(stage: str, seconds: float) -> None:
            if stage == "infer":
                infer_ms.append(1e3 * seconds)

        one.detector.observe = observe
        began = perf_counter()
        one.detector.detect(self.frames[:1])
        warm_s = perf_counter() - began
        infer_ms.clear()
        count = max(FEWEST, min(FRAMES, int(SECONDS / ROUNDS / max(warm_s, 1e-6))))
        for k in range(count):
            began = perf_counter()
            one.detector.detect([self.frames[k % len(self.frames)]])
            detect_ms.append(1e3 * (perf_counter() - began))
        one.infer_ms.append(infer_ms)
        one.detect_ms.append(detect_ms)

    def chosen(self, device: str) -> Contender | None:
        """The contender that `--runtime auto` stands for."""
        card = self.model.card
        for rung in ladder(self.model.path, device):
            options = engines.EngineOptions(
                self.shapes, card.precision if card else "auto", rung.device, cores()
            )  # fmt: skip
            same = [one for one in self.contenders if one.rung == rung and not one.int8]
            if not same:
                continue
            try:
                engine = engines.load(self.model.path, rung.runtime, options)
            except engines.EngineError:
                continue
            engine.close()
            return next((one for one in same if one.usual.engine.precision == engine.precision), None)
        return None

    def close(self) -> None:
        """Let go of everything."""
        for one in self.contenders:
            one.close()
