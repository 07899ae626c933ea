"""Model x runtime x precision: built or not, megabytes, seconds to build, milliseconds an image, boxes found.

python -m benchmarks.compiled --model street6 --model yolox_nano.onnx --calibrate a.mp4 --frames b.mp4 [--output t.md]

Plans are built into an empty cache. Boxes are compared (`tracker.detect.parity`) with ONNX Runtime's on the frames of
`--frames`, which INT8 never saw, and on rendered ones where these hold too few boxes. Milliseconds are of the inference
alone, one picture at a time on all cores, the median of RUNS. Plans for a GPU are built and their inputs and outputs
compared with the graph's; they do not run here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import engines
from engines.build import Request, build_plan
from tracker.capture import open_source
from tracker.cli.engine_frames import feeds_of, frames_of
from tracker.config import DetectSettings
from tracker.detect.detector import cores
from tracker.detect.gate import comparing, open_reference
from tracker.detect.model import Model, detector_on, find_model, input_shapes
from tracker.detect.parity import measure
from tracker.errors import TrackerError
from tracker.structures import Frame

RUNS, WARM, MOST = 50, 2, 64
LONG_S, FEWEST = 5.0, 5  # of a slow network fewer runs are timed
AS_IT_IS = (("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))
BUILT = tuple((runtime, p) for runtime in ("openvino", "torch", "tensorrt-rtx") for p in ("fp32", "fp16", "int8"))
HEAD = (
    "| model | runtime | precision | built | MB | build s | ms | frames | boxes | recall | mean IoU | score drift |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass
class Bench:
    """One model and the frames it is looked at with."""

    model: Model
    name: str
    settings: DetectSettings
    shapes: dict[str, tuple[int, ...]]
    frames: list[Frame]
    calibrate: str
    only: list[str]

    def rows(self) -> Iterator[str]:
        """A row a runtime and precision."""
        for runtime, precision in () if self.only else AS_IT_IS:
            yield self._row(runtime, precision, self._plain)
        for runtime, precision in BUILT:
            if not self.only or runtime in self.only:
                yield self._row(runtime, precision, self._built)

    def _row(self, runtime: str, precision: str, work: Any) -> str:
        try:
            cells = work(runtime, precision)
        except (engines.EngineError, TrackerError) as error:
            cells = [f"no: {error}"]
        cells += [""] * (9 - len(cells))
        return f"| {self.name} | {runtime} | {precision} | " + " | ".join(cells) + " |"

    def _plain(self, runtime: str, precision: str) -> list[str]:
        """The ONNX as it is."""
        options = engines.EngineOptions(self.shapes, precision, "cpu", cores())
        return [
            "-",
            f"{self.model.path.stat().st_size / 1e6:.1f}",
            "",
            *self._run(engines.load(self.model.path, runtime, options)),
        ]

    def _built(self, runtime: str, precision: str) -> list[str]:
        """Its plan."""
        profiles = {name: (shape,) * 3 for name, shape in self.shapes.items()}
        targets = ("sm75", "sm80", "sm86", "sm89", "sm120") if runtime == "tensorrt-rtx" else ()
        given = self._feeds if precision == "int8" else []
        request = Request(self.model.path, runtime, precision, profiles, targets, 0, given)
        plan = build_plan(request, lambda line: None)
        size = sum(entry["bytes"] for entry in plan.notes["files"].values()) / 1e6
        cells = [self._agrees(plan.notes), f"{size:.1f}", f"{plan.notes['seconds']:.1f}"]
        if runtime == "tensorrt-rtx":
            return [*cells, "no GPU"]
        floats = "fp32" if runtime == "openvino" else "auto"
        options = engines.EngineOptions({}, floats, "cpu", cores())
        return cells + self._run(engines.load(plan.path, runtime, options))

    @cached_property
    def _feeds(self) -> list[dict[str, Any]]:
        """Inputs for INT8's ranges."""
        detector = open_reference(self.model, self.shapes, self.settings)
        try:
            return feeds_of(detector, frames_of(self.calibrate))
        finally:
            detector.close()

    def _agrees(self, notes: Any) -> str:
        """Whether a plan's inputs and outputs are the graph's."""
        signature = self.model.signature
        assert signature is not None
        for kind in ("inputs", "outputs"):
            plan = [(spec["name"], spec["dtype"]) for spec in notes[kind]]
            graph = [(spec.name, spec.dtype.name) for spec in getattr(signature, kind)]
            if plan != graph:
                return f"other {kind}: {plan}"
        return "yes"

    def _run(self, engine: engines.Engine) -> list[str]:
        """Milliseconds an image, and the boxes against ONNX Runtime's."""
        try:
            reference = open_reference(self.model, self.shapes, self.settings)
            candidate = detector_on(self.model, engine, comparing(self.settings))
            figures = measure(reference, candidate, self.frames)
            reference.close()
            feeds = feeds_of(candidate, iter(self.frames[:1]))[0]
            times, started = list[float](), perf_counter()
            while len(times) < WARM + (RUNS if perf_counter() - started < LONG_S else FEWEST):
                began = perf_counter()
                engine.infer(feeds)
                times.append(1e3 * (perf_counter() - began))
        finally:
            engine.close()
        cells = [f"{statistics.median(times[WARM:]):.1f}"]
        if figures is None:
            return [*cells, "", "too few"]
        return [
            *cells, str(figures.frames), str(figures.boxes), f"{figures.recall:.3f}", f"{figures.mean_iou:.3f}",
            f"{figures.score_drift:.4f}",
        ]  # fmt: skip


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--calibrate", required=True, help="footage for INT8's ranges")
    parser.add_argument("--frames", action="append", required=True, help="other footage, for the comparison")
    parser.add_argument("--most", type=int, default=MOST, help="frames to compare on, at most")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--runtime", action="append", default=[], help="only plans of these; default: all")
    given = parser.parse_args()
    frames: list[Frame] = []
    for clip in given.frames:
        with open_source(clip) as source:
            whole = list(source)
        places = np.linspace(0, len(whole) - 1, min(len(whole), given.most // len(given.frames))).astype(int)
        frames += [whole[place] for place in places]
    lines = [HEAD]
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRACKER_CACHE"] = folder  # programs run from the cache alone
        for name in given.model:
            settings = DetectSettings(model=name, workers=1)
            model = find_model(name)
            shapes = input_shapes(model, settings, (frames[0].width, frames[0].height))
            shown = model.card.name if model.card else model.path.stem
            bench = Bench(model, shown, settings, shapes, frames, given.calibrate, given.runtime)
            for row in bench.rows():
                lines.append(row)
                print(row, flush=True)
    if given.output:
        given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
