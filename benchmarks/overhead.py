"""What our engine layer adds to plain onnxruntime or openvino code on the same ONNX, and what stands around it.

python -m benchmarks.overhead --clip clip_768x432.mp4 [--model street6] [--model yolox_nano.onnx] [--int8 plan.xml]

One picture at a time on two cores. Ours and the plain code take turns, inference by inference, in one process; the
ratio is of their medians. The plain code is what the libraries' own examples do: a session or an infer request with the
same threads and precision, the same input array, outputs read as arrays. Letterbox and suppression (with the head) are
timed inside the detector, on the frames of the clip.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from engines.quiet import import_openvino
from tracker.capture import open_source
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector
from tracker.structures import Frame

WARM, TURNS = 10, 120
Infer = Callable[[dict[str, Any]], Any]
RUNS = (("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))


def plain_onnxruntime(model: Path, threads: int) -> Infer:
    """A session with our settings of threads and spinning: only the layer differs."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


def plain_openvino(model: Path, threads: int, precision: str, shapes: dict[str, list[int]]) -> Infer:
    """A compiled model and one request."""
    openvino = import_openvino()
    core = openvino.Core()
    network = core.read_model(str(model))
    network.reshape(shapes)
    hints = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": "NO", "INFERENCE_NUM_THREADS": str(threads)}
    if precision != "int8":
        hints["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16"}[precision]
    request = core.compile_model(network, "CPU", hints).create_infer_request()

    def infer(feeds: dict[str, Any]) -> list[Any]:
        request.infer(feeds, share_inputs=True)
        return [np.array(request.get_output_tensor(k).data) for k in range(len(network.outputs))]

    return infer


def in_turn(ours: Infer, plain: Infer, feeds: dict[str, Any]) -> tuple[float, float]:
    """Median milliseconds of both; whoever begins a turn alternates."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(WARM + TURNS):
        for which in (0, 1) if turn % 2 else (1, 0):
            began = perf_counter()
            (ours, plain)[which](feeds)
            if turn >= WARM:
                times[which].append(1e3 * (perf_counter() - began))
    return statistics.median(times[0]), statistics.median(times[1])


def around(detector: EngineDetector, stages: dict[str, list[float]], frames: list[Frame]) -> dict[str, float]:
    """Median milliseconds of each stage of the detector over the frames."""
    for turn in range(3):
        if turn == 1:  # the first round warms up
            stages.clear()
        for frame in frames:
            detector.detect([frame])
    return {stage: 1e3 * statistics.median(seconds) for stage, seconds in stages.items()}


def measure(model: str, runtime: str, precision: str, frames: list[Frame], threads: int) -> str:
    """One row of the table."""
    stages: dict[str, list[float]] = {}
    wanted = "auto" if precision == "int8" else precision
    settings = DetectSettings(model=model, runtime=runtime, precision=wanted, workers=1)  # type: ignore[arg-type]
    size = (frames[0].width, frames[0].height)
    detector, _ = open_detector(
        settings, size, live=True, observe=lambda stage, seconds: stages.setdefault(stage, []).append(seconds)
    )
    times = around(detector, stages, frames)
    spec = detector.engine.inputs[0]
    shape = tuple(side or 1 for side in spec.shape)
    pixels = np.random.default_rng(0).integers(0, 255, shape)
    feeds = {spec.name: pixels.astype(spec.dtype)}
    path = detector.identity.path
    if runtime == "onnxruntime":
        plain = plain_onnxruntime(path, threads)
    else:
        plain = plain_openvino(path, threads, precision, {spec.name: list(shape)})
    ours_ms, plain_ms = in_turn(detector.engine.infer, plain, feeds)
    engine, (height, width) = detector.engine, detector.size_hw
    both = times["preprocess"] + times["postprocess"]
    row = (
        f"| {detector.identity.name} {width}x{height} | {engine.runtime} | {engine.precision} | {ours_ms:.2f} | "
        f"{plain_ms:.2f} | {100 * (ours_ms / plain_ms - 1):+.1f} % | {times['preprocess']:.2f} | "
        f"{times['postprocess']:.2f} | {both:.2f} |"
    )
    detector.close()
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--int8", action="append", default=[], help="INT8 model for openvino, as `engine build` makes")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    with open_source(given.clip, duration_s=4.0) as source:
        frames = list(source)
    print(f"{len(frames)} frames of {frames[0].width}x{frames[0].height}, {given.threads} threads, median ms")
    print("| model | runtime | precision | ours | plain | overhead | letterbox | head and NMS | both |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in given.model or ["street6"]:
        for runtime, precision in RUNS:
            print(measure(model, runtime, precision, frames, given.threads), flush=True)
    for model in given.int8:
        print(measure(model, "openvino", "int8", frames, given.threads), flush=True)


if __name__ == "__main__":
    main()
